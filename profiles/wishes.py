"""What a person may wish for, and why a wish is refused. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from profiles.base import format_duration
from spawners.plan import DEFAULT_SCHEDULING, Interface, Scheduling, Size

MIN_WALLTIME = timedelta(minutes=1)
"""Below a minute a session would end before its server answers."""

CUSTOM = "custom"
"""Id of a size of one's own."""


@dataclass(frozen=True, slots=True)
class Custom:
    """A size of one's own; also the largest one of a profile. ``gpu_type`` empty: any.

    Of a profile's largest one, ``gpu_types`` are those that may be asked, empty for the place's.
    """

    cpus: int
    memory_mib: int
    gpus: int = 0
    gpu_type: str = ""
    gpu_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked for; None takes the site's default.

    ``place`` is a place's id or ``soonest``; with ``overflow`` another may be taken if it starts later there.
    At most one of ``size`` and ``resources`` is given.
    """

    profile: str | None = None
    size: str | None = None
    place: str | None = None
    overflow: bool = False
    resources: Custom | None = None
    interface: Interface = Interface.LAB
    walltime: timedelta | None = None
    scheduling: Scheduling = DEFAULT_SCHEDULING


class ChoiceError(Exception):
    """A wish that the site does not offer this person. The text is fit for them."""


class UnknownProfileError(ChoiceError):
    """No such profile, or not open to the person: one text for both."""

    def __init__(self, profile: str) -> None:
        self.profile = profile
        super().__init__(f"There is no profile “{profile}”, or it is not open to you.")


class NoProfileError(ChoiceError):
    """Nothing with the interface is open to the person."""

    def __init__(self, interface: Interface) -> None:
        self.interface = interface
        super().__init__(f"No profile with the interface “{interface.value}” is open to you.")


class UnknownSizeError(ChoiceError):
    """The profile has no such size."""

    def __init__(self, size: str, offered: tuple[str, ...]) -> None:
        self.size = size
        self.offered = offered
        super().__init__(f"The profile has no size “{size}”; it has {', '.join(offered)}.")


class InterfaceError(ChoiceError):
    """The profile does not have the interface."""

    def __init__(self, interface: Interface, offered: tuple[Interface, ...]) -> None:
        self.interface = interface
        self.offered = offered
        names = ", ".join(item.value for item in offered)
        super().__init__(f"The profile does not offer the interface “{interface.value}”; it offers {names}.")


class WalltimeError(ChoiceError):
    """Longer than the profile lets a session run, or no time at all."""

    def __init__(self, asked: timedelta, limit: timedelta) -> None:
        self.asked = asked
        self.limit = limit
        super().__init__(
            f"A session of this profile may run from 1 min to {format_duration(limit)}; "
            f"{format_duration(asked)} was asked."
        )


class UnknownPlaceError(ChoiceError):
    """The profile has no such place."""

    def __init__(self, place: str, offered: tuple[str, ...]) -> None:
        self.place = place
        self.offered = offered
        super().__init__(f"The profile has no place “{place}”; it has {', '.join(offered)}.")


class TwoSizesError(ChoiceError):
    """A size of the profile and one of one's own at once."""

    def __init__(self) -> None:
        super().__init__("Ask either for a size of the profile or for resources of your own, not for both.")


class CustomSizeError(ChoiceError):
    """A size of one's own where there is none, or over the profile's largest one."""

    def __init__(self, limit: Custom | None, what: str = "") -> None:
        self.limit = limit
        if limit is None:
            super().__init__("The profile has no sizes of one's own; take one of its sizes.")
        else:
            super().__init__(f"A size of one's own may have up to {_amounts(limit)}; {what} asked.")


class UnknownGpuTypeError(ChoiceError):
    """A type of GPU that may not be asked for."""

    def __init__(self, gpu_type: str, offered: tuple[str, ...]) -> None:
        self.gpu_type = gpu_type
        self.offered = offered
        super().__init__(f"The profile has no GPUs of type “{gpu_type}”; it has {', '.join(offered)}.")


class GpuTypeWithoutGpusError(ChoiceError):
    """A type of GPU, but no GPU."""

    def __init__(self, gpu_type: str) -> None:
        self.gpu_type = gpu_type
        super().__init__(f"GPUs of type “{gpu_type}” are asked for, but none of them: say how many.")


class SchedulingError(ChoiceError):
    """What a scheduler is told, where the profile does not let people say it."""

    def __init__(self) -> None:
        super().__init__("The profile does not let one name an account, QOS or reservation.")


def own_size(wish: Custom, limit: Custom | None) -> Size:
    """A size of one's own, if it is within the profile's largest one.

    Raises
    ------
    CustomSizeError
        If the profile has none, or it is larger.
    UnknownGpuTypeError, GpuTypeWithoutGpusError
        If its type of GPU cannot be had.
    """
    if limit is None:
        raise CustomSizeError(None)
    if wish.cpus > limit.cpus:
        raise CustomSizeError(limit, f"{_count(wish.cpus, 'CPU')} {_were(wish.cpus)}")
    if wish.memory_mib > limit.memory_mib:
        raise CustomSizeError(limit, f"{_memory(wish.memory_mib)} were")
    if wish.gpus > limit.gpus:
        raise CustomSizeError(limit, f"{_count(wish.gpus, 'GPU')} {_were(wish.gpus)}")
    if wish.gpu_type and not wish.gpus:
        raise GpuTypeWithoutGpusError(wish.gpu_type)
    if wish.gpu_type and limit.gpu_types and wish.gpu_type not in limit.gpu_types:
        raise UnknownGpuTypeError(wish.gpu_type, limit.gpu_types)
    return Size(
        id=CUSTOM,
        title="Own size",
        cpus=wish.cpus,
        memory_mib=wish.memory_mib,
        gpus=wish.gpus,
        gpu_type=wish.gpu_type,
    )


def _amounts(limit: Custom) -> str:
    gpus = [_count(limit.gpus, "GPU")] if limit.gpus else ["no GPU"]
    return f"{_count(limit.cpus, 'CPU')}, {_memory(limit.memory_mib)} and {gpus[0]}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 or what == "CPU" else f"{number} {what}s"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _memory(mib: int) -> str:
    return f"{mib / 1024:.4g} GiB"
