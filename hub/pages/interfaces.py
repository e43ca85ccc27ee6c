"""Which interface, by which profile? The choice of the form, kept whole while one of both changes."""

from __future__ import annotations

from collections.abc import Sequence

from hub.launch.models import SOONEST, LaunchRequest
from hub.pages.startviews import Choice
from profiles.choose import Offer
from spawners.plan import Interface

TITLES = {Interface.LAB: "JupyterLab", Interface.DESKTOP: "Desktop"}
_ABOUT = {
    Interface.LAB: "Notebooks, files and a terminal",
    Interface.DESKTOP: "Programs with windows, on a desktop here in the browser; JupyterLab is there too",
}


def interface_choices(offered: Sequence[Offer], chosen: Interface) -> tuple[Choice, ...]:
    """Every interface that some profile open to the person has."""
    there = {interface for offer in offered if offer.is_allowed for interface in offer.interfaces}
    return tuple(
        Choice(one.value, TITLES[one], _ABOUT[one], is_chosen=one is chosen)
        for one in Interface
        if one in there
    )


def default_offer(offered: Sequence[Offer], interface: Interface) -> Offer:
    """The profile of a form that names none: the default one, or the first that has the interface."""
    allowed = sorted((offer for offer in offered if offer.is_allowed), key=lambda one: not one.is_default)
    having = [offer for offer in allowed if interface in offer.interfaces]
    return (*having, *allowed, *offered)[0]


def with_interface_first(request: LaunchRequest, offered: Sequence[Offer]) -> LaunchRequest:
    """A request whose profile gives way where it does not have the interface, which was chosen last."""
    profiles = {offer.profile for offer in offered if request.interface in offer.interfaces}
    return request if request.profile in profiles else request.model_copy(update={"profile": None})


def fitting(request: LaunchRequest, offer: Offer) -> LaunchRequest:
    """A request whose interface, size and place are those of its profile."""
    update: dict[str, object] = {}
    if request.interface not in offer.interfaces:
        update["interface"] = offer.interfaces[0]
    if request.size is not None and request.size not in {size.id for size in offer.sizes}:
        update["size"] = None
    places = {place.id for place in (*offer.places, *offer.unfit_places)}
    if request.place not in {None, SOONEST, *places}:
        update["place"] = None
    return request.model_copy(update=update) if update else request
