"""How does the service learn of a sign-in? The hub reports it; nobody gets in unless it is taken.

The service is the only writer of its database, so the hub puts each identity to
``PUT /internal/persons``. The edge is closed both ways: `IdentityReport` is what the service
accepts, `PersonReporter` what the hub sends.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

from hub.identity.claims import Identity
from hub.identity.models import PosixClaim, StaffRole
from hub.identity.settings import AbsolutePath, PosixName

_Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=500)]
_Group = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+(?::[A-Za-z0-9._-]+)+$", max_length=300)]
_Id = Annotated[int, Field(ge=0, le=2**31 - 1)]

PERSONS_PATH = "/internal/persons"
"""Path of the service under its own address; the proxy does not route it."""


class IdentityReport(BaseModel):
    """Body of ``PUT /internal/persons``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: _Line
    subject: _Line
    username: PosixName
    display_name: _Line
    email: _Line | None = None
    user_id: _Line | None = None
    groups: tuple[_Group, ...] = Field(default=(), max_length=1000)
    roles: tuple[StaffRole, ...] = ()
    uid: _Id | None = None
    gid: _Id | None = None
    home: AbsolutePath | None = None

    def to_identity(self) -> Identity:
        """The identity that was reported."""
        return Identity(
            issuer=self.issuer,
            subject=self.subject,
            username=self.username,
            display_name=self.display_name,
            email=self.email,
            user_id=self.user_id,
            groups=frozenset(self.groups),
            roles=frozenset(self.roles),
            posix=PosixClaim(self.uid, self.gid, self.home),
        )


class ReportRefusedError(Exception):
    """The service knows a reason against this person; the text is fit for them."""


class ReportUnansweredError(Exception):
    """The service did not answer; whether it took the report is not known."""


class PersonReporter:
    """Puts identities to the service.

    Parameters
    ----------
    url
        Base URL of the service on its own port.
    secret
        Shared secret of hub and service, sent as a bearer token.
    timeout_s
        Patience with one request, in seconds.
    """

    def __init__(self, url: str, secret: str, *, timeout_s: float = 10) -> None:
        self._url = url.rstrip("/") + PERSONS_PATH
        self._secret = secret
        self._timeout_s = timeout_s

    async def __call__(self, identity: Mapping[str, Any]) -> None:
        """Report one identity.

        Raises
        ------
        ReportRefusedError
            If the service refuses the person.
        ReportUnansweredError
            If it does not answer, or not as agreed.
        """
        request = HTTPRequest(
            self._url,
            method="PUT",
            headers={"Authorization": f"Bearer {self._secret}", "Content-Type": "application/json"},
            body=json.dumps(dict(identity)),
            connect_timeout=self._timeout_s,
            request_timeout=self._timeout_s,
            follow_redirects=False,
        )
        try:
            await AsyncHTTPClient().fetch(request)
        except HTTPClientError as error:
            if error.code in (HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT) and error.response is not None:
                raise ReportRefusedError(_detail(error.response.body)) from error
            raise ReportUnansweredError(f"the service answered {error.code}") from error
        except OSError as error:
            raise ReportUnansweredError(str(error)) from error


def _detail(body: bytes) -> str:
    """Sentence of a problem (RFC 9457)."""
    fallback = "The site refused this account."
    try:
        problem = json.loads(body)
    except ValueError:
        return fallback
    detail = problem.get("detail") if isinstance(problem, dict) else None
    return detail if isinstance(detail, str) and detail else fallback
