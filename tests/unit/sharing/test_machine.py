"""Whatever people do, in whatever order: nobody has what they were not given, and one at most has control."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.database import sqlite_url
from hub.desktop.models import Role
from hub.migrate import upgrade
from hub.problems import RequestError
from hub.sharing.models import AnswerBody, OwnerLeaves
from tests.support.sharing import SESSION, Site

GUESTS = ("vera", "carl", "nora")
EVERYBODY = ("olive", *GUESTS)

guests = st.sampled_from(GUESTS)
everybody = st.sampled_from(EVERYBODY)
steps = st.one_of(
    st.tuples(st.just("give"), everybody, guests, st.sampled_from([Role.VIEWER, Role.CONTROL])),
    st.tuples(st.just("take"), everybody, guests),
    st.tuples(st.just("ask"), guests, st.sampled_from([Role.VIEWER, Role.CONTROL])),
    st.tuples(st.just("answer"), everybody, st.sampled_from(["viewer", "control", "refuse"])),
    st.tuples(st.just("hand"), everybody, st.none() | everybody),
    st.tuples(st.just("join"), everybody),
    st.tuples(st.just("leave"), everybody),
    st.tuples(st.just("policy"), everybody, st.sampled_from(list(OwnerLeaves))),
    st.tuples(st.just("end"), everybody),
    st.tuples(st.just("later"), st.sampled_from([5, 31])),
    st.tuples(st.just("look")),
)

OPENING: tuple[tuple[object, ...], ...] = (
    ("give", "olive", "carl", Role.CONTROL),
    ("give", "olive", "vera", Role.VIEWER),
    ("join", "olive"),
    ("join", "carl"),
    ("join", "vera"),
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder for databases: a file in memory needs no disk."""
    base = Path("/dev/shm")
    found = Path(tempfile.mkdtemp(dir=base if base.is_dir() else None))
    upgrade(sqlite_url(found / "empty"))
    yield found
    shutil.rmtree(found)


class Walk:
    """One site, and a plain model of whom the owner has given what."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.given: dict[str, Role] = {}

    async def step(self, what: str, *args: object) -> None:
        """Do one thing; the model follows only if it was not refused."""
        try:
            await getattr(self, what)(*args)
        except RequestError as error:
            if error.problem.status >= 500:
                raise

    async def give(self, actor: str, username: str, role: Role) -> None:
        await self.site.give(username, role, by=actor)
        assert actor == "olive", "nobody else gives"
        self.given[username] = role

    async def take(self, actor: str, username: str) -> None:
        await self.site.sharing.members.take(self.site.people[actor], SESSION, username)
        assert actor in ("olive", username), "nobody else takes"
        assert self.given.pop(username), "there was something to take"

    async def ask(self, username: str, role: Role) -> None:
        self.site.sharing.asking._parts.limits._times.clear()
        await self.site.sharing.asking.ask(self.site.people[username], SESSION, role)

    async def answer(self, actor: str, answer: str) -> None:
        asked = (await self.site.sharing.views.state(self.site.people["olive"], SESSION)).requests
        for one in asked[:1]:
            body = AnswerBody(answer=answer)  # type: ignore[arg-type]
            await self.site.sharing.members.answer(self.site.people[actor], SESSION, one.id, body)
            if answer != "refuse" and self.given.get(one.username) is not Role.CONTROL:
                assert actor == "olive", "nobody else gives"
                self.given[one.username] = Role(answer)

    async def hand(self, actor: str, to: str | None) -> None:
        await self.site.hand(actor, to)
        assert await self.site.holder() == to

    async def join(self, username: str) -> None:
        self.site.sharing.asking._parts.limits._times.clear()
        await self.site.join(username)
        assert username == "olive" or username in self.given

    async def leave(self, username: str) -> None:
        await self.site.leave(username)

    async def policy(self, actor: str, policy: OwnerLeaves) -> None:
        await self.site.sharing.control.set_policy(self.site.people[actor], SESSION, policy)
        assert actor == "olive"

    async def end(self, actor: str) -> None:
        await self.site.sharing.control.end(self.site.people[actor], SESSION)
        assert actor == "olive"

    async def later(self, seconds: int) -> None:
        self.site.later(timedelta(seconds=seconds))

    async def look(self) -> None:
        await self.site.sharing.keeper.look()

    async def check(self) -> None:
        """What must hold now."""
        here = set(self.site.connections.values())
        decisions = await self.site.report()
        holders = [name for name, one in decisions.items() if one.has_control]
        assert len(holders) <= 1
        for name, one in decisions.items():
            role = Role.OWNER if name == "olive" else self.given.get(name)
            if one.may_stay:
                assert one.role is role, "a role that was taken back is none"
            assert not one.has_control or role in (Role.CONTROL, Role.OWNER)
            assert name != "olive" or one.may_stay, "nobody puts the owner out"
        state = await self.site.sharing.views.state(self.site.people["olive"], SESSION)
        assert {one.username: one.role for one in state.members} == self.given
        assert state.holder in (None, *here)
        if "olive" not in here and state.when_owner_leaves is not OwnerLeaves.STAY:
            assert state.holder is None


@settings(max_examples=25, deadline=None)
@given(st.lists(steps, max_size=14))
def test_whatever_people_do(folder: Path, walk: list[tuple[object, ...]]) -> None:
    async def go() -> None:
        place = folder / "one"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        shutil.copy(folder / "empty", place / "panhub.sqlite")
        site = Site(place)
        try:
            walked = Walk(site)
            for what, *args in (*OPENING, *walk):
                await walked.step(str(what), *args)
                await walked.check()
        finally:
            await site.aclose()

    asyncio.run(go())
