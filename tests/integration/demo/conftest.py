"""Free ports for the demo's processes."""

from __future__ import annotations

import contextlib
import socket

import pytest


@pytest.fixture
def unused_ports():
    """Make a list of ``count`` ports that were free a moment ago."""

    def make(count):
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
            for s in sockets:
                s.bind(("127.0.0.1", 0))
            return [s.getsockname()[1] for s in sockets]

    return make
