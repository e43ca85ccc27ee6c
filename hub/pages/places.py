"""What does a place have free now, in words?"""

from __future__ import annotations

from spawners.backend import Availability
from spawners.plan import Size


def place_words(free: Availability, size: Size | None = None) -> str:
    """What is free, and for a ``size`` whether it starts at once."""
    if not free.is_reachable:
        return "Does not answer at the moment"
    if free.cpus_free is None or free.cpus_total is None:
        return _warm_words(free)
    words = f"{free.cpus_free} of {free.cpus_total} CPU"
    if free.gpus_total:
        words += f", {free.gpus_free or 0} of {free.gpus_total} GPU"
    if size is None:
        return ", ".join(part for part in (f"{words} free", _warm_words(free)) if part)
    is_room = free.cpus_free >= size.cpus and (free.gpus_free or 0) >= size.gpus
    return f"{words} free, {'starts now' if is_room else 'busy: it may be slow'}"


def _warm_words(free: Availability) -> str:
    """Rooms that are kept ready for the next sessions, or nothing."""
    return f"{free.warm_free or 0} of {free.warm_total} rooms kept ready" if free.warm_total else ""


def place_warning(free: Availability) -> str:
    """What a person should know before taking a place, or nothing."""
    if free.is_reachable and not free.is_isolated:
        return "Sessions are not kept apart here: data of other sessions can be reached. For trying only."
    return ""
