"""The folder of the demo's Slurm, as starts that were cut off leave it."""

from __future__ import annotations

from pathlib import Path

from hub.demo.slurm.state import database_is_made, needs_database


def test_half_a_database_is_made_anew_and_a_whole_one_is_kept(tmp_path: Path) -> None:
    for name in ("mariadb/mysql", "slurmctld"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "half").touch()
    assert needs_database(tmp_path)
    assert not list(tmp_path.rglob("half"))
    (tmp_path / "mariadb/whole").touch()
    database_is_made(tmp_path)
    assert not needs_database(tmp_path)
    assert (tmp_path / "mariadb/whole").exists()
