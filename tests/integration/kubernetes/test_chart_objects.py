"""What the chart makes of its examples, before a real API server: strictly, and without making anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hub.demo.kubernetes.api import Api
from hub.demo.kubernetes.cluster import Cluster
from hub.demo.kubernetes.errors import KubernetesDemoError
from tests.support.chart import EXAMPLES, RELEASE, Object, example, render, with_value
from tests.support.gateway_api import httproute_definition
from tests.support.kubernetes import own_namespace, wait

_TYPES = {
    "v1": "/api/v1",
    **{
        group: f"/apis/{group}"
        for group in (
            "apps/v1",
            "batch/v1",
            "gateway.networking.k8s.io/v1",
            "networking.k8s.io/v1",
            "policy/v1",
            "rbac.authorization.k8s.io/v1",
            "scheduling.k8s.io/v1",
        )
    },
}
_PLURALS = {"Ingress": "ingresses", "NetworkPolicy": "networkpolicies", "PriorityClass": "priorityclasses"}
_APPLY = "application/apply-patch+yaml"
_TRIED = "fieldManager=tests&dryRun=All&fieldValidation=Strict"
_EVERYWHERE = {"Namespace", "PriorityClass", "ClusterRole", "ClusterRoleBinding"}


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> Iterator[Api]:
    """An API server that knows routes."""
    definition = httproute_definition()
    name = definition["metadata"]["name"]
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
    cluster.api.apply(
        path, {**definition, "metadata": {"annotations": definition["metadata"]["annotations"]}}
    )
    wait(lambda: cluster.api.answers("/apis/gateway.networking.k8s.io/v1/httproutes"), "routes are not known")
    yield cluster.api
    cluster.api.request("DELETE", path)


@pytest.fixture(scope="module")
def namespaces(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """Of the release, and of its sessions."""
    with own_namespace(cluster) as release, own_namespace(cluster) as sessions:
        # A pod is refused where its account is not.
        account = f"/api/v1/namespaces/{release}/serviceaccounts/{RELEASE}"
        cluster.api.apply(account, {"apiVersion": "v1", "kind": "ServiceAccount"})
        yield release, sessions


def _path(item: Object, release: str) -> str:
    kind, name = item["kind"], item["metadata"]["name"]
    many = _PLURALS.get(kind, f"{kind.lower()}s")
    if kind in _EVERYWHERE:
        return f"{_TYPES[item['apiVersion']]}/{many}/{name}"
    namespace = item["metadata"].get("namespace", release)
    return f"{_TYPES[item['apiVersion']]}/namespaces/{namespace}/{many}/{name}"


def _refused(api: Api, item: Object, release: str) -> str:
    """What the API server says to it; nothing if it would take it."""
    try:
        api.request("PATCH", f"{_path(item, release)}?{_TRIED}", item, content_type=_APPLY)
    except KubernetesDemoError as error:
        return str(error)
    return ""


def _rendered(name: str, namespaces: tuple[str, str], **more: Any) -> list[Object]:
    """The objects, in namespaces that are there; the one that the chart makes is not asked about."""
    release, sessions = namespaces
    values = example(name)
    for path, value in more.items():
        values = with_value(values, path.replace("__", "."), value)
    items = [item for item in render(values, namespace=release) if item["kind"] != "Namespace"]
    for item in items:
        if item["metadata"].get("namespace", release) != release:
            item["metadata"]["namespace"] = sessions
    return items


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_api_server_takes_every_object(api, namespaces, name):
    items = _rendered(name, namespaces)
    assert len(items) > 20
    assert [said for item in items if (said := _refused(api, item, namespaces[0]))] == []


@pytest.mark.parametrize("url", ["https://notebooks.facility.example", "http://192.0.2.7:8000"])
@pytest.mark.parametrize("kind", ["ingress", "gateway"])
def test_the_way_in_may_be_a_name_or_an_address(api, namespaces, kind, url):
    way = {"kind": kind, "tlsSecret": "tls", "parents": [{"name": "public", "sectionName": "https"}]}
    items = _rendered("minimal", namespaces, settings__site__public_url=url, ingress=way)
    (item,) = [each for each in items if each["kind"] in {"Ingress", "HTTPRoute"}]
    assert _refused(api, item, namespaces[0]) == ""


def test_a_route_that_is_wrong_is_refused(api, namespaces):
    way = {"kind": "gateway", "parents": [{"name": "public"}]}
    items = _rendered("minimal", namespaces, ingress=way)
    (route,) = [each for each in items if each["kind"] == "HTTPRoute"]
    assert "hostname" in _refused(api, with_value(route, "spec.hostname", "one"), namespaces[0])
    assert "hostnames" in _refused(
        api, with_value(route, "spec.hostnames", ["https://a.example"]), namespaces[0]
    )
