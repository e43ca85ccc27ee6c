"""Whether a daemon answers; said once when it stops, once when it is back."""

from __future__ import annotations

import logging
import time
from typing import ClassVar

log = logging.getLogger(__name__)


class Outage:
    """Failures in a row of one kind of question. A scheduler's own has its errors in ``expected``."""

    expected: ClassVar[tuple[type[Exception], ...]] = ()

    def __init__(self, what: str) -> None:
        self._what = what
        self._since = 0.0
        self.failures = 0
        self.error = ""

    def failed(self, error: Exception) -> None:
        """A question had no answer; a fault of ours comes with its traceback."""
        self.failures += 1
        self.error = self.shown(str(error)) or type(error).__name__
        if self.failures > 1:
            return
        self._since = time.monotonic()
        fault = None if isinstance(error, self.expected) else error
        log.warning("%s: no answer: %s", self._what, self.error, exc_info=fault)

    def answered(self) -> None:
        """A question was answered."""
        if self.failures:
            seconds = time.monotonic() - self._since
            log.warning("%s: answered again, after %.0f s and %d tries", self._what, seconds, self.failures)
        self.failures = 0
        self.error = ""

    @staticmethod
    def shown(text: str) -> str:
        """What is said of an error."""
        return text
