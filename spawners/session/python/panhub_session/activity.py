"""What counts as use of a session: what the notebook server tells the hub as its last activity.

jupyter_server counts every request of its API, so a tab of JupyterLab that nobody looks at keeps its
session in use by asking for kernels and files again and again; and a kernel that computes for hours
without a word does not. Here a request counts that changes something (pages say by one that keys or
mouse were used), a kernel as long as it is busy, and whatever else an extension notes, such as the
desktop's keys and mouse.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def count_only_use(web_app: Any) -> None:
    """Have the server count as described; jupyter_server has no setting for either."""
    from jupyter_server.base.handlers import APIHandler

    count = APIHandler.update_api_activity

    def count_changes(handler: Any) -> None:
        if handler.request.method not in _READING:
            count(handler)

    APIHandler.update_api_activity = count_changes
    last = web_app.last_activity

    def last_use() -> datetime:
        if is_computing(web_app.settings["kernel_manager"]):
            return datetime.now(UTC)
        found: datetime = last()
        return found

    web_app.last_activity = last_use


def is_computing(kernels: Any) -> bool:
    """Whether a kernel is busy."""
    return any(kernel.get("execution_state") == "busy" for kernel in kernels.list_kernels())
