"""A whole Slurm cluster on one machine: daemons, accounting, people. Blocking; needs root."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from hub.demo.slurm import accounting, tokens
from hub.demo.slurm.cgroups import make_memory_group, remove_group
from hub.demo.slurm.configuration import NODES, Ports, free_ports, write_configuration
from hub.demo.slurm.control import DAEMONS, Control
from hub.demo.slurm.daemons import Daemon, as_user
from hub.demo.slurm.database import INSTALL, DatabaseCache
from hub.demo.slurm.jobs import Jobs
from hub.demo.slurm.namespace import Namespace
from hub.demo.slurm.people import SERVICE_ACCOUNT, SITE, SLURM_USER, PosixPeople, make_people
from hub.demo.slurm.release import PROGRAMS, SlurmDemoError, release_of
from hub.demo.slurm.root import prepare_root
from hub.demo.slurm.specs import daemon_specs
from hub.demo.slurm.state import JWT_KEY, database_is_made, needs_database, prepare_state

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class SlurmCluster(Control, Jobs):
    """One cluster with nodes cpu1, cpu2 (partition ``cpu``) and gpu1 (partition ``gpu``, four GPUs).

    Parameters
    ----------
    state
        Folder of the cluster, kept from one start to the next. All its parents must be open to
        everybody (mode ``--x``): people's jobs read the configuration in it.
    release
        "22.05" of this machine (Debian 12), "24.11" or "26.05" in a root made on demand.
    shared
        Further folders that jobs must see, such as the data's, where the release has its own root.
    options
        slurm.conf(5) lines in place of ours.

    Several clusters can run at once: each has its own ports, sockets and processes.
    """

    def __init__(
        self,
        state: Path,
        *,
        release: str = "22.05",
        shared: Sequence[Path] = (),
        options: Mapping[str, str] | None = None,
        site: Path = SITE,
    ) -> None:
        super().__init__()
        self.state = state.absolute()
        self.release = release_of(release)
        self.site = site
        self.service_account = SERVICE_ACCOUNT
        self._shared = [path.absolute() for path in shared]
        self._options = dict(options or {})
        self._people: PosixPeople | None = None
        self._ports: Ports | None = None
        self.memory_group: Path | None = None
        self._held: TextIO | None = None

    # Where it is

    @property
    def conf(self) -> Path:
        """slurm.conf: the value of ``SLURM_CONF``."""
        return self.state / "slurm.conf"

    @property
    def environment(self) -> dict[str, str]:
        """Environment for Slurm's commands."""
        return {"SLURM_CONF": str(self.conf), "PATH": _PATH, "LANG": "C.UTF-8"}

    @property
    def rest_url(self) -> str:
        """Address of slurmrestd."""
        return f"http://127.0.0.1:{self._listening.slurmrestd}"

    @property
    def rest_versions(self) -> tuple[str, ...]:
        """API versions that slurmrestd answers, oldest first."""
        return self.release.rest_versions

    @property
    def jwt_key(self) -> Path:
        """Key of the tokens; whoever reads it is everybody on the cluster."""
        return self.state / JWT_KEY

    @property
    def has_cgroup(self) -> bool:
        """Whether a job over its memory ends as OUT_OF_MEMORY; else it is FAILED (see `cgroups`)."""
        return self.memory_group is not None

    @property
    def people(self) -> PosixPeople:
        """The demo's people and their groups."""
        if self._people is None:
            raise SlurmDemoError("The cluster has not been started.")
        return self._people

    @property
    def homes(self) -> Path:
        """Folder of the home folders."""
        return self.people.homes

    def output(self, job_id: int | str) -> Path:
        """File with the output of a job of `submit_for_test`; homes are shared by clusters, this is not."""
        return self.state / "output" / f"{job_id}.out"

    def token(self, username: str, lifespan_s: int = 600) -> str:
        """Token with which slurmrestd acts for a user (header ``X-SLURM-USER-TOKEN``)."""
        return tokens.mint(self.jwt_key.read_bytes(), username, lifespan_s)

    def command(self, *argv: str, user: str | None = None) -> list[str]:
        """Command that runs ``argv`` where the cluster's programs are, as a user or as it is.

        With a release of the machine's own system and no user it is ``argv`` itself; otherwise the
        caller must be root. It needs `environment`.
        """
        words = as_user(user, argv)
        namespace = self._inside
        return namespace.enter(*words, is_inside=False) if namespace.has_root else list(words)

    def run(
        self,
        *argv: str,
        user: str | None = None,
        input: str | None = None,  # noqa: A002 - as in subprocess.run
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command and wait; its output is text. The return code is the caller's to look at."""
        home = {"HOME": str(self.people.home(user))} if user in self.people.usernames else {}
        return subprocess.run(
            self.command(*argv, user=user),
            check=False,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            env={**self.environment, **home, **(environment or {})},
            cwd="/",
            timeout=timeout_s,
        )

    # Start and stop

    def start(self) -> None:
        """Start all daemons and wait until the nodes can take jobs.

        Raises
        ------
        SlurmDemoError
            If something is missing or does not come up; nothing is left running then.
        """
        if os.geteuid() != 0:
            raise SlurmDemoError("The demo's Slurm must be started by root: its jobs run as other people.")
        root = prepare_root(self.release)
        if root is None and (missing := [str(path) for path in PROGRAMS if not path.exists()]):
            raise SlurmDemoError(f"Missing: {', '.join(missing)}. See CI_PACKAGES in the Makefile.")
        self._people = make_people(self.site)
        self._held = prepare_state(self.state)
        self.memory_group = make_memory_group()
        self._namespace = Namespace(root, [self.state, self.site, *self._shared], self.memory_group)
        try:
            self._configure()
            self._namespace.start()
            self._start_daemons()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all daemons, and end every job and every process of the cluster. The state stays."""
        if self._namespace is None:
            return
        namespace, self._namespace = self._namespace, None
        daemons, self._daemons = self._daemons, {}
        # The last that is put in is done first, and each is done whatever becomes of the others.
        with contextlib.ExitStack() as steps:
            if self._held is not None:
                steps.callback(self._held.close)
            if self.memory_group is not None:
                steps.callback(remove_group, self.memory_group)
            for daemon in daemons.values():
                steps.callback(daemon.forget)
            steps.callback(namespace.stop)
            # slurmctld saves what it knows; the others are made to be cut off.
            for name in ("slurmctld", "slurmdbd", "mariadbd"):
                if (found := daemons.get(name)) is not None:
                    with contextlib.suppress(SlurmDemoError):
                        found.stop(5.0)

    def reset(self) -> None:
        """Bring everything back: daemons run, no jobs, no reservations, nodes idle."""
        for name in DAEMONS:
            self.thaw(name)
            self.start_daemon(name)
        self.cancel_all()
        for line in self.checked("scontrol", "--oneliner", "show", "reservation").splitlines():
            if line.startswith("ReservationName="):
                self.remove_reservation(line.split()[0].removeprefix("ReservationName="))
        for node, state in self.node_states().items():
            if state.rstrip("*") in {"down", "drained", "draining"}:
                self.set_node(node, "resume")
        self.wait_nodes()

    def _is_starting(self) -> bool:
        return " is UP" not in self.run("scontrol", "ping").stdout

    def _configure(self) -> None:
        self._ports = free_ports()
        write_configuration(self.state, self._ports, self.release, self._options, has_cgroup=self.has_cgroup)

    def _start_daemons(self) -> None:
        for spec in daemon_specs(self.state, self._listening, self.release):
            self._daemons[spec.name] = Daemon(spec, self._inside, self.state / "logs" / f"{spec.name}.log")
        self._daemons["munged"].start()
        if needs_database(self.state):
            self._make_database()
            database_is_made(self.state)
        for name in ("munged", "mariadbd", "slurmdbd", "slurmctld"):
            self.start_daemon(name)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self.start_daemon, ("slurmrestd", *NODES)))
        # A kept state may have jobs that start again.
        self.wait_nodes("idle", "mixed", "allocated", "completing")

    def _make_database(self) -> None:
        """A database with the demo's accounts, of the cache or made by the daemons themselves."""
        versions = self.checked("mariadbd", "--version") + self.checked("slurmdbd", "-V")
        commands = [accounting.ADD_CLUSTER, *accounting.commands(self.people)]
        datadir, cache = self.state / "mariadb", DatabaseCache(versions, commands)
        if cache.take(datadir):
            return
        self.checked(*INSTALL, f"--datadir={datadir}", user=SLURM_USER)
        for name in ("munged", "mariadbd", "slurmdbd"):
            self.start_daemon(name)
        self.checked(*commands[0])
        # It tells accounting which resources there are; limits can be set on no others.
        self.start_daemon("slurmctld")
        self.wait_tres("gres/gpu")
        for command in commands[1:]:
            self.checked(*command)
        for name in ("slurmctld", "slurmdbd", "mariadbd"):
            self.stop_daemon(name)
        cache.keep(datadir)

    @property
    def _listening(self) -> Ports:
        if self._ports is None:
            raise SlurmDemoError("The cluster has not been started.")
        return self._ports


@contextmanager
def running_cluster(
    state: Path,
    *,
    release: str = "22.05",
    shared: Sequence[Path] = (),
    options: Mapping[str, str] | None = None,
) -> Iterator[SlurmCluster]:
    """Run a cluster for as long as the context lasts. Parameters: `SlurmCluster`."""
    cluster = SlurmCluster(state, release=release, shared=shared, options=options)
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()
