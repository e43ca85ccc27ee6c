"""Places in each state, and what one may choose there."""

from __future__ import annotations

from dataclasses import replace

from hub.pages.placeviews import (
    Detail,
    ExpectedStart,
    FreeLine,
    GpuChoice,
    NumberField,
    Option,
    PlaceCard,
    PlaceState,
    Share,
)
from hub.pages.views import Meter
from quota.models import Resource
from tests.support.samples.base import HOUR, NOW, ago, ahead

NOW_START = ExpectedStart(NOW, is_now=True)
SOONEST_CARD = PlaceCard(
    "soonest", "Soonest", takes="CPU nodes", is_soonest=True, is_chosen=True, start=NOW_START
)
CPU_CARD = PlaceCard(
    "cpu",
    "CPU nodes",
    note="Slurm · x86_64",
    start=NOW_START,
    free=(FreeLine("CPU", 412, 640), FreeLine("Memory", 1_250_000, 2_560_000, is_memory=True)),
    nodes_free=4,
    nodes_total=10,
    jobs_pending=0,
)
GPU_CARD = PlaceCard(
    "gpu",
    "GPU nodes",
    note="Slurm · x86_64",
    start=ExpectedStart(ahead(minutes=21), is_estimate=True),
    free=(
        FreeLine("CPU", 40, 128),
        FreeLine("Memory", 180_000, 1_024_000, is_memory=True),
        FreeLine("A100", 1, 8),
        FreeLine("H100", 0, 4),
    ),
    nodes_free=0,
    nodes_total=3,
    jobs_pending=12,
    as_of=ago(seconds=12),
)
POWER_CARD = PlaceCard(
    "power",
    "Power nodes",
    state=PlaceState.UNFIT,
    note="Slurm · ppc64le",
    why="“Photon and neutron basics” is not built for ppc64le",
    free=(FreeLine("CPU", 320, 320), FreeLine("Memory", 1_000_000, 1_000_000, is_memory=True)),
    nodes_free=2,
    nodes_total=2,
    jobs_pending=0,
)
LOCAL_CARD = PlaceCard(
    "local",
    "This machine",
    is_chosen=True,
    start=NOW_START,
    free=(FreeLine("CPU", 6, 8), FreeLine("Memory", 20_000, 24_000, is_memory=True)),
)
PLACES = (SOONEST_CARD, CPU_CARD, GPU_CARD, POWER_CARD)
PLACES_FAULTY = (
    PlaceCard(
        "soonest",
        "Soonest",
        takes="GPU nodes",
        is_soonest=True,
        start=ExpectedStart(ahead(hours=19), is_estimate=True),
    ),
    replace(
        GPU_CARD, start=ExpectedStart(ahead(hours=19), is_estimate=True), as_of=ago(minutes=6), is_old=True
    ),
    replace(CPU_CARD, start=ExpectedStart(None), is_chosen=True, jobs_pending=412),
    PlaceCard(
        "old",
        "Old nodes",
        PlaceState.DOWN,
        "Slurm · x86_64",
        "The partition “old” is down: all of its nodes are drained for the cooling works",
    ),
    PlaceCard(
        "staff",
        "Staff nodes",
        PlaceState.CLOSED,
        "Slurm · x86_64",
        "Only for the accounts staff and it",
        nodes_free=1,
        nodes_total=4,
        jobs_pending=3,
    ),
    POWER_CARD,
)
DETAIL = Detail(
    has_own_size=True,
    shares=(
        Share(1, "Minimum", 3),
        Share(16, "Quarter", 62),
        Share(32, "Half", 125),
        Share(48, "Your most", 187),
        Share(64, "Whole node", 250, is_allowed=False, why="At most 48 CPU here for you"),
    ),
    cpus=NumberField(most=48, hint="A node here has 64 CPU; at most 48 for you."),
    memory=NumberField(most=250, hint="A node here has 250 GB."),
    gpu_counts=((0, False), (1, False), (2, False), (4, False)),
    gpu_types=(
        GpuChoice("", "Any", 4, is_chosen=True),
        GpuChoice("a100", "A100", 4, 1, 8),
        GpuChoice("h100", "H100", 2, 0, 4),
    ),
    reservations=(
        Option("", "None", is_chosen=True),
        Option("ma1234_shift", "ma1234_shift", False, ago(hours=2), ahead(hours=6), is_open=True),
        Option("ma1234_night", "ma1234_night", False, ahead(hours=26), ahead(hours=34)),
    ),
    accounts=(
        Option("", "Default (users)", is_chosen=True),
        Option("users", "users"),
        Option("id22", "id22"),
    ),
    qos=(Option("", "Default (normal)", is_chosen=True), Option("normal", "normal"), Option("long", "long")),
)
DETAIL_SET = replace(
    DETAIL,
    shares=tuple(replace(share, is_chosen=share.cpus == 16) for share in DETAIL.shares),
    memory=replace(DETAIL.memory, value="96"),
    gpu_counts=((0, False), (1, False), (2, True), (4, False)),
    gpu_types=tuple(replace(kind, is_chosen=kind.value == "a100") for kind in DETAIL.gpu_types),
    is_open=True,
)
PODS_CARD = PlaceCard(
    "pods",
    "Kubernetes",
    note="Kubernetes · x86_64",
    payer="the facility’s account cloud",
    start=NOW_START,
    free=(FreeLine("CPU", 96, 256), FreeLine("Memory", 400_000, 1_024_000, is_memory=True)),
    nodes_free=1,
    nodes_total=4,
    sessions_pending=2,
    warm_free=3,
    warm_total=5,
)
AWAY_CARD = PlaceCard(
    "away",
    "Partner cloud",
    state=PlaceState.UNFIT,
    note="Kubernetes · x86_64",
    why="“LaB6 series” and your home folder are not on its storage",
)
CLOUD_METER = Meter("Facility account cloud", Resource.CPU_SECONDS, 5000 * HOUR, 2100 * HOUR, 90 * HOUR)
LATER = ExpectedStart(ahead(minutes=40), is_estimate=True)
