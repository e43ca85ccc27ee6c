"""Configuration files of the cluster: three nodes on one machine, two partitions, four GPUs.

Made for tests and the demo: nothing waits longer than it must. What differs from a site's file is
said beside it. See slurm.conf(5), gres.conf(5), slurmdbd.conf(5).
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import stat
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from hub.demo.slurm.people import SLURM_USER
from hub.demo.slurm.release import Release

CLUSTER_NAME = "pan"
NODES = ("cpu1", "cpu2", "gpu1")
CPUS = 32
MEMORY_MB = 64000
GPUS = ("a100", "a100", "a100", "v100")
"""Types of the pretend GPUs of gpu1, in the order of their devices."""

_SLURM_CONF = """ClusterName={cluster}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports.slurmctld}
SlurmUser={user}
AuthType=auth/munge
AuthInfo=socket={state}/run/munge.socket
AuthAltTypes=auth/jwt
AuthAltParameters=jwt_key={state}/keys/jwt_hs256.key
StateSaveLocation={state}/slurmctld
SlurmctldPidFile={state}/run/slurmctld.pid
SlurmdPidFile={state}/slurmd/%n.pid
SlurmdSpoolDir={state}/slurmd/%n
MailProg=/bin/true
# One machine plays three nodes, with more CPUs than it has.
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin={task_plugin}
PropagateResourceLimits=NONE
ReturnToService=2
DisableRootJobs=YES
PrivateData=jobs,usage
EnforcePartLimits=ALL
# A killed or frozen node is seen soon; a site takes minutes.
SlurmdTimeout=20
MessageTimeout=8
BatchStartTimeout=10
KillWait=4
CompleteWait=0
InactiveLimit=0
MinJobAge=60
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=1,bf_continue,bf_window=4320
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=1000
PriorityType=priority/multifactor
PriorityWeightQOS=1000
PriorityWeightAge=100
PreemptType=preempt/qos
PreemptMode=REQUEUE
JobRequeue=1
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
{gather}
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ports.slurmdbd}
AccountingStoragePass={state}/run/munge.socket
AccountingStorageTRES=gres/gpu
AccountingStorageEnforce=associations,limits,qos,safe
AccountingStoreFlags=job_comment
GresTypes=gpu
SlurmctldDebug=info
SlurmdDebug=info
NodeName=DEFAULT CPUs={cpus} RealMemory={memory}
NodeName=cpu1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports.cpu1}
NodeName=cpu2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports.cpu2}
NodeName=gpu1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports.gpu1} Gres={gres}
PartitionName=cpu Nodes=cpu[1-2] Default=YES DefaultTime=60 MaxTime=2-0 State=UP
PartitionName=gpu Nodes=gpu1 DefaultTime=60 MaxTime=1-0 State=UP
"""

_SLURMDBD_CONF = """DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={ports.slurmdbd}
SlurmUser={user}
AuthType=auth/munge
AuthInfo=socket={state}/run/munge.socket
AuthAltTypes=auth/jwt
AuthAltParameters=jwt_key={state}/keys/jwt_hs256.key
PidFile={state}/run/slurmdbd.pid
MessageTimeout=8
PrivateData=jobs,usage
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser={user}
StorageLoc=slurm_acct
DebugLevel=info
"""

# Small and quick; a killed server loses nothing, a machine that crashes may lose the last second.
_MARIADB_CNF = """[mariadbd]
datadir={state}/mariadb
socket={state}/run/mariadb.socket
pid-file={state}/run/mariadb.pid
skip-networking
skip-name-resolve
innodb-buffer-pool-size=32M
innodb-log-file-size=4M
innodb-flush-log-at-trx-commit=2
innodb-flush-method=nosync
innodb-lock-wait-timeout=900
innodb-fast-shutdown=1
aria-pagecache-buffer-size=8M
key-buffer-size=1M
performance-schema=OFF
max-connections=40
"""


@dataclass(frozen=True, slots=True)
class Ports:
    """Loopback ports of one cluster."""

    slurmctld: int
    slurmdbd: int
    slurmrestd: int
    cpu1: int
    cpu2: int
    gpu1: int


def free_ports() -> Ports:
    """Ports that nothing uses now, below those that the kernel gives to outgoing connections."""
    found: list[int] = []
    while len(found) < len(fields(Ports)):
        port = random.randrange(15000, 32000)  # noqa: S311 - spreads clusters that start together
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return Ports(*found)


def write_configuration(
    state: Path, ports: Ports, release: Release, options: Mapping[str, str], *, has_cgroup: bool
) -> None:
    """Write the files of a cluster; ``options`` are added to slurm.conf, in place of ours.

    ``has_cgroup``: jobs are held to their memory by a control group, not by slurmd's measurements.
    """
    host = socket.gethostname().split(".")[0]
    values = {
        "cluster": CLUSTER_NAME,
        "host": host,
        "user": SLURM_USER,
        "state": state,
        "ports": ports,
        "cpus": CPUS,
        "memory": MEMORY_MB,
        "task_plugin": "task/cgroup" if has_cgroup else "task/none",
        "gather": "" if has_cgroup else "JobAcctGatherParams=OverMemoryKill",
        "gres": ",".join(f"gpu:{kind}:{GPUS.count(kind)}" for kind in dict.fromkeys(GPUS)),
    }
    text = _SLURM_CONF.format(**values)
    kept = [line for line in text.splitlines() if line.split("=")[0] not in options]
    kept += [f"{key}={value}" for key, value in options.items()]
    _write(state / "slurm.conf", "\n".join(kept) + "\n", 0o644)
    _write(state / "gres.conf", _gres(state), 0o644)
    _write(state / "cgroup.conf", _cgroup(release, has_cgroup=has_cgroup), 0o644)
    _write(state / "slurmdbd.conf", _SLURMDBD_CONF.format(**values), 0o600)
    _write(state / "mariadb.cnf", _MARIADB_CNF.format(**values), 0o644)
    shutil.chown(state / "slurmdbd.conf", SLURM_USER, SLURM_USER)


def _cgroup(release: Release, *, has_cgroup: bool) -> str:
    if has_cgroup:
        return "CgroupPlugin=cgroup/v1\nCgroupMountpoint=/sys/fs/cgroup\nConstrainRAMSpace=yes\n"
    return "CgroupPlugin=disabled\n" if release.has_disabled_cgroups else ""


def _gres(state: Path) -> str:
    """Devices that look like GPUs to Slurm: null devices, named by number as NVIDIA's are."""
    folder = state / "dev"
    folder.mkdir(exist_ok=True)
    lines = []
    for number, kind in enumerate(GPUS):
        device = folder / f"nvidia{number}"
        if not device.exists():
            os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        lines.append(f"NodeName=gpu1 Name=gpu Type={kind} File={device}\n")
    return "".join(lines)


def _write(path: Path, text: str, mode: int) -> None:
    path.write_text(text)
    path.chmod(mode)
