"""What a person is offered, and what their wishes come to.

`choose` is asked for every start, whatever the way in; `offers` fills the form from the same rules.
Both are pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePosixPath

from profiles.base import SOONEST
from profiles.gates import Subject, is_allowed, why_not
from profiles.loader import Profiles
from profiles.models import ProfileEntry
from profiles.places import EITHER
from profiles.wishes import (
    MIN_WALLTIME,
    Custom,
    InterfaceError,
    NoProfileError,
    SchedulingError,
    TwoSizesError,
    UnknownPlaceError,
    UnknownProfileError,
    UnknownSizeError,
    WalltimeError,
    Wishes,
    own_size,
)
from spawners.plan import DEFAULT_SCHEDULING, Environment, Interface, Scheduling, Size

__all__ = ["Choice", "Custom", "Offer", "OfferedPlace", "Subject", "Wishes", "choose", "offers"]


@dataclass(frozen=True, slots=True)
class OfferedPlace:
    """A place of a profile.

    ``kind`` is its backend's (``local``, ``slurm``, ``batchspawner``, ``kubernetes``).
    ``architecture`` is that of its nodes, empty for the service's own machine. ``storage`` are the folders
    that its sessions see, None for all; ``payers`` whose allocations pay there, the preferred first.
    """

    id: str
    title: str
    kind: str = "local"
    description: str = ""
    architecture: str = ""
    storage: tuple[PurePosixPath, ...] | None = None
    payers: tuple[str, ...] = EITHER


@dataclass(frozen=True, slots=True)
class Offer:
    """A profile as one person sees it. ``why_not`` is None where they may pick it.

    ``places`` are in the profile's order, the first is the default. ``custom`` is the largest size of
    one's own, None where there is none. ``scheduling``: whether account, QOS and reservation may be named.
    ``unfit_places`` are places of the profile that its environment is not built for, to be shown as such.
    ``overflow_after`` is how late a start has to be before a launch that allows it goes elsewhere.
    """

    profile: str
    title: str
    description: str
    interfaces: tuple[Interface, ...]
    environment: Environment
    places: tuple[OfferedPlace, ...]
    sizes: tuple[Size, ...]
    default_size: str
    walltime_default: timedelta
    walltime_max: timedelta
    is_default: bool
    why_not: str | None
    custom: Custom | None = None
    scheduling: bool = False
    unfit_places: tuple[OfferedPlace, ...] = ()
    overflow_after: timedelta = timedelta(minutes=10)

    @property
    def is_allowed(self) -> bool:
        """Whether the person may pick it."""
        return self.why_not is None

    @property
    def place(self) -> str:
        """Id of the default place."""
        return self.places[0].id

    @property
    def place_title(self) -> str:
        """Title of the default place."""
        return self.places[0].title


@dataclass(frozen=True, slots=True)
class Choice:
    """What will run, as far as profiles say. ``walltime_max`` limits extensions too.

    ``places`` are the candidates, the preferred first: the one that was asked for alone; for ``soonest`` all
    of the profile; the one that was asked for and all others with ``overflow_after``; where none was asked
    all of them, of which the first that has the data is taken.
    """

    profile: str
    profile_title: str
    environment: Environment
    size: Size
    places: tuple[OfferedPlace, ...]
    is_soonest: bool
    scheduling: Scheduling
    interface: Interface
    walltime: timedelta
    walltime_max: timedelta
    overflow_after: timedelta | None = None


def offers(profiles: Profiles, subject: Subject) -> tuple[Offer, ...]:
    """All profiles as the person sees them: those open to them first, in the file's order."""
    made = [_offer(profiles, name, profile, subject) for name, profile in profiles.profiles.items()]
    return tuple(sorted(made, key=lambda offer: not offer.is_allowed))


def choose(profiles: Profiles, subject: Subject, wishes: Wishes) -> Choice:
    """What the wishes come to.

    Without a profile it is the default profile, or the first one open to the person that has the
    interface.

    Raises
    ------
    UnknownProfileError
        If there is no such profile, or it is not open to the person.
    NoProfileError
        If none was asked for and none fits.
    ChoiceError
        If the profile does not offer what was asked (one class a case, `profiles.wishes`).
    """
    name = wishes.profile if wishes.profile is not None else _default(profiles, subject, wishes.interface)
    profile = profiles.profiles.get(name)
    if profile is None or not is_allowed(profile.allow, subject):
        raise UnknownProfileError(name)
    if wishes.interface not in profile.interfaces:
        raise InterfaceError(wishes.interface, profile.interfaces)
    if wishes.scheduling != DEFAULT_SCHEDULING and not profile.scheduling:
        raise SchedulingError
    asked = wishes.walltime if wishes.walltime is not None else profile.walltime.default
    if not MIN_WALLTIME <= asked <= profile.walltime.max:
        raise WalltimeError(asked, profile.walltime.max)
    return Choice(
        profile=name,
        profile_title=profile.title,
        environment=profiles.environments[profile.environment],
        size=_size(profiles, profile, wishes),
        places=_candidates(profiles, profile, wishes),
        is_soonest=wishes.place == SOONEST,
        scheduling=wishes.scheduling,
        interface=wishes.interface,
        walltime=asked,
        walltime_max=profile.walltime.max,
        overflow_after=profile.overflow_after if wishes.overflow and wishes.place != SOONEST else None,
    )


def _default(profiles: Profiles, subject: Subject, interface: Interface) -> str:
    in_order = (profiles.default_profile, *profiles.profiles)
    for name in in_order:
        profile = profiles.profiles[name]
        if interface in profile.interfaces and is_allowed(profile.allow, subject):
            return name
    raise NoProfileError(interface)


def _size(profiles: Profiles, profile: ProfileEntry, wishes: Wishes) -> Size:
    if wishes.resources is not None:
        if wishes.size is not None:
            raise TwoSizesError
        return own_size(wishes.resources, _custom(profile))
    size = wishes.size if wishes.size is not None else profile.default_size
    if size not in profile.sizes:
        raise UnknownSizeError(size, profile.sizes)
    return profiles.sizes[size]


def _candidates(profiles: Profiles, profile: ProfileEntry, wishes: Wishes) -> tuple[OfferedPlace, ...]:
    asked = wishes.place
    if asked is None or asked == SOONEST:
        return _places(profiles, profile.places)
    if asked not in profile.places:
        raise UnknownPlaceError(asked, profile.places)
    others = tuple(name for name in profile.places if name != asked) if wishes.overflow else ()
    return _places(profiles, (asked, *others))


def _places(profiles: Profiles, names: tuple[str, ...]) -> tuple[OfferedPlace, ...]:
    found = [(name, profiles.places[name]) for name in names]
    return tuple(
        OfferedPlace(
            id=name,
            title=place.title,
            kind=place.backend,
            description=place.description,
            architecture=place.architecture or "",
            storage=None if place.storage is None else tuple(map(PurePosixPath, place.storage)),
            payers=place.payers,
        )
        for name, place in found
    )


def _custom(profile: ProfileEntry) -> Custom | None:
    most = profile.custom
    if most is None:
        return None
    return Custom(most.cpus, most.memory_mib, most.gpus, gpu_types=most.gpu_types)


def _offer(profiles: Profiles, name: str, profile: ProfileEntry, subject: Subject) -> Offer:
    return Offer(
        profile=name,
        title=profile.title,
        description=profile.description,
        interfaces=profile.interfaces,
        environment=profiles.environments[profile.environment],
        places=_places(profiles, profile.places),
        sizes=tuple(profiles.sizes[size] for size in profile.sizes),
        default_size=profile.default_size,
        walltime_default=profile.walltime.default,
        walltime_max=profile.walltime.max,
        is_default=name == profiles.default_profile,
        why_not=why_not(profile.allow, subject),
        custom=_custom(profile),
        scheduling=profile.scheduling,
        unfit_places=_places(profiles, profiles.unfit.get(name, ())),
        overflow_after=profile.overflow_after,
    )
