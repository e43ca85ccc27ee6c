"""Parts of slurmrestd's answers that both generations of its API share.

Answers are read by pydantic's JSON reader into the few fields that are wanted; the others are
skipped without ever becoming Python objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from spawners.slurm.models import NO_LIMITS, Tres
from spawners.slurm.parse import NotUnderstoodError, plain

T = TypeVar("T")


class WireError(TypedDict, total=False):
    """An entry of ``errors[]`` or ``warnings[]``; 0.0.38 has two names for the number."""

    error: str | None
    error_number: int | None
    error_code: int | None
    description: str | None


class StatusError(TypedDict, total=False):
    """What became of one of several jobs."""

    string: str | None
    code: int | None


class Status(TypedDict, total=False):
    """An entry of ``status[]``, the answer of ``DELETE jobs/``."""

    error: StatusError


class Envelope(TypedDict, total=False):
    """What every answer has, and what a submission answers (a change of 0.0.40 has an empty text)."""

    errors: list[WireError] | None
    warnings: list[WireError] | None
    job_id: int | str | None
    job_submit_user_msg: str | None
    status: list[Status] | None


ENVELOPE = TypeAdapter(Envelope)


class WireTres(TypedDict, total=False):
    """A trackable resource; memory is MiB, and a limit that is not set is missing or negative."""

    type: str
    name: str | None
    count: int | None


def read(adapter: TypeAdapter[T], body: bytes) -> T:
    """The answer, checked.

    Raises
    ------
    NotUnderstoodError
        If it is not JSON or has another form; the text names the place, and no value.
    """
    try:
        return adapter.validate_json(body)
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise NotUnderstoodError(plain(f"{place}: {first['msg']}", 200)) from e


def failures(envelope: Envelope) -> list[WireError]:
    """Errors of an answer, of single jobs too."""
    found = list(envelope.get("errors") or ())
    for status in envelope.get("status") or ():
        error = status.get("error") or {}
        if error.get("code"):
            found.append({"error": error.get("string"), "error_number": error.get("code")})
    return found


def numbers(errors: Iterable[WireError]) -> frozenset[int]:
    """Slurm's numbers of errors (slurm_errno.h)."""
    found = (error.get("error_number") or error.get("error_code") for error in errors)
    return frozenset(number for number in found if number is not None)


def said(errors: Iterable[WireError], message: str | None = None) -> str:
    """Text of the errors for people: the words of a job_submit plugin first."""
    texts = [message or ""]
    for error in errors:
        word, detail = error.get("error") or "", error.get("description") or ""
        texts.append(word if word and word != "Unspecified error" else detail or word)
    return plain(" · ".join(dict.fromkeys(text.strip() for text in texts if text.strip())))


def no_errors(envelope: Envelope, harmless: frozenset[int] = frozenset()) -> None:
    """Return if an answer to a question is one.

    Raises
    ------
    NotUnderstoodError
        If it has errors: the rest of it is not complete.
    """
    errors = envelope.get("errors") or []
    if errors and not numbers(errors) <= harmless:
        raise NotUnderstoodError(said(errors))
    if errors and not numbers(errors):
        raise NotUnderstoodError(said(errors))


def tres_limits(items: Iterable[WireTres]) -> Tres:
    """Limits of an association or QOS."""
    counts = {
        (item["type"], item.get("name") or ""): item["count"]
        for item in items
        if item.get("count") is not None and (item["count"] or 0) >= 0
    }
    gpus = {
        name.partition(":")[2]: count or 0
        for (kind, name), count in counts.items()
        if kind == "gres" and (name == "gpu" or name.startswith("gpu:"))
    }
    found = Tres(
        cpus=counts.get(("cpu", "")),
        memory_mib=counts.get(("mem", "")),
        nodes=counts.get(("node", "")),
        gpus=gpus,
    )
    return NO_LIMITS if found == NO_LIMITS else found


def tres_used(items: Iterable[WireTres]) -> tuple[int, int, int]:
    """CPUs, memory [MiB] and GPUs of an allocation; a total counts before its types."""
    limits = tres_limits(items)
    gpus = limits.gpus.get("", sum(limits.gpus.values()))
    return limits.cpus or 0, limits.memory_mib or 0, gpus
