"""`panhub serve` with a backend that starts nothing: ``python -m tests.support.bench_service PORT``.

All else is the service as it runs at a site; ``PANHUB_CONFIG`` names its settings.
"""

from __future__ import annotations

import functools
import sys

import hub.service
from hub.app import App
from hub.settings import load_settings, settings_path
from tests.support.bench_null import NullBackend

if __name__ == "__main__":
    null = NullBackend(int(sys.argv[1]))
    hub.service.App = functools.partial(App, backends={"local": null})  # type: ignore[misc]
    hub.service.run_service(load_settings(settings_path()))
