"""A real Keycloak for tests: installed once into a cache, started on a free port, ended at the end.

Needs Java 17 and Maven, which fetches the distribution from Maven Central. The realm is the
example that sites start from, so the tests prove that file too.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

VERSION = "26.4.5"
REALM_FILE = Path(__file__).parents[2] / "docs/examples/keycloak/realm-facility.json"
CLIENT_SECRET = "client-secret-of-the-tests"
ADMIN, ADMIN_PASSWORD = "admin", "admin-of-the-tests"
_CACHE = Path(os.environ.get("PANHUB_CACHE", Path.home() / ".cache/panhub")) / "keycloak"
_JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:-UseG1GC -XX:+UseSerialGC"
_START_S = 150


class KeycloakMissingError(RuntimeError):
    """Keycloak cannot be run here, and why."""


def free_port() -> int:
    """A TCP port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Keycloak:
    """A running Keycloak with the realm `facility`."""

    url: str
    process: subprocess.Popen[bytes]
    admin: httpx.Client = field(repr=False)
    _ids: dict[str, str] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        """Issuer of the realm."""
        return f"{self.url}/realms/facility"

    def call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Call the admin API of the realm; the path starts after the realm's name."""
        response = self.admin.request(
            method,
            f"{self.url}/admin/realms/facility{path}",
            headers={"Authorization": f"Bearer {self._admin_token()}"},
            **arguments,
        )
        response.raise_for_status()
        return response

    def add_person(self, username: str, password: str, *, groups: Sequence[str], attributes: Any) -> str:
        """Create a person and return their subject."""
        response = self.call(
            "POST",
            "/users",
            json={
                "username": username,
                "enabled": True,
                "firstName": username.capitalize(),
                "lastName": "Example",
                "email": f"{username}@facility.example",
                "groups": list(groups),
                "attributes": {name: [str(value)] for name, value in attributes.items()},
                "credentials": [{"type": "password", "value": password}],
            },
        )
        return response.headers["location"].rpartition("/")[2]

    def remove_person(self, subject: str) -> None:
        """Delete a person."""
        self.call("DELETE", f"/users/{subject}")

    def set_groups(self, subject: str, groups: Sequence[str]) -> None:
        """Make these the groups of a person."""
        for group in self.call("GET", f"/users/{subject}/groups").json():
            self.call("DELETE", f"/users/{subject}/groups/{group['id']}")
        for path in groups:
            group = self.call("GET", f"/group-by-path{path}").json()
            self.call("PUT", f"/users/{subject}/groups/{group['id']}")

    def end_sessions(self, subject: str) -> None:
        """End all sessions of a person."""
        self.call("POST", f"/users/{subject}/logout")

    def sessions(self, subject: str) -> list[dict[str, Any]]:
        """Sessions of a person."""
        return list(self.call("GET", f"/users/{subject}/sessions").json())

    def serve_client_at(self, public_url: str) -> None:
        """Let the client `panhub` be at ``public_url``."""
        client = self.call("GET", "/clients", params={"clientId": "panhub"}).json()[0]
        client["redirectUris"] = [f"{public_url}/hub/oauth_callback"]
        client["attributes"]["post.logout.redirect.uris"] = f"{public_url}/hub/signed-out"
        self.call("PUT", f"/clients/{client['id']}", json=client)

    def pause(self) -> None:
        """Stop answering, as a machine that hangs."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Answer again."""
        os.killpg(self.process.pid, signal.SIGCONT)

    def _admin_token(self) -> str:
        response = self.admin.post(
            f"{self.url}/realms/master/protocol/openid-connect/token",
            data={
                "grant_type": "password",
                "client_id": "admin-cli",
                "username": ADMIN,
                "password": ADMIN_PASSWORD,
            },
        )
        response.raise_for_status()
        return str(response.json()["access_token"])


@contextlib.contextmanager
def running_keycloak(folder: Path) -> Iterator[Keycloak]:
    """Run Keycloak with a fresh copy of the prepared database in ``folder``.

    Raises
    ------
    KeycloakMissingError
        If Java, Maven or the distribution is missing.
    """
    home = _installed()
    database = _prepared(home)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(database, folder / "keycloakdb.mv.db")
    port = free_port()
    url = f"http://localhost:{port}"
    process = _start(home, folder, url, [])
    try:
        _wait(process, url, folder)
        with httpx.Client(timeout=30) as admin:
            yield Keycloak(url, process, admin)
    finally:
        _end(process)


def _installed() -> Path:
    if shutil.which("java") is None or shutil.which("mvn") is None:
        raise KeycloakMissingError("needs java (17 or later) and mvn on PATH")
    home = _CACHE / f"keycloak-{VERSION}"
    with _locked():
        if (home / "built").exists():
            return home
        shutil.rmtree(home, ignore_errors=True)
        artifact = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
        target = f"-DoutputDirectory={_CACHE / 'download'}"
        _run("mvn", "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", target)
        with zipfile.ZipFile(_CACHE / "download" / f"keycloak-quarkus-dist-{VERSION}.zip") as archive:
            archive.extractall(_CACHE)
        (home / "bin/kc.sh").chmod(0o755)
        _run(str(home / "bin/kc.sh"), "build", "--db=dev-file")
        (home / "built").touch()
    return home


def _prepared(home: Path) -> Path:
    """Database with the realm, made once for each version of the realm file."""
    realm = json.loads(REALM_FILE.read_text(encoding="utf-8"))
    # Cheap hashes make a sign-in 0.2 s faster; strict names are what we must refuse, so Keycloak may not.
    realm["passwordPolicy"] = "hashAlgorithm(pbkdf2-sha256) and hashIterations(1)"
    profile = realm["components"]["org.keycloak.userprofile.UserProfileProvider"][0]["config"]
    attributes = json.loads(profile["kc.user.profile.config"][0])
    for attribute in attributes["attributes"]:
        if attribute["name"] == "username":
            attribute.pop("validations")
    profile["kc.user.profile.config"] = [json.dumps(attributes)]
    realm["bruteForceProtected"] = False
    realm["editUsernameAllowed"] = True
    text = json.dumps(realm)
    folder = _CACHE / f"prepared-{VERSION}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    done = folder / "ready.mv.db"
    with _locked():
        if done.exists():
            return done
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        imports = home / "data/import"
        imports.mkdir(parents=True, exist_ok=True)
        (imports / "facility-realm.json").write_text(text, encoding="utf-8")
        url = f"http://localhost:{free_port()}"
        process = _start(home, folder, url, ["--import-realm"])
        try:
            _wait(process, url, folder)
        finally:
            _end(process)
        (folder / "keycloakdb.mv.db").rename(done)
    return done


def _start(home: Path, folder: Path, url: str, options: Sequence[str]) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN,
        "KC_BOOTSTRAP_ADMIN_PASSWORD": ADMIN_PASSWORD,
        "JAVA_OPTS_APPEND": _JAVA_OPTIONS,
        "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx320m",
        "PANHUB_CLIENT_SECRET": CLIENT_SECRET,
        "PANHUB_PUBLIC_URL": "http://localhost:8000",
    }
    command = [
        str(home / "bin/kc.sh"), "start", "--optimized", "--cache=local", "--http-enabled=true",
        f"--hostname={url}", "--http-host=127.0.0.1", f"--http-port={url.rpartition(':')[2]}",
        f"--db-url=jdbc:h2:file:{folder.resolve()}/keycloakdb;NON_KEYWORDS=VALUE", *options,
    ]  # fmt: skip
    with (folder / "keycloak.log").open("wb") as log:
        # kc.sh is a shell with a java child: a group of its own, so that both can be ended.
        return subprocess.Popen(
            command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def _wait(process: subprocess.Popen[bytes], url: str, folder: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/realms/facility/.well-known/openid-configuration").is_success:
                return
        time.sleep(0.3)
    tail = (folder / "keycloak.log").read_text(errors="replace")[-3000:]
    raise RuntimeError(f"Keycloak did not start:\n{tail}")


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGCONT)
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(5)


def _run(*command: str) -> None:
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if result.returncode:
        raise KeycloakMissingError(f"{command[0]} failed: {(result.stdout + result.stderr)[-1000:]}")


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """Let only one test run change the cache."""
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
