"""The pod and the secret of a session: what is in them, and above all what never is."""

import base64
import json
from dataclasses import replace
from pathlib import PurePosixPath

import kubernetes_validate
import pytest

from spawners.backend import SubmitError
from spawners.kubernetes import naming
from spawners.kubernetes.objects import (
    GRACE_S,
    gpus_of,
    label_value,
    owned_by,
    placeholder_pod,
    session_objects,
)
from spawners.plan import Interface, Size
from spawners.session.minder import _GRACE_S, _LAST_WORD_S
from tests.support.kubernetes_plans import (
    CREDENTIALS,
    DESKTOP_KEY,
    IMAGE,
    LAUNCH,
    SECRET,
    TOKEN,
    a_cluster,
    a_plan,
    mount,
)

KUBERNETES = "1.36"

EVERY_OVERRIDE = {
    "extra_annotations": {"example.org/note": "x"},
    "extra_labels": {"example.org/team": "x"},
    "extra_resource_guarantees": {"example.org/fpga": "1"},
    "extra_resource_limits": {"example.org/fpga": "1", "ephemeral-storage": "8Gi"},
    "node_affinity_required": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}],
    "node_affinity_preferred": [
        {"weight": 1, "preference": {"matchExpressions": [{"key": "new", "operator": "Exists"}]}}
    ],
    "pod_affinity_required": [{"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}}],
    "pod_affinity_preferred": [{"weight": 1, "podAffinityTerm": {"topologyKey": "zone"}}],
    "pod_anti_affinity_required": [{"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}}],
    "pod_anti_affinity_preferred": [{"weight": 1, "podAffinityTerm": {"topologyKey": "zone"}}],
    "scheduler_name": "packing",
    "tolerations": {"b": {"key": "batch", "operator": "Exists"}},
}

GPUS = {"gpus": {"a100": {"node_selector": {"gpu": "a100"}}, "any": {"resource": "example.org/gpu"}}}
A100 = Size("gpu", "GPU", cpus=2, memory_mib=4096, gpus=2, gpu_type="a100")
ANY_GPU = replace(A100, gpu_type="")
NFS = {"kind": "nfs", "server": "nfs.example.org", "export": "/export"}

CASES = {
    "plain": ({}, {}),
    "desktop": ({"interface": Interface.DESKTOP}, {}),
    "no groups": ({"account": replace(a_plan().account, groups=())}, {}),
    "gpus": ({"size": A100}, {"pools": {"default": GPUS}}),
    "overrides": ({}, {"kubespawner": EVERY_OVERRIDE}),
    "all settings": (
        {},
        {
            "priority_class": "sessions",
            "runtime_class": "gvisor",
            "image_pull_policy": "Always",
            "image_pull_secrets": ["registry"],
            "cpu_reserved": 0.25,
            "pools": {
                "default": {
                    "node_selector": {"pool": "notebooks"},
                    "tolerations": [{"key": "notebooks", "value": "yes", "effect": "NoSchedule"}],
                    "warm": {"pods": 2, "image": IMAGE},
                }
            },
        },
    ),
    "nfs": ({}, {"storage": [{"path": "/storage", "source": NFS}]}),
    "folders of the nodes": (
        {},
        {"storage": [{"path": "/storage", "source": {"kind": "host", "path": "/g"}}]},
    ),
}


@pytest.fixture(params=CASES)
def made(request):
    changes, settings = CASES[request.param]
    cluster = a_cluster(**settings)
    objects = session_objects(a_plan(**changes), CREDENTIALS, cluster, "default")
    return objects, placeholder_pod(cluster, "default", "warm-1"), changes, settings


def pod_of(changes=None, **settings):
    return session_objects(a_plan(**(changes or {})), CREDENTIALS, a_cluster(**settings), "default").pod


def variables(pod):
    return {one["name"]: one.get("value") for one in pod["spec"]["containers"][0]["env"]}


def walk(value):
    yield value
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from walk(item)


def test_the_cluster_would_take_every_object(made):
    objects, placeholder, _, _ = made
    for found in (objects.pod, objects.secret, owned_by(objects.secret, "a-uid"), placeholder):
        kubernetes_validate.validate(found, KUBERNETES, strict=True)
        assert json.loads(json.dumps(found)) == found


def test_no_pod_has_a_privilege_whatever_is_set(made):
    objects, placeholder, _, _ = made
    for pod in (objects.pod, placeholder):
        spec = pod["spec"]
        (container,) = spec["containers"]
        assert not spec.get("initContainers")
        assert not spec.get("ephemeralContainers")
        assert container["securityContext"] == {
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["securityContext"]["runAsUser"] > 0
        # The kubelet would hand the data of the site over to it.
        assert "fsGroup" not in spec["securityContext"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        for name in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"):
            assert not spec.get(name)
        assert not any("projected" in volume for volume in spec.get("volumes", ()))
        assert not any("hostPort" in port for port in container.get("ports", ()))
        for name in ("lifecycle", "envFrom", "volumeDevices", "livenessProbe"):
            assert name not in container


def test_a_session_runs_as_the_person(made):
    objects, _, changes, _ = made
    context = objects.pod["spec"]["securityContext"]
    account = a_plan(**changes).account
    assert (context["runAsUser"], context["runAsGroup"]) == (1234, 1235)
    assert context["supplementalGroups"] == list(account.groups)
    assert context["supplementalGroupsPolicy"] == "Strict"


def test_no_secret_is_in_a_pod(made):
    objects, placeholder, _, _ = made
    for pod in (objects.pod, placeholder):
        texts = [text for text in walk(pod) if isinstance(text, str)]
        for secret in (TOKEN, SECRET, DESKTOP_KEY, *CREDENTIALS.environment):
            assert not [text for text in texts if secret in text]
    assert SECRET.encode() not in b"".join(map(base64.b64decode, objects.secret["data"].values()))
    assert TOKEN not in json.dumps(objects.secret["metadata"])


def test_only_what_was_granted_is_shown(made):
    objects, _, _, settings = made
    spec = objects.pod["spec"]
    storage = {volume["name"] for volume in spec["volumes"] if volume["name"].startswith("storage-")}
    shown = {
        one["mountPath"]: (one.get("subPath"), one.get("readOnly", False))
        for one in spec["containers"][0]["volumeMounts"]
        if one["name"] in storage
    }
    assert shown == {
        "/home/alice": ("home/alice", False),
        "/data/v/RAW": ("data/v/RAW", True),
        "/data/v/PROCESSED": ("data/v/PROCESSED", False),
    }
    others = [volume for volume in spec["volumes"] if volume["name"] not in storage]
    assert {kind for volume in others for kind in volume if kind != "name"} == {"secret", "emptyDir"}
    if "storage" not in settings:
        assert not any("hostPath" in volume or "nfs" in volume for volume in spec["volumes"])


def test_the_settlements_finalizer_and_labels_are_there(made):
    objects, placeholder, _, _ = made
    metadata = objects.pod["metadata"]
    assert metadata["name"] == objects.secret["metadata"]["name"] == f"session-{LAUNCH}"
    assert metadata["finalizers"] == [naming.FINALIZER]
    assert "ownerReferences" not in metadata
    labels = metadata["labels"]
    assert labels[naming.LAUNCH_LABEL] == objects.secret["metadata"]["labels"][naming.LAUNCH_LABEL] == LAUNCH
    assert labels[naming.COMPONENT_LABEL] == naming.SESSION
    assert labels[naming.MANAGER_LABEL] == naming.MANAGER
    assert labels[naming.PLACE_LABEL] == "default"
    assert labels[naming.PERSON_LABEL].startswith("alice-example-org---")
    annotations = metadata["annotations"]
    assert annotations[naming.PERSON_ANNOTATION] == "alice@example.org"
    assert annotations[naming.PLACE_ANNOTATION] == "pods"
    assert annotations[naming.CPUS_ANNOTATION] == "2"
    assert annotations[naming.MEMORY_ANNOTATION] == "4096"
    assert placeholder["metadata"]["labels"][naming.COMPONENT_LABEL] == naming.PLACEHOLDER
    assert naming.LAUNCH_LABEL not in placeholder["metadata"]["labels"]
    assert "finalizers" not in placeholder["metadata"]


def test_the_first_process_has_no_text_of_a_person(made):
    objects, _, _, _ = made
    (container,) = objects.pod["spec"]["containers"]
    assert container["name"] == naming.CONTAINER
    assert container["image"] == IMAGE
    prefix = "/opt/panhub/environment"
    assert container["command"] == [f"{prefix}/bin/python", "-I", "-S", "/opt/panhub/session/pod.py"]
    assert "args" not in container
    assert objects.pod["spec"]["restartPolicy"] == "Never"
    assert objects.pod["spec"]["terminationGracePeriodSeconds"] == GRACE_S


def test_the_grace_of_a_pod_is_longer_than_what_its_first_process_takes():
    assert _GRACE_S + _LAST_WORD_S + 5 < GRACE_S


def test_the_secret_is_all_that_the_hub_gives():
    secret = session_objects(a_plan(), CREDENTIALS, a_cluster(), "default").secret
    files = {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}
    assert set(files) == {"launch-id", "token", "environment", "passwd", "group"}
    assert secret["immutable"] is True
    assert (files["launch-id"], files["token"]) == (LAUNCH, TOKEN)
    given = json.loads(files["environment"])
    assert given["MY_OWN"] == "$(HOME) of mine"
    assert given["PANHUB_DESKTOP_KEY"] == DESKTOP_KEY
    assert "LD_LIBRARY_PATH" not in given  # the hub's own software stays with the hub
    assert "alice:x:1234:1235:alice:/home/alice:/bin/bash" in files["passwd"].splitlines()
    assert "alice:x:1235:" in files["group"].splitlines()


@pytest.mark.parametrize(
    ("hub_api_url", "api", "activity"),
    [
        (None, "http://127.0.0.1:8081/hub/api", "http://127.0.0.1:8081/hub/api/users/alice/activity"),
        (
            "http://hub:8081/hub/api/",
            "http://hub:8081/hub/api",
            "http://hub:8081/hub/api/users/alice/activity",
        ),
    ],
)
def test_pods_may_reach_the_hub_elsewhere(hub_api_url, api, activity):
    cluster = a_cluster(hub_api_url=hub_api_url)
    secret = session_objects(a_plan(), CREDENTIALS, cluster, "default").secret
    given = json.loads(base64.b64decode(secret["data"]["environment"]))
    assert (given["JUPYTERHUB_API_URL"], given["JUPYTERHUB_ACTIVITY_URL"]) == (api, activity)


@pytest.mark.parametrize(
    ("report_url", "expected"),
    [
        (None, "http://hub:8002/services/panhub"),
        ("http://engine.panhub:8002/x/", "http://engine.panhub:8002/x"),
    ],
)
def test_pods_may_reach_the_engine_elsewhere(report_url, expected):
    assert variables(pod_of(report_url=report_url))["PANHUB_REPORT_BASE"] == expected


def test_the_kubelet_expands_nothing_in_our_variables():
    pod = pod_of({"account": replace(a_plan().account, name="a$(PATH)")})
    assert variables(pod)["HOME"] == "/home/a$$(PATH)"


@pytest.mark.parametrize(
    ("size", "reserved", "requests", "limits"),
    [
        (a_plan().size, 1.0, {"cpu": "2000m", "memory": "4096Mi"}, {"cpu": "2", "memory": "4096Mi"}),
        (a_plan().size, 0.25, {"cpu": "500m", "memory": "4096Mi"}, {"cpu": "2", "memory": "4096Mi"}),
        (
            A100,
            1.0,
            {"cpu": "2000m", "memory": "4096Mi", "nvidia.com/gpu": "2"},
            {"cpu": "2", "memory": "4096Mi", "nvidia.com/gpu": "2"},
        ),
        (
            ANY_GPU,
            1.0,
            {"cpu": "2000m", "memory": "4096Mi", "example.org/gpu": "2"},
            {"cpu": "2", "memory": "4096Mi", "example.org/gpu": "2"},
        ),
    ],
)
def test_a_size_becomes_requests_and_limits(size, reserved, requests, limits):
    pod = pod_of({"size": size}, cpu_reserved=reserved, pools={"default": GPUS})
    resources = pod["spec"]["containers"][0]["resources"]
    assert (resources["requests"], resources["limits"]) == (requests, limits)


def test_gpus_of_a_type_are_on_the_nodes_of_the_pool_that_have_it():
    pool = {**GPUS, "node_selector": {"pool": "gpu"}}
    spec = pod_of({"size": A100}, pools={"default": pool})["spec"]
    assert spec["nodeSelector"] == {"pool": "gpu", "gpu": "a100"}
    assert pod_of(pools={"default": pool})["spec"]["nodeSelector"] == {"pool": "gpu"}


def test_an_image_gives_nobody_gpus_that_were_not_asked_for():
    assert variables(pod_of())["NVIDIA_VISIBLE_DEVICES"] == "void"
    with_gpus = pod_of({"size": A100}, pools={"default": GPUS})
    assert "NVIDIA_VISIBLE_DEVICES" not in variables(with_gpus)  # the device plugin says which


def test_a_type_that_the_pool_has_not_is_refused_and_never_another():
    pools = a_cluster(pools={"default": GPUS, "one": {"gpus": {"v100": {}}}, "none": {}}).pools
    assert gpus_of(pools["default"], replace(A100, gpu_type="v100")) is None
    assert gpus_of(pools["one"], ANY_GPU) is pools["one"].gpus["v100"]
    assert gpus_of(pools["none"], ANY_GPU) is None
    assert gpus_of(pools["default"], a_plan().size) is None
    with pytest.raises(SubmitError, match="no GPU of the type v100"):
        pod_of({"size": replace(A100, gpu_type="v100")}, pools={"default": GPUS})


def test_where_a_pod_may_run_is_the_pools_and_the_overrides():
    tolerations = [{"key": "notebooks", "operator": "Exists"}]
    pool = {"tolerations": tolerations, "warm": {"pods": 1}}
    cluster = a_cluster(kubespawner=EVERY_OVERRIDE, pools={"default": pool})
    session = session_objects(a_plan(), CREDENTIALS, cluster, "default").pod
    placeholder = placeholder_pod(cluster, "default", "warm-1")
    for pod in (session, placeholder):  # room is kept where sessions will run
        spec = pod["spec"]
        assert [one["key"] for one in spec["tolerations"]] == ["notebooks", "batch"]
        assert spec["schedulerName"] == "packing"
        assert set(spec["affinity"]) == {"nodeAffinity", "podAffinity", "podAntiAffinity"}
        assert pod["metadata"]["labels"]["example.org/team"] == "x"
    assert session["metadata"]["annotations"]["example.org/note"] == "x"
    assert session["spec"]["containers"][0]["resources"]["limits"]["example.org/fpga"] == "1"


def test_a_placeholder_gives_way_at_once():
    cluster = a_cluster(pools={"default": {"warm": {"pods": 1, "cpus": 0.5, "memory_mib": 512}}})
    placeholder = placeholder_pod(cluster, "default", "warm-1")
    spec, (container,) = placeholder["spec"], placeholder["spec"]["containers"]
    assert spec["terminationGracePeriodSeconds"] == 0
    assert spec["priorityClassName"] == "panhub-warm"
    assert container["resources"]["requests"] == {"cpu": "500m", "memory": "512Mi"}
    assert container["image"] == cluster.pause_image
    assert "command" not in container
    assert "volumes" not in spec
    warm = a_cluster(pools={"default": {"warm": {"pods": 1, "image": IMAGE}}})
    assert placeholder_pod(warm, "default", "w")["spec"]["containers"][0]["command"] == ["sleep", "infinity"]


@pytest.mark.parametrize(
    ("changes", "settings", "words"),
    [
        ({"environment": replace(a_plan().environment, container="")}, {}, "no container image"),
        ({"mounts": (mount("/elsewhere/RAW", "/data/RAW"),)}, {}, "storage of /elsewhere/RAW"),
        ({}, {"storage": []}, "storage of /storage/home/alice"),
    ],
)
def test_what_the_cluster_cannot_have_is_refused(changes, settings, words):
    with pytest.raises(SubmitError, match=words):
        pod_of(changes, **settings)


def test_a_prefix_is_at_the_same_path_unless_the_image_has_another():
    environment = replace(a_plan().environment, container_prefix=None)
    pod = pod_of({"environment": environment})
    assert pod["spec"]["containers"][0]["command"][0] == "/sw/core/bin/python"
    assert variables(pod)["PANHUB_PREFIX"] == "/sw/core"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gpu", "gpu"),
        ("GPU_1.x", "GPU_1.x"),
        ("", ""),
        ("alice@example.org", "alice-example-org---7a64adf2"),
        ("ends-", None),
        ("a--b", None),
        ("x" * 64, None),
    ],
)
def test_a_label_never_has_what_kubernetes_does_not_take(text, expected):
    found = label_value(text)
    assert len(found) <= 63
    assert found == expected or (expected is None and found != text)


def test_names_of_two_people_are_never_one_label():
    names = ["alice@example.org", "alice-example-org", "alice_example.org", "Alice@example.org"]
    assert len({label_value(name) for name in names}) == len(names)


def test_a_home_elsewhere_in_the_storage_is_still_home():
    account = replace(a_plan().account, home=PurePosixPath("/storage/staff/a/alice"))
    mounts = pod_of({"account": account})["spec"]["containers"][0]["volumeMounts"]
    (home,) = [one for one in mounts if one["mountPath"] == "/home/alice"]
    assert home["subPath"] == "staff/a/alice"
