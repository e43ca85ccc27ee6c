"""What tests of sessions on nodes need: an engine's answers, a site that jobs see, and a way to submit.

`EngineStub` is a hub and an engine for one launch; it checks the proof as the engine does. Jobs are
submitted by the person's own sbatch from the `JobSpec`, so that no transport is needed.
"""

from __future__ import annotations

import json
import secrets
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

from hub.demo.slurm import SlurmCluster
from spawners.plan import (
    Account,
    Credentials,
    Environment,
    Interface,
    LaunchId,
    LaunchPlan,
    Mount,
    MountMode,
    PlannedFile,
    Size,
)
from spawners.session.proof import session_secret
from spawners.slurm.job import job_spec, node_specification
from spawners.slurm.models import JobSpec
from spawners.slurm.settings import ClusterSettings
from tests.support.local import NOTEBOOK, QUICK_SERVER, ROOT, HubStub, credentials

VISIT = PurePosixPath("/data/visitor/hc1/id11/20250101")
PERSON = "maja"
OTHER = "yuki"


@dataclass
class EngineStub(HubStub):
    """Answers of hub and engine for the session of one plan."""

    plan: LaunchPlan | None = None
    deadline: datetime = field(default_factory=lambda: datetime.now(UTC) + timedelta(hours=1))
    tails: list[list[str]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    """Given in turn before the specification is."""

    def answer_get(self, handler):
        name = self._name(handler)
        if name is None:
            return super().answer_get(handler)
        if self.statuses:
            return self.statuses.pop(0), {}
        if not self._is_proved(handler):
            return 401, {}
        if name == "specification":
            return 200, node_specification(self.plan)
        if name == "deadline":
            return 200, {"deadline": self.deadline.isoformat(), "poll_s": 5}
        return 404, {}

    def answer_post(self, handler, body):
        if self._name(handler) == "log" and self._is_proved(handler):
            self.tails.append(json.loads(body)["lines"])
            return 204, {}
        return super().answer_post(handler, body)

    def _name(self, handler):
        start = f"/internal/launches/{self.plan.launch_id}/"
        return handler.path.removeprefix(start) if handler.path.startswith(start) else None

    def _is_proved(self, handler):
        secret = session_secret(self.token, self.plan.launch_id)
        return handler.headers.get("Authorization") == f"Bearer {secret}"


@dataclass
class NodeSite:
    """Data, an environment and our code where the jobs of a cluster see them."""

    cluster: SlurmCluster
    root: Path
    environment: Environment

    @classmethod
    def make(cls, cluster: SlurmCluster) -> NodeSite:
        """Make it below the cluster's state folder."""
        root = cluster.state / f"site-{secrets.token_hex(4)}"
        for proposal in ("hc1", "hc2"):
            for area in ("RAW_DATA", "PROCESSED_DATA"):
                folder = root / "data" / proposal / area
                folder.mkdir(parents=True)
                (folder / "secret.txt").write_text(f"{proposal} {area}")
                folder.chmod(0o777)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "spawners/session", root / "code", ignore=ignored)
        for path in (root / "code", *(root / "code").rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        programs = root / "environment" / "bin"
        programs.mkdir(parents=True)
        (programs / "python").symlink_to("/usr/bin/python3")
        (programs / "jupyterhub-singleuser").write_text(f"#!{programs}/python -IS\n{QUICK_SERVER}")
        (programs / "jupyterhub-singleuser").chmod(0o755)
        prefix = PurePosixPath(root / "environment")
        return cls(cluster, root, Environment("quick", "Quick", prefix, "0" * 64))

    def settings(self, **changes) -> ClusterSettings:
        """Settings of the cluster as far as a job needs them."""
        return ClusterSettings(
            **{"transport": {"kind": "cli"}, "session_code": PurePosixPath(self.root / "code"), **changes}
        )

    def plan(self, **changes) -> LaunchPlan:
        """A plan for a person on hc1: raw read-only, processed writable."""
        home = self.cluster.people.home(PERSON)
        uid = home.stat().st_uid
        data = PurePosixPath(self.root / "data" / "hc1")
        values = {
            "launch_id": LaunchId(secrets.token_hex(8)),
            "username": "alice",
            "server_name": "one",
            "interface": Interface.LAB,
            "account": Account(PERSON, uid, uid, PurePosixPath(home)),
            "environment": self.environment,
            "size": Size("small", "Small", 2, 1024),
            "place": "cpu",
            "walltime": timedelta(minutes=30),
            "mounts": (
                Mount(data / "RAW_DATA", VISIT / "RAW_DATA", MountMode.READ_ONLY, "team"),
                Mount(data / "PROCESSED_DATA", VISIT / "PROCESSED_DATA", MountMode.READ_WRITE, "team"),
            ),
            "workdir": PurePosixPath("work/first"),
            "files": (PlannedFile(PurePosixPath("plot.ipynb"), NOTEBOOK),),
            "open_path": PurePosixPath("work/first/plot.ipynb"),
            "data_link": PurePosixPath("data"),
        }
        return LaunchPlan(**{**values, **changes})

    def log(self, plan: LaunchPlan) -> str:
        """The session's log, as the person has it."""
        path = self.cluster.people.home(PERSON) / ".panhub" / "logs" / f"{plan.launch_id}.log"
        return path.read_text(errors="replace") if path.exists() else ""


def given(stub: EngineStub, plan: LaunchPlan, **environment: str) -> Credentials:
    """What the hub and the engine give a start."""
    return credentials(stub, plan, **environment)


def submit(
    site: NodeSite, stub: EngineStub, plan: LaunchPlan, settings: ClusterSettings | None = None, **environment
) -> int:
    """Submit the session's job as its person; returns the job id."""
    stub.plan = plan
    spec = job_spec(plan, given(stub, plan, **environment), settings or site.settings(), "cpu")
    return submit_spec(site.cluster, spec)


def submit_spec(cluster: SlurmCluster, spec: JobSpec) -> int:
    """Submit by sbatch with exactly the environment of the job."""
    words = [
        *("sbatch", "--parsable", f"--job-name={spec.name}", f"--comment={spec.comment}", "--no-requeue"),
        *(f"--partition={spec.partition}", f"--cpus-per-task={spec.cpus}", f"--mem={spec.memory_mib}M"),
        *(f"--time={int(spec.time_limit.total_seconds() // 60)}", f"--chdir={spec.workdir}"),
        *(f"--output={spec.log}", "--account=default"),
    ]
    # sbatch itself is steered by the same variables as the jobs from inside.
    environment = {key: value for key, value in spec.environment.items() if not key.endswith("_WCKEY")}
    names = [key for key in spec.environment if key.endswith("_WCKEY")]
    export = ",".join(["ALL", *(f"{key}={spec.environment[key]}" for key in names)])
    words.append(f"--export={export}")
    done = cluster.run(*words, user=spec.user, input=spec.script, environment=environment)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split(";")[0])


def is_open_to_others(path: Path) -> bool:
    """Whether anybody but the owner may read a file or enter a folder."""
    return bool(path.stat().st_mode & 0o077)
