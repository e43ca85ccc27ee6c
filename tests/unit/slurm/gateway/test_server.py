"""The gateway answers whom it should, writes down what it decided, and survives what is sent to it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey

from spawners.slurm.gateway.protocol import ANSWER, Code
from spawners.slurm.gateway.settings import GatewayConfigError
from tests.unit.slurm.gateway.conftest import KEY, running


async def test_a_person_on_the_list_and_the_service_account_get_tokens(start):
    async with start(clock=lambda: 1_790_000_000.7, lifetime_s=120) as gateway:
        for user in ("maja", "panhub"):
            answer = await gateway.ask(user)
            assert answer["expires_at"] == 1_790_000_120
            claims = jwt.decode(answer["token"], OctKey.import_key(KEY), algorithms=["HS256"]).claims
            assert claims == {"sun": user, "iat": 1_790_000_000, "exp": 1_790_000_120}


@pytest.mark.parametrize(
    ("user", "code"),
    [
        ("root", "system_account"),
        ("slurm", "system_account"),
        ("daemon", "system_account"),
        ("rui", "not_listed"),
        ("nobody-here", "unknown_user"),
        ("Maja", "invalid_name"),
        ("maja\n", "invalid_name"),
        ("hangs", "directory_unavailable"),
    ],
)
async def test_the_others_get_a_reason(start, user, code):
    async with start() as gateway:
        answer = await gateway.ask(user)
        assert set(answer) == {"code", "text"}
        assert answer["code"] == code
        (line,) = gateway.audit()
        assert (line["user"], line["decision"], line["code"]) == (user, "refused", code)


async def test_every_decision_is_one_line_and_no_token_is_in_it(start):
    async with start() as gateway:
        minted = await gateway.ask("maja")
        await gateway.ask("root")
        text = gateway.settings.audit_file.read_text()
        first, second = gateway.audit()
    assert set(first) == {"time", "peer", "user", "decision", "code", "expires_at"}
    assert first["peer"] == {"pid": os.getpid(), "uid": os.getuid(), "gid": os.getgid()}
    assert (first["user"], first["decision"], second["decision"]) == ("maja", "minted", "refused")
    assert not any(part in text for part in minted["token"].split("."))
    assert stat.S_IMODE(gateway.settings.audit_file.stat().st_mode) == 0o600


async def test_without_an_audit_log_there_is_no_token(start, tmp_path):
    async with start(audit_file=tmp_path / "no-folder/audit.log") as gateway:
        assert (await gateway.ask("maja"))["code"] == "audit_unavailable"


async def test_another_account_gets_nothing(start):
    async with start(peers=(os.getuid() + 12345,)) as gateway:
        assert (await gateway.ask("maja"))["code"] == "peer_not_allowed"
        assert gateway.directory.asked == []
        assert gateway.audit()[0]["code"] == "peer_not_allowed"


async def test_a_peer_that_does_not_exist_stops_the_start(start):
    with pytest.raises(GatewayConfigError, match="no-such-account"):
        async with start(peers=("no-such-account",)):
            pass


async def test_several_requests_on_one_connection(start):
    lines = [json.dumps({"user": user}).encode() + b"\n" for user in ("maja", "root", "maja")]
    async with start() as gateway:
        answers = [json.loads(line) for line in await gateway.say(*lines)]
    assert ["token" in answer for answer in answers] == [True, False, True]


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"maja\n",
        b"{}\n",
        b'{"user": "maja", "lifetime_s": 9}\n',
        b'{"user": 1}\n',
        b'{"user": null}\n',
        b'{"user": ["maja"]}\n',
        b'[{"user": "maja"}]\n',
        b'{"user": "' + b"a" * 65 + b'"}\n',
        b'{"user": "\xff"}\n',
        b'{"user": "maja"} {"user": "maja"}\n',
        b'{"user": "' + b"a" * 600 + b'"}\n',
        b"a" * 100_000,
    ],
)
async def test_what_is_no_request_is_refused_and_written_down(start, line):
    async with start() as gateway:
        (answer,) = await gateway.say(line)
        assert json.loads(answer)["code"] == "invalid_request"
        assert gateway.audit()[0]["user"] is None
        assert "token" in await gateway.ask("maja")


async def test_a_connection_that_says_nothing_is_closed(start):
    async with start(idle_s=0.05) as gateway:
        reader, writer = await asyncio.open_unix_connection(gateway.settings.socket)
        writer.write(b'{"user": "ma')
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_one_user_asks_so_often_and_no_more(start):
    async with start(per_minute=3) as gateway:
        answers = [await gateway.ask("maja") for _ in range(4)]
        assert [a.get("code") for a in answers] == [None, None, None, "rate_limited"]
        assert "token" in await gateway.ask("panhub")


async def test_connections_are_bounded(start):
    async with start() as gateway:
        held = [await asyncio.open_unix_connection(gateway.settings.socket) for _ in range(64)]
        assert (await gateway.ask("maja"))["code"] == "busy"
        for _, writer in held:
            writer.close()
        for _ in range(200):
            if "token" in await gateway.ask("maja"):
                break
            await asyncio.sleep(0.01)
        else:
            pytest.fail("closed connections still count")


async def test_a_request_under_way_is_answered_when_it_stops(tmp_path):
    async with running(tmp_path) as gateway:
        gateway.directory.gate = asyncio.Event()
        asked = asyncio.create_task(gateway.ask("maja"))
        idle, writer = await asyncio.open_unix_connection(gateway.settings.socket)
        while not gateway.directory.asked:
            await asyncio.sleep(0.005)
        asyncio.get_running_loop().call_later(0.1, gateway.directory.gate.set)
    assert "token" in await asked
    assert await asyncio.wait_for(idle.read(), 5) == b""
    writer.close()
    assert not gateway.settings.socket.exists()


async def test_the_socket_is_for_its_group_and_one_gateway(start, tmp_path):
    async with start() as gateway:
        path = gateway.settings.socket
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with pytest.raises(GatewayConfigError, match="another gateway"):
            async with running(tmp_path):
                pass
        assert "token" in await gateway.ask("maja")


async def test_a_socket_that_was_left_is_replaced_and_a_file_is_not(start, tmp_path):
    import socket

    path = tmp_path / "tokens.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with start() as gateway:
        assert "token" in await gateway.ask("maja")
    path.write_text("something of somebody's")
    with pytest.raises(GatewayConfigError, match="no socket"):
        async with start():
            pass
    assert path.read_text() == "something of somebody's"


USERS = st.sampled_from(["maja", "rui", "root", "slurm", "panhub", "hangs", "Maja", "", "maja\0", "é"])
REQUESTS = st.one_of(
    USERS.map(lambda user: json.dumps({"user": user}).encode()),
    st.binary(max_size=700),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=40) | USERS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(REQUESTS, max_size=6), end=st.sampled_from([b"\n", b"", b'{"user": "maja"']))
def test_whatever_comes_only_the_listed_get_tokens(tmp_path_factory, lines, end):
    async def converse():
        async with running(tmp_path_factory.mktemp("g"), per_minute=6000) as gateway:
            answers = await gateway.say(b"\n".join(lines) + end)
            for line in answers:
                answer = ANSWER.validate_json(line)
                if hasattr(answer, "token"):
                    claims = jwt.decode(answer.token, OctKey.import_key(KEY), algorithms=["HS256"]).claims
                    assert claims["sun"] in {"maja", "panhub"}
                else:
                    assert answer.code in set(Code)
            assert len(gateway.audit()) == len(answers)
            # It goes on answering.
            assert "token" in await gateway.ask("maja")

    asyncio.run(converse())


def test_the_process_loads_little():
    code = "import spawners.slurm.gateway.server, sys; print(sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(re.findall(r"'(\w+)'", done.stdout))
    # What it holds is worth a root password: what it is made of can be read in an hour.
    theirs = {
        name
        for name in loaded
        if name not in sys.stdlib_module_names and not name.startswith(("_", "encodings"))
    }
    assert theirs <= {
        "spawners",
        "yaml",
        "pydantic",
        "pydantic_core",
        "annotated_types",
        "typing_extensions",
        "typing_inspection",
        "sitecustomize",
        "usercustomize",
        "distutils",
        "cython_runtime",
    }
