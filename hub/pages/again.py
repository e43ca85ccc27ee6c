"""What to do after an end: the same again, larger, longer, elsewhere. Each opens the form filled in."""

from __future__ import annotations

from datetime import timedelta

from hub.launch.models import SOONEST, LaunchRequest, ResourcesRequest, SchedulingRequest
from hub.launch.store import Launch
from hub.launch.summary import Summary
from hub.pages.format import duration, memory
from hub.pages.state import fields_of
from hub.pages.views import Action
from hub.problems import Problem
from profiles.loader import Profiles


def with_more_memory(request: LaunchRequest, said: Summary, profiles: Profiles) -> Action | None:
    """The next larger size of the profile, or twice the memory as a size of one's own.

    None where nothing larger is offered.
    """
    profile = profiles.profiles.get(said.profile.id)
    if profile is None:
        return None
    sizes = [profiles.sizes[name] for name in profile.sizes]
    larger = [x for x in sizes if x.memory_mib > said.memory_mib and x.gpus >= said.gpus]
    if request.resources is None and larger:
        size = min(larger, key=lambda x: (x.memory_mib, x.cpus))
        return _again(request, f"Again with {memory(size.memory_mib)}", "memory", {"size": size.id})
    if profile.custom is None:
        return None
    memory_mib = min(2 * said.memory_mib, profile.custom.memory_mib)
    if memory_mib <= said.memory_mib:
        return None
    before = request.resources or ResourcesRequest(cpus=said.cpus, memory_mib=said.memory_mib, gpus=said.gpus)
    own = before.model_copy(update={"memory_mib": memory_mib})
    return _again(request, f"Again with {memory(memory_mib)}", "memory", {"size": None, "resources": own})


def for_longer(request: LaunchRequest, said: Summary) -> Action | None:
    """Twice the time, at most the longest of the profile; None where it was that already."""
    seconds = min(2 * said.walltime_s, said.max_walltime_s)
    if seconds <= said.walltime_s:
        return None
    label = f"Again for {duration(timedelta(seconds=seconds))}"
    return _again(request, label, "clock-history", {"walltime_s": seconds})


def elsewhere(request: LaunchRequest, said: Summary, profiles: Profiles) -> Action | None:
    """Where it starts first; None where that was asked already, or there is no other place."""
    profile = profiles.profiles.get(said.profile.id)
    if profile is None or len(profile.places) < 2 or request.place == SOONEST:
        return None
    update: dict[str, object] = {"place": SOONEST, "scheduling": SchedulingRequest()}
    return _again(request, "Where it starts first", "lightning-charge", update)


def where_the_data_is(request: LaunchRequest, problem: Problem) -> tuple[Action, ...]:
    """A form for each place that has the data; its profile, size and interface are the form's to fit."""
    made = []
    for place in problem.extra.get("places", [])[:3]:
        update: dict[str, object] = {"place": place["id"]}
        if place["profile"]:
            update |= {"profile": place["profile"], "size": None, "resources": None}
        made.append(_again(request, f"Take {place['title']}", "cpu", update))
    return tuple(made)


def request_of(launch: Launch) -> LaunchRequest | None:
    """What was asked for; None where it was not kept."""
    if launch.problem is not None and launch.problem["code"] == "invalid_request":
        return None
    return LaunchRequest.model_validate(launch.request)


def _again(request: LaunchRequest, label: str, icon: str, update: dict[str, object]) -> Action:
    return Action(label, ("new",), fields_of(request.model_copy(update=update)), icon=icon)
