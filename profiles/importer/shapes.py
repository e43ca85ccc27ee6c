"""What of a source has to be a mapping, a list or a number, so that the importer can read it.

Open, since it is other projects' schema: what is not named here is read as it comes, or noted and left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

_MOST_WORDS = 300

Mapped = dict[str, Any] | None
Entries = list[dict[str, Any]] | dict[str, dict[str, Any]] | None
"""A list that KubeSpawner takes as a mapping too, whose keys order it."""

Scalar = str | int | float | bool | None
Count = Annotated[int, Field(ge=0, le=10**9)] | None


class SourceError(Exception):
    """The file cannot be read as what it should be; the text says why."""


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Image(_Open):
    name: Scalar = None
    tag: Scalar = None


class _Volume(_Open):
    name: Scalar = None
    persistentVolumeClaim: Mapped = None  # noqa: N815 - Kubernetes' own name, as all below
    nfs: Mapped = None
    hostPath: Mapped = None  # noqa: N815


class _Mount(_Open):
    name: Scalar = None
    mountPath: str  # noqa: N815
    subPath: Scalar = None  # noqa: N815


class _Storage(_Open):
    type: Scalar = None
    static: Mapped = None
    extraVolumes: list[_Volume] | dict[str, _Volume] | None = None  # noqa: N815
    extraVolumeMounts: list[_Mount] | dict[str, _Mount] | None = None  # noqa: N815


class _Singleuser(_Open):
    image: _Image | None = None
    storage: _Storage | None = None


class _HubConfig(_Open):
    Spawner: Mapped = None
    KubeSpawner: Mapped = None


class _Hub(_Open):
    config: _HubConfig | None = None
    extraConfig: Mapped = None  # noqa: N815


class _Affinity(_Open):
    matchNodePurpose: Scalar = None  # noqa: N815


class _UserPods(_Open):
    tolerations: Entries = None
    nodeAffinity: _Affinity | None = None  # noqa: N815


class _Placeholder(_Open):
    replicas: Count = None


class _Scheduling(_Open):
    userPods: _UserPods | None = None  # noqa: N815
    userPlaceholder: _Placeholder | None = None  # noqa: N815
    podPriority: Mapped = None  # noqa: N815
    userScheduler: Mapped = None  # noqa: N815


class _Cull(_Open):
    timeout: Count = None
    maxAge: Count = None  # noqa: N815


class ValuesShape(_Open):
    """Parts of a values file."""

    hub: _Hub | None = None
    singleuser: _Singleuser | None = None
    scheduling: _Scheduling | None = None
    cull: _Cull | None = None


class _Choice(_Open):
    kubespawner_override: JsonValue = None


class _UnlistedChoice(_Open):
    kubespawner_override: Mapped = None


class _Option(_Open):
    choices: dict[str, _Choice] | None = None
    unlisted_choice: _UnlistedChoice | None = None


class ProfileShape(_Open):
    """One of a ``profile_list``."""

    profile_options: dict[str, _Option] | None = None


class TraitsShape(_Open):
    """Traits that are looked into, by whatever set them."""

    image: Scalar = None
    default_url: Scalar = None
    cpu_limit: Scalar = None
    cpu_guarantee: Scalar = None
    mem_limit: Scalar = None
    mem_guarantee: Scalar = None
    node_selector: Mapped = None
    tolerations: Entries = None
    node_affinity_required: Entries = None
    node_affinity_preferred: Entries = None
    extra_resource_limits: Mapped = None
    extra_resource_guarantees: Mapped = None
    image_pull_secrets: str | list[Any] | dict[str, Any] | None = None


_JSON: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)


def check_text_keys(content: Any) -> None:
    """All keys are texts, there is nothing that JSON has not, and nothing contains itself.

    Raises
    ------
    SourceError
        If not so.
    """
    try:
        _JSON.validate_python(content, strict=True)
    except ValidationError as error:
        # Of each place its kind is told too, before its name.
        first = error.errors()[0]
        raise SourceError(_words("", first["loc"][1::2], first["msg"])) from error


def check(shape: type[BaseModel], content: Any, where: str) -> None:
    """What stands at a place has one of the shapes above.

    Raises
    ------
    SourceError
        If a part of it is of another kind.
    """
    try:
        shape.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = [part for part in first["loc"] if "[" not in str(part)]  # without the kinds of a union
        raise SourceError(_words(where, place, first["msg"])) from error


def _words(where: str, place: Sequence[str | int], fault: str) -> str:
    named = ".".join([*filter(None, [where]), *map(str, place)])
    return f"{named[:_MOST_WORDS] or 'the file'}: {fault}"
