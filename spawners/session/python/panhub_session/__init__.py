"""Extension of the notebook server: until when may this session run?

``GET <base>/panhub/time`` answers JSON: ``deadline`` and ``now`` [seconds since the epoch],
``warn_before`` [s] and ``sessions_url``; ``idle_ends_at`` is when the session ends unless somebody uses
it, null while that is far. ``POST`` answers the same and says that somebody used the page. The deadline
is read from the file that the platform rewrites when a session is extended, so the answer follows.
``<base>/panhub/desktop/…`` is for the tunnel of remote desktops alone (`panhub_session.desktop`), where the
platform has one. Needs jupyter_server 2 alone; the desktop, cryptography too, which JupyterHub needs.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

_DEFAULT_WARN_BEFORE = "1800,600"


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "panhub_session"}]


def forget_own_path(environment: MutableMapping[str, str]) -> None:
    """Take out of PYTHONPATH what brought this package: kernels must not inherit it. A module's stays."""
    ours = str(Path(__file__).resolve().parents[1])
    kept = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part not in ("", ours)]
    environment.pop("PYTHONPATH", None)
    if kept:
        environment["PYTHONPATH"] = os.pathsep.join(kept)


def _load_jupyter_server_extension(server: Any) -> None:
    """Add the handler; called by jupyter_server."""
    from jupyter_server.utils import url_path_join

    from panhub_session.activity import count_only_use
    from panhub_session.guests import watch
    from panhub_session.handlers import TimeHandler

    forget_own_path(os.environ)
    count_only_use(server.web_app)
    watch(server)
    hub = os.environ.get("JUPYTERHUB_BASE_URL", "/")
    facts = {
        "file": os.environ.get("PANHUB_DEADLINE_FILE", ""),
        "sessions_url": os.environ.get("PANHUB_SESSIONS_URL") or url_path_join(hub, "services/panhub/"),
        "warn_before": sorted(
            (int(s) for s in os.environ.get("PANHUB_WARN_BEFORE_S", _DEFAULT_WARN_BEFORE).split(",")),
            reverse=True,
        ),
        "idle": tuple(int(os.environ.get(f"PANHUB_IDLE_{what}_S", "0")) for what in ("END", "WARN")),
    }
    path = url_path_join(server.web_app.settings["base_url"], "panhub", "time")
    server.web_app.add_handlers(".*$", [(path, TimeHandler, facts)])
    if os.environ.get("PANHUB_DESKTOP_KEY"):
        _add_desktop(server.web_app)


def _add_desktop(web_app: Any) -> None:
    """Add the handlers of the desktop; also in a session without one, where they say so."""
    from jupyter_server.utils import url_path_join
    from tornado.ioloop import IOLoop

    from panhub_session.desktop import Desk, handlers, lend_display

    base, desk = web_app.settings["base_url"], Desk.read(os.environ)
    rules = [
        (url_path_join(base, "panhub", "desktop", name), kind, facts) for name, kind, facts in handlers(desk)
    ]
    web_app.add_handlers(".*$", rules)
    if desk.folder is not None:
        IOLoop.current().spawn_callback(lend_display, desk, os.environ)
