"""Which transport a cluster has."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from spawners.slurm.cli.transport import CliTransport
from spawners.slurm.connect import TransportSettingsError, make_transport
from spawners.slurm.rest.transport import RestTransport
from spawners.slurm.settings import ClusterSettings


def _settings(**transport):
    return ClusterSettings.model_validate({"transport": transport, "session_code": "/opt/code"})


class _Tokens:
    async def token(self, user: str) -> str:
        return user

    def forget(self, user: str) -> None:
        return None


class Own(CliTransport):
    """A site's own."""

    def __init__(self, socket: str, service_account: str, tokens: object = None) -> None:
        if not socket:
            raise ValueError("no socket")
        self.got = (socket, service_account, tokens)


class Half:
    """Lacks nearly all."""

    async def jobs(self) -> tuple[()]:
        return ()


@pytest.fixture
def site(monkeypatch):
    module = ModuleType("site_transport")
    module.Own, module.Half, module.function = Own, Half, lambda: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "site_transport", module)


async def test_each_kind():
    assert isinstance(make_transport(_settings(kind="cli", conf=str(Path("/x"))), None), CliTransport)
    made = make_transport(_settings(kind="rest", url="http://127.0.0.1:1"), _Tokens())
    assert isinstance(made, RestTransport)
    await made.aclose()


def test_slurmrestd_without_tokens_is_refused():
    with pytest.raises(TransportSettingsError, match="gateway_socket"):
        make_transport(_settings(kind="rest", url="http://127.0.0.1:1"), None)


def test_a_class_of_the_site(site):
    tokens = _Tokens()
    made = make_transport(
        _settings(kind="custom", class_name="site_transport:Own", options={"socket": "s"}), tokens
    )
    assert isinstance(made, Own)
    assert made.got == ("s", "panhub", tokens)


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("no_such_module:Own", {}, "cannot be imported"),
        ("site_transport:Missing", {}, "cannot be imported"),
        ("site_transport:function", {}, "not a class"),
        ("site_transport:Half", {}, "lacks the async methods .*accounted, .*submit"),
        ("site_transport:Own", {"socket": ""}, "no socket"),
        ("site_transport:Own", {"other": 1}, "cannot be made"),
    ],
)
def test_a_class_that_is_none(site, name, options, text):
    with pytest.raises(TransportSettingsError, match=text):
        make_transport(_settings(kind="custom", class_name=name, options=options), None)
