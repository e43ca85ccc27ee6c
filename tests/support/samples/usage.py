"""What was used, by whom, and what an operator sees."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random

from hub.launch.states import LaunchState
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
from hub.pages.views import Amount
from quota.models import Resource
from tests.support.samples.base import (
    HOUR,
    MEDIUM,
    NOW,
    OBSERVED_METER,
    PERSON_METER,
    PROPOSAL_METER,
    SESSIONS_METER,
    SMALL,
    ago,
    ahead,
    cpu_hours,
)
from tests.support.samples.sessions import PENDING, RECENT, RUNNING, UNKNOWN


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
