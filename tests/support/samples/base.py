"""Who looks, when, with what rights and quota: what all samples share.

Times hang on `NOW`, which is the moment of import, so that time left looks as it would.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hub.pages.views import Amount, Grant, Meter, Resources, Viewer
from quota.models import Enforcement, Resource
from spawners.plan import MountMode

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
