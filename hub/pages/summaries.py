"""What does the stored summary of a launch say, in the terms of the pages?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hub.launch.store import Launch
from hub.launch.summary import Summary as LaunchSummary
from hub.pages.refusing import account_title
from hub.pages.views import Grant, Resources
from quota.models import AccountKind, AccountRef
from spawners.plan import MountMode

_RESULTS = ("processed data",)


def summary_of(launch: Launch) -> LaunchSummary | None:
    """The stored summary."""
    return None if launch.summary is None else LaunchSummary.model_validate(launch.summary)


def resources_of(said: LaunchSummary | None) -> Resources:
    """Size of a launch."""
    if said is None:
        return Resources("", 0, 0)
    return Resources(said.size.title, said.cpus, said.memory_mib, said.gpus, said.gpu_type)


def grants_of(said: LaunchSummary | None) -> tuple[Grant, ...]:
    """What the session sees: the data sets by name, the folder for results with the other areas."""
    if said is None:
        return ()
    named: list[Grant] = []
    others: dict[tuple[str, str, str], list[str]] = {}
    results: dict[tuple[str, str, str], str] = {}
    for mount in said.mounts:
        inside = [one for one in said.data if one.path.startswith(f"{mount.path}/")]
        folder, _, area = mount.path.rpartition("/")
        visits = [one for one in said.data if f"/{one.proposal}/" in f"{folder}/"]
        proposal = next((one.proposal for one in (*inside, *visits, *said.data)), "")
        mode = MountMode(mount.mode)
        if inside:
            named += [
                Grant(one.proposal, one.title, one.path, mode, mount.reason, one.is_open) for one in inside
            ]
        elif "processed" in area.lower():
            results[proposal, mode.value, mount.reason] = mount.path
        else:
            others.setdefault((proposal, mode.value, mount.reason), []).append(area)
    rest = [
        Grant(
            key[0],
            _listed([*_RESULTS[: key in results], *others.get(key, ())]),
            results.get(key, ""),
            MountMode(key[1]),
            key[2],
        )
        for key in {**results, **others}
    ]
    return (*named, *rest)


def _listed(areas: Sequence[str]) -> str:
    words = [area.lower().replace("_", " ") for area in areas]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def payer_title(said: LaunchSummary | None) -> str:
    """Who pays, in words."""
    if said is None:
        return ""
    return account_title(said.payer.id, said.payer.title)


def paying_accounts(launches: Iterable[Launch]) -> list[AccountRef]:
    """Accounts beside one's own that paid for some launches; open data is read without spending its own."""
    said = [summary_of(launch) for launch in launches]
    payers = {AccountRef(AccountKind(one.payer.id), one.payer.title) for one in said if one is not None}
    return sorted(payer for payer in payers if payer.kind is not AccountKind.PERSON)
