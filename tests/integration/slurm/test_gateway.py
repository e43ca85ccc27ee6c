"""The token gateway as a process of its own, beside a real Slurm: who gets tokens, and what they do."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import yaml

from hub.demo.slurm import running_cluster
from spawners.slurm.gateway.client import GatewayTokens
from spawners.slurm.gateway.jwt import mint
from spawners.slurm.transport import SlurmError, SlurmUnavailableError

UID = 64_999
"""The gateway's own uid: an account need not exist for it."""

ROOT = Path(__file__).parents[3]


class GatewayProcess:
    """``panhub token-gateway`` as systemd would run it; ``uid`` is the caller's, who may ask."""

    def __init__(self, folder: Path, cluster, **settings) -> None:
        self.folder = folder
        self.socket = folder / "run/tokens.sock"
        self.audit_file = folder / "run/audit.log"
        (folder / "run").mkdir()
        for path in (folder / "run", folder, *folder.parents):
            path.chmod(path.stat().st_mode | 0o011)
        key = folder / "jwt_hs256.key"
        shutil.copyfile(cluster.jwt_key, key)
        key.chmod(0o400)
        os.chown(key, UID, UID)
        os.chown(folder / "run", UID, UID)
        content = {
            "socket": str(self.socket),
            "key_file": str(key),
            "peers": [os.getuid()],
            "service_account": cluster.service_account,
            "slurm_user": "panhub-slurm",
            "allow": {"groups": ["ma5501"], "people": ["yuki"]},
            "audit_file": str(self.audit_file),
            **settings,
        }
        self.config = folder / "token-gateway.yaml"
        self.config.write_text(yaml.safe_dump(content))
        self.config.chmod(0o644)
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> GatewayProcess:
        words = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--no-new-privs"]
        command = [sys.executable, "-m", "hub.cli", "token-gateway", "--config", str(self.config)]
        self.process = subprocess.Popen(
            [*words, *command], cwd=ROOT, stderr=subprocess.PIPE, text=True, env={"PATH": os.environ["PATH"]}
        )
        deadline = time.monotonic() + 20
        while not _listens(self.socket):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise AssertionError(self.process.communicate()[1])
            time.sleep(0.02)
        return self

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        assert self.process is not None
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=10)
        return self.process.returncode, errors

    def audit(self) -> list[dict]:
        return [json.loads(line) for line in self.audit_file.read_text().splitlines()]


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


@pytest.fixture(scope="module", params=["22.05", "24.11"])
def slurm(request, tmp_path_factory):
    with running_cluster(Path(f"/tmp/gwx/t{request.param}"), release=request.param) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def gateway(slurm, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway")
    made = GatewayProcess(folder, slurm).start()
    yield made
    if made.process.poll() is None:
        made.stop()


@pytest.fixture
def tokens(gateway):
    return GatewayTokens(gateway.socket)


async def jobs(slurm, user: str, token: str) -> tuple[int, dict]:
    headers = {"X-SLURM-USER-NAME": user, "X-SLURM-USER-TOKEN": token}
    async with httpx.AsyncClient(headers=headers, timeout=30, trust_env=False) as client:
        answer = await client.get(f"{slurm.rest_url}/slurm/{slurm.rest_versions[-1]}/jobs/")
    return answer.status_code, answer.json() if answer.status_code == 200 else {}


async def test_a_persons_token_is_that_person_to_slurm(slurm, tokens):
    job = slurm.submit_for_test("yuki", "sleep 60", partition="cpu")
    for user, sees in (("yuki", True), ("panhub", True), ("maja", False)):
        status, answer = await jobs(slurm, user, await tokens.token(user))
        assert status == 200, user
        assert not answer["errors"]
        # People see only their own jobs (PrivateData); the service account is an operator.
        assert (job in {found["job_id"] for found in answer["jobs"]}) is sees, user
    slurm.cancel_all()


async def test_a_token_is_for_its_own_user(slurm, tokens):
    status, _ = await jobs(slurm, "yuki", await tokens.token("maja"))
    assert status != 200


async def test_a_token_ends(slurm):
    key, now = slurm.jwt_key.read_bytes(), int(time.time())
    status, _ = await jobs(slurm, "maja", mint(key, "maja", issued_at=now - 301, lifetime_s=300))
    assert status != 200
    status, _ = await jobs(slurm, "maja", mint(key, "maja", issued_at=now - 200, lifetime_s=300))
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
    import pwd

    stranger = ask_as(pwd.getpwnam("maja").pw_uid, gateway)
    assert stranger.returncode != 0
    assert "PermissionError" in stranger.stderr
    insider = ask_as(UID, gateway)
    assert json.loads(insider.stdout)["code"] == "peer_not_allowed"
    assert gateway.audit()[-1]["peer"]["uid"] == UID


async def test_no_key_and_no_token_is_left_anywhere(slurm, gateway, tokens):
    token = await tokens.token("maja")
    text = gateway.audit_file.read_text()
    command = Path(f"/proc/{gateway.process.pid}/cmdline").read_text()
    environment = Path(f"/proc/{gateway.process.pid}/environ").read_text()
    for secret in (token, token.rpartition(".")[2], slurm.jwt_key.read_bytes().hex()):
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


def test_a_key_that_is_open_to_others_stops_the_start(slurm, tmp_path_factory):
    folder = tmp_path_factory.mktemp("open")
    made = GatewayProcess(folder, slurm)
    (folder / "jwt_hs256.key").chmod(0o440)
    with pytest.raises(AssertionError, match="chmod 0600"):
        made.start()
