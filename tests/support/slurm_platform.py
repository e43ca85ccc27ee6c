"""A whole platform whose sessions run on a Slurm of its own; see `tests.support.platform`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hub.demo.slurm.people import SITE
from hub.demo.slurm.site import SlurmSite
from tests.support.platform import Platform, running_on
from tests.support.slurm import require_slurm


class SlurmPlatform(Platform):
    """The platform, and its cluster."""

    def __init__(
        self, state: Path, site: SlurmSite, overrides: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        super().__init__(state, overrides, site=site, desktops=site.has_desktops)
        self.site = site
        self.cluster = site.cluster
        site.share_data()

    def job_of(self, launch_id: str) -> int:
        """Slurm's id of a session's job."""
        handle = self.handle_of(launch_id)
        assert handle is not None, f"{launch_id} has no job"
        return int(handle["job"])


@contextmanager
def running_slurm_platform(
    *, has_image: bool = False, desktops: bool = False, **overrides: Mapping[str, Any]
) -> Iterator[SlurmPlatform]:
    """A platform on Slurm that runs, and leaves nothing behind; ``has_image``: see `SlurmSite`."""
    with slurm_state() as state:
        site = SlurmSite(state, has_image=has_image)
        site.has_desktops = desktops
        with running_on(site, lambda: SlurmPlatform(state, site, overrides)) as platform:
            yield platform


@contextmanager
def slurm_state() -> Iterator[Path]:
    """Folder of a platform whose jobs run as other people."""
    require_slurm("22.05")
    SITE.mkdir(parents=True, exist_ok=True)
    # Not below pytest's own folder, which is closed to them.
    state = Path(tempfile.mkdtemp(prefix="test-", dir=SITE))
    state.chmod(0o711)
    try:
        yield state
    finally:
        shutil.rmtree(state, ignore_errors=True)
