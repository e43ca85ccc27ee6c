"""Parts of the chart's values that several processes share: Kubernetes' own words, closed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from spawners.kubernetes.settings import LabelKey, LabelValue, ObjectName, Toleration

Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")]
"""Amount as Kubernetes writes it: `500m`, `2`, `256Mi`."""

MountPath = Annotated[str, StringConstraints(pattern=r"^/[^\x00-\x1f:]*$", max_length=500)]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
SecretKey = Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]{1,253}$")]
Network = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F.:]+/[0-9]{1,3}$")]
ImageName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][A-Za-z0-9._/:@-]{0,400}$")]
Port = Annotated[int, Field(ge=1, le=65535)]
UserId = Annotated[int, Field(ge=1, lt=2**32 - 1)]
Labels = dict[LabelKey, LabelValue]
Annotations = dict[LabelKey, str]


class Closed(BaseModel):
    """Base of the chart's values: frozen, unknown keys are refused, keys in Helm's manner (camelCase)."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class ImageSettings(Closed):
    """The image of all our processes."""

    repository: ImageName = Field(default="panhub/hub", description="Image, with the registry's address.")
    tag: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9_.-]{0,128}$",
        description="Tag; empty takes the version of the application that the chart is of.",
    )
    digest: str = Field(
        default="",
        pattern=r"^(sha256:[0-9a-f]{64})?$",
        description="Digest: what is named is what runs. It goes before the tag.",
    )
    pull_policy: Literal["IfNotPresent", "Never", "Always"] = Field(
        default="IfNotPresent", description="When nodes fetch it."
    )
    pull_secrets: tuple[ObjectName, ...] = Field(default=(), description="Secrets for the registry.")


class Amounts(Closed):
    """Processor and memory."""

    cpu: Quantity = Field(description="Processors.")
    memory: Quantity = Field(description="Memory.")


class Resources(Closed):
    """What a container is given, and the most it may take."""

    requests: Amounts = Field(description="What is reserved.")
    limits: Amounts = Field(description="The most.")


def resources(cpu: str, memory: str, most_cpu: str, most_memory: str) -> Resources:
    """Make resources of four amounts."""
    return Resources(
        requests=Amounts(cpu=cpu, memory=memory), limits=Amounts(cpu=most_cpu, memory=most_memory)
    )


class Expose(Closed):
    """How a service is seen from outside the cluster, beside an ingress."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field(
        default="ClusterIP", description="Type of the Kubernetes service."
    )
    node_port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="Port on the nodes for the type NodePort; null: any."
    )
    annotations: Annotations = Field(default_factory=dict, description="For the load balancer.")
    source_ranges: tuple[Network, ...] = Field(
        default=(), description="Networks that may come through the load balancer; none: all."
    )


class ClaimVolume(Closed):
    """A PersistentVolumeClaim of the release's namespace."""

    kind: Literal["claim"]
    claim: ObjectName = Field(description="Name of the claim.")


class NfsVolume(Closed):
    """An NFS export."""

    kind: Literal["nfs"]
    server: str = Field(pattern=r"^[A-Za-z0-9.:-]+$", description="Address of the server.")
    export: MountPath = Field(description="Exported folder.")


class HostVolume(Closed):
    """A folder of the nodes; the release's namespace must then allow privileged pods."""

    kind: Literal["host"]
    folder: MountPath = Field(description="Folder on the nodes.")


class ConfigMapVolume(Closed):
    """Files of a ConfigMap."""

    kind: Literal["configMap"]
    config_map: ObjectName = Field(description="Name of the ConfigMap.")


class SecretVolume(Closed):
    """Files of a Secret, as Kubernetes mounts them: readable for the group."""

    kind: Literal["secret"]
    secret: ObjectName = Field(description="Name of the Secret.")


class Volume(Closed):
    """A folder that a process sees."""

    path: MountPath = Field(description="Where the process sees it.")
    source: Annotated[
        ClaimVolume | NfsVolume | HostVolume | ConfigMapVolume | SecretVolume, Field(discriminator="kind")
    ] = Field(description="What it is.")
    sub_path: str = Field(
        default="", pattern=r"^([^/\x00-\x1f][^\x00-\x1f]*)?$", description="Folder within it; empty: all."
    )
    read_only: bool = Field(default=True, strict=True, description="Whether it can only be read.")


class SecretFile(Closed):
    """A key of a Secret that a process gets as a file of its own, which nobody else can read."""

    file: FileName = Field(description="Name of the file; its path is /run/panhub/files/NAME.")
    secret: ObjectName = Field(description="Name of the Secret.")
    key: SecretKey = Field(description="Key of the Secret.")


class Storage(Closed):
    """A claim that the chart makes."""

    size: Quantity = Field(description="Size.")
    storage_class: str | None = Field(
        default=None, description="StorageClass; null takes the cluster's default."
    )
    existing_claim: ObjectName | None = Field(default=None, description="A claim to take in its place.")


class Component(Closed):
    """Placement of a process."""

    node_selector: Labels = Field(default_factory=dict, description="Labels of its nodes.")
    tolerations: tuple[Toleration, ...] = Field(default=(), description="Taints of its nodes.")
    annotations: Annotations = Field(default_factory=dict, description="Annotations of its pod.")
    priority_class: ObjectName | None = Field(default=None, description="PriorityClass of its pod.")
