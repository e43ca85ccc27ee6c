from __future__ import annotations

from datetime import date, timedelta

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError

from quota.corrections import CorrectionError
from quota.models import (
    AccountKind,
    AccountRef,
    Enforcement,
    EntryKind,
    ExtensionUndoneError,
    HoldConflictError,
    Holder,
    HoldLine,
    QuotaExceededError,
    Resource,
    UnknownHoldError,
    Window,
)
from quota.reports import Period, use_by_day, use_by_payer
from quota.store import ACCOUNTS
from tests.support.ledger import (
    ADA,
    AS_ADA,
    AS_BEN,
    BEN,
    CPU,
    GPU,
    NOW,
    SESSIONS,
    TEAM,
    cpu,
    cpu_policy,
    policy,
)

HOUR = 3600
MIB = Resource.MIB_SECONDS
DAY = timedelta(days=1)


@pytest.fixture
def books(open_books):
    """Ten CPU-hours a week for every user."""
    return open_books(cpu_policy(10, window="week"))


def hold(books, launch_id, hours, *, holder=AS_ADA, now=NOW, **more):
    return books.hold(
        launch_id, [cpu(hours * HOUR, more.pop("account", ADA))], holder=holder, now=now, **more
    )


def test_an_account_of_the_facility_pays_for_all_who_use_it(open_books):
    given = [{"account": "cloud", "resource": "cpu_hours", "limit": 10}]
    books = open_books(policy(facility=given))
    cloud = AccountRef(AccountKind.FACILITY, "cloud")
    hold(books, "l1", 6, account=cloud)
    with pytest.raises(QuotaExceededError):
        hold(books, "l2", 6, account=cloud, holder=AS_BEN)
    books.settle("l1", {CPU: 2 * HOUR}, now=NOW)
    hold(books, "l2", 8, account=cloud, holder=AS_BEN)
    meter = books.cpu_meter(cloud)
    assert (meter.limit, meter.used, meter.held) == (10 * HOUR, 2 * HOUR, 8 * HOUR)


def test_a_hold_takes_from_what_is_left(books):
    held = hold(books, "l1", 4)
    meter = books.cpu_meter()
    assert (meter.limit, meter.held, meter.used, meter.left) == (10 * HOUR, 4 * HOUR, 0, 6 * HOUR)
    assert books.open_holds() == [held]
    assert books.holding("l1") == held
    assert books.holding("l2") is None


def test_a_hold_over_the_limit_is_refused_with_what_a_person_needs(books):
    hold(books, "l1", 8)
    with pytest.raises(QuotaExceededError) as refusal:
        hold(books, "l2", 3)
    meter = refusal.value.meter
    assert (meter.left, refusal.value.asked) == (2 * HOUR, 3 * HOUR)
    assert meter.resets_at is not None
    assert meter.resets_at.isoformat() == "2026-11-23T00:00:00+00:00"
    assert [held.launch_id for held in books.open_holds()] == ["l1"]


def test_exactly_what_is_left_can_be_held(books):
    hold(books, "l1", 4)
    hold(books, "l2", 6)
    assert books.cpu_meter().left == 0


def test_a_refusal_of_one_line_takes_back_all_and_leaves_the_transaction_usable(open_books):
    limits = [
        {"group": "panhub:users", "resource": r, "limit": n} for r, n in (("cpu_hours", 10), ("sessions", 0))
    ]
    books = open_books(policy(roles=limits))

    def unit(session):
        lines = [cpu(HOUR), HoldLine(ADA, SESSIONS, 1)]
        with pytest.raises(QuotaExceededError) as refusal:
            books.ledger.hold(session, "l1", lines, holder=AS_ADA, now=NOW)
        books.ledger.hold(session, "l2", [cpu(2 * HOUR)], holder=AS_ADA, now=NOW)
        return refusal.value.meter.resource

    assert books.database.run_now(unit) is SESSIONS
    assert books.cpu_meter().held == 2 * HOUR


def test_a_repeated_hold_returns_the_first(books):
    first = hold(books, "l1", 8)
    assert hold(books, "l1", 8) == first
    assert books.cpu_meter().held == 8 * HOUR


def test_a_launch_cannot_hold_something_else_a_second_time(books):
    hold(books, "l1", 1)
    with pytest.raises(HoldConflictError):
        hold(books, "l1", 2)
    with pytest.raises(HoldConflictError):
        hold(books, "l1", 1, account=TEAM)


def test_a_settled_launch_cannot_hold_or_extend_again(books):
    hold(books, "l1", 1)
    books.settle("l1", {CPU: 5}, now=NOW)
    with pytest.raises(HoldConflictError):
        hold(books, "l1", 1)
    with pytest.raises(HoldConflictError):
        books.extend("l1", "k", [cpu(1)], now=NOW)


def test_lines_of_one_account_add_up_and_zeros_are_left_out(books):
    held = books.hold("l1", [cpu(3), cpu(4), HoldLine(ADA, GPU, 0)], holder=AS_ADA, now=NOW)
    assert held.lines == (cpu(7),)


@pytest.mark.parametrize("lines", [[], [cpu(0)], [cpu(-1)]])
def test_a_hold_of_nothing_is_a_mistake_of_the_caller(books, lines):
    with pytest.raises(ValueError, match="hold"):
        books.hold("l1", lines, holder=AS_ADA, now=NOW)


@pytest.mark.parametrize("charge", [0, 1, HOUR, 4 * HOUR, 5 * HOUR, 20 * HOUR])
def test_settling_charges_what_ran_and_releases_the_rest(books, charge):
    hold(books, "l1", 4)
    settled = books.settle("l1", {CPU: charge}, now=NOW)
    (line,) = settled.lines
    assert (line.held, line.charged, line.released) == (4 * HOUR, charge, max(0, 4 * HOUR - charge))
    meter = books.cpu_meter()
    assert (meter.held, meter.used) == (0, charge)
    assert books.open_holds() == []


def test_a_repeated_settlement_returns_the_first(books):
    hold(books, "l1", 4)
    first = books.settle("l1", {CPU: 7}, now=NOW)
    assert books.settle("l1", {CPU: 99}, now=NOW + DAY) == first
    assert books.release("l1", now=NOW + DAY) == first
    assert books.cpu_meter().used == 7


def test_release_gives_all_back_and_forgives_a_launch_that_never_held(books):
    hold(books, "l1", 4)
    books.release("l1", now=NOW)
    assert books.cpu_meter() is not None
    assert books.cpu_meter().left == 10 * HOUR
    assert books.release("never", now=NOW).lines == ()
    with pytest.raises(UnknownHoldError):
        books.settle("never", {}, now=NOW)


@pytest.mark.parametrize("charges", [{CPU: -1}, {GPU: 1}, {SESSIONS: 1}])
def test_a_charge_that_was_not_held_is_a_mistake_of_the_caller(books, charges):
    hold(books, "l1", 4)
    with pytest.raises(ValueError, match="charge"):
        books.settle("l1", charges, now=NOW)
    assert books.cpu_meter().held == 4 * HOUR


def test_an_extension_adds_to_the_hold_once_for_each_key(books):
    hold(books, "l1", 4)
    for _ in range(2):
        held = books.extend("l1", "first", [cpu(HOUR)], now=NOW)
    assert held.lines == (cpu(5 * HOUR),)
    books.extend("l1", "second", [cpu(HOUR)], now=NOW, holder=AS_ADA)
    assert books.cpu_meter().held == 6 * HOUR
    assert hold(books, "l1", 4).lines == (cpu(6 * HOUR),)


def test_a_refused_extension_leaves_the_hold_as_it_was(books):
    hold(books, "l1", 8)
    with pytest.raises(QuotaExceededError):
        books.extend("l1", "k", [cpu(3 * HOUR)], now=NOW)
    assert books.open_holds()[0].lines == (cpu(8 * HOUR),)


def test_an_extension_needs_a_hold_on_the_same_account(books):
    with pytest.raises(UnknownHoldError):
        books.extend("l1", "k", [cpu(1)], now=NOW)
    hold(books, "l1", 1)
    books.give(TEAM, CPU, HOUR, actor="olga", reason="beam time", key="g", now=NOW)
    with pytest.raises(HoldConflictError):
        books.extend("l1", "k", [cpu(1, TEAM)], now=NOW)


def test_sessions_are_held_while_they_live_and_never_charged(open_books):
    books = open_books(policy(roles=[{"group": "panhub:users", "resource": "sessions", "limit": 1}]))
    line = [HoldLine(ADA, SESSIONS, 1)]
    books.hold("l1", line, holder=AS_ADA, now=NOW)
    with pytest.raises(QuotaExceededError):
        books.hold("l2", line, holder=AS_ADA, now=NOW)
    books.settle("l1", {}, now=NOW)
    books.hold("l2", line, holder=AS_ADA, now=NOW)


def test_an_observed_allocation_counts_and_never_refuses(open_books):
    books = open_books(cpu_policy(10, enforcement="observed"))
    hold(books, "l1", 100)
    meter = books.cpu_meter()
    assert meter.left == -90 * HOUR
    assert meter.enforcement is Enforcement.OBSERVED


@pytest.mark.parametrize(("unlisted", "is_refused"), [("refuse", True), ("allow", False)])
def test_an_account_without_allocation_is_refused_or_counted_as_the_site_sets(
    open_books, unlisted, is_refused
):
    books = open_books(policy(unlisted=unlisted))
    lines = [cpu(1), HoldLine(ADA, SESSIONS, 1)]
    shown = {item.meter.resource: item.is_refused for item in books.preview(lines, now=NOW, holder=AS_ADA)}
    assert shown == {CPU: is_refused, SESSIONS: False}
    if is_refused:
        with pytest.raises(QuotaExceededError) as refusal:
            books.hold("l1", lines, holder=AS_ADA, now=NOW)
        assert refusal.value.meter.limit == 0
    else:
        books.hold("l1", lines, holder=AS_ADA, now=NOW)
        assert books.cpu_meter().limit is None


def test_used_amounts_count_from_zero_in_a_new_window_and_open_holds_carry_over(books):
    hold(books, "l1", 3)
    hold(books, "l2", 2)
    books.settle("l1", {CPU: 3 * HOUR}, now=NOW)
    later = NOW + 7 * DAY
    shown = books.cpu_meter(now=later, holder=AS_ADA)
    assert (shown.used, shown.held, shown.left) == (0, 2 * HOUR, 8 * HOUR)
    hold(books, "l3", 8, now=later)
    books.settle("l2", {CPU: HOUR}, now=later)
    meter = books.cpu_meter(now=later)
    assert (meter.used, meter.held, meter.left) == (HOUR, 8 * HOUR, HOUR)


def test_an_account_at_its_limit_for_long_gets_one_window_not_the_sum_of_those_missed(books):
    hold(books, "l1", 10)
    books.settle("l1", {CPU: 10 * HOUR}, now=NOW)
    with pytest.raises(QuotaExceededError):
        hold(books, "l2", 11, now=NOW + 70 * DAY)
    hold(books, "l2", 10, now=NOW + 70 * DAY)


def test_a_clock_behind_another_writers_does_not_open_a_window_that_has_ended(books):
    hold(books, "l1", 1)
    monday = NOW.replace(day=23, hour=0)
    hold(books, "l2", 1, now=monday)
    books.settle("l1", {CPU: HOUR}, now=monday - timedelta(seconds=1))
    assert books.cpu_meter(now=monday).used == HOUR


def test_leaving_a_role_and_coming_back_refills_nothing(books):
    hold(books, "l1", 9)
    books.settle("l1", {CPU: 9 * HOUR}, now=NOW)
    with pytest.raises(QuotaExceededError) as refusal:
        hold(books, "l2", 1, holder=Holder("ada"))
    assert refusal.value.meter.limit == 0
    with pytest.raises(QuotaExceededError) as refusal:
        hold(books, "l3", 2)
    assert refusal.value.meter.left == HOUR


def test_another_kind_of_window_counts_what_was_used_since_its_start(open_books):
    books = open_books(cpu_policy(10, window="day"))
    hold(books, "l1", 9)
    books.settle("l1", {CPU: 9 * HOUR}, now=NOW)
    tomorrow = NOW + DAY
    hold(books, "l2", 1, now=tomorrow)
    weekly = open_books(cpu_policy(20, window="week"))
    assert weekly.cpu_meter(now=tomorrow, holder=AS_ADA).used == 9 * HOUR
    with pytest.raises(QuotaExceededError):
        hold(weekly, "l3", 11, now=tomorrow)
    hold(weekly, "l3", 10, now=tomorrow)


def test_roles_of_a_person_who_is_not_there_stand_as_last_seen(books):
    assert books.cpu_meter() is None
    hold(books, "l1", 1)
    assert books.cpu_meter().limit == 10 * HOUR
    assert books.cpu_meter(holder=AS_BEN).limit == 10 * HOUR


def test_a_proposal_is_shared_by_all_who_use_it(open_books):
    books = open_books(policy(proposals=[{"proposal": "MX-1", "resource": "cpu_hours", "limit": 10}]))
    hold(books, "l1", 6, account=TEAM, proposal="MX-1")
    with pytest.raises(QuotaExceededError):
        hold(books, "l2", 6, account=TEAM, holder=AS_BEN)


def test_who_has_an_allocation_can_pay(books):
    assert books.has_allocation(ADA, CPU, now=NOW, holder=AS_ADA)
    assert not books.has_allocation(TEAM, CPU, now=NOW)
    books.give(TEAM, CPU, 5, actor="olga", reason="beam time", key="g", now=NOW, until=NOW + DAY)
    assert books.has_allocation(TEAM, CPU, now=NOW)
    assert not books.has_allocation(TEAM, GPU, now=NOW)
    assert not books.has_allocation(TEAM, CPU, now=NOW + DAY)


def test_a_preview_says_what_a_hold_would_meet_and_writes_nothing(books):
    hold(books, "l1", 8)
    lines = [cpu(3 * HOUR), cpu(1 * HOUR, BEN)]
    ada, ben = books.preview(lines, now=NOW, holder=AS_ADA)
    assert (ada.meter.left, ada.asked, ada.is_refused) == (2 * HOUR, 3 * HOUR, True)
    assert (ben.meter.limit, ben.is_refused) == (0, True)
    assert books.cpu_meter(BEN) is None
    assert books.cpu_meter().held == 8 * HOUR


def test_what_an_operator_gives_counts_before_all_else_and_is_recorded(books):
    hold(books, "l1", 4)
    meter = books.give(
        ADA, CPU, 20 * HOUR, actor="olga", reason="thesis", key="g1", now=NOW, window=Window.MONTH
    )
    assert (meter.limit, meter.held, meter.window) == (20 * HOUR, 4 * HOUR, "month")
    again = books.give(ADA, CPU, 1, actor="olga", reason="thesis", key="g1", now=NOW)
    assert again == meter
    hold(books, "l2", 16)
    (entry,) = [e for e in books.history(ADA) if e.actor == "olga"]
    assert (entry.kind, entry.given, entry.reason) == (EntryKind.ALLOCATION, 10 * HOUR, "thesis")


def test_an_operators_allocation_can_be_withdrawn_and_lapses_in_time(books):
    hold(books, "l1", 1)
    books.give(ADA, CPU, HOUR, actor="olga", reason="break", key="g1", now=NOW)
    with pytest.raises(QuotaExceededError):
        hold(books, "l2", 1)
    books.give(ADA, CPU, None, actor="olga", reason="over", key="g2", now=NOW)
    hold(books, "l2", 1)
    books.give(ADA, CPU, HOUR, actor="olga", reason="break", key="g3", now=NOW, until=NOW + DAY)
    with pytest.raises(QuotaExceededError):
        hold(books, "l3", 1)
    hold(books, "l3", 1, now=NOW + DAY)
    assert books.cpu_meter(now=NOW + DAY).limit == 10 * HOUR


def test_an_allocation_can_be_lowered_below_what_is_used_and_then_refuses_all(books):
    hold(books, "l1", 8)
    books.give(ADA, CPU, HOUR, actor="olga", reason="misuse", key="g", now=NOW)
    assert books.cpu_meter().left == -7 * HOUR
    with pytest.raises(QuotaExceededError):
        books.hold("l2", [cpu(1)], holder=AS_ADA, now=NOW)


def test_an_adjustment_corrects_what_was_used_once_for_each_key(books):
    hold(books, "l1", 10)
    books.settle("l1", {CPU: 10 * HOUR}, now=NOW)
    for _ in range(2):
        meter = books.adjust(ADA, CPU, -4 * HOUR, actor="olga", reason="node failed", key="a", now=NOW)
    assert (meter.used, meter.left) == (6 * HOUR, 4 * HOUR)
    with pytest.raises(CorrectionError, match="allocation"):
        books.adjust(ADA, CPU, -7 * HOUR, actor="olga", reason="too much", key="c", now=NOW)
    with pytest.raises(CorrectionError, match="sessions"):
        books.adjust(ADA, SESSIONS, 1, actor="olga", reason="why", key="b", now=NOW)


@pytest.mark.parametrize(("actor", "reason"), [("", "why"), ("olga", " ")])
def test_a_change_by_hand_names_who_and_why(books, actor, reason):
    with pytest.raises(CorrectionError, match="who"):
        books.adjust(ADA, CPU, 1, actor=actor, reason=reason, key="a", now=NOW)
    with pytest.raises(CorrectionError, match="who"):
        books.give(ADA, CPU, 1, actor=actor, reason=reason, key="a", now=NOW)


def test_an_undo_is_a_counter_entry_written_once(books):
    books.adjust(ADA, CPU, 100, actor="olga", reason="typing error", key="a", now=NOW)
    entry = books.history(ADA)[0]
    for _ in range(2):
        meter = books.undo(entry.id, actor="otto", reason="never happened", now=NOW)
    assert meter.used == 0
    undone, first = books.history(ADA)
    assert (undone.used, undone.actor, first) == (-100, "otto", entry)


def test_undoing_an_allocation_puts_the_one_before_it_in_force(books):
    for number, hours in enumerate((20, 30)):
        books.give(ADA, CPU, hours * HOUR, actor="olga", reason="thesis", key=f"g{number}", now=NOW)
    newest, older = [entry.id for entry in books.history(ADA) if entry.actor == "olga"]
    with pytest.raises(CorrectionError):
        books.undo(older, actor="olga", reason="wrong", now=NOW)
    assert books.undo(newest, actor="olga", reason="wrong", now=NOW).limit == 20 * HOUR


def test_the_first_allocation_by_hand_is_undone_by_withdrawing_it(books):
    books.give(ADA, CPU, 1, actor="olga", reason="wrong one", key="g", now=NOW)
    (entry,) = books.history(ADA)
    books.undo(entry.id, actor="olga", reason="wrong", now=NOW)
    hold(books, "l1", 9)


def test_what_was_not_done_by_hand_or_counts_no_longer_cannot_be_undone(books):
    hold(books, "l1", 1)
    books.adjust(ADA, CPU, 5, actor="olga", reason="correction", key="a", now=NOW)
    adjusted, held, _given = books.history(ADA)
    for entry_id, now in ((held.id, NOW), (999, NOW), (adjusted.id, NOW + 7 * DAY)):
        with pytest.raises(CorrectionError):
            books.undo(entry_id, actor="olga", reason="try", now=now)


def test_history_is_paged_from_the_newest(books):
    for number in range(5):
        books.adjust(ADA, CPU, number, actor="olga", reason="count", key=str(number), now=NOW)
    first = books.history(ADA, limit=2)
    second = books.history(ADA, limit=2, before=first[-1].id)
    assert [entry.used for entry in first + second] == [4, 3, 2, 1]


def test_use_is_counted_once_where_proposal_and_person_both_hold(open_books):
    books = open_books(policy(unlisted="allow"))
    books.hold("l1", [cpu(100), cpu(100, TEAM)], holder=AS_ADA, now=NOW, proposal="MX-1")
    books.settle("l1", {CPU: 60}, now=NOW)
    period = Period(date(2026, 11, 18), date(2026, 11, 18))
    (use,) = books.database.run_now(lambda s: use_by_day(s, period))
    assert (use.amount, use.proposal, use.launches) == (60, "MX-1", 1)
    assert books.cpu_meter().used == books.cpu_meter(TEAM).used == 60


@pytest.mark.parametrize("statement", ["UPDATE quota_entries SET held = 0", "DELETE FROM quota_entries"])
def test_the_database_itself_refuses_to_change_the_ledger(books, statement):
    hold(books, "l1", 1)
    with pytest.raises(DBAPIError, match="append-only"):
        books.database.run_now(lambda s: s.execute(text(statement)))


def test_the_audit_names_a_balance_that_was_tampered_with(books):
    hold(books, "l1", 1)

    def add(amount):
        query = update(ACCOUNTS).values(held=ACCOUNTS.c.held + amount)
        books.database.run_now(lambda s: s.execute(query))

    add(5)
    found = books.audit()
    assert {(item.account, item.resource, item.counter) for item in found} == {
        (ADA, Resource.CPU_SECONDS, "held"),
        (ADA, Resource.CPU_SECONDS, "open holds"),
    }
    assert all(item.balance - item.entries == 5 for item in found)
    add(-5)


def test_an_extension_that_is_given_back_leaves_the_hold_as_it_was_and_never_comes_again(books):
    hold(books, "l1", 4)
    books.extend("l1", "kept", [cpu(HOUR)], now=NOW)
    books.extend("l1", "refused", [cpu(2 * HOUR)], now=NOW)
    for _ in range(2):
        books.undo_extension("l1", "refused", now=NOW)
    assert books.open_holds()[0].lines == (cpu(5 * HOUR),)
    assert books.cpu_meter().held == 5 * HOUR
    with pytest.raises(ExtensionUndoneError):
        books.extend("l1", "refused", [cpu(2 * HOUR)], now=NOW)
    assert books.cpu_meter().held == 5 * HOUR
    books.extend("l1", "again", [cpu(HOUR)], now=NOW)
    assert books.cpu_meter().held == 6 * HOUR


def test_giving_back_an_extension_after_the_settlement_changes_nothing(books):
    hold(books, "l1", 4)
    books.extend("l1", "k", [cpu(HOUR)], now=NOW)
    books.settle("l1", {CPU: HOUR}, now=NOW)
    books.undo_extension("l1", "k", now=NOW)
    books.undo_extension("l2", "k", now=NOW)
    assert (books.cpu_meter().held, books.cpu_meter().used) == (0, HOUR)


def test_memory_is_recorded_with_the_charge_and_limits_nothing(open_books):
    books = open_books(policy(unlisted="allow"))
    books.hold("l1", [cpu(100), cpu(100, TEAM)], holder=AS_ADA, now=NOW, proposal="MX-1")
    for _ in range(2):
        books.settle("l1", {CPU: 60, MIB: 60 * 2048}, now=NOW)
    period = Period(date(2026, 11, 18), date(2026, 11, 18))
    used = {use.resource: use for use in books.database.run_now(lambda s: use_by_payer(s, period))}
    assert used[MIB].amount == 60 * 2048
    assert used[MIB].payer == used[CPU].payer == TEAM
    assert MIB not in {meter.resource for meter in books.meters([ADA, TEAM], now=NOW)}
    with pytest.raises(CorrectionError, match="only recorded"):
        books.give(ADA, MIB, 1, actor="olga", reason="x", key="g", now=NOW)
