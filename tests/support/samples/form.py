"""The form of a new session."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hub.pages.placeviews import ExpectedStart
from hub.pages.startviews import Choice, FormView, Hold, OtherPlace, Overflow, Parameter, Summary
from hub.pages.views import Action, Refusal, Resources
from hub.problems import Problem
from tests.support.samples.base import MEDIUM, SMALL, ahead, cpu_hours
from tests.support.samples.choices import CHOSEN, DATA, SUMMARY, TEMPLATE_CHOICES
from tests.support.samples.places import (
    AWAY_CARD,
    CLOUD_METER,
    CPU_CARD,
    DETAIL,
    DETAIL_SET,
    LATER,
    LOCAL_CARD,
    NOW_START,
    PLACES,
    PODS_CARD,
    SOONEST_CARD,
)

PLACED_SUMMARY = replace(SUMMARY, place="CPU nodes", start=NOW_START, is_soonest=True)
FORM = FormView(
    chosen=CHOSEN,
    data=DATA,
    templates=TEMPLATE_CHOICES,
    interfaces=(
        Choice("lab", "JupyterLab", "Notebooks, files and a terminal", is_chosen=True),
        Choice("desktop", "Desktop", "Programs with windows, on a desktop here in the browser"),
    ),
    profiles=(
        Choice("lab", "JupyterLab", "Notebooks, terminals and files beside the data", is_chosen=True),
        Choice("tomo", "Tomography", "Only for members of tomography groups", is_allowed=False),
    ),
    sizes=(
        Choice("s", "S", detail="1 CPU · 2 GB", resources=SMALL),
        Choice("m", "M", detail="2 CPU · 4 GB", is_chosen=True, resources=MEDIUM),
        Choice("l", "L", detail="4 CPU · 8 GB", resources=Resources("L", 4, 8192)),
        Choice("xl", "XL", detail="8 CPU · 16 GB", why="Only 6 CPU are free", is_allowed=False),
    ),
    durations=(
        Choice("3600", "1 h"),
        Choice("7200", "2 h", is_chosen=True),
        Choice("14400", "4 h"),
        Choice("28800", "8 h"),
    ),
    payers=(
        Choice("auto", "Automatic", detail="ma1234", is_chosen=True),
        Choice("proposal", "Proposal ma1234", detail="84 left"),
        Choice("person", "Yours", detail="5 left"),
    ),
    parameters=(
        Parameter(
            "input_file",
            "Data file",
            "text",
            "/data/visitor/ma1234/id22/20261103/RAW_DATA/lab6_series/lab6.h5",
            filled_from="from the data set",
        ),
        Parameter(
            "points",
            "Points in q",
            "integer",
            default="2000",
            help="Bins of the integrated pattern.",
            minimum=100,
            maximum=20000,
        ),
        Parameter("unit", "Axis", "choice", default="2th_deg", choices=("2th_deg", "q_nm^-1")),
        Parameter("polarisation", "Polarisation factor", "number", default="0.99", minimum=-1, maximum=1),
        Parameter("mask", "Use the detector mask", "boolean", default="true"),
    ),
    summary=SUMMARY,
    places=(LOCAL_CARD,),
    max_walltime=timedelta(hours=8),
)
SLURM_FORM = replace(
    FORM,
    profiles=(
        Choice(
            "lab",
            "JupyterLab",
            "Notebooks, terminals and files beside the data",
            is_chosen=True,
            facts="Photon and neutron basics · modules pan/2026.2, cuda/12.4 · for x86_64",
        ),
        *FORM.profiles[1:],
    ),
    places=PLACES,
    detail=DETAIL,
    summary=PLACED_SUMMARY,
    parameters=(),
)
OWN_FORM = replace(
    SLURM_FORM,
    places=tuple(replace(place, is_chosen=place.value == "gpu") for place in PLACES),
    sizes=tuple(replace(size, is_chosen=False) for size in FORM.sizes),
    detail=DETAIL_SET,
    own_size="16 CPU · 96 GB · 2 A100 GPUs",
    summary=replace(
        PLACED_SUMMARY,
        place="GPU nodes",
        is_soonest=False,
        resources=Resources("Own", 16, 98304, 2, "a100"),
        start=ExpectedStart(ahead(minutes=21), is_estimate=True),
        scheduling=(("account", "id22"), ("reservation", "ma1234_shift")),
    ),
)
PODS_FORM = replace(
    SLURM_FORM,
    places=(
        replace(SOONEST_CARD, takes="Kubernetes", is_chosen=False),
        replace(CPU_CARD, start=LATER, is_chosen=True, nodes_free=0, jobs_pending=37),
        PODS_CARD,
        AWAY_CARD,
    ),
    overflow=Overflow(timedelta(minutes=10), is_chosen=True),
    payers=(
        Choice("auto", "Automatic", detail="Facility account cloud", is_chosen=True),
        Choice("proposal", "Proposal ma1234"),
        Choice("person", "Yours"),
    ),
    summary=replace(
        PLACED_SUMMARY,
        place="Kubernetes",
        is_soonest=False,
        instead_of="CPU nodes",
        payer="Facility account cloud",
        holds=(Hold(cpu_hours(4), CLOUD_METER), *SUMMARY.holds[1:]),
        others=(
            OtherPlace("CPU nodes", LATER, "Proposal ma1234"),
            OtherPlace(
                "Partner cloud",
                ExpectedStart(None),
                why="“LaB6 series” and your home folder are not on the storage of Partner cloud.",
            ),
        ),
    ),
)
DATA_REFUSAL = Refusal(
    Problem(
        "data_not_here",
        409,
        "The data is not there",
        "“LaB6 series” and your home folder are not on the storage of Partner cloud. "
        "It is there for CPU nodes and Power nodes (profile “Long runs”).",
        "Choose a place that has it, or other data.",
    ),
    actions=(
        Action("Take CPU nodes", ("new",), (("place", "cpu"),), icon="cpu"),
        Action("Take Power nodes", ("new",), (("place", "power"), ("profile", "long")), icon="cpu"),
    ),
)
AWAY_FORM = replace(
    PODS_FORM,
    places=tuple(replace(one, is_chosen=one.value == "away") for one in PODS_FORM.places),
    overflow=Overflow(timedelta(minutes=10)),
    summary=Summary(
        interface="JupyterLab",
        environment="",
        place="",
        resources=Resources("", 0, 0),
        walltime=timedelta(0),
        payer="",
        refusal=DATA_REFUSAL,
        is_decided=False,
    ),
)
