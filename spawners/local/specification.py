"""What is a session told? From plan, view and secrets to the specification of its start.

Pure. The result goes through pipes and memory to `spawners/session/start.py`, never to disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spawners.local.processes import LAUNCH_VARIABLE
from spawners.local.view import View, data_folder
from spawners.plan import Credentials, LaunchPlan

_NOT_PASSED_ON = ("PYTHON", "LD_", "CONDA", "VIRTUAL_ENV", "NODE_")
"""Beginnings of variables that would bring the hub's own software into the session."""

_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "NUMBA_NUM_THREADS",
)


def start_specification(plan: LaunchPlan, credentials: Credentials, view: View) -> dict[str, Any]:
    """Standard input of ``start.py``; see there."""
    link, folder = plan.data_link, data_folder(plan, view)
    return {
        "environment": server_environment(plan, credentials.environment, view),
        "command": [str(plan.environment.prefix / "bin" / "jupyterhub-singleuser")],
        "home": str(view.home),
        "workdir": str(plan.workdir),
        "files": [{"path": str(file.path), "content": file.content} for file in plan.files],
        "data_link": {"path": str(link), "target": str(folder)} if link and folder else None,
        "open_path": str(plan.open_path) if plan.open_path else None,
        "report_url": credentials.report_url,
        "report_secret": credentials.report_secret,
        "dies_with_parent": view.arguments is None,
    }


def start_command(plan: LaunchPlan, view: View) -> list[str]:
    """The first process of the session: no secret and no text of a person in its arguments."""
    python = plan.environment.prefix / "bin" / "python"
    return [str(python), "-I", "-S", str(view.session_code / "start.py")]


def server_environment(plan: LaunchPlan, given: Mapping[str, str], view: View) -> dict[str, str]:
    """Environment of the notebook server: what the hub gave, and what this place knows better."""
    passed = {key: value for key, value in given.items() if not key.startswith(_NOT_PASSED_ON)}
    code, size, name = view.session_code, plan.size, plan.account.name
    own = {
        "HOME": str(view.home),
        "USER": name,
        "LOGNAME": name,
        "SHELL": "/bin/bash",
        "PATH": f"{plan.environment.prefix}/bin:/usr/local/bin:/usr/bin:/bin",
        "JUPYTERHUB_ROOT_DIR": str(view.home),
        "JUPYTER_PATH": f"{code}/share/jupyter",
        "JUPYTER_CONFIG_PATH": f"{code}/etc/jupyter",
        "PYTHONPATH": f"{code}/python",
        "PANHUB_DATA": str(view.data),
        "PANHUB_DEADLINE_FILE": str(view.shared / "deadline"),
        LAUNCH_VARIABLE: plan.launch_id,
        "CPU_LIMIT": str(size.cpus),
        "MEM_LIMIT": str(size.memory_mib * 1024 * 1024),
    }
    threads = dict.fromkeys(_THREADS, str(size.cpus))
    return {"LANG": "C.UTF-8", **passed, **threads, **own}
