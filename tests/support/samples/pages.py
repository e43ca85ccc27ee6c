"""Every page and state, and the fragments: what the page tests, screenshots and the page server show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hub.pages.placeviews import ExpectedStart
from hub.pages.sessionviews import DesktopPageView, HomeView
from hub.pages.startviews import DataChoices, Hold, LaunchView
from hub.pages.usageviews import OperateView
from hub.pages.views import Viewer
from hub.problems import Problem, not_found_or_not_entitled
from tests.support.samples.base import (
    OBSERVED_METER,
    OPERATOR,
    PERSON_METER,
    PROPOSAL_METER,
    VIEWER,
    XSRF,
    cpu_hours,
)
from tests.support.samples.choices import DATA, LATER_SUMMARY, REFUSED_SUMMARY, SUMMARY, TEMPLATES
from tests.support.samples.form import AWAY_FORM, FORM, OWN_FORM, PLACED_SUMMARY, PODS_FORM, SLURM_FORM
from tests.support.samples.places import (
    CPU_CARD,
    GPU_CARD,
    LOCAL_CARD,
    PLACES_FAULTY,
    POWER_CARD,
    SOONEST_CARD,
)
from tests.support.samples.progress import (
    ENDED,
    FAILED,
    IN_A_POD,
    PROGRESS,
    READY,
    REFUSED,
    SLURM_FAILURES,
    TIME_LIMIT,
    WAITING,
)
from tests.support.samples.sessions import (
    ACCESS_REFUSAL,
    DESKTOP,
    HOME,
    HOME_DESKTOP,
    HOME_FAULTS,
    HOME_SLURM,
    QUEUED_LONG,
    RECENT,
    UNKNOWN,
    WITH_JOBS,
)
from tests.support.samples.usage import EDIT, OPERATE, USAGE, USAGE_EMPTY, USAGE_MEMORY

_FAULT = Problem(
    "internal",
    500,
    "Something went wrong here",
    "The service could not finish what you asked. Nothing was started.",
    "Try again; if it happens again, tell support the time.",
)


def _page(template: str, viewer: Viewer | None = VIEWER, **context: Any) -> tuple[str, dict[str, Any]]:
    return template, {"viewer": viewer, "xsrf": XSRF, **context}


PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "home": _page("home.html", position="0-0", home=HOME),
    "home-faults": _page("home.html", position="0-0", home=HOME_FAULTS),
    "home-idle": _page("home.html", position="0-0", home=HomeView(recent=RECENT, meters=(PROPOSAL_METER,))),
    "home-first": _page("home.html", position="0-0", home=HomeView(meters=(PERSON_METER,))),
    "new": _page("new.html", form=FORM),
    "new-refused": _page("new.html", form=replace(FORM, summary=REFUSED_SUMMARY)),
    "new-later": _page("new.html", form=replace(FORM, summary=LATER_SUMMARY)),
    "new-empty": _page(
        "new.html",
        form=replace(
            FORM,
            chosen=None,
            data=DataChoices((), problem="The catalogue does not answer. Sessions without data can start."),
            parameters=(),
            summary=replace(SUMMARY, grants=(), template="", holds=(Hold(cpu_hours(4), OBSERVED_METER),)),
        ),
    ),
    "launch": _page(
        "launch.html",
        launch=LaunchView(
            SUMMARY, (("input", "dataset:ma1234-lab6"), ("template", "auto")), "data.facility.example"
        ),
    ),
    "launch-refused": _page(
        "launch.html",
        launch=LaunchView(
            replace(REFUSED_SUMMARY, refusal=ACCESS_REFUSAL, grants=()), (("input", "dataset:nothing"),)
        ),
    ),
    "new-slurm": _page("new.html", form=SLURM_FORM),
    "new-detail": _page("new.html", form=OWN_FORM),
    "new-kubernetes": _page("new.html", form=PODS_FORM),
    "new-away": _page("new.html", form=AWAY_FORM),
    "new-faults": _page(
        "new.html",
        form=replace(
            SLURM_FORM,
            places=PLACES_FAULTY,
            summary=replace(PLACED_SUMMARY, is_soonest=False, start=ExpectedStart(None)),
        ),
    ),
    "home-slurm": _page("home.html", position="0-0", home=HOME_SLURM),
    "progress": _page("progress.html", progress=PROGRESS),
    "progress-queued": _page("progress.html", progress=WAITING),
    "progress-queued-long": _page("progress.html", progress=replace(WAITING, card=QUEUED_LONG)),
    "progress-pod": _page("progress.html", progress=IN_A_POD),
    "progress-jobs": _page("progress.html", progress=replace(READY, card=WITH_JOBS)),
    "progress-ready": _page("progress.html", progress=READY),
    "progress-failed": _page("progress.html", progress=FAILED),
    "progress-refused": _page("progress.html", progress=REFUSED),
    "progress-ended": _page("progress.html", progress=ENDED),
    **{f"progress-{name}": _page("progress.html", progress=view) for name, view in SLURM_FAILURES.items()},
    "progress-time-limit": _page("progress.html", progress=TIME_LIMIT),
    "progress-unknown": _page("progress.html", progress=replace(READY, card=UNKNOWN)),
    "desktop": _page(
        "desktop.html", page=DesktopPageView("0000000000000001", "0000000000000001", "/services/desktop")
    ),
    "invitation": _page("invitation.html"),
    "home-desktop": _page("home.html", position="0-0", home=HOME_DESKTOP),
    "progress-desktop": _page("progress.html", progress=replace(READY, card=DESKTOP)),
    "data": _page("data.html", data=DATA),
    "data-none": _page("data.html", data=DataChoices((), query="unobtainium")),
    "templates": _page("templates.html", templates=TEMPLATES, query=""),
    "usage": _page("usage.html", usage=USAGE),
    "usage-memory": _page("usage.html", usage=USAGE_MEMORY),
    "usage-empty": _page("usage.html", usage=USAGE_EMPTY),
    "operate": _page("operate.html", OPERATOR, operate=OPERATE),
    "operate-empty": _page("operate.html", OPERATOR, operate=OperateView((), (), (), (), ())),
    "problem": _page("problem.html", problem=_FAULT),
    "not-found": _page("problem.html", problem=not_found_or_not_entitled("page").problem),
}
"""Name of a state → template and context of a whole page."""

PARTS: dict[str, tuple[str, dict[str, Any]]] = {
    "sessions": _page("parts/sessions.html", home=HOME),
    "recent": _page("parts/recent.html", home=HOME),
    "meters": _page("parts/meters.html", meters=HOME.meters),
    "data": _page("parts/data_choices.html", data=DATA),
    "form": _page("parts/form.html", form=FORM),
    "form-slurm": _page("parts/form.html", form=OWN_FORM),
    "places": _page(
        "parts/places.html",
        places=(SOONEST_CARD, replace(CPU_CARD, jobs_pending=412), GPU_CARD, POWER_CARD),
    ),
    "places-faulty": _page("parts/places.html", places=PLACES_FAULTY),
    "places-local": _page("parts/places.html", places=(LOCAL_CARD,)),
    "summary": _page("parts/summary.html", summary=SUMMARY),
    "summary-refused": _page("parts/summary.html", summary=REFUSED_SUMMARY),
    "progress": _page("parts/progress.html", progress=PROGRESS),
    "progress-ready": _page("parts/progress.html", progress=READY),
    "allocation": _page("parts/allocation.html", edit=replace(EDIT, effects=(), reason="", limit_text="100")),
    "allocation-preview": _page("parts/allocation.html", edit=EDIT),
    "allocation-wrong": _page(
        "parts/allocation.html", edit=replace(EDIT, effects=(), error="A limit is a number of hours.")
    ),
}
"""Name of a state → template and context of a fragment."""
