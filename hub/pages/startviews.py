"""What is shown on the way to a new session: the form, the data to choose, a launch link, the templates?

Frozen dataclasses like those of `hub.pages.views`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from hub.pages.placeviews import NO_DETAIL, Detail, ExpectedStart, PlaceCard
from hub.pages.views import Amount, Grant, Meter, Refusal, Resources


@dataclass(frozen=True, slots=True)
class Hold:
    """What a start takes from an account until it is settled. ``meter`` is as it is before."""

    amount: Amount
    meter: Meter


@dataclass(frozen=True, slots=True)
class OtherPlace:
    """A place that was not taken: when it would start there and who would pay, or why it cannot."""

    title: str
    start: ExpectedStart
    payer: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Overflow:
    """Whether another place may be taken, if the chosen one starts later than ``after``."""

    after: timedelta
    is_chosen: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """What the engine's dry run says: what will start, or why not.

    ``start`` None: at once, as where there is no queue. ``waiting`` says why not now, ``scheduling``
    what the scheduler is told (name, value). ``instead_of`` is the place that was asked for, where
    another starts sooner; ``others`` are the places that were not taken. ``is_decided``: the rest is
    known, too; otherwise the refusal is all there is to say.
    """

    interface: str
    environment: str
    place: str
    resources: Resources
    walltime: timedelta
    payer: str
    template: str = ""
    grants: tuple[Grant, ...] = ()
    holds: tuple[Hold, ...] = ()
    start: ExpectedStart | None = None
    is_soonest: bool = False
    instead_of: str = ""
    others: tuple[OtherPlace, ...] = ()
    scheduling: tuple[tuple[str, str], ...] = ()
    waiting: str = ""
    refusal: Refusal | None = None
    is_decided: bool = True


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values of a form field.

    ``why`` explains the verdict or why it is not allowed, ``warning`` what to know before taking it,
    ``facts`` are small print. A size says what it is in ``resources``.
    """

    value: str
    title: str
    why: str = ""
    is_chosen: bool = False
    is_allowed: bool = True
    detail: str = ""
    warning: str = ""
    facts: str = ""
    resources: Resources | None = None


@dataclass(frozen=True, slots=True)
class DatasetChoice:
    """A data set that may be chosen; ``value`` is `dataset:<pid>`."""

    value: str
    name: str
    why: str
    technique: str = ""
    frames: int | None = None
    size_bytes: int | None = None
    created: datetime | None = None
    is_open: bool = False
    proposal: str = ""
    description: str = ""
    doi: str = ""


@dataclass(frozen=True, slots=True)
class InvestigationGroup:
    """Data sets of one investigation."""

    id: str
    title: str
    instrument: str
    start: datetime
    datasets: tuple[DatasetChoice, ...]
    total: int
    released: date | None = None


@dataclass(frozen=True, slots=True)
class ProposalGroup:
    """Investigations of one proposal."""

    name: str
    why: str
    investigations: tuple[InvestigationGroup, ...]
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class DataChoices:
    """What a search in the data one may read found. ``more`` counts what is not shown."""

    groups: tuple[ProposalGroup, ...]
    query: str = ""
    more: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the chosen template. ``kind`` is text, integer, number, boolean or choice.

    A parameter the data set fills is shown with ``filled_from`` and cannot be edited.
    """

    name: str
    title: str
    kind: str
    value: str = ""
    default: str = ""
    help: str = ""
    unit: str = ""
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    filled_from: str = ""


@dataclass(frozen=True, slots=True)
class FormView:
    """The form for a new session, complete: Start works at once. ``chosen`` None: no data.

    ``own_size`` is the chosen size of one's own in words, empty where it is one of ``sizes``.
    """

    chosen: DatasetChoice | None
    data: DataChoices
    templates: tuple[Choice, ...]
    interfaces: tuple[Choice, ...]
    profiles: tuple[Choice, ...]
    sizes: tuple[Choice, ...]
    durations: tuple[Choice, ...]
    payers: tuple[Choice, ...]
    summary: Summary
    parameters: tuple[Parameter, ...] = ()
    display_name: str = ""
    max_walltime: timedelta = timedelta(hours=8)
    places: tuple[PlaceCard, ...] = ()
    detail: Detail = NO_DETAIL
    own_size: str = ""
    overflow: Overflow | None = None


@dataclass(frozen=True, slots=True)
class LaunchView:
    """Confirmation of a launch link. ``fields`` are those of `POST launches`, hidden in its form."""

    summary: Summary
    fields: tuple[tuple[str, str], ...]
    portal: str = ""


@dataclass(frozen=True, slots=True)
class TemplateView:
    """A template of the catalogue."""

    id: str
    version: str
    title: str
    summary: str
    when: str
    inputs: str
    technique: str
    authors: tuple[str, ...]
    reviewed_by: str = ""
    reviewed_on: date | None = None
    environment: str = ""
