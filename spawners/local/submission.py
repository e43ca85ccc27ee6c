"""How is a session prepared on this machine? Run folder, view, limits, specification.

All of it blocks (files, /proc): the backend calls it in threads.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from spawners.backend import Availability, BackendUnavailableError, SubmitError
from spawners.local.bubblewrap import Isolation
from spawners.local.records import Records
from spawners.local.runfolder import RunFolder, write_json
from spawners.local.settings import LocalSettings
from spawners.local.specification import start_command, start_specification
from spawners.local.view import HostPaths, View, bubblewrap_view, links_view, shown_id
from spawners.plan import Credentials, Interface, LaunchPlan
from spawners.session.desktop import why_not
from spawners.session.machine import Shown, interpreter_paths, system_paths
from spawners.session.view import group, passwd

_SESSION_CODE = Path(__file__).resolve().parents[1] / "session"


class Preparer:
    """Makes what a supervisor needs, and knows what the machine has."""

    def __init__(self, settings: LocalSettings, records: Records) -> None:
        self._settings = settings
        self._records = records
        # CPUs are chosen and written down by one thread at a time, so that two starts spread out.
        self._choosing = threading.Lock()

    def prepare(self, plan: LaunchPlan, credentials: Credentials, isolation: Isolation) -> dict[str, Any]:
        """Make the run folder and the supervisor's specification.

        Raises
        ------
        SubmitError
            If something that the plan names is not there.
        BackendUnavailableError
            If the launch was submitted before and something of it may run.
        """
        self._check(plan)
        run = self._records.folder(plan.launch_id)
        try:
            self._records.make()
            self._records.clear_unstarted(plan.launch_id)
            run.make()
            Path(plan.account.home).mkdir(mode=0o700, parents=True, exist_ok=True)
            run.write_deadline(time.time() + plan.walltime.total_seconds())
            view = self._view(plan, run, isolation)
        except FileExistsError as error:
            raise BackendUnavailableError("This launch was submitted before.") from error
        except OSError as error:
            raise SubmitError(f"The session could not be prepared: {error}.") from error
        return {
            "launch_id": plan.launch_id,
            "bwrap": isolation.program if view.arguments is not None else None,
            "view": view.arguments,
            "command": start_command(plan, view),
            "start": start_specification(plan, credentials, view),
            "affinity": self._give(plan, run),
            "cpus": plan.size.cpus,
            "memory_mib": plan.size.memory_mib,
            "grace_s": self._settings.grace_s,
            "cgroup": str(self._settings.cgroup) if self._settings.cgroup else None,
            "log": str(self._records.log_path(plan.launch_id)),
        }

    def _check(self, plan: LaunchPlan) -> None:
        if plan.size.gpus:
            raise SubmitError("There are no GPUs at this place.")
        prefix = Path(plan.environment.prefix)
        for program in ("python", "jupyterhub-singleuser"):
            if not os.access(prefix / "bin" / program, os.X_OK):
                raise SubmitError(
                    f"The environment “{plan.environment.title}” is not installed here: {prefix}."
                )
        if plan.interface is Interface.DESKTOP and (
            lacking := why_not(f"{prefix}/bin:/usr/local/bin:/usr/bin:/bin")
        ):
            raise SubmitError(lacking)
        for mount in plan.mounts:
            if not Path(mount.source).is_dir():
                raise SubmitError(f"The data for {mount.target} is not there.")

    def _view(self, plan: LaunchPlan, run: RunFolder, isolation: Isolation) -> View:
        host = HostPaths(
            home=Path(plan.account.home),
            session_code=_SESSION_CODE,
            shared=run.shared,
            jupyter=run.jupyter,
            etc=run.etc,
            tmp=run.tmp,
            links=run.view,
        )
        if isolation.kind == "bubblewrap":
            name, uid, gid = plan.account.name, shown_id(plan.account.uid), shown_id(plan.account.gid)
            own_passwd = passwd(name, uid, gid, f"/home/{name}")
            (run.etc / "passwd").write_text(own_passwd, encoding="utf-8")
            (run.etc / "group").write_text(group(name, gid), encoding="utf-8")
            software = [*interpreter_paths(Path(plan.environment.prefix)), *self._further_paths()]
            return bubblewrap_view(plan, host, system=system_paths(), software=software)
        view = links_view(plan, host)
        for link, target in view.links:
            Path(link).parent.mkdir(parents=True, exist_ok=True)
            Path(link).symlink_to(target)
        return view

    def _further_paths(self) -> list[Shown]:
        return [Shown(path) for path in self._settings.read_only_paths if path.exists()]

    def _give(self, plan: LaunchPlan, run: RunFolder) -> list[int]:
        """Choose the CPUs that the fewest running sessions were given, and write down what is given."""
        with self._choosing:
            taken = Counter(cpu for given in self._records.live() for cpu in given["affinity"])
            offered = sorted(os.sched_getaffinity(0), key=lambda cpu: (taken[cpu], cpu))
            affinity = sorted(offered[: plan.size.cpus])
            given = {
                "cpus": plan.size.cpus,
                "memory_mib": plan.size.memory_mib,
                "gpus": 0,
                "affinity": affinity,
            }
            write_json(run.session, given)
        return affinity

    def availability(self, isolation: Isolation) -> Availability:
        """What the machine offers, less what running sessions were given."""
        live = list(self._records.live())
        cpus = self._settings.cpus or len(os.sched_getaffinity(0))
        memory_mib = self._settings.memory_mib or _memory_mib()
        how = "enforced by a cgroup" if self._settings.cgroup else "memory is watched, CPUs are bound"
        is_isolated = isolation.kind == "bubblewrap"
        kept = isolation.reason.capitalize() if is_isolated else f"ISOLATION IS OFF ({isolation.reason})"
        return Availability(
            is_reachable=True,
            cpus_free=max(0, cpus - sum(given["cpus"] for given in live)),
            cpus_total=cpus,
            memory_mib_free=max(0, memory_mib - sum(given["memory_mib"] for given in live)),
            memory_mib_total=memory_mib,
            gpus_free=0,
            gpus_total=0,
            note=f"{kept}. Limits: {how}.",
            is_isolated=is_isolated,
        )


def _memory_mib() -> int:
    """Memory of the machine [MiB], from /proc/meminfo (proc(5))."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return 0
