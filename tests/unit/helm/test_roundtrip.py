"""Settings → values → what Helm renders → the same settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from hub.chart.schema import values_of
from hub.chart.values import OWNED
from hub.settings import Settings, load_settings
from profiles.loader import load_profiles
from tests.support.chart import EXAMPLES, NAMESPACE, RELEASE, example, one, render

SECTIONS = {
    "service": "ServiceSettings",
    "hub": "HubSettings",
    "identity": "IdentitySettings",
    "profiles": "ProfilesSettings",
    "batchspawner": "BatchspawnerSettings",
    "desktop": "DesktopSettings",
}


def _told(settings: Settings) -> dict[str, Any]:
    """What a site says, without what the chart decides."""
    made = {name: part for name, part in settings.model_dump().items() if name not in OWNED["Settings"]}
    for section, model in SECTIONS.items():
        if made[section] is not None:
            made[section] = {key: item for key, item in made[section].items() if key not in OWNED[model]}
    return made


def _rendered(values: dict[str, Any], folder: Path) -> Settings:
    made = one(render(values), "ConfigMap", f"{RELEASE}-settings")["data"]
    path = folder / "panhub.yaml"
    path.write_text(made["panhub.yaml"], encoding="utf-8")
    (folder / "profiles.yaml").write_text(made["profiles.yaml"], encoding="utf-8")
    return load_settings(path)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_what_the_application_reads(name, tmp_path):
    values = example(name)
    settings = _rendered(values, tmp_path)
    assert settings.site.public_url == values["settings"]["site"]["public_url"]
    assert settings.service.url == f"http://{RELEASE}-service:8002"
    assert settings.hub.api_url == f"http://{RELEASE}-hub:8081/hub/api"
    assert (settings.desktop is not None) == values.get("desktop", {}).get("enabled", True)
    offered = load_profiles(tmp_path / "profiles.yaml")
    assert set(offered.profiles) == set(values["profiles"]["profiles"])
    (ours,) = [cluster for cluster in settings.kubernetes.clusters.values() if cluster.kubeconfig is None]
    assert ours.namespace == values.get("sessions", {}).get("namespace", "panhub-sessions")
    assert ours.report_url == f"http://{RELEASE}-service.{NAMESPACE}.svc:8002"
    assert ours.hub_api_url == f"http://{RELEASE}-hub.{NAMESPACE}.svc:8081/hub/api"
    for place in offered.places.values():
        known = settings.slurm.clusters if place.backend == "slurm" else settings.kubernetes.clusters
        assert place.cluster in known


def test_nothing_of_a_secret_is_in_the_settings(tmp_path):
    objects = render(example("full"))
    secret = one(objects, "Secret", f"{RELEASE}-secrets")["data"]
    text = yaml.safe_dump([item for item in objects if item["kind"] != "Secret"])
    assert not [name for name, value in secret.items() if value in text]


WORDS = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=30)
"""Printable; the escapes that a file may need are others' matter."""

NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
PATHS = st.from_regex(r"(/[a-zA-Z0-9_.@+-]{1,8}){1,4}", fullmatch=True).filter(lambda path: "/." not in path)
AMOUNTS = st.integers(1, 10**12)
LABELS = st.dictionaries(NAMES.map("facility.example/{}".format), NAMES, max_size=2)

STORAGE = st.fixed_dictionaries(
    {
        "path": PATHS,
        "source": st.one_of(
            st.fixed_dictionaries({"kind": st.just("claim"), "claim": NAMES, "sub_path": NAMES}),
            st.fixed_dictionaries({"kind": st.just("nfs"), "server": NAMES, "export": PATHS}),
            st.fixed_dictionaries({"kind": st.just("host"), "path": PATHS}),
        ),
    }
)
POOL = st.fixed_dictionaries(
    {"node_selector": LABELS},
    optional={
        "tolerations": st.lists(st.fixed_dictionaries({"key": NAMES, "operator": st.just("Exists")})),
        "gpus": st.dictionaries(NAMES, st.fixed_dictionaries({"node_selector": LABELS}), max_size=2),
        "warm": st.fixed_dictionaries({"pods": st.integers(0, 500), "cpus": st.floats(0.25, 4096)}),
    },
)
CLUSTER = st.fixed_dictionaries(
    {
        "kubeconfig": PATHS,
        "storage": st.lists(STORAGE, max_size=3),
        "pools": st.dictionaries(NAMES, POOL, min_size=1, max_size=2),
        "cpu_reserved": st.floats(0.01, 1),
        "sees_nodes": st.booleans(),
        "tmp_mib": st.integers(64, 10**8),
        "kubespawner": st.fixed_dictionaries({}, optional={"extra_annotations": LABELS}),
    }
)
SITE = st.fixed_dictionaries(
    {
        "site": st.fixed_dictionaries(
            {"public_url": st.just("https://a.example"), "name": WORDS, "support": WORDS}
        ),
        "catalogue": st.fixed_dictionaries({"folder": PATHS}),
        "data": st.fixed_dictionaries({"root": PATHS, "layout": st.sampled_from(["esrf-v3", "ill"])}),
        "identity": st.fixed_dictionaries(
            {
                "issuer": st.just("https://sso.example/realms/a"),
                "login_service": WORDS,
                "allowed_groups": st.lists(WORDS, min_size=1, max_size=3, unique=True),
                "timeout_s": st.floats(0.5, 30),
                "accounts": st.fixed_dictionaries({"kind": st.just("claims"), "uid_floor": AMOUNTS}),
            }
        ),
        "sessions": st.fixed_dictionaries(
            {
                "warn_before_s": st.lists(st.integers(60, 10**9), max_size=3),
                "extend_step_s": st.integers(300, 10**9),
            }
        ),
        "templates": st.fixed_dictionaries({"folders": st.lists(PATHS, max_size=2)}),
        "kubernetes": st.fixed_dictionaries({"clusters": st.dictionaries(NAMES, CLUSTER, max_size=2)}),
        "slurm": st.fixed_dictionaries(
            {
                "clusters": st.dictionaries(
                    NAMES,
                    st.fixed_dictionaries(
                        {
                            "transport": st.fixed_dictionaries(
                                {"kind": st.just("cli"), "timeout_s": st.floats(1, 120)}
                            ),
                            "session_code": PATHS,
                            "poll_s": st.floats(0.2, 60),
                        }
                    ),
                    max_size=2,
                )
            }
        ),
    }
)

MACHINE: dict[str, dict[str, Any]] = {
    "service": {
        "internal_secret_file": "/etc/panhub/secrets/internal",
        "state": "/var/lib/panhub/service",
        "session_report_url": "http://engine.example:8002",
    },
    "hub": {
        "service_token_file": "/etc/panhub/secrets/service-token",
        "crypt_key_file": "/etc/panhub/secrets/crypt-key",
        "cookie_secret_file": "/etc/panhub/secrets/cookie",
        "proxy_token_file": "/etc/panhub/secrets/proxy-token",
        "session_url": "http://hub.example:8081",
    },
    "identity": {"client_secret_file": "/etc/panhub/secrets/oidc"},
    "profiles": {"file": "/etc/panhub/profiles.yaml"},
    "local": {"state": "/var/lib/panhub/local"},
}
"""What a machine's settings say beside a site's own."""


@given(SITE)
@hypothesis_settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_settings_of_a_machine_come_back_from_the_chart(tmp_path, site):
    raw = {**site, **{name: {**site.get(name, {}), **part} for name, part in MACHINE.items()}}
    settings = Settings.model_validate(raw)
    values = {**example("minimal"), "settings": values_of(settings)}
    assert _told(_rendered(values, tmp_path)) == _told(settings)
