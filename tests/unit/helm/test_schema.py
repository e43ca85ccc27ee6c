"""Schema, values.yaml, README and page of the chart are made from the models, and closed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import helm_python
import pytest
import yaml
from pydantic import BaseModel

from hub.chart.schema import (
    README_FILE,
    SCHEMA_FILE,
    VALUES_FILE,
    readme_text,
    schema,
    schema_text,
    values_text,
)
from hub.chart.values import OWNED, Values
from hub.settings import Settings
from tests.support.chart import CHART, EXAMPLES, example, render, with_value

FREE = {"kubespawner"}
"""Mappings that the schema leaves open: KubeSpawner's traits, which the service checks when it starts."""


@pytest.mark.parametrize(
    ("file", "text"), [(SCHEMA_FILE, schema_text), (VALUES_FILE, values_text), (README_FILE, readme_text)]
)
def test_what_is_made_from_the_models_is_current(file, text):
    assert file.read_text(encoding="utf-8") == text(), "run: python -m hub.chart.schema"


def _open(part: Any, name: str) -> Iterator[str]:
    if isinstance(part, list):
        for item in part:
            yield from _open(item, name)
    if not isinstance(part, dict):
        return
    if part.get("type") == "object" or "properties" in part:
        others = part.get("additionalProperties", True)
        if others is True and part.get("maxProperties") != 0:
            yield name
    for key, item in part.items():
        if key in {"properties", "patternProperties", "$defs"}:
            for inner, value in item.items():
                yield from _open(value, inner)
        elif key != "default":
            yield from _open(item, name)


def test_every_mapping_is_closed():
    assert set(_open(schema(), "values")) == FREE


def test_what_the_chart_decides_is_not_in_the_schema():
    made = schema()["$defs"]
    for model, names in OWNED.items():
        assert not set(names) & set(made[model]["properties"]), model


def _models(kind: Any, seen: set[type[BaseModel]]) -> set[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel) and kind not in seen:
        seen.add(kind)
        for field in kind.model_fields.values():
            _models(field.annotation, seen)
    for inner in get_args(kind):
        _models(inner, seen)
    return seen


def test_null_is_always_the_default_where_it_is_allowed():
    """Helm takes a key that is null out of the values, so null could not be said where it is no default."""
    lost = [
        f"{model.__name__}.{name}"
        for model in _models(Settings, set())
        for name, field in model.model_fields.items()
        if type(None) in get_args(field.annotation)
        and not field.is_required()
        and field.get_default(call_default_factory=True) is not None
    ]
    assert lost == []


def test_defaults_are_those_of_the_models():
    defaults = yaml.safe_load(VALUES_FILE.read_text())
    given = example("minimal")
    rest = {key: value for key, value in defaults.items() if key not in given}
    assert Values.model_validate({**rest, **given}) == Values.model_validate(given)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_pass_the_linter(name):
    report = helm_python.lint(
        CHART, example(name), strict=True, kube_version="v1.36.4", namespace="notebooks"
    )
    assert [item for item in report["messages"] if item["severity"] > 1] == []
    assert report["errors"] == [] or report["errors"] is None


def test_without_any_values_it_says_what_is_needed():
    with pytest.raises(helm_python.HelmError, match=r"missing propert.*'settings', 'profiles', 'secrets'"):
        render({})


REFUSED = [
    ("settings.site.public_url", None, "public_url"),
    ("settings.site.pubic_url", "https://a.example", "pubic_url"),
    ("settings.service.port", 9000, "port"),
    ("settings.hub.database", "sqlite:///x", "database"),
    ("settings.database.url", "sqlite:///x", "database"),
    ("settings.identity.client_secret_file", "/etc/x", "client_secret_file"),
    ("settings.identity.client_secret", "hush", "client_secret"),
    ("settings.sessions.start_timeout_s", "soon", "start_timeout_s"),
    ("settings.kubernetes.clusters.here.cpu_reserved", 2, "cpu_reserved"),
    ("settings.kubernetes.clusters.here.privileged", True, "privileged"),
    ("settings.kubernetes.clusters.here.pools.default.node_selector", {"not a key": "x"}, "node_selector"),
    ("settings.kubernetes.clusters.here.storage", [{"path": "/home"}], "source"),
    ("settings.local.state", "/x", "local"),
    ("profiles.sizes.small.cpus", 0, "cpus"),
    ("profiles.profiles.lab.walltime.max", "soon", "walltime"),
    ("profiles.profiles.lab.walltime.max", "", "walltime"),
    ("profiles.environments.core.container", "notebook:latest", "container"),
    ("profiles.colour", "blue", "colour"),
    ("secrets", None, "secrets"),
    ("secrets.oidc", None, "oidc"),
    ("secrets.cookie", "a" * 64, "cookie"),
    ("image.tags", "latest", "tags"),
    ("image.digest", "sha256:short", "digest"),
    ("runAs.user", 0, "user"),
    ("hub.replicas", 2, "replicas"),
    ("hub.resources.limits.cpu", "much", "cpu"),
    ("service.extraContainers", [], "extraContainers"),
    ("service.volumes", [{"path": "/x", "source": {"kind": "claim"}}], "claim"),
    ("service.volumes", [{"path": "relative", "source": {"kind": "claim", "claim": "x"}}], "path"),
    ("desktop.guacd.kind", "host", "kind"),
    ("desktop.workstationNetworks", ["everywhere"], "workstationNetworks"),
    ("database.kind", "mysql", "kind"),
    ("database.external.url", "postgresql+psycopg://panhub:hush@db/panhub", "url"),
    ("sessions.podSecurity", "none", "podSecurity"),
    ("networkPolicy.sessionEgress", [{"network": "all"}], "network"),
    ("tokenGateway.settings.key_file", "/etc/slurm/jwt", "key_file"),
    ("uninstall.patienceS", 0, "patienceS"),
    ("global", {"hush": 1}, "global"),
]


@pytest.mark.parametrize(("path", "value", "named"), REFUSED)
def test_wrong_values_are_refused_by_name(path, value, named):
    with pytest.raises(helm_python.HelmError, match=named):
        render(with_value(example("minimal"), path, value))


IMPOSSIBLE = [
    ("minimal", "sessions.namespace", "notebooks", "need one for them alone"),
    ("minimal", "settings.kubernetes.clusters.there", {}, "only one can be the cluster"),
    ("minimal", "settings.kubernetes.clusters.here.namespace", "elsewhere", "leave the first out"),
    ("minimal", "profiles.places.local", {"title": "Here", "backend": "local"}, "no place of the kind local"),
    ("minimal", "settings.desktop", {"max_upload_mib": 5}, "desktop.enabled is false"),
    ("minimal", "database", {"kind": "external"}, "hubUrl and database.external.url are needed"),
    (
        "slurm-and-kubernetes",
        "database.external.hubUrl",
        "postgresql+psycopg://panhub@db.facility.example/panhub",
        "a database each",
    ),
    ("slurm-and-kubernetes", "tokenGateway.key", None, "signing key"),
    ("slurm-and-kubernetes", "tokenGateway.user", 64010, "another one"),
    ("full", "ingress.parents", [], "a route needs a Gateway"),
]


@pytest.mark.parametrize(("name", "path", "value", "sentence"), IMPOSSIBLE)
def test_what_cannot_be_stops_with_a_sentence(name, path, value, sentence):
    with pytest.raises(helm_python.HelmError, match=sentence):
        render(with_value(example(name), path, value))
