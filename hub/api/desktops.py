"""The sharing API: who sees and uses a desktop or session. Handlers translate only; see `hub.sharing`."""

from __future__ import annotations

import asyncio
import re

from tornado.iostream import StreamClosedError

from hub.api.base import PersonHandler
from hub.api.launches import EventStream
from hub.launch.feed import wait_for_news
from hub.problems import Problem, RequestError
from hub.sharing import refusals
from hub.sharing.bell import desktop_topic
from hub.sharing.models import (
    AcceptBody,
    AnswerBody,
    ControlBody,
    DesktopState,
    InvitationBody,
    MemberBody,
    PeopleOut,
    PolicyBody,
    RequestBody,
    RequestMade,
    TicketBody,
)
from hub.sharing.service import Sharing

_KEEPALIVE_S = 15.0
_USERNAME = re.compile(r"[a-z][a-z0-9._-]{0,31}\Z")

_ASKED = RequestMade(detail="If there is such a desktop, its owner has been asked.")


class DesktopHandler(PersonHandler):
    """What the handlers of desktops share."""

    @property
    def sharing(self) -> Sharing:
        """The service of sharing.

        Raises
        ------
        RequestError
            ``desktop_not_found`` where the site has none.
        """
        if self.app.sharing is None:
            raise refusals.desktop_not_found()
        return self.app.sharing

    async def show(self, desktop: str, status: int = 200) -> None:
        """Answer with the desktop as it is now; nothing for somebody who is nobody there any more."""
        try:
            state = await self.sharing.views.state(self.person, desktop)
        except RequestError as error:
            if error.problem.code != "desktop_not_found" or self.request.method == "GET":
                raise
            self.set_status(204)
            self.finish()
            return
        self.write_model(state, status)


class OneDesktopHandler(DesktopHandler):
    """``/desktops/{desktop}``"""

    async def get(self, desktop: str) -> None:
        """The desktop as the caller may see it."""
        await self.show(desktop)


class DesktopEventsHandler(DesktopHandler, EventStream):
    """``/desktops/{desktop}/events``: the state whenever it changed."""

    def check_xsrf_cookie(self) -> None:
        """Not for a GET that EventSource makes of a page of ours; it cannot send the header."""
        if self.request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            super().check_xsrf_cookie()

    async def get(self, desktop: str) -> None:
        """Stream until the browser leaves, or the person is nobody there any more."""
        state = await self.sharing.views.state(self.person, desktop)
        with self.app.feed.listen(desktop_topic(desktop), desktop) as news:
            try:
                await self.open_stream()
                while True:
                    await self.send(state.model_dump(mode="json"), event="state")
                    state = await self._next(desktop, state, news)
            except StreamClosedError:
                return
            except RequestError as error:
                await self.send({"code": error.problem.code, "detail": error.problem.detail}, event="gone")

    async def _next(self, desktop: str, last: DesktopState, news: asyncio.Event) -> DesktopState:
        while True:
            while not await wait_for_news(news, _KEEPALIVE_S):
                await self.keep_alive()
            state = await self.sharing.views.state(self.person, desktop)
            if state != last:
                return state


class TicketsHandler(DesktopHandler):
    """``/desktops/{desktop}/tickets``"""

    async def post(self, desktop: str) -> None:
        """A one-use ticket for the tunnel."""
        body = self.read_model(TicketBody, default={})
        self.write_model(await self.sharing.doors.ticket(self.person, desktop, body.screen), 201)


class MembersHandler(DesktopHandler):
    """``/desktops/{desktop}/members``"""

    async def post(self, desktop: str) -> None:
        """Give somebody a role."""
        await self.sharing.members.give(self.person, desktop, self.read_model(MemberBody))
        await self.show(desktop)


class OneMemberHandler(DesktopHandler):
    """``/desktops/{desktop}/members/{username}``"""

    async def delete(self, desktop: str, username: str) -> None:
        """Take somebody's role back, or give up one's own."""
        if not _USERNAME.match(username):
            raise refusals.member_unknown()
        await self.sharing.members.take(self.person, desktop, username)
        await self.show(desktop)


class SuggestionsHandler(DesktopHandler):
    """``/desktops/{desktop}/suggestions``"""

    async def get(self, desktop: str) -> None:
        """People of the same team, for the owner."""
        self.write_model(PeopleOut(items=await self.sharing.suggestions.of(self.person, desktop)))


class RequestsHandler(DesktopHandler):
    """``/desktops/{desktop}/requests``"""

    async def post(self, desktop: str) -> None:
        """Ask for a role; the answer is the same whether there is such a desktop or not."""
        body = self.read_model(RequestBody, default={})
        if self.app.sharing is not None:
            await self.app.sharing.asking.ask(self.person, desktop, body.role)
        self.write_model(_ASKED, 202)


class OneRequestHandler(DesktopHandler):
    """``/desktops/{desktop}/requests/{id}``"""

    async def post(self, desktop: str, item: str) -> None:
        """Answer a request."""
        await self.sharing.members.answer(self.person, desktop, item, self.read_model(AnswerBody))
        await self.show(desktop)


class InvitationsHandler(DesktopHandler):
    """``/desktops/{desktop}/invitations``"""

    async def post(self, desktop: str) -> None:
        """Make a one-use link."""
        body = self.read_model(InvitationBody, default={})
        self.write_model(await self.sharing.asking.invite(self.person, desktop, body), 201)


class OneInvitationHandler(DesktopHandler):
    """``/desktops/{desktop}/invitations/{id}``"""

    async def delete(self, desktop: str, item: str) -> None:
        """Take a link back."""
        await self.sharing.asking.withdraw(self.person, desktop, item)
        await self.show(desktop)


class AcceptHandler(DesktopHandler):
    """``/invitations``"""

    async def post(self) -> None:
        """Accept an invitation."""
        body = self.read_model(AcceptBody)
        if self.app.sharing is None:
            raise refusals.invitation_not_valid()
        self.write_model(await self.app.sharing.asking.accept(self.person, body.token))


class ControlHandler(DesktopHandler):
    """``/desktops/{desktop}/control``"""

    async def post(self, desktop: str) -> None:
        """Take, hand over or free control."""
        await self.sharing.control.hand(self.person, desktop, self.read_model(ControlBody).to)
        await self.show(desktop)


class PolicyHandler(DesktopHandler):
    """``/desktops/{desktop}/policy``"""

    async def patch(self, desktop: str) -> None:
        """Say what others may do while the owner is away."""
        policy = self.read_model(PolicyBody).when_owner_leaves
        await self.sharing.control.set_policy(self.person, desktop, policy)
        await self.show(desktop)


class EndHandler(DesktopHandler):
    """``/desktops/{desktop}/end``"""

    async def post(self, desktop: str) -> None:
        """End it at once for all others."""
        await self.sharing.control.end(self.person, desktop)
        await self.show(desktop)


class ThumbnailHandler(DesktopHandler):
    """``/desktops/{desktop}/thumbnail``"""

    def check_xsrf_cookie(self) -> None:
        """Not for an image in a page of ours, which cannot send the header."""
        headers = self.request.headers
        is_image = headers.get("Sec-Fetch-Dest") == "image" and headers.get("Sec-Fetch-Site") == "same-origin"
        if self.request.method != "GET" or not is_image:
            super().check_xsrf_cookie()

    async def get(self, desktop: str) -> None:
        """The last picture."""
        picture = await self.sharing.thumbnails.get(self.person, desktop)
        self.set_header("Content-Type", "image/jpeg")
        self.finish(picture)

    async def put(self, desktop: str) -> None:
        """Keep a new one."""
        if self.request.headers.get("Content-Type", "") != "image/jpeg":
            raise RequestError(
                Problem(
                    "not_a_thumbnail",
                    400,
                    "Not a thumbnail",
                    "The Content-Type is not image/jpeg.",
                    "Send a JPEG.",
                )
            )
        await self.sharing.thumbnails.put(self.person, desktop, self.request.body)
        self.set_status(204)
        self.finish()


class AuditHandler(DesktopHandler):
    """``/desktops/{desktop}/audit``"""

    async def get(self, desktop: str) -> None:
        """What happened, newest first."""
        self.write_model(await self.sharing.audit(self.person, desktop))
