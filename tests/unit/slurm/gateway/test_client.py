"""The service's side: one question for many, tokens kept while they are fresh, refusals told apart."""

from __future__ import annotations

import asyncio
import time

import pytest

from spawners.slurm.gateway.client import GatewayTokens
from spawners.slurm.transport import SlurmError, SlurmUnavailableError


def tokens(gateway) -> GatewayTokens:
    return GatewayTokens(gateway.settings.socket)


async def test_a_token_is_kept_until_it_is_forgotten(start):
    async with start() as gateway:
        client = tokens(gateway)
        first = await client.token("maja")
        assert await client.token("maja") == first
        assert len(gateway.audit()) == 1
        client.forget("maja")
        client.forget("rui")
        await client.token("maja")
        assert len(gateway.audit()) == 2


async def test_a_token_is_renewed_a_minute_before_its_end(start, monkeypatch):
    async with start(lifetime_s=300) as gateway:
        client = tokens(gateway)
        await client.token("maja")
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 235)
        await client.token("maja")
        assert len(gateway.audit()) == 1
        monkeypatch.setattr(time, "time", lambda: now + 242)
        await client.token("maja")
        assert len(gateway.audit()) == 2


async def test_short_tokens_are_kept_for_half_their_time(start):
    async with start(lifetime_s=20) as gateway:
        client = tokens(gateway)
        assert await client.token("maja") == await client.token("maja")
        assert len(gateway.audit()) == 1


async def test_many_who_ask_at_once_are_one_question(start):
    async with start() as gateway:
        client = tokens(gateway)
        gateway.directory.gate = asyncio.Event()
        waiting = [asyncio.create_task(client.token("maja")) for _ in range(20)]
        while not gateway.directory.asked:
            await asyncio.sleep(0.005)
        waiting[0].cancel()
        gateway.directory.gate.set()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(found[0], asyncio.CancelledError)
        assert len({*found[1:]}) == 1
        assert gateway.directory.asked == ["maja"]


@pytest.mark.parametrize("user", ["root", "slurm", "rui", "nobody-here", "../maja", "x" * 500, "\ud800"])
async def test_a_refusal_is_about_the_user(start, user):
    async with start() as gateway:
        with pytest.raises(SlurmError):
            await tokens(gateway).token(user)


async def test_what_says_nothing_of_the_user_is_unknown(start):
    async with start() as gateway:
        with pytest.raises(SlurmUnavailableError, match="directory"):
            await tokens(gateway).token("hangs")
    async with start(peers=(4_000_000,)) as gateway:
        with pytest.raises(SlurmUnavailableError, match="peers"):
            await tokens(gateway).token("maja")
    async with start(per_minute=1) as gateway:
        client = tokens(gateway)
        await client.token("maja")
        client.forget("maja")
        with pytest.raises(SlurmUnavailableError, match="Too many"):
            await client.token("maja")


async def test_a_gateway_that_is_not_there_is_unknown_and_the_next_one_is_asked(start, tmp_path):
    client = GatewayTokens(tmp_path / "tokens.sock")
    with pytest.raises(SlurmUnavailableError, match="does not answer"):
        await client.token("maja")
    async with start():
        assert await client.token("maja")


@pytest.mark.parametrize(
    "answer",
    [b"", b"\n", b"nonsense\n", b'{"token": "x"}\n', b'{"token": "x", "expires_at": "now"}\n', b"x" * 9000],
)
async def test_an_answer_that_is_none_is_unknown(tmp_path, answer):
    async def speak(reader, writer):
        await reader.readline()
        writer.write(answer)
        writer.close()

    server = await asyncio.start_unix_server(speak, tmp_path / "odd.sock")
    async with server:
        with pytest.raises(SlurmUnavailableError):
            await GatewayTokens(tmp_path / "odd.sock").token("maja")


async def test_a_gateway_that_hangs_is_unknown(tmp_path):
    async def hang(reader, _writer):
        await reader.read()

    async with await asyncio.start_unix_server(hang, tmp_path / "odd.sock"):
        with pytest.raises(SlurmUnavailableError):
            await GatewayTokens(tmp_path / "odd.sock", timeout_s=0.05).token("maja")
