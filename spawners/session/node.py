"""First process of a session on a node: fetch what it is, build its data view, look after it.

Run as ``python -I -S node.py`` by a Python (3.9 or newer) of the node, in the batch step of the
session's job, as the person; `spawners.slurm.job` says what its environment holds. It proves itself
to the engine (`spawners.session.proof`), asks for the specification, builds the view
(`spawners.session.nodeview`), runs ``start.py`` in it, and stays as its parent: it keeps the log
(``~/.panhub/logs/<launch id>.log``), sends its last lines to the engine, follows the deadline, and
ends with the server's exit code, or with one of `spawners.session.exits`.

Address: the engine knows the node's from Slurm (NodeAddr) and comes there; so the session reports its
port and nothing else, and listens where the site's setting says (`spawners.session.address`): by
default on the address from which this node reaches the service, which the kernel tells.

End: Slurm sends SIGTERM to every process of a job at once. Whatever ends it, this process stays until
the server has ended. bubblewrap's own process must not die before, since the view dies with it: it
ignores SIGTERM, ``start.py`` inside does not. apptainer hands it on; what mounts its image by FUSE ends
at once, so a server ends with what it has loaded.

Standard library only, and few imports: it is on the way of every start.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import types
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # on a node this folder stands alone, under any name
    for _name, _path in (("spawners", []), ("spawners.session", [str(Path(__file__).resolve().parent)])):
        sys.modules[_name] = _package = types.ModuleType(_name)
        _package.__path__ = _path

from spawners.session import exits
from spawners.session.address import listen_address
from spawners.session.children import memory_file
from spawners.session.desktopchild import desktop_specification
from spawners.session.engine import Engine
from spawners.session.environment import PRIVATE_SOCKETS, server_environment
from spawners.session.minder import Correspondent, Minder
from spawners.session.nodejob import NodeJob, for_server, node_name, open_log, take_over, time_zone
from spawners.session.nodeview import NodeView, make_view
from spawners.session.proof import session_secret
from spawners.session.sessionlog import SessionLog

_SIGTERM_CODE = 143
_VIEW_FAILED = {1: "bwrap: ", 255: "FATAL: "}
"""Exit codes of bubblewrap and apptainer when they fail, and how the last line they say begins."""

_PATH = "/usr/local/bin:/usr/bin:/bin"


def start_specification(
    job: NodeJob,
    spec: Mapping[str, Any],
    view: NodeView,
    environment: Mapping[str, str],
    *,
    host: str,
    port: int | None = None,
) -> dict[str, Any]:
    """Standard input of ``start.py``; see there."""
    size, is_image = spec["size"], view.kind == "apptainer"
    given = for_server(environment)
    path = _PATH if is_image else environment.get("PATH", _PATH)
    if view.kind != "links":
        given.pop("TMPDIR", None)  # the view's /tmp is its own
    if is_image and (zone := time_zone()):
        given.setdefault("TZ", zone)
    engine = Engine(job.report_base, job.launch_id, session_secret(job.token, job.launch_id))
    prefix = spec["environment"]["prefix"]
    first = spec["mounts"][0]["target"] if spec["mounts"] else None
    link, folder = spec["data_link"], None
    if first is not None:
        folder = str(Path(view.data) / Path(first).parent.relative_to("/"))
    return {
        "environment": server_environment(
            given,
            launch_id=job.launch_id,
            name=spec["account"]["name"],
            home=view.home,
            prefix=prefix,
            code=view.session_code,
            shared=view.session_shared,
            jupyter=view.jupyter,
            data=view.data,
            cpus=size["cpus"],
            memory_mib=size["memory_mib"],
            has_own_view=view.kind != "links",
            path=path if view.kind == "pod" else f"{view.session_shared}/bin:{path}",
            python_path="" if is_image else environment.get("PYTHONPATH", ""),
        ),
        "inherited": ["LD_LIBRARY_PATH"] if is_image else [],
        "command": [
            f"{prefix}/bin/jupyterhub-singleuser",
            *([] if view.kind == "links" else [PRIVATE_SOCKETS]),
        ],
        "home": view.home,
        "workdir": spec["workdir"],
        "files": spec["files"],
        "data_link": {"path": link, "target": folder} if link and folder else None,
        "open_path": spec["open_path"],
        "report_url": engine.report_url,
        "report_secret": session_secret(job.token, job.launch_id),
        "dies_with_parent": view.kind == "links",
        "host": host,
        "port": port,
        "kernels": f"{view.jupyter}/kernels",
        "desktop": desktop(spec, view) if spec.get("interface") == "desktop" else None,
    }


def desktop(spec: Mapping[str, Any], view: NodeView) -> dict[str, Any]:
    """What is started beside the server when a desktop is asked for."""
    mounts = [
        (str(Path(view.data) / Path(mount["target"]).relative_to("/")), mount["is_writable"])
        for mount in spec["mounts"]
    ]
    return desktop_specification(view.home, view.jupyter, mounts, spec["workdir"])


def first_command(spec: Mapping[str, Any], view: NodeView) -> list[str]:
    """The first process: no secret and no text of a person in its arguments."""
    start = [f"{spec['environment']['prefix']}/bin/python", "-I", "-S", f"{view.session_code}/start.py"]
    if view.apptainer is not None:
        return [*view.apptainer, *start]
    return start if view.bubblewrap is None else [shutil.which("bwrap") or "bwrap", *start]


def forget_settings(environment: MutableMapping[str, str]) -> None:
    """Take out by what a module or a node's profile would show more in a container (APPTAINER_BIND)."""
    for name in [name for name in environment if name.startswith(("APPTAINER", "SINGULARITY"))]:
        if not name.endswith(("_TMPDIR", "_CACHEDIR")):
            del environment[name]


class NodeSession:
    """One session, from its job's first moment to its last."""

    def __init__(self, job: NodeJob, log: SessionLog, log_path: Path, engine: Engine, minder: Minder) -> None:
        self._job = job
        self._log = log
        self._log_path = log_path
        self._engine = engine
        self._minder = minder

    def say(self, text: str) -> None:
        """Write a line into the log."""
        self._log.write(f"{text}\n".encode())

    def run(self) -> int:
        """Run the session; returns its exit code."""
        slurm = take_over(self._job.slurm_output, self._log)
        view: NodeView | None = None
        correspondent = None
        try:
            view, spec = self._prepare()
            correspondent = Correspondent(self._engine, self._log_path, view.shared)
            return self._serve(view, spec, correspondent)
        except exits.SessionFailedError as error:
            self.say(str(error))
            return error.code
        except OSError as error:
            self.say(f"The session could not be started on the node {node_name()}: {error}")
            return exits.NO_VIEW
        finally:
            if slurm is not None:
                self._log.write(os.read(slurm, 65536))
            shared = Path(os.devnull) if view is None else view.shared
            (correspondent or Correspondent(self._engine, self._log_path, shared)).finish()
            if view is not None:
                view.remove()

    def _prepare(self) -> tuple[NodeView, dict[str, Any]]:
        if self._job.failed_module:
            text = f"The module {self._job.failed_module} could not be loaded on the node {node_name()}."
            raise exits.SessionFailedError(exits.MODULES, text)
        spec = self._engine.specification(lambda: self._minder.is_ending, self.say)
        view = make_view(self._job, spec, os.environ)
        self.say(view.note)
        return view, spec

    def _serve(self, view: NodeView, spec: dict[str, Any], correspondent: Correspondent) -> int:
        if self._minder.is_ending:
            return _SIGTERM_CODE
        host = listen_address(self._job.listen, (self._engine.host, self._engine.port))
        start = start_specification(self._job, spec, view, os.environ, host=host)
        stdin = memory_file(json.dumps(start).encode())
        start.clear()
        if view.apptainer is not None:
            forget_settings(os.environ)
        code = self._minder.run(
            first_command(spec, view), view.bubblewrap, stdin, self._log, correspondent.start
        )
        if code in _VIEW_FAILED:
            self._look_for_view(_VIEW_FAILED[code], f"{spec['environment']['prefix']}/")
        return code

    def _look_for_view(self, sign: str, prefix: str) -> None:
        """Fail if what makes the view spoke last: it ends with a code that a server's may be as well."""
        from spawners.session.sessionlog import tail

        said = next((line for line in tail(self._log_path, 1) if line.startswith(sign)), None)
        if said is not None and f"stat {prefix}" in said:
            text = f"The image has no {prefix[:-1]} (node {node_name()})."
            raise exits.SessionFailedError(exits.NO_ENVIRONMENT, text)
        if said is not None:
            text = f"The data view could not be built on the node {node_name()}; the line above says why."
            raise exits.SessionFailedError(exits.NO_VIEW, text)


def main() -> int:
    """Run the session of this job; returns its exit code."""
    minder = Minder()
    try:
        job = NodeJob.read(os.environ)
    except exits.SessionFailedError as error:
        print(error, file=sys.stderr)
        return error.code
    engine = Engine(job.report_base, job.launch_id, session_secret(job.token, job.launch_id))
    try:
        log = open_log(job.home, job.launch_id)
    except exits.SessionFailedError as error:
        print(error, file=sys.stderr)
        try:
            engine.send_log([str(error)])
        except OSError as unsent:
            print(unsent, file=sys.stderr)
        return error.code
    path = job.home / ".panhub" / "logs" / f"{job.launch_id}.log"
    return NodeSession(job, log, path, engine, minder).run()


if __name__ == "__main__":
    sys.exit(main())
