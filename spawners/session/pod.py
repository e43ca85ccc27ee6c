"""First process of a session in a pod: fetch what it is, start its server, look after it.

Run as ``python -I -S pod.py`` by the image's environment, as the person, as the container's first process.
Its twin on nodes is `spawners.session.node`; in a pod the view is there already: the home at
``/home/<name>`` and the granted data at their places. `spawners.kubernetes.objects` says what it finds:
the files of a secret below ``/run/panhub`` (the session's token, its launch id, what JupyterHub gives it),
and in its environment what the image sets (search path, GPUs) with a few names of ours.

It asks the engine for the specification, runs ``start.py`` listening on the pod's own address, sends the
last lines of the log to the engine, and writes all of it to its standard output too, so that it can be
read while the home cannot. The kubelet asks it alone to end: it hands that on, and ends after the server.
It ends by itself when the session's time is over and the engine does not end it. As the first process it
collects orphans. Its exit code is the server's, or one of `spawners.session.exits`.

Standard library only, and few imports: it is on the way of every start.
"""

from __future__ import annotations

import json
import os
import sys
import time
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # in an image this folder stands alone
    for _name, _path in (("spawners", []), ("spawners.session", [str(Path(__file__).resolve().parent)])):
        sys.modules[_name] = _package = types.ModuleType(_name)
        _package.__path__ = _path

from spawners.session import exits
from spawners.session.children import memory_file
from spawners.session.engine import Engine
from spawners.session.minder import Correspondent, Minder
from spawners.session.node import start_specification
from spawners.session.nodejob import NodeJob, node_name, open_log
from spawners.session.nodeview import NodeView, check_account, check_environment, check_mount, session_code
from spawners.session.proof import TOKEN_VARIABLE, session_secret
from spawners.session.sessionlog import SessionLog

PORT = 8888
"""The port of all sessions in pods (`spawners.kubernetes.naming`)."""

_SECRET = Path("/run/panhub")
_SHARED = Path("/opt/panhub/run")
_JUPYTER = Path("/opt/panhub/jupyter")

_SLACK_S = 120.0
"""The engine ends a session at its deadline; this much later it is silent, or its word did not arrive."""

_SIGTERM_CODE = 143
_SIGKILL_CODE = 137

_NOT_THE_IMAGES = ("PANHUB_", "KUBERNETES_")
"""Beginnings of variables that an image does not set: ours, and the address of the cluster's API."""


class PodLog(SessionLog):
    """The session's log, and the container's."""

    def write(self, data: bytes) -> None:
        """Append to both."""
        super().write(data)
        os.write(1, data)


def read_job(environment: Mapping[str, str], secret: Path) -> tuple[NodeJob, dict[str, str]]:
    """What this pod is, and the environment of its server: the image's, then what JupyterHub gives.

    Raises
    ------
    exits.SessionFailedError
        If something is missing: it is not a pod of ours.
    """
    try:
        token = (secret / "token").read_text(encoding="utf-8")
        launch_id = (secret / "launch-id").read_text(encoding="utf-8")
        given = json.loads((secret / "environment").read_bytes())
    except (OSError, ValueError) as error:
        text = f"The pod lacks a file of its secret: {error}"
        raise exits.SessionFailedError(exits.WRONG_JOB, text) from error
    images = {key: value for key, value in environment.items() if not key.startswith(_NOT_THE_IMAGES)}
    server = {**images, **given, TOKEN_VARIABLE: token}
    job = {"PANHUB_VIEW": "pod", "PANHUB_LISTEN": environment.get("PANHUB_POD_IPS", "")}
    job |= {"PANHUB_LAUNCH_ID": launch_id, TOKEN_VARIABLE: token}
    return NodeJob.read({**environment, **job}), server


def own_address(addresses: str) -> str:
    """The pod's IPv4 address, of all that it has (``status.podIPs``).

    Raises
    ------
    exits.SessionFailedError
        If it has none.
    """
    found = next((address for address in addresses.split(",") if address.count(".") == 3), None)
    if found is None:
        text = f"The pod has no IPv4 address (it has: {addresses or 'none'})."
        raise exits.SessionFailedError(exits.WRONG_JOB, text)
    return found


def oom_kills(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """How often the kernel ended a process of the container for lack of memory (cgroup v2 and v1)."""
    for name in ("memory.events", "memory/memory.oom_control"):
        try:
            lines = (cgroup / name).read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
    return 0


class PodSession:
    """One session, from its container's first moment to its last."""

    def __init__(
        self,
        job: NodeJob,
        given: Mapping[str, str],
        log: SessionLog,
        *,
        prefix: str,
        walltime_s: float,
        shared: Path = _SHARED,
        jupyter: Path = _JUPYTER,
        port: int | None = PORT,
    ) -> None:
        self._job = job
        self._given = given
        self._log = log
        self._prefix = prefix
        self._jupyter = jupyter
        self._port = port
        self._engine = Engine(job.report_base, job.launch_id, session_secret(job.token, job.launch_id))
        path = job.home / ".panhub" / "logs" / f"{job.launch_id}.log"
        self._shared = shared
        self._correspondent = Correspondent(self._engine, path, shared)
        self._latest = time.time() + walltime_s

    def is_over(self) -> bool:
        """Whether its time is over, though the engine did not end it."""
        deadline = self._correspondent.deadline
        return time.time() > (self._latest if deadline is None else deadline) + _SLACK_S

    def run(self, minder: Minder) -> int:
        """Run the session; returns its exit code."""
        try:
            spec = self._engine.specification(lambda: minder.is_ending, self._say)
            self._check(spec)
            code = self._serve(spec, minder)
        except exits.SessionFailedError as error:
            self._say(str(error))
            code = error.code
        except OSError as error:
            self._say(f"The session could not be started on the node {node_name()}: {error}")
            code = exits.NO_VIEW
        finally:
            self._correspondent.finish()
        return code

    def _say(self, text: str) -> None:
        self._log.write(f"{text}\n".encode())

    def _check(self, spec: dict[str, Any]) -> None:
        spec["environment"]["prefix"] = self._prefix  # in the image, not on nodes
        check_account(spec["account"])
        check_environment(spec["environment"])
        for mount in spec["mounts"]:
            check_mount({"source": mount["target"]})

    def _serve(self, spec: dict[str, Any], minder: Minder) -> int:
        if minder.is_ending:
            return _SIGTERM_CODE
        view = NodeView(
            kind="pod",
            note="",
            folder=self._jupyter,
            shared=self._shared,
            home=str(self._job.home),
            session_code=str(session_code()),
            session_shared=str(self._shared),
            jupyter=str(self._jupyter),
            data="/",
        )
        host = own_address(self._job.listen)
        start = start_specification(self._job, spec, view, self._given, host=host, port=self._port)
        stdin = memory_file(json.dumps(start).encode())
        start.clear()
        command = [f"{self._prefix}/bin/python", "-I", "-S", f"{view.session_code}/start.py"]
        code = minder.run(command, None, stdin, self._log, self._correspondent.start)
        if minder.was_over:
            raise exits.SessionFailedError(exits.TIME_LIMIT, "The session reached the end of its time.")
        if code == _SIGKILL_CODE and oom_kills():
            memory = spec["size"]["memory_mib"]
            text = f"The server needed more than the {memory} MiB that the session has, and was ended."
            raise exits.SessionFailedError(exits.OUT_OF_MEMORY, text)
        return code


def main() -> int:
    """Run the session of this pod; returns its exit code."""
    ask: list[PodSession] = []
    minder = Minder(prepare=lambda: None, is_over=lambda: bool(ask) and ask[0].is_over())
    try:
        job, given = read_job(os.environ, _SECRET)
    except exits.SessionFailedError as error:
        print(error, flush=True)
        return error.code
    engine = Engine(job.report_base, job.launch_id, session_secret(job.token, job.launch_id))
    try:
        log = open_log(job.home, job.launch_id, PodLog)
    except exits.SessionFailedError as error:
        print(error, flush=True)
        try:
            engine.send_log([str(error)])
        except OSError as unsent:
            print(unsent, flush=True)
        return error.code
    walltime_s = float(os.environ.get("PANHUB_WALLTIME_S", "inf"))
    ask.append(PodSession(job, given, log, prefix=os.environ["PANHUB_PREFIX"], walltime_s=walltime_s))
    return ask[0].run(minder)


if __name__ == "__main__":
    sys.exit(main())
