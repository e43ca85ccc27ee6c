"""Environment of a session's server: what was given, and what the place knows better.

Standard library only: nodes use it too.
"""

from __future__ import annotations

from collections.abc import Mapping

LAUNCH_VARIABLE = "PANHUB_LAUNCH_ID"
"""In the environment of everything that belongs to a session."""

PRIVATE_SOCKETS = "--KernelManager.transport=ipc"
"""Argument of the server by which kernels listen on sockets of its own folder.

By default they listen on the loopback, where whoever has an account on the machine can subscribe to all
that a kernel prints (its messages are signed, not encrypted).
"""

_NOT_PASSED_ON = ("PYTHON", "LD_", "CONDA", "VIRTUAL_ENV", "NODE_")
"""Beginnings of variables that would bring the hub's own software into the session."""

_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "NUMBA_NUM_THREADS",
)


def passed_on(given: Mapping[str, str]) -> dict[str, str]:
    """What the hub gives a session, without what belongs to the hub's own software."""
    return {key: value for key, value in given.items() if not key.startswith(_NOT_PASSED_ON)}


def server_environment(
    given: Mapping[str, str],
    *,
    launch_id: str,
    name: str,
    home: str,
    prefix: str,
    code: str,
    shared: str,
    jupyter: str,
    data: str,
    cpus: int,
    memory_mib: int,
    has_own_view: bool,
    path: str = "/usr/local/bin:/usr/bin:/bin",
    python_path: str = "",
) -> dict[str, str]:
    """Environment of the notebook server.

    Parameters
    ----------
    given
        What the place was given, already without what may not be passed on.
    home, code, shared, jupyter, data
        Where the session sees its home, our code, the folder with its deadline, the folder with kernels
        of the person's own, and what stands before the targets of its mounts.
    has_own_view
        Whether these paths are short, as they are in a view of its own: kernels get their sockets there
        (`PRIVATE_SOCKETS`), whose names the system limits to 107 bytes (unix(7)).
    path, python_path
        What follows our own entries in PATH and PYTHONPATH.
    """
    own = {
        "HOME": home,
        "USER": name,
        "LOGNAME": name,
        "SHELL": "/bin/bash",
        "PATH": f"{prefix}/bin:{path}",
        "JUPYTERHUB_ROOT_DIR": home,
        "JUPYTER_PATH": f"{code}/share/jupyter:{jupyter}",
        "JUPYTER_CONFIG_PATH": f"{code}/etc/jupyter",
        "PYTHONPATH": f"{code}/python:{python_path}" if python_path else f"{code}/python",
        "PANHUB_DATA": data,
        "PANHUB_DEADLINE_FILE": f"{shared}/deadline",
        LAUNCH_VARIABLE: launch_id,
        "CPU_LIMIT": str(cpus),
        "MEM_LIMIT": str(memory_mib * 1024 * 1024),
    }
    if has_own_view:
        own["JUPYTER_RUNTIME_DIR"] = f"{jupyter}/runtime"
    threads = dict.fromkeys(_THREADS, str(cpus))
    return {"LANG": "C.UTF-8", **given, **threads, **own}
