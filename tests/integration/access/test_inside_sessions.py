"""Inside a running session: real reads of what is granted, and of everything else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.demo_access import PROPOSALS, READS, dataset
from tests.support.platform import Platform, Session, Visitor

SignIn = Callable[[str], Visitor]

_PROBE = """
import json, os, pathlib

def tried(what):
    try:
        return what()
    except OSError as error:
        return f"errno {{error.errno}}"

def look(path):
    return len(os.listdir(path)) if os.path.isdir(path) else len(open(path, "rb").read(9))

def tree(root):
    return sorted(str(p.relative_to(root)) for p in pathlib.Path(root).rglob("*") if p.is_file())

def write(path):
    def act():
        with open(path, "w") as file:
            file.write("x")
        os.remove(path)
        return "written"
    return act

seen = {{
    "proposals": tried(lambda: sorted(os.listdir("/data/visitor"))),
    "files": {{name: tried(lambda: tree(f"/data/visitor/{{name}}")) for name in {proposals!r}}},
    "home": tried(lambda: sorted(os.listdir("/home"))),
    "reads": {{path: tried(lambda: look(path)) for path in {paths!r}}},
    "writes": {{path: tried(write(path)) for path in {writes!r}}},
    "processes": [pid for pid in os.listdir("/proc") if pid.isdigit()],
    "environment": dict(os.environ),
}}
for root, folders, files in os.walk("/data/visitor"):
    for name in files:
        if name.endswith(".h5"):
            seen["first"] = tried(lambda: open(os.path.join(root, name), "rb").read(8).hex())
print(json.dumps(seen))
"""

VISITS = {
    "maja": ("ma5501", "ma5501/id22"),
    "rui": ("es1107", "es1107/bm23"),
    "yuki": ("in1204", "in1204/id21"),
    "sam": ("sc6120", "sc6120/id02"),
}
"""Whose session on which proposal: principal investigator, reviewer, industrial user, an outsider."""


@pytest.fixture(scope="module")
def sessions(person: SignIn) -> Iterator[dict[str, Session]]:
    launches = {}
    for username, (proposal, _) in VISITS.items():
        launches[username] = person(username).launch(
            inputs=[dataset(proposal)], payer="person", walltime_s=1800
        )
    found = {}
    for username, launch in launches.items():
        person(username).wait_for(launch["id"], "running")
        found[username] = person(username).open_session(launch)
    yield found
    for username, launch in launches.items():
        person(username).api("DELETE", f"/launches/{launch['id']}")
    for username, launch in launches.items():
        person(username).wait_for(launch["id"], "ended")


@pytest.fixture(scope="module")
def seen(platform: Platform, sessions: dict[str, Session]) -> dict[str, dict[str, Any]]:
    """What each person's session can see, by looking."""
    state, found = str(platform.state), {}
    for username, session in sessions.items():
        [visit] = platform.settings.data.root.glob(f"{VISITS[username][1]}/*")
        shown = f"/data/visitor/{visit.relative_to(platform.settings.data.root)}"
        paths = [
            *(f"/data/visitor/{proposal}" for proposal in PROPOSALS),
            *(f"/home/{name}" for name in READS if name != username),
            *(f"{state}/homes/{name}" for name in READS),
            state,
            f"{state}/panhub.sqlite",
            f"{state}/jupyterhub.sqlite",
            f"{state}/secrets/internal",
            f"{state}/catalogue/proposals/in1204.yaml",
            str(platform.settings.data.root),
            f"{platform.settings.data.root}/hc4802",
            f"/data/visitor/../../{platform.settings.data.root}/hc4802",
            "/proc/1/root/data/visitor/hc4802",
            "/etc/shadow",
        ]
        writes = [
            f"{shown}/RAW_DATA/x",
            f"{shown}/PROCESSED_DATA/x",
            "/data/visitor/x",
            "/usr/x",
            f"/home/{username}/x",
        ]
        code = _PROBE.format(proposals=list(PROPOSALS), paths=paths, writes=writes)
        found[username] = json.loads(session.run(code))
        found[username]["shown"] = shown
    return found


@pytest.mark.parametrize("username", VISITS)
def test_a_session_sees_its_own_proposal_and_no_other(seen: dict[str, dict[str, Any]], username: str) -> None:
    own = VISITS[username][0]
    found = seen[username]
    assert found["proposals"] == [own]
    assert any(name.endswith((".h5", ".dat", ".spe")) for name in found["files"][own]), found["files"][own]
    assert found["first"] == "894844460d0a1a0a"  # the signature of HDF5
    for proposal in PROPOSALS:
        if proposal != own:
            assert found["reads"][f"/data/visitor/{proposal}"] == "errno 2", proposal


@pytest.mark.parametrize("username", VISITS)
def test_nothing_else_of_the_site_is_there(
    platform: Platform, seen: dict[str, dict[str, Any]], username: str
) -> None:
    found = seen[username]
    own = f"/data/visitor/{VISITS[username][0]}"
    for path, result in found["reads"].items():
        if path != own:
            assert str(result).startswith("errno "), (path, result)
    assert found["home"] == [username]
    # A process namespace of its own: no process of the platform or of another session.
    assert len(found["processes"]) < 30, found["processes"]
    text = json.dumps(found["environment"])
    for name in ("internal", "service-token", "crypt-key", "cookie", "proxy-token", "oidc-client"):
        assert (platform.state / "secrets" / name).read_text().strip() not in text, name


@pytest.mark.parametrize("username", VISITS)
def test_raw_is_never_writable_and_processed_by_full_members_only(
    seen: dict[str, dict[str, Any]], username: str
) -> None:
    found = seen[username]
    shown, writes = found["shown"], found["writes"]
    assert writes[f"{shown}/RAW_DATA/x"] == "errno 30"  # EROFS, even for the principal investigator
    processed = writes[f"{shown}/PROCESSED_DATA/x"]
    assert (processed == "written") is (username in {"maja", "yuki"}), processed
    assert writes["/data/visitor/x"] != "written"
    assert writes["/usr/x"] != "written"
    assert writes[f"/home/{username}/x"] == "written"


def test_a_person_does_not_open_the_session_of_another(sessions: dict[str, Session], person: SignIn) -> None:
    base = sessions["maja"].base
    for username in ("rui", "yuki", "sam"):
        for path in ("lab", "api/contents", "api/kernels", "files/"):
            reply = person(username).client.get(f"{base}{path}")
            assert reply.status_code in {403, 404}, (username, path, reply.status_code)
