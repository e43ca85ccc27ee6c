"""Slurm's own notations: host lists, durations, times, memory, TRES and GRES strings.

Used on the answers of all transports. A text that is none of these raises `NotUnderstoodError`: a
transport makes "nothing is known" of that, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from spawners.slurm.models import NO_LIMITS, Tres

MOST_HOSTS = 100_000
"""A host list names at most this many: a short text can ask for billions."""

NOTHING = frozenset({"", "(null)", "n/a", "none", "unknown", "null", "none assigned"})
"""How the programs say "not set", in lower case."""

_NO_END = frozenset({"unlimited", "infinite", "not_set", "invalid", "partition_limit", "uninitialized"})

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


class NotUnderstoodError(ValueError):
    """Slurm said something that this does not know."""


def plain(text: str, most: int = 500) -> str:
    """One line for people: control characters become spaces, the end of a long text is cut."""
    line = " ".join(_CONTROL.sub(" ", text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def said(text: str) -> str:
    """The text, or an empty one where it only says that there is none."""
    return "" if text.strip().lower() in NOTHING else text.strip()


def words(text: str) -> tuple[str, ...]:
    """Parts of a list with commas; empty for none and for ``ALL``."""
    found = said(text)
    return () if found.upper() == "ALL" else tuple(part for part in found.split(",") if part)


# Host lists, hostlist in scontrol(1): "cpu[001-003,7],gpu1", several brackets in a name too.

_RANGE = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?")


def expand_hosts(text: str) -> tuple[str, ...]:
    """Names of a host list, in its order.

    Raises
    ------
    NotUnderstoodError
        If it is none, or names more than `MOST_HOSTS`.
    """
    found: list[str] = []
    for part in _split_outside_brackets(said(text)):
        found.extend(_expand_part(part, MOST_HOSTS - len(found)))
    return tuple(found)


def _split_outside_brackets(text: str) -> Iterable[str]:
    depth, start = 0, 0
    for at, sign in enumerate(text):
        if sign == "[":
            depth += 1
        elif sign == "]":
            depth -= 1
        elif sign == "," and depth == 0:
            if at > start:
                yield text[start:at]
            start = at + 1
        if depth not in (0, 1):
            raise NotUnderstoodError(f"host list {plain(text, 80)!r}")
    if depth:
        raise NotUnderstoodError(f"host list {plain(text, 80)!r}")
    if start < len(text):
        yield text[start:]


def _expand_part(part: str, room: int) -> list[str]:
    head, bracket, rest = part.partition("[")
    if not bracket:
        return _bounded([part], room)
    inside, closing, tail = rest.partition("]")
    if not closing:
        raise NotUnderstoodError(f"host list {plain(part, 80)!r}")
    tails = _expand_part(tail, room) if tail else [""]
    found: list[str] = []
    for piece in inside.split(","):
        if len(tails) == 1 and piece.isascii() and piece.isdigit() and room > len(found):
            found.append(f"{head}{piece}{tails[0]}")
            continue
        match = _RANGE.fullmatch(piece)
        if match is None:
            raise NotUnderstoodError(f"host list {plain(part, 80)!r}")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or (last - first + 1) * len(tails) > room - len(found):
            raise NotUnderstoodError(f"host list {plain(part, 80)!r}")
        width = len(match[1])
        found += [f"{head}{number:0{width}d}{end}" for number in range(first, last + 1) for end in tails]
    return found


def _bounded(names: list[str], room: int) -> list[str]:
    if len(names) > room:
        raise NotUnderstoodError("a host list that is too long")
    return names


_NUMBERED = re.compile(r"(.*?)(\d{1,18})", re.DOTALL)


def compress_hosts(names: Iterable[str]) -> str:
    """Host list of names: `expand_hosts` of it has the same names, sorted by number within a prefix."""
    alone: list[str] = []
    numbers: dict[tuple[str, int], set[int]] = {}
    for name in dict.fromkeys(names):
        match = _NUMBERED.fullmatch(name)
        if match is None:
            alone.append(name)
            continue
        digits = match[2]
        # "9" and "10" are one range (no padding), "09" and "10" another.
        width = len(digits) if digits.startswith("0") else 0
        numbers.setdefault((match[1], width), set()).add(int(digits))
    parts = alone
    for (prefix, width), found in numbers.items():
        parts.append(f"{prefix}{_ranges(sorted(found), width)}")
    return ",".join(parts)


def _ranges(numbers: list[int], width: int) -> str:
    spans: list[list[int]] = []
    for number in numbers:
        # A padded range must not run into more digits: "[09-10]" has two of the same width.
        is_next = spans and number == spans[-1][1] + 1 and (not width or len(str(number)) <= width)
        if is_next:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    texts = [
        f"{first:0{width}d}" if first == last else f"{first:0{width}d}-{last:0{width}d}"
        for first, last in spans
    ]
    is_one = len(spans) == 1 and spans[0][0] == spans[0][1]
    return texts[0] if is_one else f"[{','.join(texts)}]"


# Times.

_DURATION = re.compile(r"(?:(?P<days>\d{1,6})-)?(?P<rest>\d{1,9}(?::\d{1,2}){0,2})(?:\.\d{1,6})?")


def duration(text: str) -> timedelta | None:
    """Time limit as the programs write it; None: none, or not set.

    sbatch(1): ``minutes``, ``minutes:seconds``, ``hours:minutes:seconds``, ``days-hours``,
    ``days-hours:minutes``, ``days-hours:minutes:seconds``: a number alone is **minutes**.
    """
    value = text.strip()
    if value.lower() in NOTHING or value.lower() in _NO_END:
        return None
    match = _DURATION.fullmatch(value)
    if match is None:
        raise NotUnderstoodError(f"duration {plain(text, 80)!r}")
    parts = [int(part) for part in match["rest"].split(":")]
    if match["days"] is not None:
        hours, minutes, seconds = [*parts, 0, 0][:3]
        return timedelta(days=int(match["days"]), hours=hours, minutes=minutes, seconds=seconds)
    if len(parts) == 3:
        return timedelta(hours=parts[0], minutes=parts[1], seconds=parts[2])
    return timedelta(minutes=parts[0], seconds=parts[1] if len(parts) == 2 else 0)


def whole_minutes(limit: timedelta) -> int:
    """Minutes to send to Slurm, whose unit they are: rounded up, at least one."""
    return max(1, -(-round(limit.total_seconds()) // 60))


def moment(text: str) -> datetime | None:
    """Time as the programs write it under ``TZ=UTC0``; None: not known."""
    if text.strip().lower() in NOTHING:
        return None
    try:
        return datetime.strptime(text.strip(), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError as e:
        raise NotUnderstoodError(f"time {plain(text, 80)!r}") from e


_LAST_EPOCH = 253_402_300_799


def epoch(seconds: int | None) -> datetime | None:
    """Time from seconds since 1970; None for 0 and for Slurm's "no value" (near 2^32 and 2^64)."""
    if (
        not seconds
        or seconds < 0
        or (seconds >= 0xFFFFFFFD and seconds <= 0xFFFFFFFF)
        or seconds > _LAST_EPOCH
    ):
        return None
    return datetime.fromtimestamp(seconds, UTC)


# Resources.

_MEMORY = re.compile(r"(\d{1,18}(?:\.\d{1,6})?)([KMGTPE]?)i?B?[nc]?", re.IGNORECASE)
_MIB = {"K": 1 / 1024, "": 1.0, "M": 1.0, "G": 1024.0, "T": 1024.0**2, "P": 1024.0**3, "E": 1024.0**4}


def memory_mib(text: str, *, unit: str = "M") -> int:
    """Memory in MiB, rounded up; ``unit`` is that of a number without one. 0 where nothing is said."""
    if not said(text):
        return 0
    match = _MEMORY.fullmatch(text.strip())
    if match is None:
        raise NotUnderstoodError(f"memory {plain(text, 80)!r}")
    if not match[2] and unit == "B":
        return -(-int(float(match[1])) // 1024**2)
    mib = float(match[1]) * _MIB[match[2].upper() or unit]
    return int(mib) if mib == int(mib) else int(mib) + 1


def tres(text: str) -> dict[str, str]:
    """Values by name of a TRES string: ``cpu=2,mem=512M,node=1,gres/gpu:a100=1``."""
    found: dict[str, str] = {}
    for part in said(text).split(","):
        name, equals, value = part.partition("=")
        if part and not equals:
            raise NotUnderstoodError(f"TRES {plain(text, 80)!r}")
        if part:
            found[name.strip().lower()] = value.strip()
    return found


def tres_int(values: Mapping[str, str], name: str) -> int | None:
    """Number of one resource; None: not said."""
    value = values.get(name, "")
    if not value:
        return None
    if not value.isdigit():
        raise NotUnderstoodError(f"TRES {name}={plain(value, 40)!r}")
    return int(value)


def tres_memory(values: Mapping[str, str]) -> int | None:
    """Memory [MiB]; None: not said."""
    value = values.get("mem", "")
    return memory_mib(value) if value else None


def tres_gpu_limits(values: Mapping[str, str]) -> dict[str, int]:
    """GPUs by type as limits: ``""`` is the one on all types together."""
    found: dict[str, int] = {}
    for name in values:
        if name == "gres/gpu" or name.startswith("gres/gpu:"):
            found[name.partition(":")[2]] = tres_int(values, name) or 0
    return found


def tres_gpus(values: Mapping[str, str], asked: Mapping[str, int] | None = None) -> dict[str, int]:
    """GPUs that are used, by type; ``""`` are those whose type nobody said.

    ``gres/gpu`` counts all of them. Slurm accounts types only where ``AccountingStorageTRES`` lists
    them; otherwise the request (``asked``) tells, if it names one type.
    """
    limits = tres_gpu_limits(values)
    total = limits.pop("", None)
    found = {kind: number for kind, number in limits.items() if number}
    rest = max(0, (total or 0) - sum(found.values()))
    if rest:
        types = [kind for kind in asked or {} if kind]
        kind = types[0] if len(types) == 1 and not found else ""
        found[kind] = rest
    return found


def limits(text: str) -> Tres:
    """Limits of an association or QOS from a TRES string."""
    values = tres(text)
    if not values:
        return NO_LIMITS
    return Tres(
        cpus=tres_int(values, "cpu"),
        memory_mib=tres_memory(values),
        nodes=tres_int(values, "node"),
        gpus=tres_gpu_limits(values),
    )


_GRES = re.compile(
    r"(?:gres[:/])?gpu(?::(?P<type>(?!\d+(?:[(=,]|$))[^:=,()]+))?(?:[:=](?P<number>\d{1,9}))?(?P<rest>\(.*\))?"
)


@lru_cache(maxsize=4096)
def gres_gpus(text: str) -> Mapping[str, int]:
    """GPUs by type (``""``: untyped) of a GRES string; other resources are left out.

    The nodes of a cluster have few different ones, so that results are kept: do not change them.

    ``gpu:a100:4(S:0-1),gpu:2``, ``gpu:a100:2(IDX:0-1)``, ``gpu:(null):2(IDX:0-1)``,
    ``gres:gpu:1``, ``gres/gpu:a100=1``, ``gpu``.
    """
    found: dict[str, int] = {}
    for part in _split_gres(said(text)):
        name = part.removeprefix("gres:").removeprefix("gres/")
        if name != "gpu" and not name.startswith(("gpu:", "gpu=", "gpu(")):
            continue
        # What is in use of GPUs without a type.
        match = _GRES.fullmatch(part.replace(":(null)", "", 1))
        if match is None:
            raise NotUnderstoodError(f"GRES {plain(text, 80)!r}")
        kind = match["type"] or ""
        found[kind] = found.get(kind, 0) + int(match["number"] or 1)
    return {kind: number for kind, number in found.items() if number}


def _split_gres(text: str) -> Iterable[str]:
    depth, start = 0, 0
    for at, sign in enumerate(text):
        if sign == "(":
            depth += 1
        elif sign == ")":
            depth = max(0, depth - 1)
        elif sign == "," and depth == 0:
            if at > start:
                yield text[start:at]
            start = at + 1
    if start < len(text):
        yield text[start:]


_EXIT = re.compile(r"(\d{1,10})(?::(\d{1,3}))?")


def exit_code(text: str) -> tuple[int | None, int | None]:
    """Exit code and signal of ``code:signal``; a signal of 0 is None."""
    if not said(text):
        return None, None
    match = _EXIT.fullmatch(text.strip())
    if match is None:
        raise NotUnderstoodError(f"exit code {plain(text, 80)!r}")
    return int(match[1]), int(match[2] or 0) or None


def wait_status(status: int) -> tuple[int, int | None]:
    """Exit code and signal of a wait(2) status, as slurmctld keeps it."""
    return (status >> 8) & 0xFF, (status & 0x7F) or None
