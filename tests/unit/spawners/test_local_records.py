"""What is known of a session whose supervisor never got to say who it is."""

from __future__ import annotations

from pathlib import Path

from spawners.backend import EndCause
from spawners.local.records import Records
from spawners.local.runfolder import write_json
from spawners.plan import LaunchId

LAUNCH = LaunchId("0123456789abcdef")
GIVEN = {"cpus": 2, "memory_mib": 1024, "gpus": 0, "affinity": [0]}


def begun(state: Path) -> Records:
    """Records with a run folder that an engine made before it was killed."""
    records = Records(state)
    records.make()
    records.folder(LAUNCH).make()
    write_json(records.folder(LAUNCH).session, GIVEN)
    return records


def test_a_supervisor_that_died_before_its_first_word_used_nothing(tmp_path: Path) -> None:
    usage = begun(tmp_path).usage(LAUNCH)
    assert usage is not None
    assert (usage.elapsed_seconds, usage.cpus, usage.cause) == (0, 2, EndCause.LOST)


def test_what_is_not_known_here_has_no_use(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.make()
    assert records.usage(LAUNCH) is None


def test_a_folder_without_a_supervisor_is_cleared_for_another_start(tmp_path: Path) -> None:
    records = begun(tmp_path)
    assert LAUNCH not in records.find()
    records.clear_unstarted(LAUNCH)
    records.folder(LAUNCH).make()


def test_a_folder_with_a_supervisor_is_kept(tmp_path: Path) -> None:
    records = begun(tmp_path)
    write_json(
        records.folder(LAUNCH).supervisor, {"pid": 1, "start_time": 0, "boot_id": "x", "started_at": 0}
    )
    records.clear_unstarted(LAUNCH)
    assert LAUNCH in records.find()
