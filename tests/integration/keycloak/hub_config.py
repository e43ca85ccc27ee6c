"""Configuration of the hub under test; the variable ``HUB_TEST`` holds its parameters as JSON."""

# ruff: noqa: F821  (JupyterHub gives `c`)
# mypy: ignore-errors
import json
import os
import sys
from pathlib import Path

from hub.identity.authenticator import PanAuthenticator
from hub.identity.settings import IdentitySettings

given = json.loads(os.environ["HUB_TEST"])
folder = Path(given["folder"])

c.JupyterHub.bind_url = given["public_url"]
c.JupyterHub.hub_bind_url = given["hub_url"]
c.JupyterHub.db_url = f"sqlite:///{folder}/hub.sqlite"
c.JupyterHub.cookie_secret_file = str(folder / "cookie_secret")
c.JupyterHub.cleanup_servers = False
c.JupyterHub.allow_named_servers = True
c.JupyterHub.default_url = "/hub/home"
c.JupyterHub.authenticate_prometheus = False
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = given["proxy_api_url"]
c.ConfigurableHTTPProxy.auth_token = given["proxy_token"]
c.CryptKeeper.keys = [bytes.fromhex("a5" * 32)]

c.JupyterHub.spawner_class = "jupyterhub.spawner.SimpleLocalProcessSpawner"
c.SimpleLocalProcessSpawner.home_dir_template = str(folder / "homes/{username}")
c.Spawner.cmd = [sys.executable, str(Path(__file__).with_name("tiny_session.py"))]
c.Spawner.env_keep = ["PATH"]

c.JupyterHub.authenticator_class = PanAuthenticator
c.PanAuthenticator.settings = IdentitySettings(**given["identity"])
c.PanAuthenticator.internal_url = given["internal_url"]
c.PanAuthenticator.internal_secret_file = given["internal_secret_file"]
c.PanAuthenticator.auth_refresh_age = 1

c.JupyterHub.load_roles = [
    {"name": "starter", "scopes": ["list:users", "read:servers", "servers"], "services": ["starter"]}
]
c.JupyterHub.services = [{"name": "starter", "api_token": given["service_token"]}]
