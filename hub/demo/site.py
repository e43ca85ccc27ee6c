"""Where the sessions of a demo run, if not on the demo's own machine: what each such site does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from hub.demo.supervisor import Program


class SiteError(Exception):
    """A site cannot be made or does not answer; the text says why."""


class DemoSite(Protocol):
    """A cluster of the demo's own, with the demo's people and their rights on the data.

    ``has_desktops`` is set before the start; ``place`` is one for everyday work, by its name in the profiles.
    """

    has_desktops: bool

    @property
    def place(self) -> str:
        """A place of the profiles for everyday work."""
        ...

    def start(self, say: Callable[[str], None]) -> None:
        """Start the cluster and make what its sessions need. Blocking.

        Raises
        ------
        SiteError
            If something is missing or does not come up.
        """
        ...

    def share_data(self) -> None:
        """Give the demo's people what they may read; after the facility was made. Blocking."""
        ...

    def change(self, raw: dict[str, Any]) -> None:
        """Put this site's sections into the settings of a demo."""
        ...

    def programs(self) -> tuple[Program, ...]:
        """What must run before all others."""
        ...

    def stop(self) -> None:
        """Stop the cluster, sessions included. Blocking."""
        ...
