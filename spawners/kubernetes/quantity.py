"""Quantities as Kubernetes writes them (``500m``, ``2Gi``, ``1e3``), as numbers."""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation

_FACTORS = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "P": Decimal(10) ** 15,
    "E": Decimal(10) ** 18,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
    "Pi": Decimal(2) ** 50,
    "Ei": Decimal(2) ** 60,
}
_MIB = Decimal(2) ** 20


def number(text: object) -> Decimal:
    """Value of a quantity; zero for what is none."""
    raw = str(text).strip()
    for length in (2, 1):
        suffix = raw[-length:]
        if len(raw) > length and suffix in _FACTORS:
            return _decimal(raw[:-length]) * _FACTORS[suffix]
    return _decimal(raw)


def millicpus(text: object) -> int:
    """CPUs in thousandths, rounded up as the scheduler does."""
    return math.ceil(number(text) * 1000)


def mebibytes(text: object) -> int:
    """Memory in whole MiB, rounded down: what is there, not what is asked for."""
    return math.floor(number(text) / _MIB)


def count(text: object) -> int:
    """Devices, pods: whole things."""
    return math.floor(number(text))


def _decimal(raw: str) -> Decimal:
    try:
        value = Decimal(raw)
    except InvalidOperation:
        return Decimal(0)
    return value if value.is_finite() else Decimal(0)
