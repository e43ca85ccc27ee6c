"""Where hub, service and tunnel listen, and where others reach them, may be two things."""

from __future__ import annotations

from typing import Any

import pytest
import tornado.httpserver
from pydantic import ValidationError
from traitlets.config import Config

from hub import hubconfig
from hub.checks.reach import hub_url
from hub.desktop.settings import DesktopSettings
from hub.settings import HubSettings, ServiceSettings, Settings

_FILES = ("service_token_file", "crypt_key_file", "cookie_secret_file", "proxy_token_file")


def _service(**given: Any) -> ServiceSettings:
    return ServiceSettings(internal_secret_file="internal", state="state", **given)


def _hub(**given: Any) -> HubSettings:
    return HubSettings(**dict.fromkeys(_FILES, "secret"), **given)


def _desktop(**given: Any) -> DesktopSettings:
    return DesktopSettings(secret_file="a", service_token_file="b", key_file="c", **given)


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ({}, "127.0.0.1"),
        ({"bind": "10.0.0.5"}, "10.0.0.5"),
        ({"bind": "0.0.0.0", "address": "panhub-hub"}, "panhub-hub"),
        ({"bind": "::", "address": "fd00::5"}, "[fd00::5]"),
    ],
)
def test_others_come_to_the_address_else_where_it_listens(given, host):
    assert _service(**given).url == f"http://{host}:8002"
    assert _hub(**given).api_url == f"http://{host}:8081/hub/api"
    assert _desktop(**given).url == f"http://{host}:8004"


@pytest.mark.parametrize("address", ["", "http://hub", "hub/x", "user@hub", "hub hub"])
def test_an_address_is_no_url(address):
    for make in (_service, _hub, _desktop):
        with pytest.raises(ValidationError):
            make(address=address)


def _settings(**hub: Any) -> Settings:
    return Settings.model_validate(
        {
            "service": _service(bind="0.0.0.0", address="panhub-service").model_dump(),
            "hub": _hub(bind="0.0.0.0", **hub).model_dump(),
            "identity": {"issuer": "https://sso.example", "client_secret_file": "oidc"},
            "catalogue": {"folder": "/catalogue"},
            "data": {"root": "/data"},
            "profiles": {"file": "profiles.yaml"},
            "local": {"state": "local"},
        }
    )


@pytest.fixture
def _no_files(monkeypatch):
    # The hub's process gets another server class for good; this one does not.
    monkeypatch.setattr(tornado.httpserver, "HTTPServer", tornado.httpserver.HTTPServer)
    monkeypatch.setattr(hubconfig, "read_secret", lambda _: "0" * 64)
    monkeypatch.setattr(hubconfig, "load_manifest", lambda _: {})
    monkeypatch.setattr(hubconfig, "hub_template_vars", lambda *_: {})


@pytest.mark.usefixtures("_no_files")
def test_the_hub_listens_here_and_is_found_there():
    c = Config()
    hubconfig.configure(c, _settings(address="panhub-hub", session_url="http://hub.example:8081"))
    assert c.JupyterHub.hub_bind_url == "http://0.0.0.0:8081/hub/"
    assert c.JupyterHub.hub_connect_url == "http://panhub-hub:8081/hub/"
    assert c.PanSpawner.hub_connect_url == "http://hub.example:8081"
    assert c.PanSpawner.engine_url == "http://panhub-service:8002"


@pytest.mark.usefixtures("_no_files")
def test_without_an_address_jupyterhub_finds_its_own():
    c = Config()
    hubconfig.configure(c, _settings())
    assert "hub_connect_url" not in c.JupyterHub
    assert "hub_connect_url" not in c.PanSpawner


def test_nodes_are_told_where_the_hub_is():
    assert hub_url(_settings(session_url="http://hub.example:8081")) == "http://hub.example:8081/hub/api/"
    assert hub_url(_settings(address="hub.example")) == "http://hub.example:8081/hub/api/"
