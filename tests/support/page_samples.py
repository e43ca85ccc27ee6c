"""Sample views for every page and state: what the page tests, screenshots and page server show.

Times hang on `NOW`, which is the moment of import, so that time left looks as it would.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from hub.desktop.models import Role
from hub.launch.states import EndReason, LaunchState
from hub.pages.placeviews import (
    Detail,
    ExpectedStart,
    FreeLine,
    GpuChoice,
    JobLine,
    NumberField,
    Option,
    PlaceCard,
    PlaceState,
    Share,
)
from hub.pages.sessionviews import (
    ComingStation,
    DesktopPageView,
    Event,
    HomeView,
    Notice,
    ProgressView,
    RecentRow,
    SessionCard,
    SharedCard,
    Step,
)
from hub.pages.startviews import (
    Choice,
    DataChoices,
    DatasetChoice,
    FormView,
    Hold,
    InvestigationGroup,
    LaunchView,
    OtherPlace,
    Overflow,
    Parameter,
    ProposalGroup,
    Summary,
    TemplateView,
)
from hub.pages.usageviews import (
    AllocationEdit,
    AllocationRow,
    AuditRow,
    DayUse,
    OperateView,
    ProposalUse,
    RefusalCount,
    RunningRow,
    UsageView,
)
from hub.pages.views import Action, Allowed, Amount, Grant, Meter, Refusal, Resources, SessionUse, Viewer
from hub.problems import Problem, not_found_or_not_entitled
from quota.models import Enforcement, Resource
from spawners.plan import Interface, MountMode

NOW = datetime.now(UTC).replace(microsecond=0)
XSRF = "sample-xsrf-token"
HOUR = 3600

VIEWER = Viewer("Maja Lindqvist", "maja")
OPERATOR = Viewer("Sam Weber", "sam", is_operator=True)


def ago(**parts: float) -> datetime:
    return NOW - timedelta(**parts)


def ahead(**parts: float) -> datetime:
    return NOW + timedelta(**parts)


def cpu_hours(hours: float) -> Amount:
    return Amount(Resource.CPU_SECONDS, round(hours * HOUR))


LAB6 = Grant(
    "ma1234",
    "LaB6 series",
    "/data/visitor/ma1234/id22/20261103/RAW_DATA/lab6_series",
    MountMode.READ_ONLY,
    "team member",
)
RESULTS = Grant(
    "ma1234",
    "Processed data",
    "/data/visitor/ma1234/id22/20261103/PROCESSED_DATA",
    MountMode.READ_WRITE,
    "team member",
)
OPEN = Grant(
    "hc4021",
    "CeO2 standard",
    "/data/visitor/hc4021/id31/20221010/RAW_DATA/ceo2",
    MountMode.READ_ONLY,
    "released on 10 Oct 2025",
    is_open=True,
)

SMALL = Resources("S", 1, 2048)
MEDIUM = Resources("M", 2, 4096)

PROPOSAL_METER = Meter(
    "Proposal ma1234",
    Resource.CPU_SECONDS,
    100 * HOUR,
    14 * HOUR,
    2 * HOUR,
    resets_at=ahead(days=9),
    ends_then=True,
    forecast=ahead(days=7),
)
PERSON_METER = Meter(
    "Yours",
    Resource.CPU_SECONDS,
    40 * HOUR,
    30 * HOUR,
    5 * HOUR,
    window="per week",
    resets_at=ahead(days=2, hours=3),
)
SESSIONS_METER = Meter("Yours", Resource.SESSIONS, 3, 0, 3, window="at once")
OBSERVED_METER = Meter(
    "Proposal hc4021", Resource.CPU_SECONDS, None, 7 * HOUR, 0, Enforcement.OBSERVED, window="per week"
)

RUNNING = SessionCard(
    launch_id="3f9c0a7b21de4455",
    title="Azimuthal integration, LaB6 series",
    state=LaunchState.RUNNING,
    interface=Interface.LAB,
    environment="Photon and neutron basics",
    place="This machine",
    resources=MEDIUM,
    walltime=timedelta(hours=4),
    requested_at=ago(hours=1, minutes=52),
    template="Azimuthal integration 1.2",
    grants=(LAB6, RESULTS),
    started_at=ago(hours=1, minutes=50),
    ends_at=ahead(hours=2, minutes=10),
    charges=(cpu_hours(3.7),),
    payer="Proposal ma1234",
    open_url="/user/maja/azimuthal-lab6/lab",
    extend_by=(timedelta(hours=1), timedelta(hours=2)),
)
PENDING = replace(
    RUNNING,
    launch_id="88ab12cd34ef5601",
    title="Look around, CeO2 standard",
    state=LaunchState.SUBMITTED,
    resources=SMALL,
    template="Look around",
    grants=(OPEN,),
    step="The server is starting; it usually answers within 20 s.",
    requested_at=ago(seconds=8),
    started_at=None,
    ends_at=None,
    expected_start=None,
    charges=(),
    payer="Yours",
    open_url="",
    extend_by=(),
)
QUEUED = replace(
    PENDING,
    launch_id="91ab12cd34ef5602",
    title="Tomography, bone 4",
    state=LaunchState.SUBMITTED,
    step="Waiting for free GPUs: all that fit are in use.",
    is_queued=True,
    requested_at=ago(minutes=3),
    expected_start=ahead(minutes=24),
    resources=Resources("G", 8, 65536, 1, "a100"),
    place="GPU nodes",
    job="Slurm job 4711 on pan",
)
QUEUED_LONG = replace(
    QUEUED,
    launch_id="91ab12cd34ef5603",
    title="Tomography, bone 5",
    step="Waiting for its turn: other jobs have a higher priority.",
    requested_at=ago(hours=31),
    expected_start=None,
)
WITH_JOBS = replace(
    RUNNING,
    launch_id="92ab12cd34ef5604",
    title="Dask on the LaB6 series",
    place="CPU nodes",
    job="Slurm job 4700 on pan",
    jobs=(
        JobLine("4712", "dask-worker", "running", "good", "play-circle-fill", started_at=ago(minutes=14)),
        JobLine(
            "4713",
            "dask-worker",
            "waiting",
            "info",
            "hourglass-split",
            reason="Waiting for its turn: other jobs have a higher priority.",
        ),
        JobLine(
            "4709",
            "fit_all_peaks_of_the_furnace_run_with_a_long_name.sh",
            "failed",
            "bad",
            "x-octagon",
            ended_at=ago(minutes=31),
        ),
    ),
)
ENDING_SOON = replace(
    RUNNING,
    launch_id="aa00bb11cc22dd33",
    title="Peak fit of the furnace run with a very long title that a person has typed in full",
    ends_at=ahead(minutes=12),
    extend_by=(),
    can_extend=Allowed(False, "8 h is the longest a session may run here."),
    grants=(),
    template="",
)
UNKNOWN = replace(
    RUNNING,
    launch_id="bb00bb11cc22dd33",
    title="Furnace run 7",
    is_unknown=True,
    step="The place has not answered since 14:02; your session keeps running.",
)
STOPPING = replace(
    RUNNING, launch_id="cc00bb11cc22dd33", title="Old integration", state=LaunchState.ENDING, open_url=""
)

QUOTA_REFUSAL = Refusal(
    Problem(
        "quota_exceeded",
        409,
        "Not enough CPU-hours left this week",
        "This session would hold 16 CPU-hours, and 5 of your 40 CPU-hours per week are left.",
        "Take a smaller size or a shorter time, or stop a session that you do not need.",
    ),
    meter=PERSON_METER,
    asked=cpu_hours(16),
    using=(SessionUse(RUNNING.launch_id, RUNNING.title, cpu_hours(5), ahead(hours=2, minutes=10)),),
    actions=(
        Action(
            "Start with size S",
            ("launches",),
            (("input", "dataset:ma1234-lab6"), ("size", "s")),
            method="post",
            icon="play-fill",
            is_primary=True,
        ),
        Action("Change the size", ("new",), (("size", "s"), ("walltime_s", "7200")), icon="sliders"),
    ),
)
MEMORY_FAILURE = Refusal(
    Problem(
        "out_of_memory",
        500,
        "The session needed more memory than it had",
        "It was ended when it reached 4 GB. Files that were saved are in your home.",
        "Start it again with more memory.",
    ),
    actions=(
        Action(
            "Start with 8 GB",
            ("launches",),
            (("size", "l"),),
            method="post",
            icon="play-fill",
            is_primary=True,
        ),
    ),
)
ACCESS_REFUSAL = Refusal(not_found_or_not_entitled("data set").problem)

LOG = (
    "[I 14:20:01 ServerApp] Serving notebooks from local directory: /home/maja",
    "[W 14:31:40 ServerApp] Kernel died, restarting",
    "panhub: memory limit of 4096 MiB reached",
    "<script>alert(1)</script>",
)

RECENT = (
    RecentRow(
        "r1",
        "Azimuthal integration, sample_02",
        "ma1234",
        "sample_02",
        LaunchState.ENDED,
        ago(hours=5),
        timedelta(hours=1, minutes=10),
        EndReason.STOPPED_BY_USER,
        (cpu_hours(2.3),),
        payer="Proposal ma1234",
    ),
    RecentRow(
        "r2",
        "Tomography, bone 4",
        "ma1234",
        "bone_4",
        LaunchState.ENDED,
        ago(days=1, hours=3),
        timedelta(minutes=7),
        EndReason.OUT_OF_MEMORY,
        (cpu_hours(0.1),),
        payer="Proposal ma1234",
    ),
    RecentRow(
        "r3",
        "Look around",
        "hc4021",
        "CeO2 standard",
        LaunchState.ENDED,
        ago(days=2),
        timedelta(hours=4),
        EndReason.TIME_LIMIT,
        (cpu_hours(4),),
        payer="Yours",
    ),
    RecentRow(
        "r4",
        "Azimuthal integration, sample_01",
        "ma1234",
        "sample_01",
        LaunchState.REFUSED,
        ago(days=2, hours=1),
        timedelta(0),
        None,
        (),
        payer="Yours",
    ),
    RecentRow(
        "r5",
        "XAFS of copper foil",
        "es0771",
        "Cu K edge",
        LaunchState.ENDED,
        ago(days=4),
        timedelta(minutes=48),
        EndReason.ACCESS_LOST,
        (cpu_hours(0.8),),
        payer="Yours",
        can_relaunch=Allowed(False, "You may no longer read es0771."),
    ),
)

HOME = HomeView(
    cards=(RUNNING, PENDING, ENDING_SOON),
    notices=(Notice("n1", "Azimuthal integration, sample_02", ago(minutes=4), QUOTA_REFUSAL),),
    recent=RECENT,
    meters=(PROPOSAL_METER, PERSON_METER, SESSIONS_METER),
)
DESKTOP = replace(
    RUNNING,
    launch_id="0000000000000001",
    title="Tomography, bone 7",
    interface=Interface.DESKTOP,
    environment="Desktop",
    can_share=True,
    with_people=("Nils <b>Berg</b>", "Ruth Abara"),
    asking=1,
    thumbnail="101500",
)
SHARED = (
    SharedCard(
        "0000000000000002",
        "Powder, sample_03",
        "Maja Lindqvist",
        Role.VIEWER,
        has_picture=True,
        until=ahead(hours=2),
        thumbnail="101500",
    ),
    SharedCard(
        "0000000000000003",
        "Texture of steel",
        "Ruth Abara",
        Role.CONTROL,
        has_picture=False,
        lab_url="/user/ruth/texture/lab",
        until=ahead(hours=5),
        with_people=("Ruth Abara",),
    ),
    SharedCard("ws-id22", "ID22 control", "", Role.OWNER, has_picture=True),
)
COMING = (ComingStation("ID11 sample station", "ma-1234", ahead(days=3)),)
HOME_DESKTOP = HomeView(
    cards=(DESKTOP,), shared=SHARED, coming=COMING, recent=RECENT, meters=(PROPOSAL_METER,)
)
HOME_SLURM = HomeView(
    cards=(WITH_JOBS, QUEUED, QUEUED_LONG, ENDING_SOON), meters=(PROPOSAL_METER, PERSON_METER)
)
HOME_FAULTS = HomeView(
    cards=(UNKNOWN, QUEUED, STOPPING),
    notices=(
        Notice(
            "n2",
            "Tomography, bone 4",
            ago(minutes=20),
            MEMORY_FAILURE,
            (cpu_hours(0.1),),
            LOG,
            is_failure=True,
        ),
    ),
    recent=RECENT[:2],
    meters=(OBSERVED_METER,),
    stale="The catalogue has not answered since 14:02. Sessions keep running.",
)

CHOSEN = DatasetChoice(
    "dataset:ma1234-lab6",
    "LaB6 series",
    "team member",
    "X-ray powder diffraction",
    1200,
    2_100_000_000,
    ago(days=18),
    proposal="ma1234",
    description="Calibration series at 60 keV, Pilatus 1M",
    doi="10.15151/ESRF-ES-101",
)
DATA = DataChoices(
    groups=(
        ProposalGroup(
            "ma1234",
            "you are the principal investigator",
            (
                InvestigationGroup(
                    "ma1234-1",
                    "Phase changes in doped ceria under load",
                    "ID22",
                    ago(days=18),
                    (
                        DatasetChoice(
                            "dataset:ma1234-s1",
                            "sample_01",
                            "principal investigator",
                            "X-ray powder diffraction",
                            600,
                            1_050_000_000,
                        ),
                        DatasetChoice(
                            "dataset:ma1234-s2",
                            "sample_02",
                            "principal investigator",
                            "X-ray powder diffraction",
                            600,
                            1_040_000_000,
                            description="Second heating ramp",
                        ),
                    ),
                    14,
                ),
            ),
        ),
        ProposalGroup(
            "hc4021",
            "open data, public since 10 Oct 2025",
            (
                InvestigationGroup(
                    "hc4021-1",
                    "Standards for the new detector",
                    "ID31",
                    ago(days=1500),
                    (
                        DatasetChoice(
                            "dataset:hc4021-ceo2",
                            "CeO2 standard",
                            "open data",
                            "X-ray powder diffraction",
                            20,
                            84_000_000,
                            is_open=True,
                            doi="10.15151/ESRF-ES-77",
                        ),
                    ),
                    1,
                    date(2025, 10, 10),
                ),
            ),
            is_open=True,
        ),
    ),
    more=3,
)
SUMMARY = Summary(
    interface="JupyterLab",
    environment="Photon and neutron basics",
    place="This machine",
    resources=MEDIUM,
    walltime=timedelta(hours=2),
    payer="Proposal ma1234",
    template="Azimuthal integration",
    grants=(LAB6, RESULTS),
    holds=(
        Hold(cpu_hours(4), PROPOSAL_METER),
        Hold(Amount(Resource.SESSIONS, 1), replace(SESSIONS_METER, held=1)),
    ),
)
REFUSED_SUMMARY = replace(SUMMARY, refusal=QUOTA_REFUSAL, holds=())
LATER_SUMMARY = replace(
    SUMMARY,
    start=ExpectedStart(ahead(minutes=35), is_estimate=True),
    waiting="All 2 GPUs are taken; one is free at the end of another session.",
    place="Slurm gpu",
)

TEMPLATE_CHOICES = (
    Choice(
        "saxs-azimuthal-integration@1.2",
        "Azimuthal integration",
        "Fits: 2D detector series, calibration found",
        is_chosen=True,
    ),
    Choice("look-around@1.0", "Look around", "Fits any file"),
    Choice("none", "No template", "Start with an empty folder"),
    Choice("xrf-map@1.0", "XRF map", "Does not fit: needs spectra, these are images", is_allowed=False),
    Choice(
        "tomography-fbp@2.1",
        "Tomography, filtered back-projection",
        "Does not fit: no rotation axis",
        is_allowed=False,
    ),
)
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

EVENTS = (
    Event(1, ago(seconds=9), "Asked for by maja"),
    Event(2, ago(seconds=8), "Access checked: ma1234 as team member"),
    Event(3, ago(seconds=8), "4 CPU-hours held from proposal ma1234"),
    Event(4, ago(seconds=5), "Started on this machine"),
)
STEPS = (
    Step("Access checked", ago(seconds=8), "team member of ma1234"),
    Step("Quota held", ago(seconds=8), "4 CPU-hours from proposal ma1234"),
    Step("Started on this machine", ago(seconds=5)),
    Step("Server answers", None, "usually within 20 s", is_current=True),
    Step("Open"),
)
PROGRESS = ProgressView(PENDING, STEPS, EVENTS)
WAITING = ProgressView(
    QUEUED,
    (
        Step("Access and quota checked", ago(minutes=3)),
        Step("Quota held", ago(minutes=3)),
        Step("Handed to the scheduler", ago(minutes=3)),
        Step("Waiting in the queue", is_current=True),
        Step("Server answers"),
    ),
    EVENTS,
)
IN_A_POD = ProgressView(
    replace(
        PENDING,
        step="Its image is being fetched by node-7, which may take some minutes.",
        place="Kubernetes",
        payer="Facility account cloud",
        job="Pod maja--s-88ab12cd34ef in panhub-sessions on pan",
    ),
    (
        Step("Access and quota checked", ago(seconds=8)),
        Step("Quota held", ago(seconds=8)),
        Step("Handed to the cluster", ago(seconds=7)),
        Step("Server answers", is_current=True),
    ),
    EVENTS,
)
READY = ProgressView(
    RUNNING, tuple(replace(step, at=step.at or NOW, is_current=False) for step in STEPS), EVENTS
)
FAILED = ProgressView(
    replace(RUNNING, state=LaunchState.ENDED, charges=(cpu_hours(0.1),), open_url="", ends_at=None),
    (*STEPS[:3], replace(STEPS[3], is_current=False, is_failed=True), STEPS[4]),
    EVENTS,
    refusal=MEMORY_FAILURE,
    log_tail=LOG,
    end_reason=EndReason.OUT_OF_MEMORY,
    ended_at=ago(minutes=1),
    ran=timedelta(minutes=41),
    actions=(
        Action("Same again", ("launches", "x", "relaunch"), method="post", icon="arrow-repeat"),
        Action("Change something", ("new",), (("from", "x"),), icon="sliders"),
    ),
    returns_to="/data-portal",
)
REFUSED = ProgressView(
    replace(PENDING, state=LaunchState.REFUSED, step=""),
    (Step("Access checked", ago(seconds=3)), Step("Quota held", is_failed=True)),
    EVENTS[:2],
    refusal=QUOTA_REFUSAL,
)
ENDED = ProgressView(
    replace(RUNNING, state=LaunchState.ENDED, charges=(cpu_hours(2.3),), open_url="", ends_at=None),
    READY.steps,
    EVENTS,
    end_reason=EndReason.STOPPED_BY_USER,
    ended_at=ago(minutes=1),
    ran=timedelta(minutes=41),
    actions=(
        Action(
            "Relaunch", ("launches", "x", "relaunch"), method="post", icon="arrow-repeat", is_primary=True
        ),
    ),
)


def _failed(reason: EndReason, title: str, detail: str, hint: str, *actions: Action) -> ProgressView:
    """A session on Slurm that ended so."""
    again = (
        Action("Start again", ("launches", "x", "relaunch"), method="post", icon="arrow-repeat"),
        Action("Change something", ("new",), (("from", "x"),), icon="sliders"),
    )
    return replace(
        FAILED,
        card=replace(FAILED.card, place="CPU nodes", job="Slurm job 4711 on pan"),
        steps=READY.steps[:4],
        refusal=Refusal(
            Problem(f"launch_{reason.value}", 500, title, detail, hint), actions=(*actions, *again)
        ),
        end_reason=reason,
        actions=(),
        log_path="~/.panhub/logs/3f9c0a7b21de4455.log",
        returns_to="",
    )


SLURM_FAILURES = {
    "out-of-memory": _failed(
        EndReason.OUT_OF_MEMORY,
        "The session used more memory than its size has",
        "Slurm says: OUT_OF_MEMORY, exit code 0:125.",
        "Start it again with a larger size.",
        Action(
            "Again with 8 GB", ("new",), (("size", "l"), ("place", "cpu")), icon="memory", is_primary=True
        ),
    ),
    "preempted": _failed(
        EndReason.PREEMPTED,
        "The scheduler ended the session to make room for a job of higher priority",
        "Slurm says: PREEMPTED after 41 min.",
        "Start it again: it waits for its turn anew.",
    ),
    "node-failure": _failed(
        EndReason.NODE_FAILURE,
        "The node of the session failed",
        "Slurm says: NODE_FAIL on cpu-17 (<b>Not responding</b>).",
        "The fault was the machine's, not yours: start it again.",
    ),
    "cancelled-outside": _failed(
        EndReason.CANCELLED_BY_SCHEDULER,
        "The session's job was cancelled at the scheduler, not here",
        "Slurm says: CANCELLED by root.",
        "If that was not you, ask the operators of the cluster.",
    ),
}
TIME_LIMIT = replace(
    ENDED,
    end_reason=EndReason.TIME_LIMIT,
    card=replace(ENDED.card, job="Slurm job 4711 on pan"),
    log_path="~/.panhub/logs/3f9c0a7b21de4455.log",
    actions=(
        Action("Again for 8 h", ("new",), (("walltime_s", "28800"),), icon="clock-history", is_primary=True),
        Action("Start again", ("launches", "x", "relaunch"), method="post", icon="arrow-repeat"),
        Action("Change something", ("new",), (("from", "x"),), icon="sliders"),
    ),
)

TEMPLATES = (
    TemplateView(
        "saxs-azimuthal-integration",
        "1.2.0",
        "Azimuthal integration",
        "Integrates a series of detector images to patterns, with error bars and quality indicators.",
        "Powder rings or isotropic scattering on a 2D detector",
        "A 2D series (HDF5) and its calibration (PONI)",
        "X-ray powder diffraction",
        ("H. Brandt", "M. Lindqvist"),
        "H. Brandt",
        date(2026, 9, 14),
        "Photon and neutron basics",
    ),
    TemplateView(
        "look-around",
        "1.0.0",
        "Look around",
        "Opens any NeXus or HDF5 file, shows its tree and plots its default signal.",
        "A first look at data you do not know",
        "Any HDF5 or NeXus file",
        "any technique",
        ("Scientific computing",),
        environment="Photon and neutron basics",
    ),
)


def _days() -> tuple[DayUse, ...]:
    random = Random(7)
    first = NOW.date() - timedelta(days=29)
    use = []
    for offset in range(30):
        for payer, scale in (("Proposal ma1234", 9), ("Yours", 4), ("Proposal hc4021", 3)):
            if random.random() < 0.45:
                use.append(DayUse(first + timedelta(days=offset), payer, cpu_hours(random.random() * scale)))
    return tuple(use)


USAGE = UsageView(
    (PROPOSAL_METER, PERSON_METER, SESSIONS_METER, OBSERVED_METER),
    _days(),
    RECENT,
    NOW.date() - timedelta(days=29),
    NOW.date(),
)
USAGE_MEMORY = replace(
    USAGE,
    days=tuple(
        replace(day, amount=Amount(Resource.MIB_SECONDS, day.amount.value * 2048)) for day in USAGE.days
    ),
    resource=Resource.MIB_SECONDS,
    resources=(Resource.CPU_SECONDS, Resource.GPU_SECONDS, Resource.MIB_SECONDS),
)
USAGE_EMPTY = UsageView((), (), (), NOW.date() - timedelta(days=6), NOW.date(), chosen_range=7)

ALLOCATION = AllocationRow("proposal:ma1234:cpu", "ma1234", "proposal", PROPOSAL_METER, "set by sam")
ALLOCATIONS = (
    ALLOCATION,
    AllocationRow("person:maja:cpu", "Maja Lindqvist", "person", PERSON_METER, "default of users"),
    AllocationRow("person:maja:sessions", "Maja Lindqvist", "person", SESSIONS_METER, "default of users"),
    AllocationRow("proposal:hc4021:cpu", "hc4021", "proposal", OBSERVED_METER),
)
EDIT = AllocationEdit(
    ALLOCATION,
    "150",
    "More beam time granted",
    150 * HOUR,
    (
        "The limit rises from 100 to 150 CPU-hours.",
        "134 CPU-hours are left instead of 84.",
        "No running session is affected.",
    ),
)
OPERATE = OperateView(
    running=(
        RunningRow(
            RUNNING.launch_id,
            "Maja Lindqvist",
            "maja",
            RUNNING.title,
            LaunchState.RUNNING,
            "ma1234",
            "This machine",
            MEDIUM,
            RUNNING.requested_at,
            RUNNING.ends_at,
        ),
        RunningRow(
            PENDING.launch_id,
            "Tobi Okafor",
            "tobi",
            "Look around, CeO2 standard",
            LaunchState.SUBMITTED,
            "hc4021",
            "This machine",
            SMALL,
            PENDING.requested_at,
        ),
        RunningRow(
            UNKNOWN.launch_id,
            "Rui Costa",
            "rui",
            "Furnace run 7",
            LaunchState.RUNNING,
            "",
            "This machine",
            MEDIUM,
            ago(hours=3),
            ahead(hours=1),
            is_unknown=True,
        ),
    ),
    use=(
        ProposalUse("Proposal ma1234", cpu_hours(61.5), 42, 3),
        ProposalUse("Rui Costa", cpu_hours(12.2), 9, 1),
        ProposalUse("Proposal hc4021", cpu_hours(7), 5, 2),
    ),
    refusals=(
        RefusalCount("quota_exceeded", "Not enough left", 7, 3, ago(hours=2)),
        RefusalCount("not_found_or_not_entitled", "Not found, or not open to you", 4, 2, ago(days=1)),
    ),
    allocations=ALLOCATIONS,
    audit=(
        AuditRow(
            ago(hours=4),
            "Sam Weber",
            "ma1234: limit from 80 to 100 CPU-hours",
            "Extra shift agreed with the user office",
        ),
    ),
    places=(("This machine", "6 of 8 CPU and 20 of 24 GB free"),),
    edit=EDIT,
)

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
