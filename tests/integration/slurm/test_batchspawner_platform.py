"""A whole platform, from sign-in to the charge, with a place by batchspawner beside those of Slurm."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hub.demo.slurm.site import SlurmSite
from tests.support.afterwards import assert_books_are_right, servers, wait_until_reachable
from tests.support.platform import running_on, wait_until
from tests.support.slurm_platform import SlurmPlatform, slurm_state

pytestmark = pytest.mark.timeout(300)


class BatchSite(SlurmSite):
    """The demo's site with a further place ``batch``, whose jobs SlurmSpawner's commands start."""

    def change(self, raw: dict[str, Any]) -> None:
        super().change(raw)
        profiles = yaml.safe_load(Path(raw["profiles"]["file"]).read_text())
        profiles["places"]["batch"] = {
            "title": "Batch nodes",
            "backend": "batchspawner",
            "cluster": "old",
            "queue": "cpu",
        }
        profiles["profiles"]["lab"]["places"].append("batch")
        own = self.state / "profiles.yaml"
        own.write_text(yaml.safe_dump(profiles))
        raw["profiles"]["file"] = str(own)
        raw["batchspawner"] = {
            "clusters": {
                "old": {
                    "class_name": "batchspawner:SlurmSpawner",
                    "exec_prefix": "setpriv --reuid={username} --regid={username} --init-groups --",
                    "environment": self.cluster.environment,
                    "node_addresses": {"cpu1": "127.0.0.1", "cpu2": "127.0.0.1"},
                    "session_code": self.cluster_settings()["session_code"],
                    "poll_s": 0.5,
                    "poll_idle_s": 2,
                }
            }
        }


@pytest.fixture
def platform() -> Iterator[SlurmPlatform]:
    with slurm_state() as state:
        site = BatchSite(state)
        with running_on(site, lambda: SlurmPlatform(state, site)) as platform:
            yield platform


def test_session_lives_through_a_restart_and_is_charged_by_our_clock(platform: SlurmPlatform) -> None:
    maja = platform.sign_in("maja")
    inputs = [{"kind": "dataset", "ref": "ds-ma5501-lab6-series"}]

    launch = maja.launch(inputs=inputs, walltime_s=3600, place="batch")
    running = maja.wait_for(launch["id"], "running", timeout_s=90)
    wait_until_reachable(maja, running)
    job = platform.job_of(launch["id"])
    said = platform.cluster.checked("scontrol", "show", "job", str(job), "--oneliner")
    assert "JobState=RUNNING" in said
    assert f"JobName=p{launch['id'][:14]} " in said
    assert "panhub:" not in said  # none of the jobs that the engine for Slurm knows

    platform.kill("service")
    platform.start("service")
    wait_until_reachable(maja, running)

    name = running["server_name"]
    assert maja.api("DELETE", f"/launches/{launch['id']}").status_code in {202, 204}
    ended = maja.wait_for(launch["id"], "ended", timeout_s=90)
    wait_until(lambda: name not in servers(platform, "maja"), f"{name} is left in the hub")
    ((charged,),) = platform.database(
        "SELECT e.used FROM quota_entries e JOIN quota_accounts a ON a.id = e.account_id"
        " WHERE e.launch_id = :id AND e.kind = 'charge' AND a.resource = 'cpu_seconds'",
        id=launch["id"],
    )
    truth = int(platform.cluster.sacct(job, has_ended=True)["ElapsedRaw"])
    assert abs(int(charged) - truth) <= 4, json.dumps(ended)
    assert_books_are_right(platform)
