"""What does the file say? A values file of zero-to-jupyterhub, or a bare ``profile_list``, as traits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from profiles.importer.notes import Notes
from profiles.importer.shapes import (
    ProfileShape,
    SourceError,
    TraitsShape,
    ValuesShape,
    check,
    check_text_keys,
)

Traits = dict[str, Any]
"""Traits of KubeSpawner by name."""

_TRAITS: Final = {
    "cpu.limit": "cpu_limit",
    "cpu.guarantee": "cpu_guarantee",
    "memory.limit": "mem_limit",
    "memory.guarantee": "mem_guarantee",
    "extraResource.limits": "extra_resource_limits",
    "extraResource.guarantees": "extra_resource_guarantees",
    "image.pullPolicy": "image_pull_policy",
    "image.pullSecrets": "image_pull_secrets",
    "nodeSelector": "node_selector",
    "extraTolerations": "tolerations",
    "extraNodeAffinity.required": "node_affinity_required",
    "extraNodeAffinity.preferred": "node_affinity_preferred",
    "extraPodAffinity.required": "pod_affinity_required",
    "extraPodAffinity.preferred": "pod_affinity_preferred",
    "extraPodAntiAffinity.required": "pod_anti_affinity_required",
    "extraPodAntiAffinity.preferred": "pod_anti_affinity_preferred",
    "extraAnnotations": "extra_annotations",
    "extraLabels": "extra_labels",
    "extraEnv": "environment",
    "uid": "uid",
    "fsGid": "fs_gid",
    "serviceAccountName": "service_account",
    "cmd": "cmd",
    "defaultUrl": "default_url",
    "startTimeout": "start_timeout",
    "lifecycleHooks": "lifecycle_hooks",
    "initContainers": "init_containers",
    "extraContainers": "extra_containers",
    "extraPodConfig": "extra_pod_config",
    "allowPrivilegeEscalation": "allow_privilege_escalation",
    "events": "events_enabled",
    "podNameTemplate": "pod_name_template",
}
"""Keys of ``singleuser`` and the traits that zero-to-jupyterhub sets by them (its jupyterhub_config.py)."""

_OTHERS: Final = {
    "extraFiles": "files of the chart are not put into sessions; have them in the image",
    "networkPolicy": "this chart has its own network policy of sessions",
    "networkTools": "nothing runs with privileges here; the network policy keeps sessions from the metadata",
    "cloudMetadata": "the network policy of sessions keeps them from the cloud's metadata address",
    "imagePullSecret": "make the secret yourself and name it in `image_pull_secrets` of the cluster",
}

_PURPOSE: Final = {"key": "hub.jupyter.org/node-purpose", "operator": "In", "values": ["user"]}
_DEDICATED: Final = [
    {"key": key, "operator": "Equal", "value": "user", "effect": "NoSchedule"}
    for key in ("hub.jupyter.org/dedicated", "hub.jupyter.org_dedicated")
]
"""What the chart's pods tolerate, whatever the values say."""


@dataclass(slots=True)
class Source:
    """What was found. ``base`` are the traits of every profile; ``profiles`` as the file has them."""

    base: Traits
    profiles: dict[str, dict[str, Any]]
    notes: Notes = field(default_factory=Notes)
    storage: dict[str, Any] = field(default_factory=dict)
    placeholders: int = 0
    longest_s: int = 0
    idle_s: int = 0


def read_source(path: Path) -> Source:
    """Read a values file or a ``profile_list``.

    Raises
    ------
    SourceError
        If it is neither.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot be read: {error}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise SourceError(f"is not plain YAML: {error}") from error
    return source_of(content)


def source_of(content: Any) -> Source:
    """The same from what the file holds.

    Raises
    ------
    SourceError
        If it is neither.
    """
    check_text_keys(content)
    if isinstance(content, Mapping):
        if isinstance(content.get("jupyterhub"), Mapping):  # a chart with this one as its dependency
            return _of_values(content["jupyterhub"], "jupyterhub.")
        if "singleuser" in content or isinstance(content.get("hub"), Mapping):
            return _of_values(content, "")
        content = content.get("profile_list", content)
    return Source({}, _profiles(content, "profile_list"))


def _of_values(values: Mapping[str, Any], prefix: str) -> Source:
    check(ValuesShape, values, prefix.rstrip("."))
    notes = Notes()
    singleuser = values.get("singleuser") or {}
    where = f"{prefix}singleuser"
    traits = _hubs_own(values.get("hub") or {}, f"{prefix}hub", notes)
    traits |= _own_traits(singleuser, where, notes)
    listed = traits.pop("profile_list", None)
    found = Source(traits, _profiles(singleuser.get("profileList") or listed or [], where), notes)
    found.storage = dict(singleuser.get("storage") or {})
    _scheduling(values.get("scheduling") or {}, f"{prefix}scheduling", found)
    _cull(values.get("cull") or {}, f"{prefix}cull", found)
    known = {"singleuser", "hub", "scheduling", "cull"}
    for name in values:
        if name not in known and values[name] not in (None, {}, [], ""):
            notes.add(f"{prefix}{name}", "is not about sessions: see the values of this chart")
    if not found.profiles:
        found.profiles = {"default": {"display_name": "JupyterLab", "default": True}}
    return found


def _hubs_own(hub: Mapping[str, Any], where: str, notes: Notes) -> Traits:
    """Traits by ``hub.config``; code by ``hub.extraConfig`` cannot be read."""
    config = hub.get("config") or {}
    traits: Traits = {}
    for name in ("Spawner", "KubeSpawner"):
        set_there = config.get(name) or {}
        check(TraitsShape, set_there, f"{where}.config.{name}")
        traits |= set_there
    for name, code in (hub.get("extraConfig") or {}).items():
        about = " (it speaks of KubeSpawner)" if "Spawner" in str(code) else ""
        notes.add(f"{where}.extraConfig.{name}", f"is code{about}: look at what it does to sessions")
    for name, value in hub.items():
        if name not in ("config", "extraConfig") and value not in (None, {}, [], ""):
            notes.add(f"{where}.{name}", "is not about sessions: see the values of this chart")
    for name in config:
        if name not in ("Spawner", "KubeSpawner"):
            notes.add(f"{where}.config.{name}", "is not about sessions: see the settings")
    return traits


def _own_traits(singleuser: Mapping[str, Any], where: str, notes: Notes) -> Traits:
    traits: Traits = {}
    for name, value in _leaves(singleuser):
        if value in (None, {}, [], "") or name.partition(".")[0] in ("profileList", "storage"):
            continue
        if name in _TRAITS:
            traits[_TRAITS[name]] = value
        elif name in ("image.name", "image.tag"):
            continue
        else:
            text = _OTHERS.get(name.partition(".")[0], "is not known, and was left out")
            notes.add(f"{where}.{name}", text)
    image = singleuser.get("image") or {}
    if image.get("name"):
        traits["image"] = f"{image['name']}:{image['tag']}" if image.get("tag") else image["name"]
    check(TraitsShape, traits, where)
    traits["tolerations"] = [*as_list(traits.get("tolerations")), *_DEDICATED]
    return traits


def _leaves(mapping: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Keys of ``singleuser`` as the tables above name them: one or two deep."""
    found: list[tuple[str, Any]] = []
    for name, value in mapping.items():
        nested = isinstance(value, Mapping) and any(key.startswith(f"{name}.") for key in _TRAITS)
        if nested:
            found += [(f"{name}.{key}", item) for key, item in value.items()]
        else:
            found.append((str(name), value))
    return found


def _scheduling(scheduling: Mapping[str, Any], where: str, found: Source) -> None:
    pods = scheduling.get("userPods") or {}
    if "tolerations" in pods:
        kept = [one for one in as_list(found.base.get("tolerations")) if one not in _DEDICATED]
        found.base["tolerations"] = [*kept, *as_list(pods["tolerations"])]
    purpose = (pods.get("nodeAffinity") or {}).get("matchNodePurpose", "prefer")
    term = {"matchExpressions": [dict(_PURPOSE)]}
    if purpose == "require":
        found.base["node_affinity_required"] = [*as_list(found.base.get("node_affinity_required")), term]
    elif purpose == "prefer":
        preferred = {"weight": 100, "preference": term}
        found.base["node_affinity_preferred"] = [
            *as_list(found.base.get("node_affinity_preferred")),
            preferred,
        ]
    placeholder = scheduling.get("userPlaceholder") or {}
    if placeholder.get("enabled", True):
        found.placeholders = int(placeholder.get("replicas") or 0)
    if found.placeholders:
        text = "name an image for the placeholders: `pause_image` of the cluster, or `warm.image`"
        found.notes.add(f"{where}.userPlaceholder", text)
    if (scheduling.get("podPriority") or {}).get("enabled"):
        text = "make PriorityClasses and name them: `priority_class` of the cluster, `warm.priority_class`"
        found.notes.add(f"{where}.podPriority", text)
    if (scheduling.get("userScheduler") or {}).get("enabled"):
        text = "is a scheduler of that release; to keep it, name it in `kubespawner.scheduler_name`"
        found.notes.add(f"{where}.userScheduler", text)
    for name in scheduling:
        if name not in ("userPods", "userPlaceholder", "podPriority", "userScheduler"):
            found.notes.add(f"{where}.{name}", "is not about sessions: see the values of this chart")


def _cull(cull: Mapping[str, Any], where: str, found: Source) -> None:
    if not cull.get("enabled", True):
        return
    found.idle_s, found.longest_s = int(cull.get("timeout") or 0), int(cull.get("maxAge") or 0)
    for name in sorted(set(cull) - {"enabled", "timeout", "maxAge"}):
        found.notes.add(f"{where}.{name}", "sessions end by their wall time, or when nobody uses them")


def _profiles(listed: Any, where: str) -> dict[str, dict[str, Any]]:
    """Profiles by the name they are known by, in the order in which KubeSpawner shows them."""
    if isinstance(listed, Mapping):
        items = [(str(name), listed[name]) for name in sorted(listed)]
    elif isinstance(listed, list):
        items = [("", profile) for profile in listed]
    else:
        raise SourceError(f"{where} has no list of profiles (a function cannot be read)")
    found: dict[str, dict[str, Any]] = {}
    for name, profile in items:
        if not isinstance(profile, Mapping) or not (profile.get("display_name") or name):
            raise SourceError(f"{where} has something that is no profile: {str(profile)[:80]}")
        check(ProfileShape, profile, f"{where} {str(name or profile['display_name'])[:80]}")
        known = str(profile.get("slug") or name or profile["display_name"])
        while known in found:
            known += "-2"
        found[known] = {"display_name": known, **profile}
    return found


def as_list(value: Any) -> list[Any]:
    """A list that KubeSpawner takes as a mapping too, whose keys order it."""
    if isinstance(value, Mapping):
        return [value[key] for key in sorted(value)]
    return list(value or [])
