"""Found by the interpreter at start when `tests.support.loopwatch.environment` put it on the path."""

from tests.support.loopwatch import start_from_environment

start_from_environment()
