"""How are numbers, times and words shown to people?

Plain functions from domain values to text, used as filters by the templates and by the CSV
exports. Numbers are rounded as a person would round them and carry their unit; durations are
``1 h 20 min``; times are written in UTC for pages without script, and `hub/static/src/js/app.js`
turns them into local time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from hub.launch.states import EndReason, LaunchState
from quota.models import Resource

_SECONDS_PER_HOUR = 3600
_GIB = 1024
_NOW_S = 30
"""As `spawners.backend.Forecast.is_now`: what starts within this time starts now."""

_UNITS = {
    Resource.CPU_SECONDS: "CPU-hours",
    Resource.GPU_SECONDS: "GPU-hours",
    Resource.MIB_SECONDS: "GiB-hours",
}


@dataclass(frozen=True, slots=True)
class Chip:
    """A state as icon, word and tone, so that it is never told by colour alone."""

    icon: str
    word: str
    tone: str


_STATE_CHIPS = {
    LaunchState.REQUESTED: Chip("hourglass-split", "Checking", "info"),
    LaunchState.PLANNED: Chip("hourglass-split", "Preparing", "info"),
    LaunchState.HELD: Chip("hourglass-split", "Starting", "info"),
    LaunchState.SUBMITTED: Chip("hourglass-split", "Starting", "info"),
    LaunchState.RUNNING: Chip("play-circle-fill", "Running", "good"),
    LaunchState.ENDING: Chip("stop-circle", "Stopping", "neutral"),
    LaunchState.ENDED: Chip("check-circle", "Ended", "neutral"),
    LaunchState.REFUSED: Chip("slash-circle", "Refused", "warn"),
}

_QUEUED_CHIP = Chip("hourglass-split", "Queued", "info")
_UNKNOWN_CHIP = Chip("question-circle", "Not known", "warn")

_END_CHIPS = {
    EndReason.STOPPED_BY_USER: Chip("check-circle", "Ended by you", "neutral"),
    EndReason.STOPPED_BY_OPERATOR: Chip("stop-circle", "Stopped by an operator", "warn"),
    EndReason.CANCELLED: Chip("x-circle", "Cancelled", "neutral"),
    EndReason.TIME_LIMIT: Chip("clock-history", "Time was up", "neutral"),
    EndReason.EXITED: Chip("check-circle", "Ended by itself", "neutral"),
    EndReason.OUT_OF_MEMORY: Chip("memory", "Out of memory", "bad"),
    EndReason.LOST: Chip("x-octagon", "Lost", "bad"),
    EndReason.PREEMPTED: Chip("x-octagon", "Preempted", "warn"),
    EndReason.NODE_FAILURE: Chip("x-octagon", "Node failed", "bad"),
    EndReason.EVICTED: Chip("x-octagon", "Put out by its node", "warn"),
    EndReason.CANCELLED_BY_SCHEDULER: Chip("x-circle", "Cancelled outside", "warn"),
    EndReason.START_FAILED: Chip("x-octagon", "Did not start", "bad"),
    EndReason.START_TIMEOUT: Chip("x-octagon", "Did not answer", "bad"),
    EndReason.NOT_HANDED_OVER: Chip("x-octagon", "Did not start", "bad"),
    EndReason.ACCESS_LOST: Chip("lock", "Access ended", "warn"),
    EndReason.SERVICE_STOPPED: Chip("stop-circle", "Service was stopped", "warn"),
    EndReason.IDLE: Chip("clock-history", "Not used", "neutral"),
}


def chip(
    state: LaunchState,
    reason: EndReason | None = None,
    *,
    is_unknown: bool = False,
    is_queued: bool = False,
) -> Chip:
    """Icon, word and tone of a launch; ``is_unknown`` when its backend does not answer."""
    if is_unknown:
        return _UNKNOWN_CHIP
    if is_queued and state is LaunchState.SUBMITTED:
        return _QUEUED_CHIP
    if state is LaunchState.ENDED and reason is not None:
        return _END_CHIPS[reason]
    return _STATE_CHIPS[state]


def number(value: float) -> str:
    """Three significant digits below 100, whole above, thousands apart by a comma: ``1,240``.

    A value that is not zero never shows as zero.
    """
    size = abs(value)
    if size == 0:
        return "0"
    if size < 0.01:
        return "< 0.01" if value > 0 else "> -0.01"
    if size >= 99.95:
        return f"{value:,.0f}"
    decimals = 2 if size < 0.995 else 1
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".")


def quantity(seconds_or_count: int, resource: Resource) -> str:
    """Number of a ledger amount without its unit: hours of CPUs, GPUs and memory, or a count."""
    if resource is Resource.SESSIONS:
        return number(seconds_or_count)
    per_unit = _SECONDS_PER_HOUR * (_GIB if resource is Resource.MIB_SECONDS else 1)
    return number(seconds_or_count / per_unit)


def unit(resource: Resource, count: int = 0) -> str:
    """Unit that belongs to `quantity`."""
    if resource is Resource.SESSIONS:
        return "session" if count == 1 else "sessions"
    return _UNITS[resource]


def amount(seconds_or_count: int, resource: Resource) -> str:
    """Ledger amount with its unit: ``12.4 CPU-hours``, ``1 session``."""
    return f"{quantity(seconds_or_count, resource)} {unit(resource, seconds_or_count)}"


def short_amount(seconds_or_count: int, resource: Resource) -> str:
    """Ledger amount for tables, with a short unit: ``12.4 CPU-h``."""
    return amount(seconds_or_count, resource).replace("-hours", "-h")


def duration(value: timedelta) -> str:
    """Duration as ``45 s``, ``12 min``, ``1 h 20 min`` or ``2 d 4 h``; below zero is ``0 s``."""
    seconds = max(0, round(value.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def memory(mib: int) -> str:
    """Memory from MiB: ``512 MB``, ``64 GB`` or ``2.4 TB``, binary units by their everyday names."""
    if mib < _GIB:
        return f"{mib} MB"
    return f"{number(mib / _GIB)} GB" if mib < _GIB**2 else f"{number(mib / _GIB**2)} TB"


def bytesize(size: int) -> str:
    """Size of files in decimal units, as data portals show them: ``2.1 GB``."""
    value = float(size)
    for name in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.5:
            return f"{number(value)} {name}"
        value /= 1000
    return f"{number(value)} PB"


def count(value: int, singular: str, plural: str = "") -> str:
    """Number with its noun: ``1 frame``, ``1,200 frames``."""
    return f"{value:,} {singular if value == 1 else plural or singular + 's'}"


def clock(value: datetime) -> str:
    """Time of day in UTC, for pages without script: ``14:20 UTC``."""
    return value.astimezone(UTC).strftime("%H:%M UTC")


def moment(value: datetime) -> str:
    """Date and time in UTC, for pages without script: ``3 Nov 2026, 14:20 UTC``."""
    return f"{day(value.astimezone(UTC).date())}, {clock(value)}"


def start_words(at: datetime, now: datetime) -> str:
    """When something starts, as a person would say it, in UTC for pages without script.

    ``now``, ``in about 20 min``, ``today about 14:20 UTC``, ``tomorrow about 09:00 UTC``, then with
    the day. Minutes and times are rounded to five: nobody knows better. The script says the same in
    local time (`hub/static/src/js/times.js`).
    """
    seconds = (at - now).total_seconds()
    if seconds <= _NOW_S:
        return "now"
    minutes = max(1, round(seconds / 60))
    if minutes >= 10:
        minutes = 5 * round(minutes / 5)
    if minutes < 60:
        return f"in about {minutes} min"
    rounded = datetime.fromtimestamp(300 * round(at.timestamp() / 300), UTC)
    days = (rounded.date() - now.astimezone(UTC).date()).days
    which = {0: "today", 1: "tomorrow"}.get(days) or f"{rounded:%a} {day(rounded.date())}"
    return f"{which} about {clock(rounded)}"


def age(value: timedelta) -> str:
    """How long ago: ``12 s ago``, ``5 min ago``."""
    return f"{duration(value)} ago"


def listed(words: Iterable[str], last: str = "and") -> str:
    """Words in a row: ``a, b and c``."""
    *first, end = words
    return f"{', '.join(first)} {last} {end}" if first else end


def day(value: date) -> str:
    """Calendar date: ``3 Nov 2026``."""
    return f"{value.day} {value.strftime('%b %Y')}"


def iso(value: datetime) -> str:
    """RFC 3339 text in UTC, for ``<time datetime>`` and CSV."""
    return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def percent(part: float, whole: float) -> float:
    """Share of ``whole`` in 0..100 with one decimal; a share of nothing is 0, never above 100."""
    if whole <= 0:
        return 0.0
    return round(min(max(part / whole, 0.0), 1.0) * 100, 1)
