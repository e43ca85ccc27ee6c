"""Why a connection ends: a status of the protocol and a sentence for the person."""

from __future__ import annotations

from hub.desktop.status import Status


class ConnectionEnd(Exception):  # noqa: N818  # an end is what it is; only some are errors
    """A connection ends, or does not begin: ``status`` for the page, ``text`` for the person."""

    def __init__(self, status: Status, text: str) -> None:
        self.status = status
        self.text = text
        super().__init__(text)


def session_ended() -> ConnectionEnd:
    """The session is over: there is nothing to come back to."""
    return ConnectionEnd(Status.SESSION_CLOSED, "The session has ended.")


def engine_silent() -> ConnectionEnd:
    """Nobody can say whether they may; the page tries again."""
    return ConnectionEnd(Status.UPSTREAM_UNAVAILABLE, "The service does not answer; trying again.")


def guacd_gone() -> ConnectionEnd:
    """Guacd died with all that it showed; a new one is started, and the page comes back."""
    return ConnectionEnd(Status.UPSTREAM_UNAVAILABLE, "The connection was interrupted; trying again.")


def desktop_silent() -> ConnectionEnd:
    """The machine with the desktop is busy or cut off, which is no end of the session."""
    return ConnectionEnd(Status.UPSTREAM_NOT_FOUND, "The desktop does not answer; trying again.")
