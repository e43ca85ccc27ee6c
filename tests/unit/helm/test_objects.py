"""What the chart makes: valid for Kubernetes, and nothing in it that must not be."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest

from hub.desktop.capability import load_key
from hub.settings import read_secret
from spawners.kubernetes.naming import COMPONENT_LABEL, MANAGER, MANAGER_LABEL, PORT, SESSION
from tests.support.chart import (
    EXAMPLES,
    NAMESPACE,
    RELEASE,
    Object,
    engine_rules,
    example,
    node_rules,
    one,
    render,
    with_value,
)

KUBERNETES = "1.36"

VARIANTS = {
    **{name: example(name) for name in EXAMPLES},
    "sandbox": with_value(
        example("full"),
        "desktop",
        {
            **example("full")["desktop"],
            "guacd": {"kind": "sandbox"},
            "seccompProfile": "guacd.json",
            "appArmorProfile": "guacd",
        },
    ),
    "one claim": with_value(example("minimal"), "database.sqlite", {"existingClaim": "panhub"}),
    "any account": {**example("minimal"), "runAs": {"user": None, "group": None}},
    "bare": {
        **example("minimal"),
        "networkPolicy": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
        "uninstall": {"endSessions": False},
        "sessions": {"createNamespace": False, "protectFromDrain": False},
    },
    "slurm only": with_value(
        with_value(example("slurm-and-kubernetes"), "settings.kubernetes", None),
        "profiles",
        {
            **example("slurm-and-kubernetes")["profiles"],
            "places": {"slurm": {"title": "Slurm", "backend": "slurm", "cluster": "pan", "partition": "all"}},
        },
    ),
}
RENDERED = {name: render(values) for name, values in VARIANTS.items()}
ALL = pytest.mark.parametrize("objects", RENDERED.values(), ids=RENDERED)


def _pods(objects: list[Object]) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in objects:
        name = f"{item['kind']}/{item['metadata']['name']}"
        if item["kind"] == "Pod":
            yield name, item["spec"]
        elif "template" in item.get("spec", {}):
            yield name, item["spec"]["template"]["spec"]


def _containers(objects: list[Object]) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Name, container, and whether it stays."""
    for name, pod in _pods(objects):
        for container in pod.get("initContainers", ()):
            yield f"{name}/{container['name']}", container, container.get("restartPolicy") == "Always"
        for container in pod["containers"]:
            yield f"{name}/{container['name']}", container, True


def test_every_object_is_valid():
    """Each that is made anywhere, once; the Gateway API's route has a schema that is not Kubernetes' own."""
    each = {json.dumps(item, sort_keys=True): item for objects in RENDERED.values() for item in objects}
    assert len(each) > 80
    for item in each.values():
        if item["kind"] != "HTTPRoute":
            kubernetes_validate.validate(item, KUBERNETES, strict=True)


@ALL
def test_every_object_has_its_namespace_and_a_name_of_its_own(objects):
    names = [(item["kind"], item["metadata"]["name"], item["metadata"].get("namespace")) for item in objects]
    assert len(set(names)) == len(names)
    own = {None, "panhub-sessions", "sessions", NAMESPACE}
    assert {item["metadata"].get("namespace") for item in objects} <= own


@ALL
def test_no_pod_has_more_rights_than_it_needs(objects):
    for name, pod in _pods(objects):
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(pod), name
        assert pod["enableServiceLinks"] is False, name
        assert pod["automountServiceAccountToken"] is (name == f"Job/{RELEASE}-uninstall"), name
        assert pod["serviceAccountName"] != "default", name


@ALL
def test_every_container_is_restricted_and_bounded(objects):
    for name, container, stays in _containers(objects):
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False, name
        assert security["readOnlyRootFilesystem"] is True, name
        assert security["capabilities"] == {"drop": ["ALL"]}, name
        assert "privileged" not in security, name
        for amounts in ("requests", "limits"):
            assert set(container["resources"][amounts]) == {"cpu", "memory"}, name
        is_finite = name.startswith(("Job/", "Pod/"))
        probes = {"startupProbe", "readinessProbe", "livenessProbe"}
        assert probes <= set(container) or not stays or is_finite, name
        assert isinstance(container.get("command"), list) or name.endswith("/database"), name
        image = container["image"]
        assert "@sha256:" in image or (":" in image and not image.endswith((":latest", ":"))), name


@ALL
def test_the_clusters_token_is_in_the_engine_alone(objects):
    with_token = [
        name
        for name, container, _ in _containers(objects)
        if any("serviceaccount" in mount["mountPath"] for mount in container.get("volumeMounts", ()))
    ]
    has_cluster = any(item["kind"] == "Role" for item in objects)
    assert with_token == ([f"Deployment/{RELEASE}-service/service"] if has_cluster else [])


@ALL
def test_rights_are_listed_one_by_one(objects):
    for item in objects:
        if item["kind"] in {"Role", "ClusterRole"}:
            for rule in item["rules"]:
                assert "*" not in str(rule), item["metadata"]["name"]
        assert item["kind"] != "ClusterRoleBinding" or item["roleRef"]["name"].endswith("-nodes")


def test_the_engine_may_do_this_and_no_more():
    assert {(rule["resources"][0], verb) for rule in engine_rules() for verb in rule["verbs"]} == {
        *(("pods", verb) for verb in ("create", "get", "list", "watch", "patch", "delete")),
        ("pods/log", "get"),
        ("secrets", "create"),
        ("events", "list"),
        ("events", "watch"),
        ("resourcequotas", "list"),
    }
    assert node_rules() == [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]}]
    assert not [item for item in RENDERED["minimal"] if item["kind"].startswith("ClusterRole")]


@ALL
def test_secrets_are_named_never_written_down(objects):
    for item in objects:
        if item["kind"] == "ConfigMap":
            text = json.dumps(item["data"])
            assert "PRIVATE KEY" not in text
            assert not [word for word in ("password:", "secret:", "hunter2") if word in text]
        for _, pod in _pods([item]):
            for container in (*pod.get("initContainers", ()), *pod["containers"]):
                for variable in container.get("env", ()):
                    is_secret = any(word in variable["name"] for word in ("TOKEN", "SECRET", "KEY"))
                    assert not is_secret or "secretKeyRef" in variable["valueFrom"]


def test_generated_secrets_are_what_the_programs_take(tmp_path):
    data = one(RENDERED["minimal"], "Secret", f"{RELEASE}-secrets")["data"]
    assert len(set(data.values())) == len(data) == 8
    for name, value in data.items():
        path = tmp_path / name
        path.write_bytes(base64.b64decode(value))
        path.chmod(0o400)
        if name == "desktop-key":
            load_key(path)
        else:
            assert len(bytes.fromhex(read_secret(path))) == 32


def test_each_process_gets_only_the_secrets_that_it_needs():
    objects = RENDERED["full"]
    given = {}
    for component in ("hub", "service", "desktop"):
        pod = one(objects, "Deployment", f"{RELEASE}-{component}")["spec"]["template"]["spec"]
        (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "given"]
        given[component] = {
            item["path"] for source in volume["projected"]["sources"] for item in source["secret"]["items"]
        }
        (init,) = [one for one in pod["initContainers"] if one["name"] == "secrets"]
        assert {path.rpartition("/")[2] for path in init["command"][5:]} == given[component]
    assert given == {
        "hub": {
            "internal",
            "service-token",
            "crypt-key",
            "cookie",
            "proxy-token",
            "desktop-token",
            "oidc",
            "pgpass",
        },
        "service": {"internal", "service-token", "desktop", "desktop-key", "pgpass"},
        "desktop": {"desktop", "desktop-token", "desktop-key"},
    }


def test_guacd_has_nothing_of_the_tunnels():
    pod = one(RENDERED["full"], "Deployment", f"{RELEASE}-desktop")["spec"]["template"]["spec"]
    (guacd,) = [one for one in pod["initContainers"] if one["name"] == "guacd"]
    assert [mount["name"] for mount in guacd["volumeMounts"]] == ["guacd-tmp"]
    assert [variable["name"] for variable in guacd["env"]] == ["HOME"]
    assert "ports" not in guacd
    sandbox = one(RENDERED["sandbox"], "Deployment", f"{RELEASE}-desktop")["spec"]["template"]["spec"]
    assert "guacd" not in [one["name"] for one in sandbox["initContainers"]]
    security = sandbox["containers"][0]["securityContext"]
    assert security["seccompProfile"] == {"type": "Localhost", "localhostProfile": "guacd.json"}
    assert security["appArmorProfile"] == {"type": "Localhost", "localhostProfile": "guacd"}


def test_slurms_key_is_in_the_gateway_alone():
    name = "slurm-and-kubernetes"
    pod = one(RENDERED[name], "Deployment", f"{RELEASE}-service")["spec"]["template"]["spec"]
    holders = {
        container["name"]
        for container in (*pod["initContainers"], *pod["containers"])
        if any(mount["name"] in {"gateway-key", "gateway-given"} for mount in container["volumeMounts"])
    }
    assert holders == {"gateway-key", "token-gateway"}
    users = {one["name"]: one["securityContext"].get("runAsUser") for one in pod["initContainers"]}
    assert users == {"secrets": None, "gateway-key": 64011, "token-gateway": 64011}
    made = json.loads(
        one(RENDERED[name], "ConfigMap", f"{RELEASE}-token-gateway")["data"]["token-gateway.yaml"]
    )
    assert made["peers"] == [64010]


def test_an_external_database_is_used_as_the_bundled_one():
    """The same accounts, file of passwords and mounts: what holds for the one holds for the other."""
    bundled = with_value(example("full"), "secrets.existingSecret", "panhub-secrets")
    host = f"{RELEASE}-database"
    external = {
        "hubUrl": f"postgresql+psycopg://jupyterhub@{host}/jupyterhub",
        "url": f"postgresql+psycopg://panhub@{host}/panhub",
        "passwords": {"existingSecret": host},
    }
    own, theirs = (
        render(bundled),
        render(with_value(bundled, "database", {"kind": "external", "external": external})),
    )
    assert one(own, "ConfigMap", f"{RELEASE}-settings") == one(theirs, "ConfigMap", f"{RELEASE}-settings")
    for component in ("hub", "service"):
        deployment = one(own, "Deployment", f"{RELEASE}-{component}")
        containers = deployment["spec"]["template"]["spec"]["initContainers"]
        (waits,) = [each for each in containers if each["name"] == "database"]
        containers.remove(waits)  # a site's database is there before
        assert deployment == one(theirs, "Deployment", f"{RELEASE}-{component}")
    assert not [item for item in theirs if item["metadata"]["name"] == host]


def test_a_site_of_an_address_alone_has_no_host_in_its_way_in():
    for kind, name in {"slurm-and-kubernetes": "Ingress", "full": "HTTPRoute"}.items():
        at = with_value(example(kind), "settings.site.public_url", "http://192.0.2.7:8000")
        assert "192.0.2.7" not in json.dumps(one(render(at), name, RELEASE))
        assert "notebooks.facility.example" in json.dumps(one(render(example(kind)), name, RELEASE))


def _policies(name: str) -> dict[str, dict[str, Any]]:
    return {
        item["metadata"]["name"].removeprefix(f"{RELEASE}-"): item["spec"]
        for item in RENDERED[name]
        if item["kind"] == "NetworkPolicy"
    }


def _who(peers: list[dict[str, Any]]) -> set[str]:
    return {
        peer["podSelector"]["matchLabels"].get(COMPONENT_LABEL, "dns")
        for peer in peers
        if "podSelector" in peer
    }


def test_sessions_reach_and_are_reached_by_nobody_else():
    policies = _policies("minimal")
    assert policies["deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    sessions = policies["sessions"]
    assert sessions["podSelector"]["matchLabels"] == {MANAGER_LABEL: MANAGER, COMPONENT_LABEL: SESSION}
    (way_in,) = sessions["ingress"]
    assert way_in["ports"] == [{"protocol": "TCP", "port": PORT}]
    assert _who(way_in["from"]) == {"proxy", "hub", "service", "desktop"}
    for peer in way_in["from"]:
        assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": NAMESPACE}
    assert [_who(way["to"]) for way in sessions["egress"]] == [{"dns"}, {"hub"}, {"service"}]


def test_what_the_site_allows_is_added():
    *_, last = _policies("full")["sessions"]["egress"]
    assert last["to"][0]["ipBlock"]["cidr"] == "0.0.0.0/0"
    assert "10.0.0.0/8" in last["to"][0]["ipBlock"]["except"]


@pytest.mark.parametrize(
    ("component", "who"),
    [
        ("hub", {"proxy", "service", "desktop", "session"}),
        ("service", {"proxy", "hub", "desktop", "session"}),
        ("desktop", {"proxy", "hub"}),
        ("database", {"hub", "service"}),
    ],
)
def test_our_processes_are_reached_by_whom_they_serve(component, who):
    (way_in,) = _policies("full")[component]["ingress"]
    assert _who(way_in["from"]) == who


def test_the_proxys_api_is_the_hubs_alone():
    people, api = _policies("slurm-and-kubernetes")["proxy"]["ingress"]
    assert _who(api["from"]) == {"hub"}
    assert people["from"][0] == {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}
    }


def test_the_tunnel_goes_to_sessions_and_workstations_only():
    ways = _policies("full")["desktop"]["egress"]
    assert [_who(way["to"]) for way in ways] == [{"dns"}, {"hub", "service"}, {"session"}, set()]
    assert ways[-1]["to"] == [{"ipBlock": {"cidr": "10.30.0.0/16"}}]


@pytest.mark.parametrize("component", ["proxy", "hub", "service", "desktop"])
def test_there_is_one_of_each_and_the_old_one_ends_first(component):
    spec = one(RENDERED["full"], "Deployment", f"{RELEASE}-{component}")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def _checksums(values: dict[str, Any], component: str) -> dict[str, str]:
    found = one(render(values), "Deployment", f"{RELEASE}-{component}")["spec"]["template"]["metadata"]
    return {name: value for name, value in found["annotations"].items() if name.startswith("checksum/")}


def test_a_change_restarts_whom_it_concerns():
    before = example("full")
    site = with_value(before, "settings.site.name", "Another")
    offer = with_value(before, "profiles.sizes.small.cpus", 2)
    for component in ("hub", "service", "desktop"):
        assert _checksums(before, component) == _checksums(example("full"), component)
        assert _checksums(before, component) != _checksums(site, component)
    assert _checksums(before, "service") != _checksums(offer, "service")
    assert _checksums(before, "hub") == _checksums(offer, "hub")


def test_the_namespace_of_sessions_enforces_a_standard_and_is_kept():
    space = one(RENDERED["minimal"], "Namespace", "panhub-sessions")["metadata"]
    assert space["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert space["annotations"]["helm.sh/resource-policy"] == "keep"


def test_sessions_go_before_placeholders():
    sessions = one(RENDERED["minimal"], "PriorityClass", "panhub-session")
    warm = one(RENDERED["minimal"], "PriorityClass", "panhub-warm")
    assert sessions["value"] > 0 > warm["value"]
    assert warm["preemptionPolicy"] == "Never"


def test_without_a_cluster_of_its_own_there_is_nothing_for_sessions():
    kinds = {item["kind"] for item in RENDERED["slurm only"]}
    assert not kinds & {"Role", "ClusterRole", "Namespace", "PriorityClass", "Job"}
    assert "sessions" not in _policies("slurm only")


def test_any_account_will_do():
    for _, pod in _pods(RENDERED["any account"]):
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(pod["securityContext"])


def test_every_state_that_lasts_is_in_a_claim():
    for component in ("hub", "service"):
        pod = one(RENDERED["minimal"], "Deployment", f"{RELEASE}-{component}")["spec"]["template"]["spec"]
        (state,) = [volume for volume in pod["volumes"] if volume["name"] == "state"]
        assert state["persistentVolumeClaim"]["claimName"] == f"{RELEASE}-{component}"
        shared = one(RENDERED["one claim"], "Deployment", f"{RELEASE}-{component}")["spec"]["template"][
            "spec"
        ]
        (mount,) = [one for one in shared["containers"][0]["volumeMounts"] if one["name"] == "state"]
        assert mount["subPath"] == component


def test_data_is_only_read():
    for values in VARIANTS:
        pod = one(RENDERED[values], "Deployment", f"{RELEASE}-service")["spec"]["template"]["spec"]
        mounts = [
            mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"].startswith("site-")
        ]
        assert mounts
        assert all(mount["readOnly"] for mount in mounts)


def test_releases_of_other_names_do_not_meet():
    ours = {
        item["metadata"]["name"] for item in RENDERED["full"] if item["kind"] in {"Service", "Deployment"}
    }
    others = {
        item["metadata"]["name"]
        for item in render(example("full"), name="beta")
        if item["kind"] in {"Service", "Deployment"}
    }
    assert not ours & others
    assert all(name.startswith("beta-panhub-") for name in others)
