"""A plan, its secrets and a cluster, as the tests of pods change them."""

from dataclasses import replace
from datetime import timedelta
from pathlib import PurePosixPath

from spawners.kubernetes.settings import KubernetesClusterSettings
from spawners.plan import (
    Account,
    Credentials,
    Environment,
    Interface,
    LaunchId,
    LaunchPlan,
    Mount,
    MountMode,
    Size,
)

LAUNCH = LaunchId("0123456789abcdef")
TOKEN = "a-token-of-the-hub"
SECRET = "the-report-secret"
DESKTOP_KEY = "the-key-of-desktops"
IMAGE = f"registry.example.org/panhub/notebook-core@sha256:{'0' * 64}"

CREDENTIALS = Credentials(
    environment={
        "JUPYTERHUB_API_TOKEN": TOKEN,
        "JPY_API_TOKEN": TOKEN,
        "PANHUB_DESKTOP_KEY": DESKTOP_KEY,
        "JUPYTERHUB_API_URL": "http://127.0.0.1:8081/hub/api",
        "JUPYTERHUB_ACTIVITY_URL": "http://127.0.0.1:8081/hub/api/users/alice/activity",
        "JUPYTERHUB_SERVICE_PREFIX": "/user/alice/work/",
        "MY_OWN": "$(HOME) of mine",
        "LD_LIBRARY_PATH": "/of/the/hub",
    },
    report_url=f"http://hub:8002/services/panhub/internal/reports/{LAUNCH}",
    report_secret=SECRET,
)


def mount(source, target, mode=MountMode.READ_ONLY):
    return Mount(PurePosixPath(source), PurePosixPath(target), mode, "granted")


RAW = mount("/storage/data/v/RAW", "/data/v/RAW")
PROCESSED = mount("/storage/data/v/PROCESSED", "/data/v/PROCESSED", MountMode.READ_WRITE)


def a_plan(**more):
    """A plan of alice's, changed."""
    plan = LaunchPlan(
        launch_id=LAUNCH,
        username="alice@example.org",
        server_name="work",
        interface=Interface.LAB,
        account=Account("alice", 1234, 1235, PurePosixPath("/storage/home/alice"), (3001, 3002)),
        environment=Environment(
            id="core",
            title="Core",
            prefix=PurePosixPath("/sw/core"),
            lock_sha256="0" * 64,
            container=IMAGE,
            container_prefix=PurePosixPath("/opt/panhub/environment"),
        ),
        size=Size("small", "Small", cpus=2, memory_mib=4096),
        place="pods",
        walltime=timedelta(hours=4),
        mounts=(RAW, PROCESSED),
    )
    return replace(plan, **more)


def a_cluster(**more):
    """A cluster with one claim for all of the storage, changed."""
    settings = {
        "storage": [{"path": "/storage", "source": {"kind": "claim", "claim": "site"}}],
        "pause_image": "localhost/pause:1",
    }
    return KubernetesClusterSettings.model_validate({**settings, **more})
