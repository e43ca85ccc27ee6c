"""What a check says: a finding, with what to mend."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a finding weighs."""

    FINE = "fine"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. ``mend`` says what to do, unless all is fine."""

    check: str
    level: Level
    text: str
    mend: str = ""

    @property
    def is_fine(self) -> bool:
        """Whether the service can do its work with it."""
        return self.level is not Level.FAULT


@dataclass(frozen=True, slots=True)
class Trouble(Exception):  # noqa: N818 - it is a warning as often as an error
    """Raised by a check for what is to be mended."""

    text: str
    mend: str
    level: Level = Level.FAULT


async def found(name: str, answer: Awaitable[str], *, timeout_s: float) -> Finding:
    """Finding of a check that returns what is fine, or raises; no exception passes."""
    try:
        text = await asyncio.wait_for(answer, timeout_s)
    except Trouble as trouble:
        return Finding(name, trouble.level, trouble.text, trouble.mend)
    except Exception as error:
        mend = "Report this to the developers."
        return Finding(name, Level.FAULT, f"{type(error).__name__}: {error}", mend)
    return Finding(name, Level.FINE, text)
