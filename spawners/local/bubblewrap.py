"""Can sessions have a view of their own here?"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Literal

from spawners.session.machine import why_not_bubblewrap


@dataclass(frozen=True, slots=True)
class Isolation:
    """How sessions are kept apart here. ``reason`` says in plain words why."""

    kind: Literal["bubblewrap", "links"]
    reason: str
    program: str | None = None


def probe(wish: Literal["auto", "required", "off"]) -> Isolation:
    """Find out whether bubblewrap works here, by running it. Blocking."""
    if wish == "off":
        return Isolation("links", "isolation is switched off in the configuration")
    why_not = why_not_bubblewrap()
    if why_not:
        return Isolation("links", why_not)
    return Isolation("bubblewrap", "each session has a data view of its own", shutil.which("bwrap"))
