"""The OpenAPI 3.1 document of the spawn API, made from the models that validate it."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from hub.api import openapi_desktops
from hub.api.base import BaseHandler
from hub.api.models import DryRunOut, ExtendBody, JobList, LaunchBody, LaunchList, LaunchOut, ProblemOut
from hub.settings import SERVICE_PREFIX

_MODELS: tuple[tuple[type[BaseModel], str], ...] = (
    (LaunchBody, "validation"),
    (ExtendBody, "validation"),
    (LaunchOut, "serialization"),
    (LaunchList, "serialization"),
    (JobList, "serialization"),
    (DryRunOut, "serialization"),
    (ProblemOut, "serialization"),
    *openapi_desktops.MODELS,
)

_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A repeat with the same key and body returns the first launch; another body is refused.",
    "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,80}$"},
}
_LAUNCH_ID = {
    "name": "launch_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
}
_AFTER = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "Number of the last event received; the stream goes on after it.",
    "schema": {"type": "string", "pattern": "^[0-9]{1,9}$"},
}


_EVENT = {
    "description": "One event. Only `progress` has a number, to go on after.",
    "type": "object",
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9]{1,9}$"},
        "event": {"enum": ["progress", "state", "done"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["event", "data"],
    "additionalProperties": False,
}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _json(model: type[BaseModel], what: str) -> dict[str, Any]:
    return {"description": what, "content": {"application/json": {"schema": _ref(model)}}}


def _problem(what: str) -> dict[str, Any]:
    return {"description": what, "content": {"application/problem+json": {"schema": _ref(ProblemOut)}}}


def _body(model: type[BaseModel]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": _ref(model)}}}


_REFUSALS = {
    "400": _problem("The request is not valid."),
    "401": _problem("Nobody is signed in, or the token is not accepted."),
    "403": _problem("Known, but not open to the caller (embargo, account)."),
    "404": _problem("Not there, or not the caller's: one answer for both."),
    "409": _problem("It conflicts with what is there."),
    "422": _problem("The template does not fit, or the idempotency key was used for another request."),
    "429": _problem("Quota: what, how much, and when it resets."),
    "503": _problem("A part of the platform does not answer; nothing was started."),
}


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document."""
    _, schemas = models_json_schema(
        [(model, mode) for model, mode in _MODELS],  # type: ignore[misc]  # mode is a Literal
        ref_template="#/components/schemas/{model}",
    )
    one = {"parameters": [_LAUNCH_ID]}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "PaNHub spawn API",
            "version": "1.0.0",
            "description": "Start, follow, extend, stop and share sessions. Send `Authorization: token …`.",
        },
        "servers": [{"url": f"{SERVICE_PREFIX}/api/v1"}],
        "security": [{"token": []}],
        "paths": {
            "/launches": {
                "get": {
                    "operationId": "listLaunches",
                    "summary": "Own launches, newest first",
                    "responses": {"200": _json(LaunchList, "The launches."), "401": _REFUSALS["401"]},
                },
                "post": {
                    "operationId": "createLaunch",
                    "summary": "Start a session, or say what would start (`dry_run`)",
                    "parameters": [_KEY],
                    "requestBody": _body(LaunchBody),
                    "responses": {
                        "200": {
                            "description": "A dry run's summary, or the launch that the key made before.",
                            "content": {
                                "application/json": {"schema": {"anyOf": [_ref(DryRunOut), _ref(LaunchOut)]}}
                            },
                        },
                        "202": _json(LaunchOut, "The launch is under way."),
                        **_REFUSALS,
                    },
                },
            },
            "/launches/{launch_id}": {
                **one,
                "get": {
                    "operationId": "getLaunch",
                    "summary": "One launch",
                    "responses": {"200": _json(LaunchOut, "The launch."), **_some("401", "404")},
                },
                "delete": {
                    "operationId": "stopLaunch",
                    "summary": "Cancel or stop it",
                    "responses": {
                        "200": _json(LaunchOut, "It is over."),
                        "202": _json(LaunchOut, "It is being ended."),
                        **_some("401", "404"),
                    },
                },
            },
            "/launches/{launch_id}/extend": {
                **one,
                "post": {
                    "operationId": "extendLaunch",
                    "summary": "Let it run longer",
                    "parameters": [_KEY],
                    "requestBody": _body(ExtendBody),
                    "responses": {"200": _json(LaunchOut, "With its new deadline."), **_REFUSALS},
                },
            },
            "/launches/{launch_id}/jobs": {
                **one,
                "get": {
                    "operationId": "listJobs",
                    "summary": "Jobs submitted from inside it",
                    "responses": {
                        "200": _json(JobList, "The jobs; none once it is over."),
                        **_some("401", "404"),
                    },
                },
            },
            "/launches/{launch_id}/events": {
                **one,
                "get": {
                    "operationId": "followLaunch",
                    "summary": "Progress as server-sent events, resumable",
                    "parameters": [_AFTER],
                    "responses": {
                        "200": {
                            "description": "The stream; it ends when the launch is over.",
                            "content": {"text/event-stream": {"schema": _EVENT}},
                        },
                        **_some("401", "404"),
                    },
                },
            },
            **openapi_desktops.paths(_REFUSALS),
        },
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "token": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`token <hub token>`",
                }
            },
        },
    }


def _some(*codes: str) -> dict[str, Any]:
    return {code: _REFUSALS[code] for code in codes}


class OpenApiHandler(BaseHandler):
    """``/api/v1/openapi.json``: public, it holds nothing of anybody."""

    def get(self) -> None:
        """The document."""
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(document()))
