"""What is submitted for a session? A fixed script, and an environment that says everything else.

Pure. The script (``session.sh``) has no text of any person in it; names of modules come from the
profiles file. Of secrets the environment carries the session's own token and nothing else: what
the node proves to the engine is derived from it (`spawners.session.proof`). What the session is
(mounts, files, environment) is not in the job either: ``node.py`` fetches it (`node_specification`)
from the engine, so that Slurm's spool and ``scontrol`` know no data paths.

Slurm's own output goes to ``<home>/.panhub-<launch id>.log``, because Slurm makes no folders: it
holds what goes wrong before ``node.py`` has a log of its own (``~/.panhub/logs/<launch id>.log``),
which then takes it over and removes it.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from spawners.backend import View
from spawners.plan import Account, Credentials, LaunchId, LaunchPlan, MountMode
from spawners.session.environment import LAUNCH_VARIABLE, passed_on
from spawners.session.exits import SENTENCES
from spawners.slurm.models import JobSpec, mark
from spawners.slurm.settings import ClusterSettings

JOB_NAME = "panhub"

_SCRIPT = Path(__file__).with_name("session.sh").read_text(encoding="ascii")

_SHELL = ("BASH", "SLURM", "SBATCH_", "SRUN_", "SALLOC_", "PANHUB_FAILED")
_SHELL_NAMES = frozenset({"ENV", "IFS", "PS4", "SHELLOPTS", "CDPATH", "GLOBIGNORE", "TMPDIR"})
"""Variables by which a shell or Slurm would be steered from the hub's machine."""


def job_spec(plan: LaunchPlan, credentials: Credentials, cluster: ClusterSettings, partition: str) -> JobSpec:
    """The job that runs a plan in a partition of a cluster."""
    home = str(plan.account.home)
    return JobSpec(
        user=plan.account.name,
        script=_SCRIPT,
        environment=_environment(plan, credentials, cluster),
        name=JOB_NAME,
        comment=mark(plan.launch_id),
        partition=partition,
        cpus=plan.size.cpus,
        memory_mib=plan.size.memory_mib,
        gpus=plan.size.gpus,
        gpu_type=plan.size.gpu_type,
        time_limit=plan.walltime,
        workdir=home,
        log=f"{home}/.panhub-{plan.launch_id}.log",
        account=plan.scheduling.account,
        qos=plan.scheduling.qos,
        reservation=plan.scheduling.reservation,
        constraint=cluster.constraint,
    )


def _environment(plan: LaunchPlan, credentials: Credentials, cluster: ClusterSettings) -> dict[str, str]:
    account, environment = plan.account, plan.environment
    given = passed_on(credentials.environment)
    given = {key: value for key, value in given.items() if not _steers(key)}
    own = {
        "HOME": str(account.home),
        "USER": account.name,
        "LOGNAME": account.name,
        "SHELL": "/bin/bash",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        LAUNCH_VARIABLE: plan.launch_id,
        "PANHUB_REPORT_BASE": report_base(credentials, cluster),
        "PANHUB_SESSION_CODE": str(cluster.session_code),
        "PANHUB_PYTHON": str(cluster.python),
        "PANHUB_VIEW": cluster.view,
        "PANHUB_LISTEN": cluster.listen,
        "PANHUB_READ_ONLY_PATHS": "\n".join(map(str, cluster.read_only_paths)),
        "PANHUB_APPTAINER": str(cluster.apptainer or ""),
        # Slurm 22.05 to 23.02: srun does not take it over from the job.
        "SRUN_CPUS_PER_TASK": str(plan.size.cpus),
    }
    if environment.modules:
        own["PANHUB_MODULES"] = "\n".join(environment.modules)
        own["PANHUB_MODULES_INIT"] = str(cluster.modules_init or "")
    # A job from inside the session carries its launch as its wckey: srun, sbatch, salloc.
    keys = dict.fromkeys(("SLURM_WCKEY", "SBATCH_WCKEY", "SALLOC_WCKEY"), mark(plan.launch_id))
    return {"LANG": "C.UTF-8", **given, **own, **keys}


def _steers(name: str) -> bool:
    return name.startswith(_SHELL) or name in _SHELL_NAMES


def report_base(credentials: Credentials, cluster: ClusterSettings) -> str:
    """Base address at which the node reaches the engine, without a slash at its end."""
    base = cluster.node_report_url or credentials.report_url.rpartition("/internal/reports/")[0]
    return base.rstrip("/")


def node_specification(plan: LaunchPlan) -> dict[str, Any]:
    """What ``node.py`` is told of a plan; nothing of it is secret."""
    account, environment = plan.account, plan.environment
    return {
        "launch_id": plan.launch_id,
        "account": {
            "name": account.name,
            "uid": account.uid,
            "gid": account.gid,
            "home": str(account.home),
        },
        "environment": {
            "title": environment.title,
            "prefix": str(environment.prefix),
            "image": str(environment.image) if environment.image else None,
        },
        "size": {"cpus": plan.size.cpus, "memory_mib": plan.size.memory_mib, "gpus": plan.size.gpus},
        "mounts": [
            {
                "source": str(mount.source),
                "target": str(mount.target),
                "is_writable": mount.mode is MountMode.READ_WRITE,
            }
            for mount in plan.mounts
        ],
        "workdir": str(plan.workdir),
        "files": [{"path": str(file.path), "content": file.content} for file in plan.files],
        "data_link": str(plan.data_link) if plan.data_link else None,
        "open_path": str(plan.open_path) if plan.open_path else None,
        "interface": str(plan.interface),
    }


def session_view(launch_id: LaunchId, account: Account, cluster: ClusterSettings) -> View:
    """Where a session on a node sees its files.

    With ``view: auto`` a namespace is taken for granted. Where it turns out that only links are to
    be had, the plan's paths are right if the data has the same paths on the nodes, as is usual.
    """
    root = PurePosixPath("/")
    if cluster.view == "links":
        root = account.home / ".panhub" / "views" / launch_id
    return View(root=root, home=account.home)


def end_detail(exit_code: int | None) -> str:
    """What an exit code of the job says to a person; empty for codes that are not ours."""
    return SENTENCES.get(exit_code or 0, "")
