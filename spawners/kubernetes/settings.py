"""What an operator sets for Kubernetes clusters."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

ClusterName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
ObjectName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
"""Name of a Kubernetes object (RFC 1123 subdomain)."""

LabelKey = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
    ),
]
LabelValue = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")]
ResourceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]+/[A-Za-z0-9_.-]+$")]


class Closed(BaseModel):
    """Base of these settings: frozen, unknown keys stop the start."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ClaimSource(Closed):
    """A PersistentVolumeClaim of the sessions' namespace."""

    kind: Literal["claim"]
    claim: ObjectName = Field(description="Name of the claim.")
    sub_path: PurePosixPath = Field(
        default=PurePosixPath("."), description="Folder of the volume that `path` is, relative to its root."
    )

    @field_validator("sub_path")
    @classmethod
    def _is_below(cls, value: PurePosixPath) -> PurePosixPath:
        if value.is_absolute() or ".." in value.parts:
            raise ValueError("must be a relative path without `..`")
        return value


class NfsSource(Closed):
    """An NFS export."""

    kind: Literal["nfs"]
    server: str = Field(pattern=r"^[A-Za-z0-9.:-]+$", description="Address of the server.")
    export: PurePosixPath = Field(description="Exported folder that `path` is.")


class HostSource(Closed):
    """A folder of every node: a parallel file system that is mounted there (GPFS, Lustre)."""

    kind: Literal["host"]
    path: PurePosixPath = Field(description="Folder on the nodes that `path` is.")


class StorageSettings(Closed):
    """A folder of the site, and the volume by which pods have it."""

    path: PurePosixPath = Field(description="Folder as the engine and the account's home name it.")
    source: ClaimSource | NfsSource | HostSource = Field(
        discriminator="kind", description="The volume behind it."
    )

    @field_validator("path")
    @classmethod
    def _is_absolute(cls, value: PurePosixPath) -> PurePosixPath:
        if not value.is_absolute() or ".." in value.parts:
            raise ValueError("must be an absolute path without `..`")
        return value


class Toleration(Closed):
    """A taint of nodes that sessions tolerate."""

    key: LabelKey
    operator: Literal["Exists", "Equal"] = "Equal"
    value: LabelValue = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class GpuSettings(Closed):
    """Where the GPUs of one type are."""

    resource: ResourceName = Field(default="nvidia.com/gpu", description="Extended resource of the devices.")
    node_selector: dict[LabelKey, LabelValue] = Field(
        default_factory=dict,
        description="Labels of the nodes that have this type.",
        examples=[{"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"}],
    )


class WarmSettings(Closed):
    """Room that is kept for the next sessions by placeholder pods of lower priority."""

    pods: Annotated[int, Field(ge=0, le=500, strict=True)] = Field(default=0, description="How many.")
    cpus: Annotated[float, Field(gt=0, le=4096)] = Field(default=1, description="CPUs of each.")
    memory_mib: Annotated[int, Field(ge=16, strict=True)] = Field(
        default=2048, description="Memory of each in MiB."
    )
    image: str | None = Field(
        default=None,
        description="Image of the placeholders; that of the sessions' environment has it on the nodes "
        "before anybody asks. It must have `sleep`. Null takes `pause_image`.",
    )
    priority_class: ObjectName = Field(
        default="panhub-warm", description="PriorityClass of the placeholders, below that of sessions."
    )


class PoolSettings(Closed):
    """A part of the cluster that a place stands for, as a partition is of a Slurm cluster."""

    node_selector: dict[LabelKey, LabelValue] = Field(
        default_factory=dict, description="Labels of its nodes; empty: any node."
    )
    tolerations: tuple[Toleration, ...] = Field(default=(), description="Taints of its nodes.")
    gpus: dict[str, GpuSettings] = Field(
        default_factory=dict, description="GPUs by type as sizes name it; `any` is taken where none is named."
    )
    warm: WarmSettings = Field(default=WarmSettings(), description="Room kept for the next sessions.")


class KubernetesClusterSettings(Closed):
    """One Kubernetes cluster."""

    kubeconfig: Path | None = Field(
        default=None, description="File to reach it by; null: the service runs in it, as a pod with a token."
    )
    context: str | None = Field(default=None, description="Context of the file; null takes its current one.")
    namespace: ObjectName = Field(
        default="panhub-sessions", description="Namespace of the sessions, for them alone."
    )
    report_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
        description="Base URL at which pods reach the service; null takes the service's session_report_url.",
    )
    hub_api_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
        description="URL at which pods reach the hub's API; null takes the one the hub gives to sessions.",
    )
    storage: tuple[StorageSettings, ...] = Field(
        default=(), description="What of the site's storage pods can have, homes included."
    )
    pools: dict[ClusterName, PoolSettings] = Field(
        default_factory=lambda: {"default": PoolSettings()}, description="Parts of the cluster by name."
    )
    cpu_reserved: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0,
        description="Share of a session's CPUs that is reserved for it (its request); the size is its limit.",
    )
    service_account: ObjectName = Field(
        default="panhub-session", description="Service account of the pods. Its token is not given to them."
    )
    priority_class: ObjectName | None = Field(default=None, description="PriorityClass of sessions.")
    runtime_class: ObjectName | None = Field(
        default=None, description="RuntimeClass of sessions (gVisor, Kata)."
    )
    image_pull_policy: Literal["IfNotPresent", "Never", "Always"] = Field(
        default="IfNotPresent", description="When nodes fetch an image."
    )
    image_pull_secrets: tuple[ObjectName, ...] = Field(
        default=(), description="Secrets of the namespace for the registry."
    )
    pause_image: str | None = Field(
        default=None,
        min_length=1,
        description="Image of placeholders without one of their own: it only waits (Kubernetes' pause).",
    )
    tmp_mib: Annotated[int, Field(ge=64, strict=True)] = Field(
        default=4096, description="Size of /tmp in MiB; on the node's disk."
    )
    sees_nodes: bool = Field(
        default=False,
        strict=True,
        description="Whether the service may list nodes (a ClusterRole): what is free is known then.",
    )
    pull_patience_s: Annotated[int, Field(ge=10, le=7200)] = Field(
        default=300,
        description="A session whose image cannot be fetched is given up after this many seconds.",
    )
    kubespawner: dict[str, Any] = Field(
        default_factory=dict,
        description="Traits of KubeSpawner that shape a pod, for what has no setting here "
        "(`extra_annotations`, `node_affinity_required`, …). What the plan or security decides is refused.",
    )

    @model_validator(mode="after")
    def _has_a_pool(self) -> Self:
        if not self.pools:
            raise ValueError("`pools` needs one entry at least")
        return self

    def pools_without_image(self) -> list[str]:
        """Pools that are to keep placeholders, of no image that anything names: no service starts so."""
        return [
            name for name, pool in self.pools.items() if pool.warm.pods and not self.placeholder_image(name)
        ]

    def placeholder_image(self, pool: str) -> str | None:
        """Image of a pool's placeholders."""
        return self.pools[pool].warm.image or self.pause_image

    @model_validator(mode="after")
    def _takes_overrides(self) -> Self:
        if not self.kubespawner:
            return self
        from spawners.kubernetes.overrides import check_overrides

        check_overrides(self.kubespawner)
        gpus = {gpu.resource for pool in self.pools.values() for gpu in pool.gpus.values()}
        for name in ("extra_resource_limits", "extra_resource_guarantees"):
            if counted := gpus & set(self.kubespawner.get(name, ())):
                raise ValueError(f"`kubespawner.{name}`: {min(counted)} is given by sizes (`gpus`)")
        return self


class KubernetesSettings(Closed):
    """All Kubernetes clusters."""

    clusters: dict[ClusterName, KubernetesClusterSettings] = Field(
        default_factory=dict, description="Clusters by the name that places give."
    )
