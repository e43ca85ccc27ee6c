"""Which paths does a session get to see? From a decision to mounts, and to nothing else.

`plan_mounts` is pure: the granted areas of one investigation, each where the site shows it, so
that the path in the session names proposal, instrument and day. `present` then looks at the
storage, in a thread.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath

from hub.access.paths import MissingPathError, UnsafePathError, check_relative, resolve_beneath
from hub.access.rights import Decision, Right
from hub.catalogue.layout import Area, AreaKind, Layout
from hub.catalogue.models import Dataset, Investigation
from spawners.plan import Mount, MountMode

log = logging.getLogger(__name__)


def plan_mounts(
    decision: Decision, investigation: Investigation, *, layout: Layout, data_root: PurePosixPath
) -> tuple[Mount, ...]:
    """Mounts of exactly the granted areas of one investigation; raw data never writable.

    Raises
    ------
    UnsafePathError
        If the catalogue gave a visit folder that is not below the data root.
    """
    assert decision.investigation == investigation.id, "a decision on another investigation"
    root = check_relative(investigation.root)
    return tuple(
        Mount(
            source=data_root / root / area.name,
            target=layout.shown_under / root / area.name,
            mode=_mode(decision.right(area.kind), area.kind),
            reason=decision.reason(area.kind),
        )
        for area in layout.areas
        if decision.right(area.kind) is not Right.NONE
    )


def _mode(right: Right, kind: AreaKind) -> MountMode:
    if kind is AreaKind.RAW or right is not Right.WRITE:
        return MountMode.READ_ONLY
    return MountMode.READ_WRITE


def area_of(dataset: Dataset, layout: Layout) -> Area | None:
    """Area that a data set's path lies in; None where the layout has no such area."""
    parts = check_relative(dataset.path).parts
    return next((area for area in layout.areas if parts and parts[0] == area.name), None)


def present(mounts: Iterable[Mount], data_root: Path) -> tuple[Mount, ...]:
    """The mounts whose folder is there, resolved without following links. Blocking.

    An area that is missing (a visit without scripts) or is a link is left out; a link is logged,
    since nobody but the site should be able to make one there.
    """
    found = []
    for mount in mounts:
        try:
            source = resolve_beneath(data_root, mount.source.relative_to(data_root))
        except MissingPathError:
            continue
        except UnsafePathError as error:
            log.warning("Area %s is not shown: %s", mount.source, error)
            continue
        found.append(replace(mount, source=source))
    return tuple(found)
