"""Where does a variant run? Nodes that differ become pools; what is the same for all, the cluster's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from profiles.importer.notes import Notes
from profiles.importer.resources import is_gpu
from profiles.importer.source import Source, Traits, as_list
from profiles.importer.variants import Variant
from spawners.kubernetes.overrides import ALLOWED, REFUSED

_ELSEWHERE = {
    "image",
    "cpu_limit",
    "cpu_guarantee",
    "mem_limit",
    "mem_guarantee",
    "node_selector",
    "tolerations",
}
"""Traits that become environments, sizes and pools."""

_SETTINGS = {
    "image_pull_policy": "image_pull_policy",
    "image_pull_secrets": "image_pull_secrets",
    "priority_class_name": "priority_class",
}
"""Traits that are settings of a cluster, by the names that these have."""

_NOTHING: tuple[Any, ...] = (None, {}, [], "")
_OVERRIDES = tuple(name for name in ALLOWED if name != "tolerations")
_TOLERATION = {"key", "operator", "value", "effect"}
_HOME = "/home"


@dataclass(slots=True)
class Pool:
    """Nodes by labels and taints, and the GPUs that sizes find there by type."""

    name: str
    node_selector: dict[str, str]
    tolerations: list[dict[str, Any]]
    gpus: dict[str, dict[str, str]] = field(default_factory=dict)
    warm: int = 0


def pool_of(traits: Traits, where: str, pools: list[Pool], notes: Notes) -> Pool:
    """The pool of a variant; made if it is the first there."""
    selector = {str(key): str(value) for key, value in (traits.get("node_selector") or {}).items()}
    tolerations = []
    for one in as_list(traits.get("tolerations")):
        kept = {key: one[key] for key in one if key in _TOLERATION and one[key] not in (None, "")}
        for key in sorted(set(one) - _TOLERATION):
            notes.add(f"{where}.tolerations", f"`{key}` is not taken")
        if "key" in kept:
            tolerations.append(kept)
        else:
            notes.add(f"{where}.tolerations", "one without a key tolerates every taint; it was left out")
    for pool in pools:
        if (pool.node_selector, pool.tolerations) == (selector, tolerations):
            return pool
    made = Pool(_pool_name(selector, pools), selector, tolerations)
    pools.append(made)
    return made


def cluster_settings(variants: Sequence[Variant], pools: Sequence[Pool], source: Source) -> dict[str, Any]:
    """What is the same for all variants, as settings of a cluster; what is not, is noted."""
    notes = source.notes
    settings: dict[str, Any] = {}
    overrides: dict[str, Any] = {}
    for name in sorted({name for variant in variants for name in variant.traits} - _ELSEWHERE):
        values = [_value(variant, name) for variant in variants]
        if all(value in _NOTHING for value in values):
            continue
        if name not in _OVERRIDES and name not in _SETTINGS:
            _leave(name, variants, values, notes)
        elif any(value != values[0] for value in values):
            text = "differs between profiles; it is one for all sessions of a cluster, and was left out"
            notes.add(name, text)
        elif name in _OVERRIDES:
            overrides[name] = values[0]
        else:
            settings[_SETTINGS[name]] = values[0]
    if kept := _checked(overrides, notes):
        settings["kubespawner"] = kept
    if storage := _storage(source):
        settings["storage"] = storage
    settings["pools"] = {pool.name: _pool(pool) for pool in pools}
    return settings


def _leave(name: str, variants: Sequence[Variant], values: Sequence[Any], notes: Notes) -> None:
    if name == "default_url" and set(values) <= {None, "", "/lab"}:
        return  # what every session shows first
    is_same = all(value == values[0] for value in values)
    for variant, value in zip(variants, values, strict=True):
        if value not in _NOTHING:
            where = "all profiles" if is_same else variant.where
            notes.add(f"{where}.{name}", REFUSED.get(name, "KubeSpawner has no such trait"))


def _value(variant: Variant, name: str) -> Any:
    value = variant.traits.get(name)
    if name.startswith("extra_resource_"):
        return {key: item for key, item in (value or {}).items() if not is_gpu(str(key))}
    if name == "image_pull_secrets" and value:
        secrets = [value] if isinstance(value, str) else as_list(value)
        return [one.get("name") if isinstance(one, dict) else one for one in secrets]
    return value


def _checked(overrides: dict[str, Any], notes: Notes) -> dict[str, Any]:
    """Those that our settings take."""
    from spawners.kubernetes.overrides import OverrideError, check_overrides

    kept: dict[str, Any] = {}
    for name, value in overrides.items():
        whole = value if isinstance(value, dict) and name.startswith("extra_") else None
        parts = [{name: {key: item}} for key, item in whole.items()] if whole else [{name: value}]
        for part in parts:
            try:
                check_overrides(part)
            except OverrideError as error:
                notes.add(name, str(error).partition(": ")[2])
                continue
            if whole is None:
                kept |= part
            else:
                kept[name] = {**kept.get(name, {}), **part[name]}
    return kept


def _pool(pool: Pool) -> dict[str, Any]:
    parts = {
        "node_selector": pool.node_selector,
        "tolerations": pool.tolerations,
        "gpus": pool.gpus,
        "warm": {"pods": pool.warm} if pool.warm else None,
    }
    return {name: part for name, part in parts.items() if part}


def _storage(source: Source) -> list[dict[str, Any]]:
    """Volumes of the sessions as storage of the cluster; who sees what of it is the catalogue's here."""
    storage, notes = source.storage, source.notes
    found: list[dict[str, Any]] = []
    match storage.get("type"):
        case "static":
            static = storage.get("static") or {}
            above = str(static.get("subPath") or "").partition("{username}")[0].strip("/")
            claim = {"kind": "claim", "claim": static.get("pvcName")}
            found.append({"path": _HOME, "source": claim | ({"sub_path": above} if above else {})})
            text = f"homes are folders of accounts here: {_HOME} has to be what lies above their `home`"
            notes.add("singleuser.storage.static", text)
        case None | "none":
            pass
        case "dynamic":
            text = "a volume for each person cannot be taken: copy them into one storage, a folder each"
            notes.add("singleuser.storage.dynamic", text)
        case other:
            notes.add("singleuser.storage.type", f"`{other}` is not known")
    sources = {one.get("name"): one for one in as_list(storage.get("extraVolumes"))}
    for mount in as_list(storage.get("extraVolumeMounts")):
        volume = sources.get(mount.get("name"), {})
        where = f"singleuser.storage.extraVolumeMounts.{mount.get('name')}"
        taken = _source(volume, str(mount.get("subPath") or ""))
        if taken is None or _has_template((mount, volume)):
            notes.add(where, "is no volume that all sessions share, and was left out")
            continue
        found.append({"path": str(mount["mountPath"]), "source": taken})
        text = "is storage of the cluster now; sessions see of it what the catalogue grants, each its own"
        notes.add(where, text)
    for name in sorted(set(storage) - {"type", "static", "dynamic", "extraVolumes", "extraVolumeMounts"}):
        if storage[name] not in _NOTHING:
            notes.add(f"singleuser.storage.{name}", "belongs to volumes that are made for each person")
    return found


def _source(volume: dict[str, Any], sub_path: str) -> dict[str, Any] | None:
    if claim := (volume.get("persistentVolumeClaim") or {}).get("claimName"):
        return {"kind": "claim", "claim": claim} | ({"sub_path": sub_path} if sub_path else {})
    below = f"/{sub_path}" if sub_path else ""
    if nfs := volume.get("nfs"):
        return {"kind": "nfs", "server": nfs.get("server"), "export": f"{nfs.get('path')}{below}"}
    if host := volume.get("hostPath"):
        return {"kind": "host", "path": f"{host.get('path')}{below}"}
    return None


def _has_template(value: Any) -> bool:
    """Whether it is another for each person."""
    if isinstance(value, dict):
        return any(map(_has_template, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_has_template, value))
    return "{" in str(value)


def _pool_name(selector: dict[str, str], pools: Sequence[Pool]) -> str:
    """From the labels, as people know these nodes; the first is the default."""
    if not pools:
        return "default"
    words = "-".join(value for _, value in sorted(selector.items()))
    kept = "".join(one if one.isalnum() or one in "-." else "-" for one in words.lower()).strip("-.")[:40]
    name = kept or "pool"
    number = 2
    while name in {pool.name for pool in pools}:
        name, number = f"{kept or 'pool'}-{number}", number + 1
    return name
