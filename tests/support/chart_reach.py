"""Who reaches whom: one script in each container that is asked, one table that says what must be."""

from __future__ import annotations

import json
import shlex
from typing import Any
from urllib.parse import urlsplit

from hub.demo.kubernetes.images import build_image
from tests.support.chart import RELEASE
from tests.support.chart_install import Installed
from tests.support.kubernetes import execute, output, own_namespace

REACHED, KEPT_OUT = "reached", "kept out"

TARGETS = (
    "proxy",
    "proxy-api",
    "hub",
    "service",
    "desktop",
    "database",
    "session",
    "kubernetes",
    "outside",
)

MAY: dict[str, set[str]] = {
    "proxy": {"hub", "service", "desktop", "session"},
    "hub": {*TARGETS} - {"hub"},
    "service": {*TARGETS} - {"service", "proxy-api", "desktop"},
    "desktop": {"hub", "service", "session"},
    "database": set(),
    "session": {"hub", "service"},
    "stranger": {"proxy", "kubernetes", "outside"},
}
"""Who may reach what of `TARGETS`; a stranger is a pod of another namespace, bound by no policy of ours."""

_PORTS = {"proxy": 80, "proxy-api": 8001, "hub": 8081, "service": 8002, "desktop": 8004, "database": 5432}
"""Services of the chart."""

_SESSION_PORT = 8888

# Who is kept out is told so at once; the time is for those who are let in on a busy machine.
_SCRIPT = f"""
import json, socket, sys
found = dict()
for name, host, port in json.loads(sys.argv[1]):
    try:
        socket.create_connection((host, port), 10).close()
        found[name] = {REACHED!r}
    except OSError as error:
        found[name] = {KEPT_OUT!r} if error.errno == 113 else repr(error)
print(json.dumps(found))
"""


def expected(who: str) -> dict[str, str]:
    """What one of `MAY` must find. Nobody asks for itself, by whatever port."""
    asked = [name for name in TARGETS if who == "session" or not name.startswith(who)]
    return {name: REACHED if name in MAY[who] else KEPT_OUT for name in asked}


def who_reaches_whom(
    release: Installed, session: dict[str, Any], other: dict[str, Any]
) -> dict[str, dict[str, str]]:
    """What everybody of `MAY` finds. Blocking.

    ``session`` and ``other`` are running pods of two sessions: the first asks, the second is asked for.
    """
    at = _addresses(release, other)

    def command(who: str) -> tuple[str, ...]:
        asked = [(name, *at[name]) for name in expected(who)]
        return ("python3", "-I", "-S", "-c", _SCRIPT, json.dumps(asked))

    found = {
        name: release.execute(name, *command(name)) for name in MAY if name not in {"session", "stranger"}
    }
    done = execute(release.cluster, session, session["spec"]["containers"][0]["name"], *command("session"))
    found["session"] = done.stdout
    image = release.cluster.import_image(build_image("hub"))
    with own_namespace(release.cluster) as namespace:
        found["stranger"] = output(
            release.cluster, namespace, "stranger", image, shlex.join(command("stranger"))
        )
    return {name: json.loads(printed) for name, printed in found.items()}


def _addresses(release: Installed, session: dict[str, Any]) -> dict[str, tuple[str, int]]:
    """Address and port of each target. Not names: not everybody may ask for these."""
    own = {each["metadata"]["name"]: each["spec"]["clusterIP"] for each in release.objects("services")}
    (api,) = [
        each["spec"]["clusterIP"]
        for each in release.objects("services", "default")
        if each["metadata"]["name"] == "kubernetes"
    ]
    issuer = urlsplit(release.values["settings"]["identity"]["issuer"])
    return {
        **{name: (own[f"{RELEASE}-{name}"], port) for name, port in _PORTS.items()},
        "session": (session["status"]["podIP"], _SESSION_PORT),
        "kubernetes": (api, 443),
        "outside": (str(issuer.hostname), issuer.port or 443),
    }
