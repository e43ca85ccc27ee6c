"""What ``panhub check`` says of a batch system."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hub.checks.batchspawner import check_batchspawner
from hub.checks.finding import Trouble
from spawners.batchspawner.settings import BatchspawnerSettings
from tests.support.fake_torque import FakeTorque
from tests.unit.batchspawner.conftest import settings


def check(torque: FakeTorque, **changes: Any) -> str:
    batchspawner = BatchspawnerSettings(clusters={"torque": settings(torque, **changes)})
    return check_batchspawner(SimpleNamespace(batchspawner=batchspawner))  # type: ignore[arg-type]


def test_batch_system_that_can_be_used_is_fine(torque: FakeTorque) -> None:
    assert check(torque) == "torque: classes and commands are there"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"class_name": "no_such_package:Spawner"}, "Install panhub"),
        ({"requests": {"req_nonsense": ""}}, "no trait req_nonsense"),
        ({"batch_submit_cmd": "no-such-qsub -V"}, "torque: no program no-such-qsub"),
        ({"exec_prefix": "no-such-sudo -u {username}"}, "torque: no program no-such-sudo"),
        ({"batch_query_cmd": "qstat '"}, "No closing quotation"),
    ],
)
def test_what_is_missing_is_named(torque: FakeTorque, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(Trouble) as caught:
        check(torque, **changes)

    assert text in caught.value.text
    assert caught.value.mend
