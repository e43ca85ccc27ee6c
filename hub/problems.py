"""Refusals and faults as people and programs see them: RFC 9457 problem details.

A `Problem` has a stable ``code``, an HTTP ``status``, one sentence and a next step. Everything
that refuses in the application raises `RequestError` with one; the two translators are the API's
(`hub.api`) and the hub's (`spawners.panspawner`). One code stands for "not found" and "not
yours", so that a refusal tells nobody what exists.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """Problem details (RFC 9457). ``hint`` is the next step; ``extra`` holds members of the code's own."""

    code: str
    status: int
    title: str
    detail: str
    hint: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Body of an ``application/problem+json`` answer."""
        body = {**self.extra, **asdict(self)}
        del body["extra"]
        return {"type": f"urn:panhub:problem:{self.code}", **body}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Problem:
        """Rebuild a problem from `to_json`."""
        known = {"type", "code", "status", "title", "detail", "hint"}
        return cls(
            code=raw["code"],
            status=raw["status"],
            title=raw["title"],
            detail=raw["detail"],
            hint=raw.get("hint", ""),
            extra={key: value for key, value in raw.items() if key not in known},
        )


class RequestError(Exception):
    """A refusal that the caller can act on."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.detail)


def not_found_or_not_entitled(what: str = "data") -> RequestError:
    """The one answer for what is not there and what is not yours."""
    return RequestError(
        Problem(
            code="not_found_or_not_entitled",
            status=404,
            title="Not found, or not open to you",
            detail=f"There is no such {what}, or you may not read it.",
            hint="Choose from the data listed for you, or ask the principal investigator to add you to it.",
        )
    )
