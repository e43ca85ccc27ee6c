"""The words of a site's profiles file, closed and checked.

A *profile* is what a person picks: an *environment* (the software), a *place* (where it runs),
*sizes* to choose from, and limits of time. An *allow* rule says who may pick it. Unknown keys are
errors, so that a slip of the pen never widens what is offered. References between the parts are
checked here too; files on disk are the loader's matter.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from spawners.plan import Interface

Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$")]
"""Id of a part: lower case, as it appears in links and in the spawn API."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

DURATION_PATTERN = r"^(?=[0-9])(?:([0-9]{1,3}) ?d ?)?(?:([0-9]{1,4}) ?h ?)?(?:([0-9]{1,5}) ?min)?$"
"""Days, hours and minutes as people write them: ``8 h``, ``1 h 30 min``, ``7 d``."""


class BrokenReferenceError(ValueError):
    """A part names another that is not there. ``key`` is where, as path through the file."""

    def __init__(self, key: tuple[str | int, ...], cause: str) -> None:
        self.key = key
        super().__init__(cause)


def parse_duration(value: object) -> timedelta:
    """Read ``1 h 30 min``; a duration that is one already passes.

    Raises
    ------
    ValueError
        If it is not written like that, or is no time at all.
    """
    if isinstance(value, timedelta):
        duration = value
    else:
        match = re.match(DURATION_PATTERN, value.strip()) if isinstance(value, str) else None
        if match is None:
            raise ValueError("write a duration as `8 h`, `90 min`, `1 h 30 min` or `7 d`")
        days, hours, minutes = (int(part or 0) for part in match.groups())
        duration = timedelta(days=days, hours=hours, minutes=minutes)
    if duration < timedelta(minutes=1):
        raise ValueError("a duration is one minute or more")
    return duration


def format_duration(duration: timedelta) -> str:
    """Write a duration as `parse_duration` reads it, to the minute: ``1 h 30 min``."""
    minutes = int(duration.total_seconds()) // 60
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h"] if hours else []
    if minutes or not hours:
        parts.append(f"{minutes} min")
    return " ".join(parts)


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN}),
]


class Closed(BaseModel):
    """A part of the file: frozen, no key but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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


class LocalPlace(Closed):
    """Sessions as processes on the machine of the service."""

    title: Text = Field(description="Name that people read.", examples=["This machine"])
    backend: Literal["local"] = Field(description="Kind of backend that starts the sessions.")


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
    place: Id = Field(description="Id of a place of this file.")
    sizes: tuple[Id, ...] = Field(min_length=1, description="Ids of sizes, in the order of the form.")
    default_size: Id = Field(description="The size that is chosen when none is asked.")
    walltime: Walltime = Field(description="Default and limit of time.")
    allow: Literal["everyone"] | Rule = Field(description="Who may pick it.")


class ProfilesFile(Closed):
    """A site's profiles file."""

    environments: dict[Id, EnvironmentEntry] = Field(min_length=1, description="Software by id.")
    sizes: dict[Id, SizeEntry] = Field(min_length=1, description="Resources by id.")
    places: dict[Id, LocalPlace] = Field(min_length=1, description="Where sessions run, by id.")
    profiles: dict[Id, ProfileEntry] = Field(
        min_length=1, description="What is offered, by id, in the order of the form."
    )
    default_profile: Id = Field(description="The profile that is chosen when none is asked.")

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
        wanted: list[tuple[tuple[str | int, ...], str, str, Collection[str]]] = [
            ((*key, "environment"), "environment", profile.environment, self.environments),
            ((*key, "place"), "place", profile.place, self.places),
            *(((*key, "sizes", i), "size", size, self.sizes) for i, size in enumerate(profile.sizes)),
            ((*key, "default_size"), "size of the profile", profile.default_size, profile.sizes),
        ]
        return [
            BrokenReferenceError(where, _no_such(what, ref, there))
            for where, what, ref, there in wanted
            if ref not in there
        ]


def _no_such(what: str, ref: str, there: Collection[str]) -> str:
    return f"there is no {what} `{ref}`; there is {', '.join(there)}"
