"""What is a session told? From plan, view and secrets to the specification of its start.

Pure. The result goes through pipes and memory to `spawners/session/start.py`, never to disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spawners.local.view import View, data_folder
from spawners.plan import Credentials, Interface, LaunchPlan, MountMode
from spawners.session import environment
from spawners.session.desktopchild import desktop_specification


def start_specification(plan: LaunchPlan, credentials: Credentials, view: View) -> dict[str, Any]:
    """Standard input of ``start.py``; see there."""
    link, folder = plan.data_link, data_folder(plan, view)
    arguments = [] if view.arguments is None else [environment.PRIVATE_SOCKETS]
    return {
        "environment": server_environment(plan, credentials.environment, view),
        "command": [str(plan.environment.prefix / "bin" / "jupyterhub-singleuser"), *arguments],
        "home": str(view.home),
        "workdir": str(plan.workdir),
        "files": [{"path": str(file.path), "content": file.content} for file in plan.files],
        "data_link": {"path": str(link), "target": str(folder)} if link and folder else None,
        "open_path": str(plan.open_path) if plan.open_path else None,
        "report_url": credentials.report_url,
        "report_secret": credentials.report_secret,
        "dies_with_parent": view.arguments is None,
        "host": "127.0.0.1",
        "kernels": str(view.jupyter / "kernels"),
        "desktop": desktop(plan, view) if plan.interface is Interface.DESKTOP else None,
    }


def desktop(plan: LaunchPlan, view: View) -> dict[str, Any]:
    """What is started beside the server when a desktop is asked for."""
    mounts = [(str(view.shown(m.target)), m.mode is MountMode.READ_WRITE) for m in plan.mounts]
    return desktop_specification(str(view.home), str(view.jupyter), mounts, str(plan.workdir))


def start_command(plan: LaunchPlan, view: View) -> list[str]:
    """The first process of the session: no secret and no text of a person in its arguments."""
    python = plan.environment.prefix / "bin" / "python"
    return [str(python), "-I", "-S", str(view.session_code / "start.py")]


def server_environment(plan: LaunchPlan, given: Mapping[str, str], view: View) -> dict[str, str]:
    """Environment of the notebook server: what the hub gave, and what this place knows better."""
    return environment.server_environment(
        environment.passed_on(given),
        launch_id=plan.launch_id,
        name=plan.account.name,
        home=str(view.home),
        prefix=str(plan.environment.prefix),
        code=str(view.session_code),
        shared=str(view.shared),
        jupyter=str(view.jupyter),
        data=str(view.data),
        cpus=plan.size.cpus,
        memory_mib=plan.size.memory_mib,
        has_own_view=view.arguments is not None,
    )
