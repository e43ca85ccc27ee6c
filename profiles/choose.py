"""What a person is offered, and what their wishes come to.

`choose` is asked for every start, whatever the way in; `offers` fills the form from the same rules.
Both are pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from profiles.gates import Subject, is_allowed, why_not
from profiles.loader import Profiles
from profiles.models import ProfileEntry, format_duration
from spawners.plan import Environment, Interface, Size

__all__ = ["Choice", "ChoiceError", "Offer", "Subject", "choose", "offers"]

MIN_WALLTIME = timedelta(minutes=1)
"""Below a minute a session would end before its server answers."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A profile as one person sees it. ``why_not`` is None where they may pick it."""

    profile: str
    title: str
    description: str
    interfaces: tuple[Interface, ...]
    environment: Environment
    place: str
    place_title: str
    sizes: tuple[Size, ...]
    default_size: str
    walltime_default: timedelta
    walltime_max: timedelta
    is_default: bool
    why_not: str | None

    @property
    def is_allowed(self) -> bool:
        """Whether the person may pick it."""
        return self.why_not is None


@dataclass(frozen=True, slots=True)
class Choice:
    """What will run, as far as profiles say. ``walltime_max`` limits extensions too."""

    profile: str
    profile_title: str
    environment: Environment
    size: Size
    place: str
    place_title: str
    interface: Interface
    walltime: timedelta
    walltime_max: timedelta


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


def offers(profiles: Profiles, subject: Subject) -> tuple[Offer, ...]:
    """All profiles as the person sees them: those open to them first, in the file's order."""
    made = [_offer(profiles, name, profile, subject) for name, profile in profiles.profiles.items()]
    return tuple(sorted(made, key=lambda offer: not offer.is_allowed))


def choose(
    profiles: Profiles,
    subject: Subject,
    profile_id: str | None,
    size_id: str | None,
    interface: Interface,
    walltime: timedelta | None,
) -> Choice:
    """What the wishes come to; None takes the site's default.

    Without a profile it is the default profile, or the first one open to the person that has the
    interface.

    Raises
    ------
    UnknownProfileError
        If there is no such profile, or it is not open to the person.
    NoProfileError
        If none was asked for and none fits.
    InterfaceError, UnknownSizeError, WalltimeError
        If the profile does not offer what was asked.
    """
    name = profile_id if profile_id is not None else _default(profiles, subject, interface)
    profile = profiles.profiles.get(name)
    if profile is None or not is_allowed(profile.allow, subject):
        raise UnknownProfileError(name)
    if interface not in profile.interfaces:
        raise InterfaceError(interface, profile.interfaces)
    size = size_id if size_id is not None else profile.default_size
    if size not in profile.sizes:
        raise UnknownSizeError(size, profile.sizes)
    asked = walltime if walltime is not None else profile.walltime.default
    if not MIN_WALLTIME <= asked <= profile.walltime.max:
        raise WalltimeError(asked, profile.walltime.max)
    return Choice(
        profile=name,
        profile_title=profile.title,
        environment=profiles.environments[profile.environment],
        size=profiles.sizes[size],
        place=profile.place,
        place_title=profiles.places[profile.place].title,
        interface=interface,
        walltime=asked,
        walltime_max=profile.walltime.max,
    )


def _default(profiles: Profiles, subject: Subject, interface: Interface) -> str:
    in_order = (profiles.default_profile, *profiles.profiles)
    for name in in_order:
        profile = profiles.profiles[name]
        if interface in profile.interfaces and is_allowed(profile.allow, subject):
            return name
    raise NoProfileError(interface)


def _offer(profiles: Profiles, name: str, profile: ProfileEntry, subject: Subject) -> Offer:
    return Offer(
        profile=name,
        title=profile.title,
        description=profile.description,
        interfaces=profile.interfaces,
        environment=profiles.environments[profile.environment],
        place=profile.place,
        place_title=profiles.places[profile.place].title,
        sizes=tuple(profiles.sizes[size] for size in profile.sizes),
        default_size=profile.default_size,
        walltime_default=profile.walltime.default,
        walltime_max=profile.walltime.max,
        is_default=name == profiles.default_profile,
        why_not=why_not(profile.allow, subject),
    )
