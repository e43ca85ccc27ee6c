from __future__ import annotations

from datetime import date, timedelta

import pytest

from quota.models import Enforcement, Meter
from quota.reports import (
    DayUse,
    Forecast,
    PayerUse,
    Period,
    PersonUse,
    ProposalUse,
    forecast,
    use_by_day,
    use_by_payer,
    use_by_person,
    use_by_proposal,
)
from tests.support.ledger import ADA, AS_ADA, AS_BEN, BEN, CPU, GPU, NOW, TEAM, cpu, policy

WED, THU = date(2026, 11, 18), date(2026, 11, 19)
WEEK = Period(date(2026, 11, 16), date(2026, 11, 22))
DAY = timedelta(days=1)


@pytest.fixture
def report(open_books):
    """Three settled launches: Ada's over midnight and her own, Ben's for the same proposal."""
    books = open_books(policy(unlisted="allow"))
    launches = [
        ("l1", AS_ADA, TEAM, "MX-1", 400, NOW, NOW + DAY),
        ("l2", AS_ADA, ADA, None, 50, NOW, NOW + timedelta(hours=1)),
        ("l3", AS_BEN, TEAM, "MX-1", 30, NOW, NOW + timedelta(hours=1)),
        ("l4", AS_BEN, BEN, "MX-1", 5, NOW - 30 * DAY, NOW - 29 * DAY),
    ]
    for launch_id, holder, payer, proposal, charge, started, ended in launches:
        books.hold(launch_id, [cpu(500, payer)], holder=holder, now=started, proposal=proposal)
        books.settle(launch_id, {CPU: charge}, now=ended, started_at=started, ended_at=ended)
    return lambda function, *args, **more: books.database.run_now(lambda s: function(s, *args, **more))


def test_use_by_day_follows_the_time_a_session_ran(report):
    assert report(use_by_day, WEEK, username="ada") == [
        DayUse(WED, None, CPU, 50, 1),
        DayUse(WED, "MX-1", CPU, 200, 1),
        DayUse(THU, "MX-1", CPU, 200, 1),
    ]
    assert report(use_by_day, Period(WED, WED))[1] == DayUse(WED, "MX-1", CPU, 230, 2)


def test_use_by_payer_counts_launches_and_persons_once(report):
    assert report(use_by_payer, WEEK) == [PayerUse(TEAM, CPU, 430, 2, 2), PayerUse(ADA, CPU, 50, 1, 1)]
    assert report(use_by_payer, WEEK, limit=1) == [PayerUse(TEAM, CPU, 430, 2, 2)]


def test_use_by_proposal_is_of_its_data_whoever_paid(report):
    month = Period(date(2026, 10, 1), THU)
    assert report(use_by_proposal, month) == [
        ProposalUse("MX-1", CPU, 435, 3, 2),
        ProposalUse(None, CPU, 50, 1, 1),
    ]


def test_use_by_person_can_be_that_of_one_payer(report):
    assert report(use_by_person, WEEK) == [
        PersonUse("ada", CPU, 450, 2, THU),
        PersonUse("ben", CPU, 30, 1, WED),
    ]
    assert report(use_by_person, WEEK, payer=ADA) == [PersonUse("ada", CPU, 50, 1, WED)]
    assert report(use_by_person, WEEK, resource=GPU) == []


@pytest.mark.parametrize(
    ("limit", "used", "held", "resets_in", "until_in", "expected"),
    [
        (100, 40, 0, None, None, Forecast(20, NOW + 3 * DAY)),
        (100, 20, 20, None, None, Forecast(20, NOW + 3 * DAY)),
        (100, 40, 0, 2, None, Forecast(20, None)),
        (100, 40, 0, 5, None, Forecast(20, NOW + 3 * DAY)),
        (100, 40, 0, None, 1, Forecast(20, None)),
        (100, 120, 0, None, None, Forecast(60, NOW)),
        (100, 0, 0, None, None, Forecast(0, None)),
        (None, 40, 0, None, None, Forecast(20, None)),
        (10**15, 2, 0, None, None, Forecast(1, None)),
    ],
)
def test_a_forecast_goes_on_at_the_pace_so_far(limit, used, held, resets_in, until_in, expected):
    meter = Meter(
        account=ADA,
        resource=CPU,
        limit=limit,
        used=used,
        held=held,
        enforcement=Enforcement.ENFORCED,
        window="none",
        resets_at=None if resets_in is None else NOW + resets_in * DAY,
        until=None if until_in is None else NOW + until_in * DAY,
    )
    assert forecast(meter, NOW - 2 * DAY, NOW) == expected
    assert forecast(meter, NOW, NOW) == Forecast(0, None)
