"""How far is it? A bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from typing import TextIO

_WIDTH = 30


class Progress:
    """Callable with a text and a share (0 to 1); shows them on ``stream``."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._last = ""

    def __call__(self, text: str, share: float) -> None:
        """Show one step."""
        if self._is_terminal:
            filled = round(_WIDTH * min(max(share, 0.0), 1.0))
            end = "\n" if share >= 1.0 else ""
            bar = "█" * filled + "░" * (_WIDTH - filled)
            # "\\x1b[K" clears what a longer text left on the line.
            self._stream.write(f"\r{bar} {share:4.0%}  {text}\x1b[K{end}")
        elif text != self._last:
            self._stream.write(f"{text}\n")
        self._last = text
        self._stream.flush()
