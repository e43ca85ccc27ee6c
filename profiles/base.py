"""What all parts of a profiles file share: closed models, ids, texts and durations."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$")]
"""Id of a part: lower case, as it appears in links and in the spawn API."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]

SOONEST = "soonest"
"""Asks, in place of a place's id, for the place that starts first; no place may be called so."""

DURATION_PATTERN = r"^(?=[0-9])(?:([0-9]{1,3}) ?d ?)?(?:([0-9]{1,4}) ?h ?)?(?:([0-9]{1,5}) ?min)?$"
"""Days, hours and minutes as people write them: ``8 h``, ``1 h 30 min``, ``7 d``."""


def parse_duration(value: object) -> timedelta:
    """Read ``1 h 30 min``; a duration that is one already passes.

    Raises
    ------
    ValueError
        If it is not written like that, or is no time at all.
    """
    if isinstance(value, timedelta):
        duration = value
    else:
        match = re.match(DURATION_PATTERN, value.strip()) if isinstance(value, str) else None
        if match is None:
            raise ValueError("write a duration as `8 h`, `90 min`, `1 h 30 min` or `7 d`")
        days, hours, minutes = (int(part or 0) for part in match.groups())
        duration = timedelta(days=days, hours=hours, minutes=minutes)
    if duration < timedelta(minutes=1):
        raise ValueError("a duration is one minute or more")
    return duration


def format_duration(duration: timedelta) -> str:
    """Write a duration as `parse_duration` reads it, to the minute: ``1 h 30 min``."""
    minutes = int(duration.total_seconds()) // 60
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h"] if hours else []
    if minutes or not hours:
        parts.append(f"{minutes} min")
    return " ".join(parts)


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN}),
]


class Closed(BaseModel):
    """A part of the file: frozen, no key but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")
