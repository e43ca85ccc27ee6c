from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from quota.models import AccountKind, AccountRef, Enforcement, Holder, Source, Window
from quota.policy import QuotaSettings
from tests.support.ledger import ADA, AS_ADA, CPU, GPU, NOW, SESSIONS, TEAM, policy

USERS = {"group": "panhub:users", "resource": "cpu_hours", "limit": 10, "window": "week"}


def test_an_empty_section_counts_and_refuses_nothing():
    rules = policy(enforcement="observed")
    assert rules.limits_for(AS_ADA, NOW) == {}
    assert not rules.refuses_unlisted(CPU)


@pytest.mark.parametrize(
    ("settings", "refused"),
    [({}, True), ({"unlisted": "allow"}, False), ({"enforcement": "observed"}, False)],
)
def test_what_was_given_to_nobody_is_refused_only_where_the_site_enforces(settings, refused):
    rules = policy(**settings)
    assert rules.refuses_unlisted(CPU) is refused
    assert rules.refuses_unlisted(GPU) is refused
    assert not rules.refuses_unlisted(SESSIONS)


def test_hours_become_whole_seconds():
    limit = policy(roles=[{**USERS, "limit": 0.1}]).limits_for(AS_ADA, NOW)[CPU]
    assert (limit.amount, limit.window, limit.source) == (360, Window.WEEK, Source.ROLE)


@pytest.mark.parametrize(
    ("first", "second", "amount"),
    [
        ({"limit": 10, "window": "week"}, {"limit": 20, "window": "week"}, 20),
        # 10 a day are more in a year than 60 a week.
        ({"limit": 10, "window": "day"}, {"limit": 60, "window": "week"}, 10),
        ({"limit": 100, "window": "month"}, {"limit": 1000, "window": "none"}, 100),
        # What only counts refuses nothing, however small.
        ({"limit": 99, "window": "day"}, {"limit": 1, "window": "day", "enforcement": "observed"}, 1),
    ],
)
@pytest.mark.parametrize("swap", [False, True])
def test_of_several_roles_the_most_generous_counts(first, second, amount, swap):
    pair = [first, second][:: -1 if swap else 1]
    names = [{"group": "panhub:users"}, {"role": "operator"}]
    roles = [{"resource": "cpu_hours", **name, **item} for name, item in zip(names, pair, strict=True)]
    holder = Holder("ada", frozenset({"panhub:users"}), frozenset({"operator"}))
    assert policy(roles=roles).limits_for(holder, NOW)[CPU].amount == amount * 3600


def test_a_line_of_ones_own_counts_before_roles_even_where_it_is_smaller():
    rules = policy(roles=[USERS], persons=[{"person": "ada", "resource": "cpu_hours", "limit": 1}])
    assert rules.limits_for(AS_ADA, NOW)[CPU].amount == 3600


def test_role_defaults_are_for_the_holder_alone():
    rules = policy(roles=[USERS])
    assert rules.limit(ADA, CPU, None, NOW) is None
    assert rules.limit(AccountRef(AccountKind.PERSON, "ben"), CPU, AS_ADA, NOW) is None
    assert rules.limit(AccountRef(AccountKind.PROPOSAL, "ada"), CPU, AS_ADA, NOW) is None
    assert rules.limit(ADA, CPU, Holder("ada"), NOW) is None


def test_an_account_of_the_facility_is_given_to_by_its_name():
    line = {"account": "cloud", "resource": "cpu_hours", "limit": 5, "window": "month"}
    rules = policy(facility=[line])
    cloud = AccountRef(AccountKind.FACILITY, "cloud")
    limit = rules.limit(cloud, CPU, AS_ADA, NOW)
    assert limit is not None
    assert (limit.amount, limit.window, limit.source) == (5 * 3600, Window.MONTH, Source.SITE)
    assert rules.named_accounts() == [cloud]
    assert rules.limit(AccountRef(AccountKind.PROPOSAL, "cloud"), CPU, AS_ADA, NOW) is None


def test_until_is_the_last_day_in_the_zone_of_the_site():
    line = {"proposal": "MX-1", "resource": "gpu_hours", "limit": 5, "until": "2026-11-30"}
    rules = policy(proposals=[line], time_zone="Europe/Paris")
    end = datetime(2026, 11, 30, 23, tzinfo=UTC)
    limit = rules.limit(TEAM, GPU, None, end - timedelta(seconds=1))
    assert limit is not None
    assert limit.until == end
    assert limit.enforcement is Enforcement.ENFORCED
    assert rules.limit(TEAM, GPU, None, end) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"roles": [{"resource": "cpu_hours", "limit": 1}]},
        {"roles": [{**USERS, "role": "operator"}]},
        {"roles": [{**USERS, "group": "Staff"}]},
        {"roles": [{**USERS, "limit": -1}]},
        {"roles": [{**USERS, "limit": float("inf")}]},
        {"roles": [{**USERS, "window": "year"}]},
        {"roles": [{**USERS, "until": "2026-11-30"}]},
        {"roles": [{**USERS, "resource": "sessions"}]},
        {"roles": [{"role": "operator", "resource": "sessions", "limit": 1.5}]},
        {"persons": [{"person": "ada", "resource": "cpu_hours", "limit": n} for n in (1, 2)]},
        {"facility": [{"account": "Cloud", "resource": "cpu_hours", "limit": 1}]},
        {"facility": [{"account": "a", "resource": "cpu_hours", "limit": n} for n in (1, 2)]},
        {"persons": [{"person": "a b", "resource": "cpu_hours", "limit": 1}]},
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "../../etc/passwd"},
        {"unlisted": "maybe"},
        {"limits": []},
    ],
)
def test_a_mistake_in_the_section_stops_the_start(wrong):
    with pytest.raises(ValidationError):
        QuotaSettings.model_validate(wrong)
