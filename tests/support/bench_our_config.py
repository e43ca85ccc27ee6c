"""The hub as `jupyterhub_config.py` makes it, with sign-in by password: only launches are measured."""

import os

from jupyterhub.auth import DummyAuthenticator

from hub.hubconfig import configure
from hub.hubhandlers import hub_handlers
from hub.settings import load_settings, settings_path

c = get_config()  # type: ignore[name-defined]  # noqa: F821  # JupyterHub defines it

configure(c, load_settings(settings_path()))


class BenchAuthenticator(DummyAuthenticator):
    """By password, with our handlers before the hub's own."""

    def get_handlers(self, app: object) -> list[object]:
        """Ours first, as with our own authenticator."""
        return [*hub_handlers(), *super().get_handlers(app)]


c.JupyterHub.authenticator_class = BenchAuthenticator
c.BenchAuthenticator.allow_all = True
c.BenchAuthenticator.password = os.environ["BENCH_PASSWORD"]
c.JupyterHub.services.append({"name": "bench", "api_token": os.environ["BENCH_TOKEN"]})
c.JupyterHub.load_roles.append(
    {
        "name": "bench",
        "services": ["bench"],
        "scopes": ["admin:users", "admin:servers", "tokens", "access:servers"],
    }
)
