"""Which backend stands behind which place."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from hub.backends import make_backends, with_storage
from hub.demo.configure import Ports, write_configuration
from hub.settings import ConfigError, Settings
from profiles.loader import Profiles, load_profiles
from profiles.places import KubernetesPlace
from spawners.batchspawner.backend import BatchspawnerBackend
from spawners.kubernetes.settings import KubernetesSettings
from spawners.local.backend import LocalBackend
from spawners.slurm.backend import SlurmBackend

PLACES = {
    "here": {"title": "Here", "backend": "local"},
    "beside": {"title": "Beside", "backend": "local"},
    "cpu": {"title": "CPU", "backend": "slurm", "cluster": "pan", "partition": "cpu"},
    "torque": {"title": "Torque", "backend": "batchspawner", "cluster": "ill", "queue": "long"},
    "gpu": {"title": "GPU", "backend": "slurm", "cluster": "pan", "partition": "gpu"},
}
BATCH = {"class_name": "batchspawner:TorqueSpawner", "session_code": "/opt/panhub/session"}
CLUSTER = {"transport": {"kind": "cli"}, "session_code": "/opt/panhub/session"}


def profiles_of(folder: Path, *places: str) -> Profiles:
    """A file with these places."""
    file = folder / "profiles.yaml"
    profile = {
        "title": "Lab", "interfaces": ["lab"], "environment": "core", "places": list(places), "sizes": ["s"],
        "default_size": "s", "walltime": {"default": "1 h", "max": "2 h"}, "allow": "everyone",
    }  # fmt: skip
    content = {
        "environments": {"core": {"title": "Core", "prefix": "/opt/core", "lock_sha256": "0" * 64}},
        "sizes": {"s": {"title": "S", "cpus": 1, "memory_mib": 512}},
        "places": {name: PLACES[name] for name in places},
        "profiles": {"lab": profile},
        "default_profile": "lab",
    }
    file.write_text(yaml.safe_dump(content))
    return load_profiles(file)


def settings_of(folder: Path, **clusters: dict[str, object]) -> Settings:
    """Settings with these clusters; secrets are not read here."""
    secret = folder / "secret"
    hub = dict.fromkeys(("service_token_file", "crypt_key_file", "cookie_secret_file"), secret)
    parts = {
        "service": {"internal_secret_file": secret, "state": folder / "state"},
        "hub": {**hub, "proxy_token_file": secret},
        "identity": {
            "issuer": "https://idp.example.org",
            "client_secret_file": secret,
            "accounts": {"kind": "service", "homes": folder / "homes"},
        },
        "catalogue": {"folder": folder},
        "data": {"root": folder},
        "profiles": {"file": folder / "profiles.yaml"},
        "local": {"state": folder / "local"},
        "slurm": {"clusters": {name: one for name, one in clusters.items() if "class_name" not in one}},
        "batchspawner": {"clusters": {name: one for name, one in clusters.items() if "class_name" in one}},
    }
    return Settings.model_validate(parts)


def test_places_of_kubernetes_see_what_their_cluster_has(tmp_path: Path) -> None:
    pods = {"title": "Pods", "backend": "kubernetes", "cluster": "pan"}
    places = {"pods": pods, "some": {**pods, "storage": ["/scratch"]}, "here": PLACES["here"]}
    profiles_of(tmp_path, "here")
    raw = yaml.safe_load((tmp_path / "profiles.yaml").read_text())
    raw["places"] = places
    raw["profiles"]["lab"]["places"] = list(places)
    raw["environments"]["core"]["container"] = f"localhost/core@sha256:{'0' * 64}"
    (tmp_path / "profiles.yaml").write_text(yaml.safe_dump(raw))
    storage = [{"path": path, "source": {"kind": "host", "path": path}} for path in ("/data", "/home")]
    clusters = {"clusters": {"pan": {"storage": storage}}}
    settings = settings_of(tmp_path).model_copy(
        update={"kubernetes": KubernetesSettings.model_validate(clusters)}
    )
    seen = with_storage(settings, load_profiles(tmp_path / "profiles.yaml")).places
    assert {name: place.storage for name, place in seen.items()} == {
        "pods": ("/data", "/home"),
        "some": ("/scratch",),
        "here": None,
    }


async def test_each_place_gets_the_backend_of_its_kind_and_clusters_are_shared(tmp_path: Path) -> None:
    made = make_backends(settings_of(tmp_path, pan=CLUSTER, ill=BATCH), profiles_of(tmp_path, *PLACES))
    try:
        here, beside, cpu, torque, gpu = (made.by_place[name] for name in PLACES)
        assert isinstance(torque, BatchspawnerBackend)
        assert isinstance(here, LocalBackend)
        assert here is beside, "they share the machine"
        assert isinstance(cpu, SlurmBackend)
        assert isinstance(gpu, SlurmBackend)
        assert (cpu.partition, gpu.partition) == ("cpu", "gpu")
        assert len(made.schedulers) == 1
    finally:
        await made.aclose()


@pytest.mark.parametrize(
    ("place", "cause"),
    [
        ("cpu", r"place cpu: there is no cluster pan in slurm\.clusters"),
        ("torque", r"place torque: there is no cluster ill in batchspawner\.clusters"),
    ],
)
def test_a_place_of_an_unknown_cluster_stops_the_start(tmp_path: Path, place: str, cause: str) -> None:
    with pytest.raises(ConfigError, match=cause):
        make_backends(settings_of(tmp_path, other=CLUSTER), profiles_of(tmp_path, place))


def test_a_class_that_cannot_be_loaded_stops_the_start(tmp_path: Path) -> None:
    none = {**BATCH, "class_name": "no_such:TorqueSpawner"}
    with pytest.raises(ConfigError, match=r"batchspawner\.clusters: .*no_such"):
        make_backends(settings_of(tmp_path, ill=none), profiles_of(tmp_path, "torque"))


def test_a_transport_that_cannot_be_loaded_stops_the_start(tmp_path: Path) -> None:
    custom = {**CLUSTER, "transport": {"kind": "custom", "class_name": "no.such:Transport"}}
    with pytest.raises(ConfigError, match=r"no\.such:Transport"):
        make_backends(settings_of(tmp_path, pan=custom), profiles_of(tmp_path, "cpu"))


def test_without_a_place_of_theirs_schedulers_are_not_even_loaded() -> None:
    code = "import sys, hub.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "spawners.local.backend" in loaded
    assert not loaded & {"spawners.slurm.cluster", "spawners.slurm.backend", "spawners.slurm.rest.transport"}
    assert not loaded & {"spawners.batchspawner.backend", "spawners.batchspawner.driver", "batchspawner"}


def test_records_of_jobs_lie_in_the_services_own_folder(tmp_path: Path) -> None:
    _, settings = write_configuration(tmp_path, Ports())
    assert settings.batchspawner.state == settings.service.state / "batchspawner"


def test_placeholders_need_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pods = {"title": "Pods", "backend": "kubernetes", "cluster": "pan"}
    monkeypatch.setitem(PLACES, "pods", pods)
    settings = settings_of(tmp_path)
    pools = {"default": {"warm": {"pods": 1}}}
    own = KubernetesSettings.model_validate({"clusters": {"pan": {"kubeconfig": "none", "pools": pools}}})
    profiles = profiles_of(tmp_path, "here")
    profiles = replace(profiles, places={**profiles.places, "pods": KubernetesPlace.model_validate(pods)})
    with pytest.raises(ConfigError, match="pause_image"):
        make_backends(settings.model_copy(update={"kubernetes": own}), profiles)
