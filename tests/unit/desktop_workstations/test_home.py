"""Workstations on the home page that are not open yet."""

from __future__ import annotations

from types import SimpleNamespace

from hub.desktop.models import Role
from hub.pages.shared import coming_of, workstations_of
from hub.problems import RequestError
from hub.sharing.beamtime import Standing
from hub.sharing.workstations import Listed, catalogue_unavailable
from tests.support.beamtimes import HOUR, NOON, person


def _listed(name: str, standing: Standing) -> Listed:
    return Listed(f"ws-{name}", name, "id22", None, standing)


def test_the_next_one_first_and_none_that_is_open() -> None:
    found = coming_of(
        [
            _listed("later", Standing(opens_at=NOON + HOUR, proposal="ma2")),
            _listed("open", Standing(Role.VIEWER, closes_at=NOON)),
            _listed("soon", Standing(opens_at=NOON, proposal="ma1")),
        ]
    )
    assert [(one.title, one.proposal, one.opens_at) for one in found] == [
        ("soon", "ma1", NOON),
        ("later", "ma2", NOON + HOUR),
    ]


async def test_a_silent_catalogue_takes_nothing_else_from_the_page() -> None:
    class Silent:
        async def listed(self, *_: object) -> None:
            raise catalogue_unavailable()

    refusal: RequestError = catalogue_unavailable()
    assert refusal.problem.status == 503
    assert await workstations_of(SimpleNamespace(workstations=Silent()), person("100")) == ()  # type: ignore[arg-type]
    assert await workstations_of(SimpleNamespace(workstations=None), person("100")) == ()  # type: ignore[arg-type]
