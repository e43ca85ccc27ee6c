"""How is a refused access told? The problems that a decision turns into.

What a person may not know of looks exactly like what does not exist.
"""

from __future__ import annotations

from datetime import date

from hub.access.rights import Decision
from hub.problems import Problem, RequestError, not_found_or_not_entitled

_ROW_IDENTITY = 1


def refusal(decision: Decision, *, tells_embargo: bool) -> RequestError:
    """The refusal of a decision that grants nothing.

    Parameters
    ----------
    tells_embargo
        Whether what was asked for is known to the public: an investigation whose public fields
        are open, or anything with a DOI. A data set without one is not.
    """
    if decision.row == _ROW_IDENTITY:
        # Of the person, not of the data: the same for whatever was asked.
        return _not_usable(decision.denial)
    if decision.embargoed_until is not None and tells_embargo:
        return _embargoed(decision.embargoed_until)
    return not_found_or_not_entitled()


def _not_usable(detail: str) -> RequestError:
    return RequestError(
        Problem(
            code="account_not_usable",
            status=403,
            title="Your account may not read data",
            detail=detail,
            hint="Ask the facility's user office.",
        )
    )


def _embargoed(until: date) -> RequestError:
    day = f"{until.day} {until:%b %Y}"
    return RequestError(
        Problem(
            code="embargoed_until",
            status=403,
            title="Under embargo",
            detail=f"This data is open to its team only, until {day}.",
            hint="Ask the principal investigator to add you, or come back after that day.",
            extra={"embargoed_until": until.isoformat()},
        )
    )


def storage_unavailable() -> RequestError:
    """Nobody can say whether the data is on disk."""
    return RequestError(
        Problem(
            code="storage_unavailable",
            status=503,
            title="The storage does not answer",
            detail="Whether your data is there cannot be seen now, so nothing was started.",
            hint="Try again in a few minutes; ask the facility’s support if it stays so.",
        )
    )


def offline() -> RequestError:
    """The data may be read, but is not on disk."""
    return RequestError(
        Problem(
            code="offline_staging",
            status=409,
            title="The data is not on disk",
            detail="You may read this data, but its files are not on the facility's disks now.",
            hint="Ask for it to be restored in the data portal, then start again.",
        )
    )


def unsafe_path() -> RequestError:
    """The catalogue's path was refused by the guards; only people with access get to see this."""
    return RequestError(
        Problem(
            code="data_path_refused",
            status=409,
            title="The data's path was refused",
            detail="The path of this data leads over a link or outside its proposal, so it is not shown.",
            hint="Move the data to a place without links, or ask the operators.",
        )
    )
