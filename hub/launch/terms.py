"""On which terms would a launch run at each of its candidates: is its data there, who pays, is that enough?

What a place is refused for here leaves the other candidates; so does a payer who has not enough left.
Nothing is written: the hold is taken from the place's payer when the launch is held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from hub.access.service import AccessResult
from hub.identity.models import Person
from hub.launch.ledgering import Books, hold_lines, quota_refusal
from hub.launch.models import LaunchRequest
from hub.launch.storage import data_not_here, missing_at
from hub.problems import Problem, RequestError
from profiles.choose import OfferedPlace
from quota.models import AccountKind, AccountRef, HoldLine, Preview
from spawners.plan import LaunchPlan

_FACILITY = "facility:"


@dataclass(frozen=True, slots=True)
class Terms:
    """Terms of one place. ``refusal``: it cannot run there at all, ``shortage``: not with what is left.

    ``payer`` None: nobody whom the place takes can pay for this launch (a refusal, too).
    """

    payer: AccountRef | None
    holds: tuple[HoldLine, ...] = ()
    previews: tuple[Preview, ...] = ()
    refusal: RequestError | None = None
    shortage: RequestError | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A launch as far as its terms depend on it. ``plan`` is complete but for its place and files."""

    person: Person
    request: LaunchRequest
    granted: AccessResult
    plan: LaunchPlan

    @property
    def own(self) -> AccountRef:
        """The person's own account."""
        return AccountRef(AccountKind.PERSON, self.person.username)


def proposal_of(granted: AccessResult) -> AccountRef | None:
    """Account of the first input's proposal, if it can pay.

    Open data is for everybody: who reads it does not spend the proposal's allocation.
    """
    if not granted.investigations or granted.decisions[0].is_open:
        return None
    return AccountRef(AccountKind.PROPOSAL, granted.investigations[0].proposal)


def takes_payer(payers: Sequence[str], wish: str, granted: AccessResult) -> bool:
    """Whether somebody whom a place takes as payer goes with a launch."""
    own = AccountRef(AccountKind.PERSON, "")
    found = payer_at(payers, wish, own=own, proposal=proposal_of(granted), has_allocation=lambda _: False)
    return found is not None


def terms_of(
    session: Session, books: Books, asked: Asked, places: Sequence[OfferedPlace], now: datetime
) -> dict[str, Terms]:
    """Terms by the place's id; one look at the ledger for all."""
    return {place.id: _terms(session, books, asked, place, now) for place in places}


def _terms(session: Session, books: Books, asked: Asked, place: OfferedPlace, now: datetime) -> Terms:
    payer = payer_at(
        place.payers,
        asked.request.payer,
        own=asked.own,
        proposal=proposal_of(asked.granted),
        has_allocation=lambda account: books.has_allocation(session, account, now),
    )
    if payer is None:
        return Terms(None, refusal=_payer_not_here(place, asked))
    holds = hold_lines(payer, asked.person.username, asked.plan.size, asked.plan.walltime)
    previews = books.preview(session, holds, asked.person, now)
    over = next((one for one in previews if one.is_refused), None)
    missing = missing_at(place, asked.granted, asked.plan.account.home)
    return Terms(
        payer,
        holds,
        tuple(previews),
        refusal=data_not_here(missing, place.title) if missing else None,
        shortage=quota_refusal(over.meter, over.asked) if over else None,
    )


def payer_at(
    payers: Sequence[str],
    wish: str,
    *,
    own: AccountRef,
    proposal: AccountRef | None,
    has_allocation: Callable[[AccountRef], bool],
) -> AccountRef | None:
    """Who pays at a place: of those it takes, the one asked for; of several the first with an allocation.

    Where none has one, it is the last; None: nobody whom it takes goes with the launch.
    """
    accounts: dict[str, AccountRef | None] = {"person": own, "proposal": proposal}
    # A wish for the proposal of no data, or of open data, leaves the payer open.
    is_open = wish == "auto" or (wish == "proposal" and proposal is None)
    taken = [name for name in payers if is_open or name == wish]
    named = [_facility(name) if name.startswith(_FACILITY) else accounts[name] for name in taken]
    found = [account for account in named if account is not None]
    if not found:
        return None
    return next((account for account in found[:-1] if has_allocation(account)), found[-1])


def _facility(payer: str) -> AccountRef:
    return AccountRef(AccountKind.FACILITY, payer.removeprefix(_FACILITY))


def payer_words(payers: Sequence[str]) -> str:
    """Who pays at a place, in words."""
    words = {"person": "yourself", "proposal": "the proposal of the data"}
    named = [words.get(one) or f"the facility’s account {_facility(one).key}" for one in payers]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} or {named[-1]}"


def _payer_not_here(place: OfferedPlace, asked: Asked) -> RequestError:
    if asked.request.payer == "person":
        why = "you asked to pay yourself"
    elif proposal_of(asked.granted) is not None:
        why = "you asked for the proposal to pay"
    else:
        why = "no data that a proposal pays for is chosen"
    return RequestError(
        Problem(
            "payer_not_here",
            409,
            "Paid otherwise there",
            f"Sessions at {place.title} are paid by {payer_words(place.payers)}; {why}.",
            "Leave the payer to the site, or choose another place or other data.",
        )
    )
