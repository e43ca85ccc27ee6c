"""Which pod and which secret run a plan? Pure: nothing here talks to a cluster.

The pod is KubeSpawner's (`kubespawner.objects.make_pod`), with what it does not know added. All that
JupyterHub gives a session is in the secret and nothing of it in the pod, since which of its variables
are secret is not for us to guess; nor does the pod's specification hold arguments of a person.

Whatever the settings say, a session's pod has no privilege, no capability, no token of a service
account, no namespace of its node and no writable image. It has no ``fsGroup`` either: the kubelet would
hand the site's data over to that group, file by file, on volumes that allow it (a `local` one does).
So the secret's files are readable by all in the pod, which is the person alone.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from kubespawner.objects import make_pod
from kubespawner.slugs import is_valid_label, safe_slug

from spawners.backend import SubmitError
from spawners.kubernetes import naming, overrides
from spawners.kubernetes.mounts import volumes_and_mounts
from spawners.kubernetes.naming import pod_name
from spawners.kubernetes.settings import GpuSettings, KubernetesClusterSettings, PoolSettings
from spawners.plan import Credentials, LaunchPlan, Size
from spawners.session.environment import passed_on
from spawners.session.proof import TOKEN_VARIABLE
from spawners.session.view import group, passwd

GRACE_S: Final = 45
"""Given to a pod to end: its first process gives the server 30 s, and 3 s go to the log's last lines."""

_CODE = "/opt/panhub/session/pod.py"
_NOBODY = 65534
_MOST_LABEL = 63


@dataclass(frozen=True, slots=True)
class SessionObjects:
    """What is created for a session, as plain JSON; the secret gets its owner by `owned_by`."""

    pod: dict[str, Any]
    secret: dict[str, Any]


def label_value(text: str) -> str:
    """A text as the value of a label: itself where that is allowed, else a slug with a digest."""
    found: str = safe_slug(text, is_valid=is_valid_label, max_length=_MOST_LABEL)
    return found


def owned_by(secret: Mapping[str, Any], uid: str) -> dict[str, Any]:
    """The secret of a session, to be removed by the cluster together with the pod of this uid."""
    owner = {"apiVersion": "v1", "kind": "Pod", "name": secret["metadata"]["name"], "uid": uid}
    return {**secret, "metadata": {**secret["metadata"], "ownerReferences": [owner]}}


def gpus_of(pool: PoolSettings, size: Size) -> GpuSettings | None:
    """Where the pool has a size's GPUs; None if it has none such, or none are asked for."""
    if not size.gpus:
        return None
    if size.gpu_type:
        return pool.gpus.get(size.gpu_type)
    return pool.gpus.get("any") or (next(iter(pool.gpus.values())) if len(pool.gpus) == 1 else None)


def session_objects(
    plan: LaunchPlan, credentials: Credentials, cluster: KubernetesClusterSettings, pool: str
) -> SessionObjects:
    """The objects of a session in a pool of a cluster.

    Raises
    ------
    SubmitError
        If the cluster cannot have what the plan needs: a folder that no storage has, GPUs that the pool
        does not have, an environment without a container.
    """
    return SessionObjects(_session_pod(plan, credentials, cluster, pool), _secret(plan, credentials, cluster))


def _session_pod(
    plan: LaunchPlan, credentials: Credentials, cluster: KubernetesClusterSettings, pool: str
) -> dict[str, Any]:
    account, environment = plan.account, plan.environment
    if not environment.container:
        raise SubmitError(f"The environment “{environment.title}” has no container image.")
    prefix = environment.container_prefix or environment.prefix
    volumes, mounts = volumes_and_mounts(plan, cluster)
    labels = {
        naming.LAUNCH_LABEL: plan.launch_id,
        naming.PERSON_LABEL: label_value(plan.username),
        naming.SERVER_LABEL: label_value(plan.server_name),
    }
    variables: dict[str, str | dict[str, Any]] = {
        "HOME": f"/home/{account.name}",
        "PANHUB_PREFIX": str(prefix),
        "PANHUB_REPORT_BASE": report_base(credentials, cluster),
        "PANHUB_WALLTIME_S": str(int(plan.walltime.total_seconds())),
        "PANHUB_NODE_NAME": _field("spec.nodeName"),
        "PANHUB_POD_IPS": _field("status.podIPs"),
    }
    if not plan.size.gpus:
        # CUDA's images say "all", and NVIDIA's container runtime would give them what nobody asked for.
        variables["NVIDIA_VISIBLE_DEVICES"] = "void"
    pod = _pod(
        pod_name(plan.launch_id),
        cluster,
        pool,
        component=naming.SESSION,
        labels=labels,
        image=environment.container,
        env={name: _literal(value) for name, value in variables.items()},
        volumes=volumes,
        volume_mounts=mounts,
        priority_class_name=cluster.priority_class,
        **_resources(plan.size, cluster, pool),
    )
    metadata, spec = pod["metadata"], pod["spec"]
    metadata["finalizers"] = [naming.FINALIZER]
    metadata["annotations"] |= {
        naming.PERSON_ANNOTATION: plan.username,
        naming.SERVER_ANNOTATION: plan.server_name,
        naming.PLACE_ANNOTATION: plan.place,
        naming.CPUS_ANNOTATION: str(plan.size.cpus),
        naming.MEMORY_ANNOTATION: str(plan.size.memory_mib),
        naming.GPUS_ANNOTATION: str(plan.size.gpus),
    }
    spec["restartPolicy"] = "Never"
    spec["terminationGracePeriodSeconds"] = GRACE_S
    spec["securityContext"] |= {
        "runAsUser": account.uid,
        "runAsGroup": account.gid,
        "supplementalGroups": list(account.groups),
        # Groups of the image's own /etc/group are none of the person's.
        "supplementalGroupsPolicy": "Strict",
    }
    container = spec["containers"][0]
    container["command"] = [f"{prefix}/bin/python", "-I", "-S", _CODE]
    container["workingDir"] = "/"
    return pod


def placeholder_pod(cluster: KubernetesClusterSettings, pool: str, name: str) -> dict[str, Any]:
    """A pod that keeps room (and an image) for the next session, and gives way to it at once."""
    warm = cluster.pools[pool].warm
    image = cluster.placeholder_image(pool)
    assert image is not None, "`hub.backends` sees to it"
    cpus, memory = f"{round(1000 * warm.cpus)}m", f"{warm.memory_mib}Mi"
    pod = _pod(
        name,
        cluster,
        pool,
        component=naming.PLACEHOLDER,
        labels={},
        image=image,
        priority_class_name=warm.priority_class,
        cpu_guarantee=cpus,
        cpu_limit=cpus,
        mem_guarantee=memory,
        mem_limit=memory,
        node_selector=dict(cluster.pools[pool].node_selector),
    )
    spec = pod["spec"]
    spec["containers"][0].pop("ports")
    spec["restartPolicy"] = "Always"
    spec["terminationGracePeriodSeconds"] = 0
    spec["securityContext"] |= {"runAsUser": _NOBODY, "runAsGroup": _NOBODY}
    if warm.image:
        spec["containers"][0]["command"] = ["sleep", "infinity"]
    return pod


def report_base(credentials: Credentials, cluster: KubernetesClusterSettings) -> str:
    """Base address at which the pod reaches the engine, without a slash at its end."""
    base = cluster.report_url or credentials.report_url.rpartition("/internal/reports/")[0]
    return base.rstrip("/")


def _secret(plan: LaunchPlan, credentials: Credentials, cluster: KubernetesClusterSettings) -> dict[str, Any]:
    account = plan.account
    given = passed_on(credentials.environment)
    if cluster.hub_api_url:
        theirs, ours = given.get("JUPYTERHUB_API_URL", "").rstrip("/"), cluster.hub_api_url.rstrip("/")
        if theirs and (activity := given.get("JUPYTERHUB_ACTIVITY_URL", "")).startswith(f"{theirs}/"):
            given["JUPYTERHUB_ACTIVITY_URL"] = ours + activity[len(theirs) :]
        given["JUPYTERHUB_API_URL"] = ours
    files = {
        "launch-id": plan.launch_id,
        "token": credentials.environment[TOKEN_VARIABLE],
        "environment": json.dumps(given),
        "passwd": passwd(account.name, account.uid, account.gid, f"/home/{account.name}"),
        "group": group(account.name, account.gid),
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": pod_name(plan.launch_id),
            "labels": {
                naming.MANAGER_LABEL: naming.MANAGER,
                naming.COMPONENT_LABEL: naming.SESSION,
                naming.LAUNCH_LABEL: plan.launch_id,
            },
        },
        "type": "Opaque",
        "immutable": True,
        "data": {name: base64.b64encode(text.encode()).decode() for name, text in files.items()},
    }


def _resources(size: Size, cluster: KubernetesClusterSettings, pool_name: str) -> dict[str, Any]:
    """Requests, limits and the nodes that have them, as arguments of ``make_pod``."""
    pool, memory = cluster.pools[pool_name], f"{size.memory_mib}Mi"
    selector = dict(pool.node_selector)
    limits = dict(cluster.kubespawner.get("extra_resource_limits", {}))
    guarantees = dict(cluster.kubespawner.get("extra_resource_guarantees", {}))
    if size.gpus:
        gpus = gpus_of(pool, size)
        if gpus is None:
            raise SubmitError(f"This place has no GPU of the type {size.gpu_type or 'asked for'}.")
        limits[gpus.resource] = guarantees[gpus.resource] = str(size.gpus)
        selector |= gpus.node_selector
    return {
        "cpu_guarantee": f"{max(1, round(1000 * size.cpus * cluster.cpu_reserved))}m",
        "cpu_limit": str(size.cpus),
        "mem_guarantee": memory,
        "mem_limit": memory,
        "extra_resource_limits": limits,
        "extra_resource_guarantees": guarantees,
        "node_selector": selector,
    }


def _pod(
    name: str,
    cluster: KubernetesClusterSettings,
    pool_name: str,
    *,
    component: str,
    labels: Mapping[str, str],
    image: str,
    **more: Any,
) -> dict[str, Any]:
    """What pods of ours have in common; the caller sets user, restart policy and grace."""
    pool, given = cluster.pools[pool_name], cluster.kubespawner
    pod = _plain(
        make_pod(
            name,
            cmd=None,
            port=naming.PORT,
            image=image,
            image_pull_policy=cluster.image_pull_policy,
            image_pull_secrets=list(cluster.image_pull_secrets) or None,
            labels={
                **given.get("extra_labels", {}),
                naming.MANAGER_LABEL: naming.MANAGER,
                naming.COMPONENT_LABEL: component,
                naming.PLACE_LABEL: label_value(pool_name),
                **labels,
            },
            annotations=dict(given.get("extra_annotations", {})),
            service_account=cluster.service_account,
            automount_service_account_token=False,
            pod_security_context={"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            container_security_context={
                "privileged": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            },
            tolerations=[
                *(toleration.model_dump(exclude_none=True) for toleration in pool.tolerations),
                *overrides.as_list(given.get("tolerations", ())),
            ],
            **overrides.of_make_pod(given),
            **more,
        )
    )
    assert isinstance(pod, dict)
    pod["metadata"].setdefault("annotations", {})
    spec = pod["spec"]
    spec["enableServiceLinks"] = False
    if cluster.runtime_class:
        spec["runtimeClassName"] = cluster.runtime_class
    spec["containers"][0]["name"] = naming.CONTAINER
    return pod


def _field(path: str) -> dict[str, Any]:
    return {"valueFrom": {"fieldRef": {"fieldPath": path}}}


def _literal(value: str | dict[str, Any]) -> str | dict[str, Any]:
    """A variable that the kubelet leaves as it is: it takes ``$(NAME)`` for another one's value."""
    return value.replace("$", "$$") if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    """JSON of a model, as its ``ApiClient.sanitize_for_serialization`` has it, less empty lists."""
    match value:
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case str() | int() | float() | bool() | None:
            return value
    keys: Mapping[str, str] = value.attribute_map
    items = {key: _plain(getattr(value, name)) for name, key in keys.items()}
    return {key: item for key, item in items.items() if item is not None and item != []}
