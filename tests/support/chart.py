"""The chart as tests have it: its examples, and what Helm makes of values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import yaml

CHART = Path(__file__).parents[2] / "helm/panhub"
EXAMPLES = tuple(sorted(path.stem for path in (CHART / "examples").glob("*.yaml")))
NAMESPACE = "notebooks"
"""Namespace of the release, as tests render it."""

RELEASE = "panhub"

Object = dict[str, Any]


def example(name: str) -> dict[str, Any]:
    """Values of an example, a copy each time."""
    values: dict[str, Any] = yaml.safe_load((CHART / f"examples/{name}.yaml").read_text(encoding="utf-8"))
    return values


def with_value(values: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Values with one of them changed; ``path`` has dots between its keys. None takes it out."""
    first, _, rest = path.partition(".")
    changed = dict(values)
    if rest:
        changed[first] = with_value(changed.get(first) or {}, rest, value)
    elif value is None:
        changed.pop(first, None)
    else:
        changed[first] = value
    return changed


def render(values: Mapping[str, Any], *, name: str = RELEASE, namespace: str = NAMESPACE) -> list[Object]:
    """All objects that Helm makes of values.

    Raises
    ------
    helm_python.HelmError
        If schema or templates refuse the values.
    """
    made = _chart().render(dict(values), name=name, namespace=namespace)
    return list(_objects(made))


@cache
def _chart() -> helm_python.Chart:
    return helm_python.Chart.load(CHART)


def _objects(made: Mapping[str, str]) -> Iterator[Object]:
    for path, text in made.items():
        if path.endswith(".yaml"):
            yield from (found for found in yaml.load_all(text, Loader=yaml.CSafeLoader) if found)


def one(objects: list[Object], kind: str, name: str, namespace: str | None = None) -> Object:
    """The object of this kind and name."""
    (found,) = [
        item
        for item in objects
        if item["kind"] == kind
        and item["metadata"]["name"] == name
        and namespace in (None, item["metadata"].get("namespace"))
    ]
    return found


def engine_rules() -> list[dict[str, Any]]:
    """Rules of the engine's role in the sessions' namespace: the one place that says what it may do."""
    rules: list[dict[str, Any]] = one(render(example("minimal")), "Role", f"{RELEASE}-engine")["rules"]
    return rules


def node_rules() -> list[dict[str, Any]]:
    """Rules of the engine's cluster role, where it sees nodes."""
    made = render(with_value(example("minimal"), "settings.kubernetes.clusters.here.sees_nodes", True))
    (role,) = [item for item in made if item["kind"] == "ClusterRole"]
    rules: list[dict[str, Any]] = role["rules"]
    return rules
