"""From variants to the parts of a profiles file: environments, sizes, places and profiles."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from profiles.base import format_duration
from profiles.importer.notes import Note
from profiles.importer.pools import Pool, cluster_settings, pool_of
from profiles.importer.resources import TODO, Resources, container, resources
from profiles.importer.shapes import SourceError
from profiles.importer.source import Source
from profiles.importer.variants import Variant, plain, variants

_MOST_TITLE = 100
_MOST_ID = 64
_NOT_IN_IDS = re.compile(r"[^a-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the file does not say: name of the cluster, times, digests by image, where the software lies."""

    cluster: str = "kubernetes"
    default: timedelta = timedelta(hours=4)
    longest: timedelta | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    prefix: str = "/opt/conda"


@dataclass(frozen=True, slots=True)
class Imported:
    """A profiles file, a fragment of settings, and what has to be known about both."""

    profiles: dict[str, Any]
    settings: dict[str, Any]
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class _Offer:
    """A variant by what it became."""

    variant: Variant
    environment: str
    size: str
    pool: str


def convert(source: Source, wishes: Wishes) -> Imported:
    """All of a source.

    Raises
    ------
    SourceError
        If it offers nothing.
    """
    all_of_them = variants(source)
    if not all_of_them:
        raise SourceError("the file offers nothing that could be started")
    builder = _Builder(source, wishes)
    offers = [builder.add(variant) for variant in all_of_them]
    profiles = builder.profiles(offers)
    default = next((offer for offer in offers if _is_default(offer, source)), offers[0])
    file = {
        "environments": builder.environments,
        "sizes": builder.size_entries(),
        "places": builder.places(),
        "profiles": {name: entry for name, (entry, _) in profiles.items()},
        "default_profile": next(name for name, (_, its) in profiles.items() if default in its),
    }
    return Imported(file, builder.settings(all_of_them), tuple(source.notes.found))


def _is_default(offer: _Offer, source: Source) -> bool:
    is_chosen = bool(source.profiles[offer.variant.profile].get("default"))
    return is_chosen and offer.variant.is_default


class _Builder:
    """Collects the parts; equal ones are one."""

    def __init__(self, source: Source, wishes: Wishes) -> None:
        self._source = source
        self._wishes = wishes
        self._notes = source.notes
        self._images: dict[str, str] = {}
        self._sizes: dict[str, Resources] = {}
        self._pools: list[Pool] = []
        self.environments: dict[str, dict[str, Any]] = {}

    def add(self, variant: Variant) -> _Offer:
        """Put the parts of a variant in."""
        size = resources(variant.traits, variant.where, self._notes)
        pool = pool_of(variant.traits, variant.where, self._pools, self._notes)
        if size.gpus:
            pool.gpus.setdefault("any", {"resource": size.gpu_resource})
            if pool.gpus["any"]["resource"] != size.gpu_resource:
                text = f"{size.gpu_resource} is a second kind of GPU on the same nodes; name it as a type"
                self._notes.add(f"{variant.where}.extra_resource_limits", text)
        self._sizes.setdefault(size.name, size)
        return _Offer(variant, self._environment(variant), size.name, pool.name)

    def _environment(self, variant: Variant) -> str:
        image = str(variant.traits.get("image") or "")
        if not image:
            self._notes.add(f"{variant.where}.image", "no image is named; give one")
            image = "image"
        if image not in self._images:
            self._images[image] = name = _new_id(_last_part(image), self.environments)
            found = container(image, self._wishes.digests)
            digest = found.rpartition(":")[2]
            if digest == TODO:
                text = f"give its digest: --digest {image}=sha256:…"
                self._notes.add(f"environment {name}", f"{image} is an image by tag; {text}")
            text = f"needs our code at /opt/panhub/session, and its programs in {self._wishes.prefix}/bin"
            self._notes.add(f"environment {name}", text)
            self.environments[name] = {
                "title": _title(image.rpartition("/")[2].partition("@")[0]),
                "prefix": self._wishes.prefix,
                "lock_sha256": digest,
                "container": found,
            }
        return self._images[image]

    def size_entries(self) -> dict[str, dict[str, Any]]:
        """Sizes, smallest first."""
        ordered = sorted(self._sizes.values(), key=lambda size: (size.gpus, size.cpus, size.memory_mib))
        return {
            size.name: {
                "title": size.title,
                "cpus": size.cpus,
                "memory_mib": size.memory_mib,
                **({"gpus": size.gpus} if size.gpus else {}),
            }
            for size in ordered
        }

    def places(self) -> dict[str, dict[str, Any]]:
        """One for each pool."""
        cluster = self._wishes.cluster
        return {
            self._place(pool.name): {
                "title": _title(pool.name if pool.name != "default" else cluster),
                "backend": "kubernetes",
                "cluster": cluster,
                "pool": pool.name,
            }
            for pool in self._pools
        }

    def _place(self, pool: str) -> str:
        return _id(self._wishes.cluster if pool == "default" else f"{self._wishes.cluster}-{pool}")

    def profiles(self, offers: Sequence[_Offer]) -> dict[str, tuple[dict[str, Any], list[_Offer]]]:
        """Profiles that offer exactly what was offered: one for each profile, environment and gate.

        Sizes and places of a profile of ours go together as people like. Where not all of them did, it
        becomes one for each place.
        """
        found: dict[str, tuple[dict[str, Any], list[_Offer]]] = {}
        groups: dict[tuple[Any, ...], list[_Offer]] = {}
        for offer in offers:
            variant = offer.variant
            groups.setdefault((variant.profile, offer.environment, variant.groups), []).append(offer)
        for members in groups.values():
            pools = list(dict.fromkeys(offer.pool for offer in members))
            pairs = {(offer.size, offer.pool) for offer in members}
            is_whole = len(pairs) == len({size for size, _ in pairs}) * len(pools)
            for some in [pools] if is_whole else [[pool] for pool in pools]:
                its = [offer for offer in members if offer.pool in some]
                siblings = [one for one in offers if one.variant.profile == its[0].variant.profile]
                name, entry = self._profile(its, some, siblings, found)
                found[name] = (entry, its)
        return found

    def _profile(
        self,
        its: Sequence[_Offer],
        pools: Sequence[str],
        siblings: Sequence[_Offer],
        taken: Mapping[str, Any],
    ) -> tuple[str, dict[str, Any]]:
        variant = its[0].variant
        words = [plain(variant.profile), *_told_apart(its, siblings)]
        title = [variant.title, *_told_apart(its, siblings)]
        sizes = [name for name in self.size_entries() if name in {one.size for one in its}]
        chosen = next((one.size for one in its if one.variant.is_default), its[0].size)
        longest = self._longest()
        entry: dict[str, Any] = {
            "title": _title(" · ".join(title)),
            "description": variant.description[:1000],
            "interfaces": ["lab"],
            "environment": its[0].environment,
            "places": [self._place(pool) for pool in pools],
            "sizes": sizes,
            "default_size": chosen,
            "walltime": {
                "default": format_duration(min(self._wishes.default, longest)),
                "max": format_duration(longest),
            },
            "allow": "everyone" if variant.groups is None else {"groups": list(variant.groups)},
        }
        return _new_id("-".join(words), taken), {key: value for key, value in entry.items() if value}

    def _longest(self) -> timedelta:
        if self._wishes.longest is not None:
            return self._wishes.longest
        return timedelta(seconds=self._source.longest_s) if self._source.longest_s else timedelta(days=1)

    def settings(self, all_of_them: Sequence[Variant]) -> dict[str, Any]:
        """The fragment for the settings file."""
        if self._source.placeholders and self._pools:
            self._pools[0].warm = self._source.placeholders
        cluster = cluster_settings(all_of_them, self._pools, self._source)
        shares = sorted({size.cpu_share for size in self._sizes.values()})
        if shares[-1] < 1:
            cluster = {"cpu_reserved": round(shares[-1], 4), **cluster}
        if len(shares) > 1:
            text = (
                f"shares of {shares[0]:.3g} to {shares[-1]:.3g} of the CPUs were reserved; one share is taken"
            )
            self._notes.add("cpu_guarantee", f"{text} for all: the largest (`cpu_reserved`)")
        found: dict[str, Any] = {"kubernetes": {"clusters": {self._wishes.cluster: cluster}}}
        if self._source.idle_s:
            warn = min(600, self._source.idle_s // 2)
            found["sessions"] = {"idle_end_s": self._source.idle_s, "idle_warn_s": warn}
        return found


def _told_apart(its: Sequence[_Offer], siblings: Sequence[_Offer]) -> list[str]:
    """Choices, as people read them, by which these are told from others of the same profile."""
    found = []
    for index, name in enumerate(its[0].variant.choices):
        ours = {one.variant.choices[index] for one in its}
        if len(ours) == 1 and len({one.variant.choices[index] for one in siblings}) > 1:
            found.append(name)
    return found


def _id(text: str) -> str:
    """An id of ours: lower case, as in links."""
    return _NOT_IN_IDS.sub("-", text.lower()).strip("-._")[:_MOST_ID].strip("-._") or "x"


def _new_id(text: str, taken: Mapping[str, Any]) -> str:
    name, number = _id(text), 2
    while name in taken:
        ending = f"-{number}"
        name, number = _id(text)[: _MOST_ID - len(ending)] + ending, number + 1
    return name


def _last_part(image: str) -> str:
    return re.sub(r":latest\Z", "", image.rpartition("/")[2].partition("@")[0]).replace(":", "-")


def _title(text: str) -> str:
    return " ".join(text.split())[:_MOST_TITLE] or "Untitled"
