"""Traits of KubeSpawner: what shapes a pod is taken, what the plan or security decides is refused."""

import pytest
from kubespawner import KubeSpawner
from pydantic import ValidationError

from spawners.kubernetes.overrides import ALLOWED, REFUSED, as_list, check_overrides, of_make_pod
from tests.support.kubernetes_plans import a_cluster
from tests.unit.kubernetes.test_objects import EVERY_OVERRIDE

DECIDED = {
    "image": "environment in the profiles file",
    "uid": "POSIX account",
    "fs_gid": "POSIX account",
    "privileged": "without any privilege",
    "volumes": "`storage` of the cluster",
    "cmd": "the same program",
    "environment": "ENV",
    "service_account": "`service_account` of the cluster",
    "automount_service_account_token": "no token",
    "extra_pod_config": "nothing but the session's own program",
    "init_containers": "nothing but the session's own program",
    "lifecycle_hooks": "nothing but the session's own program",
    "cpu_limit": "`sizes`",
    "node_selector": "node_selector",
    "profile_list": "import-profiles",
    "made_up": "no such trait",
}


def test_every_trait_of_kubespawner_is_taken_or_refused_with_a_reason():
    known = set(KubeSpawner.class_traits(config=True))
    assert known - set(ALLOWED) - set(REFUSED) == set()
    assert set(ALLOWED) <= known
    assert not set(ALLOWED) & set(REFUSED)


def test_all_that_is_allowed_is_taken():
    assert set(EVERY_OVERRIDE) == set(ALLOWED)
    assert a_cluster(kubespawner=EVERY_OVERRIDE).kubespawner == EVERY_OVERRIDE


@pytest.mark.parametrize(("name", "words"), DECIDED.items())
def test_what_the_plan_or_security_decides_stops_the_start(name, words):
    with pytest.raises(ValidationError, match=words):
        a_cluster(kubespawner={name: None})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tolerations": 3}, "expected a list or a dict"),
        ({"tolerations": ["gpu"]}, "Kubernetes does not know it"),
        ({"tolerations": [{"kee": "gpu"}]}, "kee"),
        ({"node_affinity_required": [{"match": []}]}, "match"),
        ({"scheduler_name": 7}, "scheduler_name"),
        ({"extra_labels": {"team": "{username}"}}, "not filled in"),
        ({"extra_labels": {"team": "two words"}}, "no value of a label"),
        ({"extra_labels": {"panhub.org/launch": "x"}}, "is ours"),
        ({"extra_labels": {"app.kubernetes.io/component": "x"}}, "is ours"),
        ({"extra_annotations": {"note": 3}}, "texts"),
        (
            {"extra_annotations": {"container.apparmor.security.beta.kubernetes.io/session": "unconfined"}},
            "confined",
        ),
        ({"extra_annotations": {"io.kubernetes.cri-o.userns-mode": "host"}}, "confined"),
        ({"extra_resource_limits": {"cpu": "64"}}, "`sizes`"),
        ({"extra_resource_limits": {"memory": "64Gi"}}, "`sizes`"),
        ({"extra_resource_limits": {"example.org/fpga": "all"}}, "no amount"),
        ({"extra_resource_guarantees": {"example.org/fpga": True}}, "no amount"),
    ],
)
def test_a_value_that_cannot_be_taken_is_named(given, words):
    with pytest.raises(ValueError, match=words):
        check_overrides(given)


def test_gpus_that_sizes_give_are_given_by_nothing_else():
    pools = {"default": {"gpus": {"any": {"resource": "example.org/gpu"}}}}
    with pytest.raises(ValidationError, match="given by sizes"):
        a_cluster(pools=pools, kubespawner={"extra_resource_limits": {"example.org/gpu": "1"}})


def test_keys_order_what_kubespawner_takes_as_a_dictionary():
    assert as_list({"b": 2, "a": 1}) == [1, 2]
    assert as_list([2, 1]) == [2, 1]
    assert of_make_pod({"scheduler_name": None, "node_affinity_required": {}}) == {
        "node_affinity_required": []
    }
