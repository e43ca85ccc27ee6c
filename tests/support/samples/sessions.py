"""Sessions in each state, why some were refused or failed, and the home page."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hub.desktop.models import Role
from hub.launch.states import EndReason, LaunchState
from hub.pages.placeviews import JobLine
from hub.pages.sessionviews import ComingStation, HomeView, Notice, RecentRow, SessionCard, SharedCard
from hub.pages.views import Action, Allowed, Refusal, Resources, SessionUse
from hub.problems import Problem, not_found_or_not_entitled
from spawners.plan import Interface
from tests.support.samples.base import (
    LAB6,
    MEDIUM,
    OBSERVED_METER,
    OPEN,
    PERSON_METER,
    PROPOSAL_METER,
    RESULTS,
    SESSIONS_METER,
    SMALL,
    ago,
    ahead,
    cpu_hours,
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
