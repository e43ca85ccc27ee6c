"""The OpenAPI document says what the service does: checked by requests made from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from hub.settings import SERVICE_PREFIX
from tests.support.platform import Platform, Visitor
from tests.support.traces import no_traceback, nothing_started

SignIn = Callable[[str], Visitor]

API = f"{SERVICE_PREFIX}/api/v1"
HEALTH = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


@pytest.fixture(scope="module")
def document(platform: Platform) -> dict[str, Any]:
    reply = httpx.get(f"{platform.url}{API}/openapi.json")
    assert reply.status_code == 200
    found: dict[str, Any] = reply.json()
    return found


@pytest.fixture(scope="module")
def api_schema(platform: Platform, document: dict[str, Any]) -> schemathesis.BaseSchema:
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=f"{platform.url}{API}")
    return schema


@pytest.fixture(scope="module")
def over(person: SignIn) -> str:
    """A launch of tobi that is over."""
    tobi = person("tobi")
    tobi.api("POST", "/launches", json={"profile": "gold"})
    found: str = tobi.api("GET", "/launches").json()["items"][0]["id"]
    return found


OPERATIONS = [
    ("GET", "/launches"),
    ("POST", "/launches"),
    ("GET", "/launches/{launch_id}"),
    ("DELETE", "/launches/{launch_id}"),
    ("POST", "/launches/{launch_id}/extend"),
    ("GET", "/launches/{launch_id}/jobs"),
    ("GET", "/launches/{launch_id}/events"),
]


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_documented(
    api_schema: schemathesis.BaseSchema,
    person: SignIn,
    over: str,
    method: str,
    path: str,
    mode: GenerationMode,
) -> None:
    token = person("tobi").token

    @settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=HEALTH)
    @given(case=api_schema[path][method].as_strategy(generation_mode=mode))
    def check(case: schemathesis.Case[Any]) -> None:
        if isinstance(case.body, dict) and path == "/launches":
            case.body["dry_run"] = True  # no sessions by the hundred
        if "launch_id" in case.path_parameters and len(str(case.body)) % 2:
            case.path_parameters["launch_id"] = over
        case.call_and_validate(
            headers={"Authorization": f"token {token}"},
            # With dry_run set, or the launch replaced, what was wrong with a request may be right;
            # and what fits the schema may still be refused: more time than the profile gives.
            excluded_checks=[negative_data_rejection, positive_data_acceptance],
        )

    try:
        check()
    except Unsatisfiable:
        assert (mode, method) == (GenerationMode.NEGATIVE, "GET")  # nothing to get wrong


def test_all_operations_are_tested(document: dict[str, Any]) -> None:
    found = {(m.upper(), path) for path, one in document["paths"].items() for m in one if m != "parameters"}
    own = ("/desktops/", "/invitations", "/workstations")
    sharing = {(m, path) for m, path in found if path.startswith(own)}
    assert found - sharing == set(OPERATIONS), "those of sharing have tests of their own"


def test_data_that_is_not_on_disk_is_a_conflict(platform: Platform, person: SignIn) -> None:
    folder = next(platform.settings.data.root.glob("ev0317/id21/*"))
    away = folder.rename(folder.with_name("restored-later"))
    try:
        body = {"inputs": [{"kind": "dataset", "ref": "ds-ev0317-map"}]}
        reply = person("tobi").api("POST", "/launches", json=body)
        assert (reply.status_code, reply.json()["code"]) == (409, "offline_staging")
    finally:
        away.rename(folder)


def test_the_document_is_public_and_closed(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert document["security"] == [{"token": []}]
    for name in ("LaunchBody", "ExtendBody"):
        assert document["components"]["schemas"][name]["additionalProperties"] is False
    for name, rule in document["components"]["schemas"]["LaunchBody"]["properties"].items():
        assert rule.get("description"), name


def test_nothing_was_started_and_no_fault_logged(platform: Platform) -> None:
    nothing_started(platform)
    no_traceback(platform)
