"""Which traits of KubeSpawner may shape a session's pod here, and what becomes of the others?

Sites that come from zero-to-jupyterhub know their clusters by these names. What places a pod and what
labels it is taken, as KubeSpawner takes it but for its ``{username}`` templates. What the plan or
security decides is refused with a sentence that names the setting for it here, and so is what would
let other programs into a pod that has a person's data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from spawners.kubernetes import naming

ALLOWED: Final = (
    "extra_annotations",
    "extra_labels",
    "extra_resource_guarantees",
    "extra_resource_limits",
    "node_affinity_preferred",
    "node_affinity_required",
    "pod_affinity_preferred",
    "pod_affinity_required",
    "pod_anti_affinity_preferred",
    "pod_anti_affinity_required",
    "scheduler_name",
    "tolerations",
)

_CLUSTER = "`{}` of the cluster is the setting for it"
_ACCOUNT = "sessions run as the person's POSIX account, with its groups, and without any privilege"
_PROGRAMS = "nothing but the session's own program runs in a pod that has a person's data"
_STORAGE = "volumes are made from the plan: `storage` of the cluster says what there is"
_FIXED = "names and labels of pods are ours; `extra_labels` adds to them"
_ONE_PROGRAM = "every session starts the same program; an image sets variables by its own ENV"
_REACH = "`kubeconfig`, `context` and `namespace` of the cluster say how it is reached"
_SIZES = "`sizes` of the profiles file are the setting for it"
_PROFILES = "profiles are in the profiles file; `panhub import-profiles` makes one from `profile_list`"
_HUB = "the hub's spawner is not KubeSpawner; the engine decides this itself"

_REFUSED: Final = {
    _CLUSTER.format("image_pull_policy"): ("image_pull_policy",),
    _CLUSTER.format("image_pull_secrets"): ("image_pull_secrets",),
    _CLUSTER.format("service_account"): ("service_account",),
    _CLUSTER.format("priority_class"): ("priority_class_name",),
    _CLUSTER.format("pools.<pool>.node_selector"): ("node_selector",),
    "`container` of an environment in the profiles file is the setting for it, by digest": (
        "image",
        "image_spec",
    ),
    "sessions have no token of a service account, whatever else is set": ("automount_service_account_token",),
    _ACCOUNT: (
        "uid",
        "gid",
        "fs_gid",
        "supplemental_gids",
        "privileged",
        "allow_privilege_escalation",
        "container_security_context",
        "pod_security_context",
    ),
    _PROGRAMS: (
        "lifecycle_hooks",
        "init_containers",
        "extra_containers",
        "extra_container_config",
        "extra_pod_config",
        "modify_pod_hook",
        "after_pod_created_hook",
        "pre_spawn_hook",
        "post_stop_hook",
        "auth_state_hook",
        "progress_ready_hook",
    ),
    _STORAGE: (
        "volumes",
        "volume_mounts",
        "storage_access_modes",
        "storage_capacity",
        "storage_class",
        "storage_extra_annotations",
        "storage_extra_labels",
        "storage_pvc_ensure",
        "storage_selector",
        "pvc_name_template",
        "remember_pvc_name",
        "delete_pvc",
    ),
    _FIXED: (
        "common_labels",
        "component_label",
        "dns_name_template",
        "handle_legacy_names",
        "pod_name_template",
        "secret_mount_path",
        "secret_name_template",
        "slug_scheme",
    ),
    _ONE_PROGRAM: (
        "args",
        "cmd",
        "debug",
        "default_url",
        "disable_user_config",
        "env_keep",
        "environment",
        "ip",
        "notebook_dir",
        "port",
        "working_dir",
    ),
    _REACH: (
        "enable_user_namespaces",
        "k8s_api_host",
        "k8s_api_request_retry_timeout",
        "k8s_api_request_timeout",
        "k8s_api_ssl_ca_cert",
        "k8s_api_threadpool_workers",
        "k8s_api_verify_ssl",
        "namespace",
        "user_namespace_annotations",
        "user_namespace_labels",
        "user_namespace_template",
    ),
    _CLUSTER.format("hub_api_url"): ("hub_connect_ip", "hub_connect_port", "hub_connect_url"),
    _SIZES: ("cpu_guarantee", "cpu_limit", "mem_guarantee", "mem_limit"),
    _PROFILES: (
        "additional_profile_form_template_paths",
        "group_overrides",
        "options_form",
        "options_from_form",
        "profile_form_template",
        "profile_list",
        "apply_user_options",
    ),
    _HUB: (
        "consecutive_failure_limit",
        "delete_grace_period",
        "delete_stopped_pods",
        "events_enabled",
        "get_pod_url",
        "http_timeout",
        "oauth_client_allowed_scopes",
        "oauth_roles",
        "pod_connect_ip",
        "poll_interval",
        "poll_jitter",
        "server_token_scopes",
        "services_enabled",
        "slow_spawn_message",
        "slow_spawn_message_frequency",
        "slow_spawn_message_threshold",
        "ssl_alt_names",
        "ssl_alt_names_include_local",
        "start_timeout",
    ),
}

REFUSED: Final[Mapping[str, str]] = {name: why for why, names in _REFUSED.items() for name in names}
"""Every other trait that KubeSpawner 7.1 can be configured by, with a sentence for who sets it."""

_OURS = ("panhub.org/", "app.kubernetes.io/component", "app.kubernetes.io/managed-by")
_OUR_LABELS = (naming.PERSON_LABEL, naming.SERVER_LABEL)
_CONFINEMENT = re.compile(r"(^|\.)(apparmor|seccomp)\.security\.|^io\.kubernetes\.cri-o\.")
"""Annotations by which a container would be confined less than its specification says."""

_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?\Z")
_RESOURCE = re.compile(r"(ephemeral-storage|hugepages-[0-9]+[KMG]i|[a-z0-9.-]+/[A-Za-z0-9_.-]+)\Z")
_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?([KMGTP]i?|k|m)?\Z")


class OverrideError(ValueError):
    """A trait that cannot be taken; the text says why and what to do."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"`{name}`: {why}")


def check_overrides(given: Mapping[str, Any]) -> None:
    """Look whether all of it can be taken.

    Loads KubeSpawner (seconds), so nothing is done for none.

    Raises
    ------
    OverrideError
        For the first that cannot.
    """
    if not given:
        return
    for name, value in given.items():
        if name not in ALLOWED:
            raise OverrideError(name, REFUSED.get(name, "KubeSpawner has no such trait"))
        _check_kind(name, value)
        if name in ("extra_labels", "extra_annotations"):
            _check_metadata(name, value)
        elif name.startswith("extra_resource_"):
            _check_resources(name, value)
    _check_scheduling(given)


def of_make_pod(given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `kubespawner.objects.make_pod` for where a pod may run."""
    names = (name for name in given if "affinity" in name)
    found = {name: as_list(given[name]) for name in names}
    return found | ({"scheduler_name": given["scheduler_name"]} if given.get("scheduler_name") else {})


def as_list(value: Any) -> list[Any]:
    """A list that KubeSpawner takes as a dictionary too, whose keys order it."""
    return [value[key] for key in sorted(value)] if isinstance(value, Mapping) else list(value)


def _check_kind(name: str, value: Any) -> None:
    from kubespawner import KubeSpawner
    from traitlets import HasTraits, TraitError

    try:
        KubeSpawner.class_traits()[name]._validate(type("KubeSpawner", (HasTraits,), {})(), value)
    except TraitError as error:
        raise OverrideError(name, f"KubeSpawner does not take it: {error}") from error


def _check_metadata(name: str, value: Mapping[Any, Any]) -> None:
    for key, text in value.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise OverrideError(name, f"{key}: keys and values are texts")
        if key.startswith(_OURS) or key in _OUR_LABELS:
            raise OverrideError(name, f"{key} is ours")
        if name == "extra_annotations" and _CONFINEMENT.search(key):
            raise OverrideError(name, f"{key}: how a session is confined is not for an annotation to say")
        if re.search(r"\{[a-z_]+\}", text):
            raise OverrideError(name, f"{key}: templates like `{text}` are not filled in here")
        if name == "extra_labels" and not _LABEL_VALUE.match(text):
            raise OverrideError(name, f"{key}: `{text}` is no value of a label")


def _check_resources(name: str, value: Mapping[Any, Any]) -> None:
    for key, amount in value.items():
        if not isinstance(key, str) or not _RESOURCE.match(key):
            raise OverrideError(name, f"{key}: {_SIZES if key in ('cpu', 'memory') else 'no such resource'}")
        if isinstance(amount, bool) or not _QUANTITY.match(str(amount)):
            raise OverrideError(name, f"{key}: `{amount}` is no amount")


def _check_scheduling(given: Mapping[str, Any]) -> None:
    """Make a pod of it: the client's models know which fields there are."""
    from kubespawner.objects import make_pod

    pieces = of_make_pod(given) | {"tolerations": as_list(given.get("tolerations", ()))}
    for name, value in pieces.items():
        try:
            make_pod("name", cmd=None, port=1, image="image", **{name: value})
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise OverrideError(name, f"Kubernetes does not know it: {error}") from error
