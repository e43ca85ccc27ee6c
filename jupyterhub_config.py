"""JupyterHub with PaNHub: settings become traits. A site overrides any of them below."""

from hub.hubconfig import configure
from hub.settings import load_settings, settings_path

c = get_config()  # type: ignore[name-defined]  # noqa: F821  # JupyterHub defines it

# Who signs in, what starts sessions, which services there are: all from the one settings file.
configure(c, load_settings(settings_path()))
