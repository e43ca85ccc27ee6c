"""What batchspawner's classes do not say of their schedulers: when a job is over, and how to list jobs.

batchspawner takes whatever it does not recognise for the end of a job; here only these answers are one.
Sources: qstat(1B) and qsub(1B) of Torque 6, qstat(1B) of OpenPBS 23, squeue(1) of Slurm 22.05, bjobs(1) of
LSF 10, qstat(1) of Grid Engine.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Known:
    """A scheduler. Patterns are searched in an answer, with ``re.MULTILINE``; ``{job_id}`` is replaced.

    ``memory`` is how it wants MiB written, ``script`` the template of a batch script, None where only the
    class's own is known. ``hides_environment``: only a job's owner can see its variables.
    """

    gone: str
    memory: str = "{}M"
    script: str | None = None
    list_cmd: str | None = None
    list_re: str | None = None
    has_gpu_types: bool = False
    hides_environment: bool = False


_TORQUE = """#!/bin/bash
#PBS -S /bin/bash
#PBS -N {{jobname}}
#PBS -j oe
#PBS -o /dev/null
#PBS -r n
{% if queue or host %}#PBS -q {{queue}}{% if host %}@{{host}}{% endif %}
{% endif %}{% if account %}#PBS -A {{account}}
{% endif %}#PBS -l walltime={{runtime}}
#PBS -l nodes=1:ppn={{nprocs}}{% if ngpus %}:gpus={{ngpus}}{% endif %}
#PBS -l mem={{memory}}
{% if options %}#PBS {{options}}
{% endif %}
exec >>{{log}} 2>&1
{{prologue}}
{{cmd}}
"""

_PBS = """#!/bin/bash
#PBS -S /bin/bash
#PBS -N {{jobname}}
#PBS -j oe
#PBS -o /dev/null
#PBS -r n
{% if queue or host %}#PBS -q {{queue}}{% if host %}@{{host}}{% endif %}
{% endif %}{% if account %}#PBS -A {{account}}
{% endif %}#PBS -l walltime={{runtime}}
#PBS -l select=1:ncpus={{nprocs}}:mem={{memory}}{% if ngpus %}:ngpus={{ngpus}}{% endif %}
{% if options %}#PBS {{options}}
{% endif %}
exec >>{{log}} 2>&1
{{prologue}}
{{cmd}}
"""

# --export=ALL: names alone would make Slurm read the person's shell files on the node (sbatch(1)).
_SLURM = """#!/bin/bash
#SBATCH --job-name={{jobname}}
#SBATCH --output={{log}}
#SBATCH --chdir={{homedir}}
#SBATCH --export=ALL
#SBATCH --no-requeue
#SBATCH --nodes=1
#SBATCH --ntasks=1
{% if partition %}#SBATCH --partition={{partition}}
{% endif %}{% if account %}#SBATCH --account={{account}}
{% endif %}{% if qos %}#SBATCH --qos={{qos}}
{% endif %}{% if reservation %}#SBATCH --reservation={{reservation}}
{% endif %}#SBATCH --time={{runtime}}
#SBATCH --mem={{memory}}
#SBATCH --cpus-per-task={{nprocs}}
{% if gres %}#SBATCH --gres={{gres}}
{% endif %}{% if options %}#SBATCH {{options}}
{% endif %}
{{prologue}}
{{cmd}}
"""

_ENDED = "COMPLETED|CANCELLED|FAILED|TIMEOUT|NODE_FAIL|PREEMPTED|BOOT_FAIL|DEADLINE|OUT_OF_MEMORY|REVOKED"

KNOWN = {
    "SlurmSpawner": Known(
        gone=rf"\A\Z|Invalid job id specified|^(?:{_ENDED})\b",
        script=_SLURM,
        list_cmd="squeue -h -u {username} -o '%i %j'",
        list_re=r"^(?P<id>\d+) (?P<name>\S+)$",
        has_gpu_types=True,
        hides_environment=True,
    ),
    "PBSSpawner": Known(
        gone=r"job_state = [FX]|Unknown Job Id|Job has finished",
        memory="{}mb",
        script=_PBS,
        list_cmd="qstat -f",
        list_re=r"^Job Id: (?P<id>\S+)\s+Job_Name = (?P<name>\S+)$",
    ),
    "MoabSpawner": Known(gone=r'State="(?:Completed|Removed|Vacated)"|invalid job specified', memory="{}mb"),
    "TorqueSpawner": Known(
        gone=r"<job_state>C</job_state>|Unknown Job Id",
        memory="{}mb",
        script=_TORQUE,
        list_cmd="qstat -x",
        list_re=r"<Job_Id>(?P<id>[^<]+)</Job_Id>\s*<Job_Name>(?P<name>[^<]+)</Job_Name>",
    ),
    "LsfSpawner": Known(gone=r"^(?:DONE|EXIT)\b|Job <\d+> is not found", memory="{}MB"),
    "GridengineSpawner": Known(gone=r"\A(?![\s\S]*<JB_job_number>{job_id}<)[\s\S]*</job_info>"),
}
"""By name of the class; the first in a class's ancestry counts."""

OTHER = Known(gone=r"(?!)")
"""A class that nobody knows: `BatchSystemSettings.state_gone_re` has to say when a job is over."""


def known(ancestry: list[str]) -> Known:
    """Knowledge of a class by the names of its ancestry, itself first."""
    return next((KNOWN[name] for name in ancestry if name in KNOWN), OTHER)
