"""The part of the API's description that is about sharing; see `hub.api.openapi`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from hub.api.workstations import WorkstationsOut
from hub.desktop.models import DESKTOP_PATTERN
from hub.sharing import models as m

MODELS: tuple[tuple[type[BaseModel], str], ...] = (
    (m.TicketBody, "validation"),
    (m.MemberBody, "validation"),
    (m.RequestBody, "validation"),
    (m.AnswerBody, "validation"),
    (m.InvitationBody, "validation"),
    (m.AcceptBody, "validation"),
    (m.ControlBody, "validation"),
    (m.PolicyBody, "validation"),
    (m.DesktopState, "serialization"),
    (m.TicketOut, "serialization"),
    (m.PeopleOut, "serialization"),
    (m.RequestMade, "serialization"),
    (m.InvitationMade, "serialization"),
    (m.Accepted, "serialization"),
    (m.AuditOut, "serialization"),
    (WorkstationsOut, "serialization"),
)

Json = dict[str, Any]
Answer = tuple[str, type[BaseModel] | None, str]

_DESKTOP = {
    "name": "desktop",
    "in": "path",
    "required": True,
    "description": "Launch id of a session, or `ws-` and the name of a workstation.",
    "schema": {"type": "string", "pattern": f"^{DESKTOP_PATTERN}$"},
}
_ITEM = {
    "name": "item",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
}
_USERNAME = {
    "name": "username",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[a-z][a-z0-9._-]{0,31}$"},
}
_JPEG = {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}
_STATE: Answer = ("200", m.DesktopState, "The desktop as it is now.")
_LEFT = {"204": {"description": "Done; the caller is nobody there any more."}}


def paths(refusals: Json) -> Json:
    """Operations by path; ``refusals`` are the answers that every operation shares, by status."""

    def some(*codes: str) -> Json:
        return {code: refusals[code] for code in codes}

    one = _operations(some)
    return {
        "/desktops/{desktop}": {
            "parameters": [_DESKTOP],
            "get": one("getDesktop", "A desktop or session as the caller may see it", _STATE),
        },
        "/desktops/{desktop}/events": {
            "parameters": [_DESKTOP],
            "get": {
                "operationId": "followDesktop",
                "summary": "The state as server-sent events, whenever it changes",
                "description": "Event `state`: as `getDesktop`. Event `gone`: the caller is nobody there "
                "any more; the stream ends.",
                "responses": {
                    "200": {
                        "description": "The stream.",
                        "content": {"text/event-stream": {"schema": {"type": "string"}}},
                    },
                    **some("401", "403", "404"),
                },
            },
        },
        "/desktops/{desktop}/tickets": {
            "parameters": [_DESKTOP],
            "post": one(
                "makeTicket",
                "A one-use ticket for the tunnel, good for 15 s",
                ("201", m.TicketOut, "The ticket."),
                m.TicketBody,
                "409",
                "429",
                needs_body=False,
            ),
        },
        "/desktops/{desktop}/members": {
            "parameters": [_DESKTOP],
            "post": one("giveRole", "Give somebody a role (owner)", _STATE, m.MemberBody, "409", "503"),
        },
        "/desktops/{desktop}/members/{username}": {
            "parameters": [_DESKTOP, _USERNAME],
            "delete": one("takeRole", "Take somebody's role (owner), or give up one's own", _STATE),
        },
        "/desktops/{desktop}/suggestions": {
            "parameters": [_DESKTOP],
            "get": one(
                "suggestPeople", "People of the same team (owner)", ("200", m.PeopleOut, "The people.")
            ),
        },
        "/desktops/{desktop}/requests": {
            "parameters": [_DESKTOP],
            "post": one(
                "askForRole",
                "Ask the owner for a role, or for control",
                ("202", m.RequestMade, "The same answer whether there is such a desktop or not."),
                m.RequestBody,
                "429",
                needs_body=False,
            ),
        },
        "/desktops/{desktop}/requests/{item}": {
            "parameters": [_DESKTOP, _ITEM],
            "post": one("answerRequest", "Answer a request (owner)", _STATE, m.AnswerBody, "409", "503"),
        },
        "/desktops/{desktop}/invitations": {
            "parameters": [_DESKTOP],
            "post": one(
                "makeInvitation",
                "Make a one-use link (owner)",
                ("201", m.InvitationMade, "The link, shown once."),
                m.InvitationBody,
                "409",
                "429",
                needs_body=False,
            ),
        },
        "/desktops/{desktop}/invitations/{item}": {
            "parameters": [_DESKTOP, _ITEM],
            "delete": one("withdrawInvitation", "Take a link back (owner)", _STATE),
        },
        "/workstations": {
            "get": one(
                "listWorkstations",
                "Workstations that are open to the caller, and those that a coming beamtime opens",
                ("200", WorkstationsOut, "In the order of the settings."),
                None,
                "503",
            )
        },
        "/invitations": {
            "post": one(
                "acceptInvitation",
                "Accept an invitation",
                ("200", m.Accepted, "Where it leads; with `waits` the owner has to agree first."),
                m.AcceptBody,
                "429",
                "503",
            )
        },
        "/desktops/{desktop}/control": {
            "parameters": [_DESKTOP],
            "post": one("handControl", "Take, hand over or free control", _STATE, m.ControlBody, "409"),
        },
        "/desktops/{desktop}/policy": {
            "parameters": [_DESKTOP],
            "patch": one(
                "setPolicy", "What others may do while the owner is away (owner)", _STATE, m.PolicyBody, "409"
            ),
        },
        "/desktops/{desktop}/end": {
            "parameters": [_DESKTOP],
            "post": one("endForOthers", "End it at once for all others (owner, staff)", _STATE),
        },
        "/desktops/{desktop}/thumbnail": {
            "parameters": [_DESKTOP],
            "get": {
                "operationId": "getThumbnail",
                "summary": "The last small picture",
                "responses": {
                    "200": {"description": "The picture.", "content": _JPEG},
                    **some("401", "403", "404"),
                },
            },
            "put": {
                "operationId": "putThumbnail",
                "summary": "Send a small picture (people with control)",
                "requestBody": {"required": True, "content": _JPEG},
                "responses": {
                    "204": {"description": "It is kept."},
                    **some("400", "401", "403", "404", "429"),
                },
            },
        },
        "/desktops/{desktop}/audit": {
            "parameters": [_DESKTOP],
            "get": one(
                "getAudit",
                "What happened there, newest first (owner, operators); also once it is over",
                ("200", m.AuditOut, "The lines."),
            ),
        },
    }


def _operations(some: Callable[..., Json]) -> Callable[..., Json]:
    def one(
        name: str,
        summary: str,
        answer: Answer,
        body: type[BaseModel] | None = None,
        *codes: str,
        needs_body: bool = True,
    ) -> Json:
        status, model, what = answer
        reply: Json = {"description": what}
        if model is not None:
            reply["content"] = {"application/json": {"schema": _ref(model)}}
        responses = {status: reply, **some("401", "403", "404", *codes)}
        if answer is _STATE and name != "getDesktop":
            responses.update(_LEFT)
        operation: Json = {"operationId": name, "summary": summary, "responses": responses}
        if body is not None:
            content = {"application/json": {"schema": _ref(body)}}
            operation["requestBody"] = {"required": needs_body, "content": content}
            responses.update(some("400"))
        return operation

    return one


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
