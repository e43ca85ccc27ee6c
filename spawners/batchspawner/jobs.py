"""From a launch plan to what a batch system is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from spawners.backend import SubmitError, View
from spawners.batchspawner.driver import Driver, clock, format_template
from spawners.batchspawner.known import Known
from spawners.batchspawner.records import job_name
from spawners.batchspawner.script import VARIABLE, command, packed
from spawners.batchspawner.settings import BatchSystemSettings
from spawners.plan import Account, Credentials, LaunchId, LaunchPlan
from spawners.session.environment import LAUNCH_VARIABLE
from spawners.slurm.job import job_spec, session_view
from spawners.slurm.settings import CliSettings, ClusterSettings

_PLAIN_PATH = re.compile(r"/[A-Za-z0-9_./+@-]*")
_OF_SLURM = ("SLURM_", "SBATCH_", "SALLOC_", "SRUN_")


@dataclass(frozen=True, slots=True)
class Job:
    """A job to submit. ``script`` or ``environment`` has the session's own token."""

    requests: dict[str, str]
    script: str = field(repr=False)
    environment: dict[str, str] = field(repr=False)


def make_job(driver: Driver, queue: str, plan: LaunchPlan, credentials: Credentials) -> Job:
    """The job of a plan: text of ours and of the settings, numbers and checked names of the plan.

    Raises
    ------
    SubmitError
        If the home folder's path cannot stand in a batch script.
    """
    settings = driver.settings
    spec = job_spec(plan, credentials, _nodes(settings), queue)
    for path in (spec.workdir, spec.log):
        if not _PLAIN_PATH.fullmatch(path):
            raise SubmitError(
                f"The home folder {plan.account.home} has signs that a batch script cannot have."
            )
    known = driver.known
    word = packed(
        {k: v for k, v in spec.environment.items() if known.hides_environment or not k.startswith(_OF_SLURM)}
    )
    given = {VARIABLE: word} if known.hides_environment else {}
    if not given and (settings.batch_script or not known.script):
        given = {LAUNCH_VARIABLE: str(plan.launch_id)}  # a site's script wants at least one for its -v
    requests = _requests(known, queue, plan)
    made = driver.spawner(plan.account.name)
    template = settings.batch_script or known.script or made.batch_script
    values = {
        **made.get_req_subvars(),
        **{key.removeprefix("req_"): value for key, value in requests.items()},
        "jobname": job_name(plan.launch_id),
        "log": spec.log,
        "cmd": command(spec.script, settings.python, None if known.hides_environment else word),
        "keepvars": ",".join(given),
    }
    return Job(
        requests={key: value for key, value in requests.items() if made.has_trait(key)},
        script=format_template(template, values),
        environment=given,
    )


def _requests(known: Known, queue: str, plan: LaunchPlan) -> dict[str, str]:
    size, scheduling = plan.size, plan.scheduling
    given = {
        "req_queue": queue,
        "req_partition": queue,
        "req_nprocs": str(size.cpus),
        "req_memory": known.memory.format(size.memory_mib),
        "req_ngpus": str(size.gpus) if size.gpus else "",
        "req_gres": ":".join(filter(None, ("gpu", size.gpu_type, str(size.gpus)))) if size.gpus else "",
        "req_runtime": clock(int(plan.walltime.total_seconds())),
        "req_homedir": str(plan.account.home),
        "req_account": scheduling.account or "",
        "req_qos": scheduling.qos or "",
    }
    # An empty one leaves what the settings say.
    return {key: value for key, value in given.items() if value}


def view(settings: BatchSystemSettings, launch_id: LaunchId, account: Account) -> View:
    """Where a session on a node sees its files."""
    return session_view(launch_id, account, _nodes(settings))


def _nodes(settings: BatchSystemSettings) -> ClusterSettings:
    """What sessions on nodes need to know, as a Slurm cluster says it; nobody talks to Slurm by it."""
    return ClusterSettings(
        transport=CliSettings(kind="cli"),
        session_code=settings.session_code,
        python=settings.python,
        view=settings.view,
        modules_init=settings.modules_init,
        read_only_paths=settings.read_only_paths,
        listen=settings.listen,
        node_report_url=settings.node_report_url,
    )
