"""Accounts, limits and qualities of service (QOS) of the demo's cluster, as sacctmgr(1) commands.

One Slurm account per proposal with its team, ``staff`` for those who work here, and ``default``
for everybody. What is limited, so that limits can be shown:

- QOS ``short``: one hour. ``normal``: two GPUs per person; ``gpu-large``: four, and not for
  `WITHOUT_GPU_LARGE`. ``scavenger``: runs until somebody needs the place, then waits again.
- `LIMITED`: in their proposal's account 16 CPUs per job, 24 in all.

Jobs over a limit are refused when they are submitted (QOS flag ``DenyOnLimit``).
"""

from __future__ import annotations

from hub.demo.slurm.configuration import CLUSTER_NAME
from hub.demo.slurm.people import SERVICE_ACCOUNT, PosixPeople

STAFF = ("helene", "sam")
WITHOUT_GPU_LARGE = "yuki"
LIMITED = ("rui", "hc4802")
"""Person and account of the association with limits of its own."""

QOS = ("normal", "short", "gpu-large", "scavenger")

ADD_CLUSTER = ("sacctmgr", "-i", "add", "cluster", CLUSTER_NAME)

_QOS_COMMANDS = (
    "add qos scavenger priority=0 preemptmode=requeue flags=DenyOnLimit usagefactor=0.25",
    "add qos short priority=200 maxwall=01:00:00 preempt=scavenger flags=DenyOnLimit",
    "add qos gpu-large priority=50 maxtresperuser=gres/gpu=4 preempt=scavenger flags=DenyOnLimit",
    # Every Slurm has it from the start.
    "modify qos normal set priority=100 maxtresperuser=gres/gpu=2 preempt=scavenger flags=DenyOnLimit",
)


def commands(people: PosixPeople) -> list[tuple[str, ...]]:
    """Commands for a database that is new.

    The database must know the cluster already (`ADD_CLUSTER`) and its GPUs, of which slurmctld
    tells it.
    """
    accounts = {**people.groups, "staff": STAFF}
    names = ",".join((*accounts, "default"))
    qos = f"qos={','.join(QOS)} defaultqos=normal"
    lines = [*_QOS_COMMANDS, f"add account {names} description=demo organization=panhub {qos}"]
    lines += [f"add user {','.join(people.usernames)} account=default defaultaccount=default"]
    lines += [f"add user {','.join(members)} account={name}" for name, members in accounts.items() if members]
    lines += [f"add user {SERVICE_ACCOUNT} account=default adminlevel=operator"]
    allowed = ",".join(name for name in QOS if name != "gpu-large")
    lines += [f"modify user {WITHOUT_GPU_LARGE} set qos={allowed} defaultqos=normal"]
    name, account = LIMITED
    limits = "maxtresperjob=cpu=16 grptres=cpu=24"
    lines += [f"modify user {name} where account={account} set {limits}"]
    return [("sacctmgr", "-i", *line.split()) for line in lines]
