"""Slurm's notations, as its programs and slurmrestd wrote them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawners.slurm import parse
from spawners.slurm.models import NO_LIMITS, Tres
from spawners.slurm.parse import NotUnderstoodError


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        ("(null)", ()),
        ("None assigned", ()),
        ("gpu1", ("gpu1",)),
        ("cpu[1-3,7]", ("cpu1", "cpu2", "cpu3", "cpu7")),
        ("cpu[001-003],gpu1", ("cpu001", "cpu002", "cpu003", "gpu1")),
        ("cpu[9-11]", ("cpu9", "cpu10", "cpu11")),
        ("r[1-2]n[1-2]", ("r1n1", "r1n2", "r2n1", "r2n2")),
        ("a[1]-ib,b", ("a1-ib", "b")),
    ],
)
def test_hosts_are_expanded(text, names):
    assert parse.expand_hosts(text) == names


@pytest.mark.parametrize(
    "text",
    [
        "a[1-",
        "a[1-2",
        "a]1[",
        "a[x]",
        "a[3-1]",
        "a[[1]]",
        "a[1-200000]",
        "a[1-999][1-999]",
        "a[]",
        "a[1-2-3]",
    ],
)
def test_a_host_list_that_is_none_or_too_long_is_refused(text):
    with pytest.raises(NotUnderstoodError):
        parse.expand_hosts(text)


def test_a_host_list_of_the_whole_limit_and_one_more():
    assert len(parse.expand_hosts(f"a[1-{parse.MOST_HOSTS}]")) == parse.MOST_HOSTS
    with pytest.raises(NotUnderstoodError):
        parse.expand_hosts(f"b,a[1-{parse.MOST_HOSTS}]")


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["cpu1"], "cpu1"),
        (["cpu3", "cpu1", "cpu2", "cpu7"], "cpu[1-3,7]"),
        (["n09", "n10", "n11"], "n09,n[10-11]"),
        (["n009", "n010"], "n[009-010]"),
        (["login", "n1"], "login,n1"),
    ],
)
def test_hosts_are_compressed(names, text):
    assert parse.compress_hosts(names) == text


HOST = st.from_regex(r"[a-z]{1,3}(-[a-z])?[0-9]{0,4}", fullmatch=True)


@given(st.lists(HOST, max_size=30))
def test_expanding_undoes_compressing(names):
    assert sorted(parse.expand_hosts(parse.compress_hosts(names))) == sorted(
        set(names) - {"none", "n/a", "null"}
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30", timedelta(minutes=30)),
        ("90:00", timedelta(minutes=90)),
        ("01:00:00", timedelta(hours=1)),
        ("2-00:00:00", timedelta(days=2)),
        ("1-12", timedelta(days=1, hours=12)),
        ("1-12:30", timedelta(days=1, hours=12, minutes=30)),
        ("365-00:00:00", timedelta(days=365)),
        ("5:00", timedelta(minutes=5)),
        ("UNLIMITED", None),
        ("infinite", None),
        ("NOT_SET", None),
        ("Partition_Limit", None),
        ("INVALID", None),
        ("NONE", None),
        ("", None),
    ],
)
def test_durations(text, expected):
    assert parse.duration(text) == expected


@pytest.mark.parametrize("text", ["soon", "1:2:3:4", "-5", "1-", "1h"])
def test_a_duration_that_is_none_is_refused(text):
    with pytest.raises(NotUnderstoodError):
        parse.duration(text)


@given(st.integers(1, 400 * 24 * 3600))
def test_minutes_for_slurm_are_never_less_than_asked(seconds):
    minutes = parse.whole_minutes(timedelta(seconds=seconds))
    assert 0 <= minutes * 60 - seconds < 60


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-21T15:29:01", datetime(2026, 11, 21, 15, 29, 1, tzinfo=UTC)),
        ("N/A", None),
        ("Unknown", None),
        ("None", None),
    ],
)
def test_moments(text, expected):
    assert parse.moment(text) == expected


def test_a_moment_that_is_none_is_refused():
    with pytest.raises(NotUnderstoodError):
        parse.moment("tomorrow")


@pytest.mark.parametrize("number", [None, 0, -1, 0xFFFFFFFE, 0xFFFFFFFF, 2**64 - 2])
def test_an_epoch_that_is_not_set(number):
    assert parse.epoch(number) is None


@pytest.mark.parametrize(
    ("text", "mib"),
    [
        ("512M", 512),
        ("62.50G", 64000),
        ("1T", 1024**2),
        ("64000", 64000),
        ("100K", 1),
        ("0", 0),
        ("4Gn", 4096),
        ("", 0),
    ],
)
def test_memory(text, mib):
    assert parse.memory_mib(text) == mib


def test_memory_in_bytes():
    assert parse.memory_mib("70414336", unit="B") == 68
    assert parse.memory_mib("3M", unit="B") == 3


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        ("gpu:a100:4(S:0-1)", {"a100": 4}),
        ("gpu:4", {"": 4}),
        ("gpu", {"": 1}),
        ("gpu:a100:3,gpu:v100:1", {"a100": 3, "v100": 1}),
        ("gpu:a100:1(IDX:0),gpu:v100:0(IDX:N/A)", {"a100": 1}),
        ("gpu:a100:3(IDX:0-1,3),gpu:2(IDX:4,5)", {"a100": 3, "": 2}),
        ("gpu:0", {}),
        ("gres:gpu:a100:1", {"a100": 1}),
        ("gres/gpu:a100:2", {"a100": 2}),
        ("gres/gpu:a100=2", {"a100": 2}),
        ("gres/gpu:1", {"": 1}),
        ("gpu:(null):3(IDX:0-2)", {"": 3}),
        ("gpu:(null):0(IDX:N/A),gpu:a100:1(IDX:0)", {"a100": 1}),
        ("nic:2,gpu:h100_80gb:8(S:0-1),lscratch:1T", {"h100_80gb": 8}),
        ("gpu:3g.20gb:2", {"3g.20gb": 2}),
        ("(null)", {}),
        ("N/A", {}),
    ],
)
def test_gpus_of_gres(text, gpus):
    assert parse.gres_gpus(text) == gpus


@pytest.mark.parametrize(
    ("text", "asked", "gpus"),
    [
        ("cpu=2,mem=512M,node=1,billing=2,gres/gpu=1", {"a100": 1}, {"a100": 1}),
        ("cpu=2,gres/gpu=2,gres/gpu:a100=2", {}, {"a100": 2}),
        ("gres/gpu=3,gres/gpu:a100=2", {"a100": 2}, {"a100": 2, "": 1}),
        ("gres/gpu=2", {"a100": 1, "v100": 1}, {"": 2}),
        ("gres/gpu=2", {"": 2}, {"": 2}),
        ("gres/gpu:a100=2", {}, {"a100": 2}),
        ("cpu=1", {"a100": 1}, {}),
    ],
)
def test_gpus_of_tres(text, asked, gpus):
    assert parse.tres_gpus(parse.tres(text), asked) == gpus


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("", NO_LIMITS),
        ("cpu=16,gres/gpu=2,mem=2G", Tres(cpus=16, memory_mib=2048, gpus={"": 2})),
        ("node=3", Tres(nodes=3)),
        ("gres/gpu:a100=0,gres/gpu=4", Tres(gpus={"a100": 0, "": 4})),
    ],
)
def test_limits(text, limits):
    assert parse.limits(text) == limits


@pytest.mark.parametrize("text", ["cpu", "cpu=many", "mem=1X"])
def test_a_tres_text_that_is_none_is_refused(text):
    with pytest.raises(NotUnderstoodError):
        parse.limits(text)


@pytest.mark.parametrize(("text", "expected"), [("3:0", (3, None)), ("0:9", (0, 9)), ("", (None, None))])
def test_exit_codes(text, expected):
    assert parse.exit_code(text) == expected


@pytest.mark.parametrize(
    ("status", "expected"), [(768, (3, None)), (9, (0, 9)), (0, (0, None)), (139, (0, 11))]
)
def test_wait_statuses(status, expected):
    assert parse.wait_status(status) == expected


def test_text_for_people_is_one_bounded_line_without_control_characters():
    text = "a\x1b[31mb\r\n\u202ec\x00" + "x" * 1000
    said = parse.plain(text, 20)
    assert said == "a [31mb c xxxxxxxxx…"


@given(st.text(max_size=200))
def test_no_text_breaks_a_reader_in_another_way(text):
    for reader in (
        parse.expand_hosts,
        parse.duration,
        parse.gres_gpus,
        parse.tres,
        parse.limits,
        parse.moment,
    ):
        try:
            reader(text)
        except NotUnderstoodError:
            continue
