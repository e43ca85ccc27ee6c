"""The token gateway as a process of its own, beside a real Slurm: who gets tokens, and what they do."""

from __future__ import annotations

import json
import pwd
import signal
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from spawners.slurm.gateway.client import GatewayTokens
from spawners.slurm.gateway.jwt import mint
from spawners.slurm.transport import SlurmError, SlurmUnavailableError
from tests.support.slurm_gateway import UID, GatewayProcess


@pytest.fixture(scope="module")
def gateway(slurm_release):
    made = GatewayProcess(slurm_release).start()
    yield made
    made.remove()


@pytest.fixture
def tokens(gateway):
    return GatewayTokens(gateway.socket)


async def jobs(slurm_cluster, user: str, token: str) -> tuple[int, dict]:
    headers = {"X-SLURM-USER-NAME": user, "X-SLURM-USER-TOKEN": token}
    async with httpx.AsyncClient(headers=headers, timeout=30, trust_env=False) as client:
        answer = await client.get(f"{slurm_cluster.rest_url}/slurm/{slurm_cluster.rest_versions[-1]}/jobs/")
    return answer.status_code, answer.json() if answer.status_code == 200 else {}


async def test_a_persons_token_is_that_person_to_slurm(slurm_cluster, tokens):
    job = slurm_cluster.submit_for_test("yuki", "sleep 60", partition="cpu")
    for user, sees in (("yuki", True), ("panhub", True), ("maja", False)):
        status, answer = await jobs(slurm_cluster, user, await tokens.token(user))
        assert status == 200, user
        assert not answer["errors"]
        # People see only their own jobs (PrivateData); the service account is an operator.
        assert (job in {found["job_id"] for found in answer["jobs"]}) is sees, user


async def test_a_token_is_for_its_own_user(slurm_cluster, tokens):
    status, _ = await jobs(slurm_cluster, "yuki", await tokens.token("maja"))
    assert status != 200


async def test_a_token_ends(slurm_cluster):
    key, now = slurm_cluster.jwt_key.read_bytes(), int(time.time())
    status, _ = await jobs(slurm_cluster, "maja", mint(key, "maja", issued_at=now - 301, lifetime_s=300))
    assert status != 200
    status, _ = await jobs(slurm_cluster, "maja", mint(key, "maja", issued_at=now - 200, lifetime_s=300))
    assert status == 200


@pytest.mark.parametrize(
    ("user", "why"),
    [
        ("root", "system account"),
        ("daemon", "system account"),
        ("panhub-slurm", "system account"),
        ("panhub-rest", "system account"),
        ("no-such-person", "no account"),
        ("rui", "not among"),
    ],
)
async def test_the_others_get_none(gateway, tokens, user, why):
    with pytest.raises(SlurmError, match=why):
        await tokens.token(user)
    assert (gateway.audit()[-1]["user"], gateway.audit()[-1]["decision"]) == (user, "refused")


_ASK = """
import json, socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[1])
    connection.sendall(b'{"user": "maja"}\\n')
    print(connection.recv(4096).decode())
"""


def ask_as(uid: int, gateway: GatewayProcess) -> subprocess.CompletedProcess[str]:
    words = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    return subprocess.run(
        [*words, "/usr/bin/python3", "-c", _ASK, str(gateway.socket)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_another_account_cannot_even_connect_and_one_that_can_gets_nothing(gateway):
    stranger = ask_as(pwd.getpwnam("maja").pw_uid, gateway)
    assert stranger.returncode != 0
    assert "PermissionError" in stranger.stderr
    insider = ask_as(UID, gateway)
    assert json.loads(insider.stdout)["code"] == "peer_not_allowed"
    assert gateway.audit()[-1]["peer"]["uid"] == UID


async def test_no_key_and_no_token_is_left_anywhere(slurm_cluster, gateway, tokens):
    token = await tokens.token("maja")
    text = gateway.audit_file.read_text()
    command = Path(f"/proc/{gateway.process.pid}/cmdline").read_text()
    environment = Path(f"/proc/{gateway.process.pid}/environ").read_text()
    for secret in (token, token.rpartition(".")[2], slurm_cluster.jwt_key.read_bytes().hex()):
        assert secret not in text + command + environment
    limits = Path(f"/proc/{gateway.process.pid}/limits").read_text()
    assert next(line for line in limits.splitlines() if "core" in line).split()[4] == "0"


async def test_it_stops_in_order_and_a_killed_one_is_replaced(gateway, tokens):
    assert gateway.stop(signal.SIGKILL)[0] == -signal.SIGKILL
    assert gateway.socket.exists()
    with pytest.raises(SlurmUnavailableError):
        await tokens.token("yuki")
    gateway.start()
    assert await tokens.token("yuki")
    code, errors = gateway.stop()
    assert (code, gateway.socket.exists()) == (0, False)
    assert "stops" in errors
    gateway.start()


def test_a_key_that_is_open_to_others_stops_the_start(slurm_cluster):
    made = GatewayProcess(slurm_cluster)
    (made.folder / "jwt_hs256.key").chmod(0o440)
    with pytest.raises(AssertionError, match="chmod 0600"):
        made.start()
    made.remove()
