"""One hub against the demo's provider, one against a real Keycloak; the same tests run on both."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.integration.keycloak.hubs import REPO, RunningHub, running_hub
from tests.integration.keycloak.idps import DemoIdp, Idp, KeycloakIdp
from tests.support.keycloak import KeycloakMissingError, running_keycloak
from tests.support.required import require

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session", params=["demo", "keycloak"])
def idp(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Idp]:
    if request.param == "demo":
        demo = DemoIdp()
        yield demo
        demo.close()
        return
    try:
        context = running_keycloak(tmp_path_factory.mktemp("keycloak"))
        keycloak = context.__enter__()
    except KeycloakMissingError as error:
        require(False, f"a Keycloak: {error}")
        return
    try:
        yield KeycloakIdp(keycloak)
    finally:
        context.__exit__(None, None, None)


@pytest.fixture(scope="session")
def hub(idp: Idp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    proxy = REPO / "node_modules/.bin/configurable-http-proxy"
    require(proxy.exists(), "configurable-http-proxy: npm ci")
    with running_hub(idp, tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture(scope="module")
def demo_idp() -> Iterator[DemoIdp]:
    demo = DemoIdp()
    yield demo
    demo.close()


@pytest.fixture(scope="module")
def demo_hub(demo_idp: DemoIdp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with running_hub(demo_idp, tmp_path_factory.mktemp("demo-hub")) as running:
        yield running


@pytest.fixture
def new_name() -> Callable[[], str]:
    """Names that no other test uses."""
    return lambda: f"person{next(_NUMBERS)}"
