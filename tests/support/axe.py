"""Accessibility faults of a page, found by axe-core (npm, MPL-2.0, used in tests only)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_GRAVE = {"serious", "critical"}


async def grave_faults(page: Any) -> list[str]:
    """One line for each serious or critical fault on the page (Playwright, async API)."""
    # Evaluated, not added as a script tag: the page's policy would refuse that.
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    result = await page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{fault['id']}: {fault['help']}: {node['html'][:120]} {node.get('failureSummary', '')[:200]}"
        for fault in result["violations"]
        if fault["impact"] in _GRAVE
        for node in fault["nodes"]
    ]
