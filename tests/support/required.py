"""Components that a test needs: missing ones fail in CI, and skip with the reason elsewhere."""

from __future__ import annotations

import os
import shutil

import pytest

IS_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def require(is_there: object, what: str) -> None:
    """Go on only if the component is there; ``what`` tells what is missing and how to get it."""
    if is_there:
        return
    if IS_CI:
        pytest.fail(f"CI requires {what}")
    pytest.skip(f"needs {what}")


def require_program(*names: str, package: str) -> str:
    """Path of the first of the programs that is installed."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    require(found, f"{names[0]} (Debian package {package})")
    assert found is not None
    return found
