"""Sharing on a fresh database, brought there by the migrations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.sharing import Site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A site that warns of unreadable data and locks while the owner is away."""
    site = await asyncio.to_thread(Site, tmp_path)  # its migrations take longer than a loop may
    yield site
    await site.aclose()
