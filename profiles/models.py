"""The words of a site's profiles file, closed and checked.

A *profile* is what a person picks: an *environment* (the software), *places* (where it runs),
*sizes* to choose from, and limits of time. An *allow* rule says who may pick it. Unknown keys are
errors, so that a slip of the pen never widens what is offered. References between the parts are
checked here too; files on disk are the loader's matter.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from profiles.base import SOONEST, Closed, Duration, Id, Text, format_duration, parse_duration
from profiles.places import Architecture, KubernetesPlace, LocalPlace, PlaceEntry
from spawners.plan import Interface

__all__ = ["format_duration", "parse_duration"]

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

Module = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+/-]{0,99}$")]
"""A software module's name: no white space, nothing that a shell reads."""

ContainerImage = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._:/-]{0,254}@sha256:[0-9a-f]{64}$", max_length=400)
]
"""A container image by digest, so that what is named is what runs."""

Key = tuple[str | int, ...]


class BrokenReferenceError(ValueError):
    """A part names another that is not there. ``key`` is where, as path through the file."""

    def __init__(self, key: tuple[str | int, ...], cause: str) -> None:
        self.key = key
        super().__init__(cause)


class EnvironmentEntry(Closed):
    """Software that sessions run in. Exactly one of `lock` and `lock_sha256` is given."""

    title: Text = Field(description="Name that people read.", examples=["Photon and neutron basics"])
    description: str = Field(default="", max_length=1000, description="What is in it, in a sentence.")
    prefix: str = Field(
        min_length=1,
        description="Folder with `bin/jupyterhub-singleuser`: absolute as sessions see it, or relative to "
        "the root that the settings give.",
        examples=["/opt/panhub/environments/pan-core"],
    )
    lock: str | None = Field(
        default=None, description="Lock file it was built from (absolute, or relative to the root)."
    )
    lock_sha256: Sha256 | None = Field(default=None, description="Hash of the lock file, in its place.")
    kernel: Id = Field(default="python3", description="Name of the Jupyter kernel that notebooks run in.")
    modules: tuple[Module, ...] = Field(
        default=(),
        max_length=20,
        description="Software modules that are loaded first, in this order; the nodes must have `module`.",
        examples=[["cuda/12.4"]],
    )
    image: str | None = Field(
        default=None,
        min_length=1,
        description="Apptainer image in which the prefix lies (absolute, or relative to the root).",
        examples=["/opt/panhub/images/pan-core.sif"],
    )
    container: ContainerImage | None = Field(
        default=None,
        description="Container image in which it is built too, by digest: needed for places of Kubernetes.",
        examples=["registry.example.org/panhub/notebook-core@sha256:…"],
    )
    container_prefix: str | None = Field(
        default=None,
        pattern=r"^/[^\x00-\x1f]*$",
        description="Where the prefix lies in that image; null: at the same path.",
    )
    architectures: tuple[Architecture, ...] = Field(
        default=("x86_64",),
        min_length=1,
        description="CPU architectures that it is built for, as `uname -m` names them.",
    )
    desktop: bool = Field(
        default=False,
        strict=True,
        description="Whether a desktop can run in it: Xvnc and a window manager are where sessions run.",
    )

    @field_validator("container", mode="before")
    @classmethod
    def _is_by_digest(cls, value: object) -> object:
        if isinstance(value, str) and not re.search(r"@sha256:[0-9a-f]{64}\Z", value):
            raise ValueError("give the image by its digest (`name@sha256:…`): what is named is what runs")
        return value

    @model_validator(mode="after")
    def _prefix_of_an_image_is_absolute(self) -> Self:
        if self.image is not None and not self.prefix.startswith("/"):
            raise ValueError("the prefix of an environment in an image is absolute, as the image has it")
        return self

    @model_validator(mode="after")
    def _has_one_lock(self) -> Self:
        if (self.lock is None) == (self.lock_sha256 is None):
            raise ValueError("give exactly one of `lock` and `lock_sha256`")
        return self


class SizeEntry(Closed):
    """Resources of one session."""

    title: Text = Field(description="Name that people read.", examples=["Small"])
    cpus: Annotated[int, Field(ge=1, le=4096, strict=True)] = Field(description="CPU cores.")
    memory_mib: Annotated[int, Field(ge=256, le=64 * 1024 * 1024, strict=True)] = Field(
        description="Memory in MiB."
    )
    gpus: Annotated[int, Field(ge=0, le=64, strict=True)] = Field(default=0, description="GPU devices.")
    gpu_type: Id | None = Field(
        default=None, description="Type of the GPUs, as the scheduler names it; null: any.", examples=["a100"]
    )

    @model_validator(mode="after")
    def _type_goes_with_gpus(self) -> Self:
        if self.gpu_type is not None and not self.gpus:
            raise ValueError("`gpu_type` is given, but no `gpus`")
        return self


class CustomEntry(Closed):
    """The largest size of one's own."""

    cpus: Annotated[int, Field(ge=1, le=4096, strict=True)] = Field(description="Most CPU cores.")
    memory_mib: Annotated[int, Field(ge=256, le=64 * 1024 * 1024, strict=True)] = Field(
        description="Most memory in MiB."
    )
    gpus: Annotated[int, Field(ge=0, le=64, strict=True)] = Field(default=0, description="Most GPU devices.")
    gpu_types: tuple[Id, ...] = Field(
        default=(),
        description="Types of GPU that may be asked for; empty: those that the place has.",
        examples=[["a100"]],
    )


class Walltime(Closed):
    """How long a session may run."""

    default: Duration = Field(description="When nothing is asked.", examples=["2 h"])
    max: Duration = Field(description="The longest that may be asked, extensions included.", examples=["8 h"])

    @model_validator(mode="after")
    def _default_is_within(self) -> Self:
        if self.default > self.max:
            raise ValueError("`default` is longer than `max`")
        return self


class Rule(Closed):
    """Who may pick a profile: anybody who matches one entry of one list.

    Names are compared without regard to case, on both sides.
    """

    groups: tuple[Text, ...] = Field(
        default=(), description="Groups as identity gives them.", examples=[["staff:computing"]]
    )
    roles: tuple[Text, ...] = Field(default=(), description="Staff roles.", examples=[["operator"]])
    instruments: tuple[Text, ...] = Field(
        default=(), description="Instruments: their scientists match.", examples=[["id22"]]
    )
    users: tuple[Text, ...] = Field(default=(), description="Hub user names.", examples=[["maja"]])

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        if not (self.groups or self.roles or self.instruments or self.users):
            raise ValueError("the rule names nobody; write `allow: everyone` to open the profile to all")
        return self


class ProfileEntry(Closed):
    """What a person picks."""

    title: Text = Field(description="Name that people read.", examples=["JupyterLab"])
    description: str = Field(default="", max_length=1000, description="What it is for, in a sentence.")
    interfaces: tuple[Interface, ...] = Field(min_length=1, description="What one can work in.")
    environment: Id = Field(description="Id of an environment of this file.")
    places: tuple[Id, ...] = Field(
        min_length=1, description="Ids of places of this file; the first is taken when none is asked."
    )
    sizes: tuple[Id, ...] = Field(min_length=1, description="Ids of sizes, in the order of the form.")
    default_size: Id = Field(description="The size that is chosen when none is asked.")
    custom: CustomEntry | None = Field(
        default=None, description="The largest size of one's own; null: one of the sizes is taken."
    )
    scheduling: bool = Field(
        default=False,
        strict=True,
        description="Whether people may name an account, QOS or reservation of the place's scheduler.",
    )
    walltime: Walltime = Field(description="Default and limit of time.")
    overflow_after: Duration = Field(
        default=timedelta(minutes=10),
        description="A launch that allows overflow goes to the place that starts first, if the one that was "
        "asked for starts later than this.",
        examples=["30 min"],
    )
    allow: Literal["everyone"] | Rule = Field(description="Who may pick it.")


class ProfilesFile(Closed):
    """A site's profiles file."""

    environments: dict[Id, EnvironmentEntry] = Field(min_length=1, description="Software by id.")
    sizes: dict[Id, SizeEntry] = Field(min_length=1, description="Resources by id.")
    places: dict[Id, PlaceEntry] = Field(min_length=1, description="Where sessions run, by id.")
    profiles: dict[Id, ProfileEntry] = Field(
        min_length=1, description="What is offered, by id, in the order of the form."
    )
    default_profile: Id = Field(description="The profile that is chosen when none is asked.")

    @field_validator("places")
    @classmethod
    def _leaves_soonest_free(cls, value: dict[str, PlaceEntry]) -> dict[str, PlaceEntry]:
        if SOONEST in value:
            raise ValueError(f"`{SOONEST}` asks for the place that starts first, so none may be called so")
        return value

    def fitting(self, profile: ProfileEntry) -> tuple[str, ...]:
        """Ids of the profile's places that its environment is built for, in its order."""
        environment = self.environments[profile.environment]
        built_for = (None, *environment.architectures)
        return tuple(
            name
            for name in profile.places
            if self.places[name].architecture in built_for
            and (environment.container is not None or not isinstance(self.places[name], KubernetesPlace))
        )

    def broken_references(self) -> tuple[BrokenReferenceError, ...]:
        """Every place where a part names another that is not there."""
        broken = [error for name in self.profiles for error in self._broken_in(name)]
        if self.default_profile not in self.profiles:
            broken.append(
                BrokenReferenceError(
                    ("default_profile",), _no_such("profile", self.default_profile, self.profiles)
                )
            )
        return tuple(broken)

    def _broken_in(self, name: str) -> list[BrokenReferenceError]:
        key, profile = ("profiles", name), self.profiles[name]
        wanted: list[tuple[Key, str, str, Collection[str]]] = [
            ((*key, "environment"), "environment", profile.environment, self.environments),
            *(((*key, "places", i), "place", place, self.places) for i, place in enumerate(profile.places)),
            *(((*key, "sizes", i), "size", size, self.sizes) for i, size in enumerate(profile.sizes)),
            ((*key, "default_size"), "size of the profile", profile.default_size, profile.sizes),
        ]
        broken = [
            BrokenReferenceError(where, _no_such(what, ref, there))
            for where, what, ref, there in wanted
            if ref not in there
        ]
        return broken or list(self._unfit_in(key, profile))

    def _unfit_in(self, key: Key, profile: ProfileEntry) -> Iterator[BrokenReferenceError]:
        """Parts that are there but do not go together."""
        environment = self.environments[profile.environment]
        if not self.fitting(profile):
            built_for = ", ".join(environment.architectures)
            cause = f"none is of an architecture that environment `{profile.environment}` is for: {built_for}"
            if any(isinstance(self.places[name], KubernetesPlace) for name in profile.places):
                cause += "; for places of Kubernetes it needs a `container`"
            yield BrokenReferenceError((*key, "places"), cause)
        for i, name in enumerate(profile.places):
            if isinstance(self.places[name], LocalPlace) and (environment.modules or environment.image):
                yield BrokenReferenceError(
                    (*key, "places", i),
                    f"a local place has no modules or images; environment `{profile.environment}` needs them",
                )
        if Interface.DESKTOP in profile.interfaces and not environment.desktop:
            yield BrokenReferenceError(
                (*key, "interfaces"),
                f"offers a desktop, but environment `{profile.environment}` does not say that it can run one",
            )
        if len(set(profile.places)) < len(profile.places):
            yield BrokenReferenceError((*key, "places"), "names a place twice")


def _no_such(what: str, ref: str, there: Collection[str]) -> str:
    return f"there is no {what} `{ref}`; there is {', '.join(there)}"
