"""`panhub check` of a cluster, with the service's own rights."""

from __future__ import annotations

import asyncio
from typing import Any

import yaml

from hub.checks.finding import Level
from hub.checks.kubernetes import NEEDED, NODES, check_kubernetes
from hub.demo.kubernetes.control import GPU, GPU_LABEL
from hub.settings import Settings
from spawners.kubernetes.settings import KubernetesSettings
from tests.support.kubernetes_backends import RULES, Site, grant, settings_of

GPUS = {"any": {"resource": GPU, "node_selector": dict([GPU_LABEL])}}


class Only:
    """Settings with nothing but clusters."""

    def __init__(self, **clusters: Any) -> None:
        self.kubernetes = KubernetesSettings(clusters=clusters)


async def look(site: Site, **more: Any) -> dict[str, tuple[Level, str]]:
    """Findings by check."""
    settings: Settings = Only(demo=settings_of(site, **more))  # type: ignore[assignment]
    found = await check_kubernetes(settings, None)
    assert all(each.is_fine or each.mend for each in found)
    return {each.check.removeprefix("kubernetes demo").strip(): (each.level, each.text) for each in found}


def test_what_is_checked_is_the_chart_s_role() -> None:
    for name, needed in (("engine-role", NEEDED), ("nodes-role", NODES)):
        rules = yaml.safe_load((RULES / f"{name}.yaml").read_text())
        said = [(kind, verb) for rule in rules for kind in rule["resources"] for verb in rule["verbs"]]
        assert sorted(said) == sorted(needed)


async def test_a_cluster_in_its_place_is_fine_and_each_lack_is_named(site: Site) -> None:
    found = await look(site, sees_nodes=True, pools={"default": {"gpus": GPUS}})
    assert {level for level, _ in found.values()} == {Level.FINE}, found
    assert found["gpus"][1] == "of 1 node, some have what the pools name"
    found = await look(
        site,
        sees_nodes=True,
        priority_class="missing",
        pools={"default": {"gpus": {"v100": {"resource": "example.org/gpu"}}}},
    )
    assert found["pods"][0] is Level.FAULT
    assert "a session in pool default: " in found["pods"][1]
    assert "no PriorityClass with name missing was found" in found["pods"][1]
    assert found["gpus"] == (Level.WARNING, "no node has the GPUs v100 of pool default (example.org/gpu)")
    found = await look(site, service_account="nobody")
    assert 'serviceaccount "nobody" not found' in found["pods"][1]


async def test_rights_that_are_missing_are_named(site: Site) -> None:
    rules = yaml.safe_load((RULES / "engine-role.yaml").read_text())
    left = [rule for rule in rules if rule["resources"] not in (["secrets"], ["pods/log"])]
    grant(site.cluster, site.namespace, left)
    try:
        async with asyncio.timeout(30):  # until the API server's authorizer has heard of it
            while (found := await look(site))["rights"][0] is Level.FINE:
                await asyncio.sleep(0.1)
    finally:
        grant(site.cluster, site.namespace, rules)
    assert found["rights"][0] is Level.FAULT
    assert found["rights"][1].startswith("the service may not: get pods/log, create secrets (namespace ")


async def test_a_cluster_that_does_not_answer_is_one_finding(site: Site) -> None:
    settings = settings_of(site)
    config = yaml.safe_load(site.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    elsewhere = site.storage / "elsewhere"
    elsewhere.write_text(yaml.safe_dump(config))
    found = await check_kubernetes(
        Only(demo=settings.model_copy(update={"kubeconfig": elsewhere})),  # type: ignore[arg-type]
        None,
    )
    assert [each.level for each in found] == [Level.FAULT]
