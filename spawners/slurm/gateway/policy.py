"""Who may be given a token: a pure rule over what the system's directory of accounts says."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from spawners.slurm.gateway.protocol import Code
from spawners.slurm.gateway.settings import NAME_PATTERN, GatewaySettings

_NAME = re.compile(NAME_PATTERN)


@dataclass(frozen=True, slots=True)
class Entry:
    """An account as the directory has it.

    ``groups`` are those of the listed groups that it is in; ``slurm_uid`` is the uid of SlurmUser on
    this machine, or None where there is no such account.
    """

    name: str
    uid: int
    groups: Collection[str] = ()
    slurm_uid: int | None = None


def is_name(text: str) -> bool:
    """Whether a token could be asked for by this name at all."""
    return _NAME.match(text) is not None


def refusal(asked: str, entry: Entry | None, settings: GatewaySettings) -> Code | None:
    """Why the account gets no token; None: it may have one.

    ``entry`` is what the directory answers to the name, None if it knows none.
    """
    if not is_name(asked):
        return Code.INVALID_NAME
    # A directory that ignores case answers for JDOE and jdoe alike; Slurm would look up yet another.
    if entry is None or entry.name != asked:
        return Code.UNKNOWN_USER
    # By number too: a second name of SlurmUser or root is as mighty as the first.
    if entry.uid in {0, entry.slurm_uid} or asked in {"root", settings.slurm_user}:
        return Code.SYSTEM_ACCOUNT
    if asked == settings.service_account:
        return None
    if entry.uid < settings.uid_floor:
        return Code.SYSTEM_ACCOUNT
    if asked in settings.allow.people or not set(settings.allow.groups).isdisjoint(entry.groups):
        return None
    return Code.NOT_LISTED


def text_of(code: Code, user: str) -> str:
    """The sentence that goes with a code; ``user`` is a valid name where the code is about one."""
    return {
        Code.INVALID_REQUEST: "A request is one line of JSON with the key user.",
        Code.PEER_NOT_ALLOWED: "This process's account may not ask for tokens: see peers in the settings.",
        Code.INVALID_NAME: "That is no name of an account.",
        Code.UNKNOWN_USER: f"The gateway's machine has no account {user}.",
        Code.SYSTEM_ACCOUNT: f"{user} is a system account, for which no tokens are minted.",
        Code.NOT_LISTED: f"{user} is not among the people for whom tokens are minted.",
        Code.RATE_LIMITED: f"Too many tokens were asked for {user}; wait a minute.",
        Code.BUSY: "Too many connections.",
        Code.DIRECTORY_UNAVAILABLE: "The directory of accounts does not answer.",
        Code.AUDIT_UNAVAILABLE: "The audit log cannot be written, so no token is minted.",
    }[code]
