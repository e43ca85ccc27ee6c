"""Who may be given a token, and how often."""

from __future__ import annotations

from pathlib import Path

import pytest

from spawners.slurm.gateway.policy import Entry, refusal, text_of
from spawners.slurm.gateway.protocol import Code
from spawners.slurm.gateway.rate import RateLimit
from spawners.slurm.gateway.settings import AllowSettings, GatewaySettings

SETTINGS = GatewaySettings(
    socket=Path("s"),
    key_file=Path("k"),
    peers=("panhub",),
    allow=AllowSettings(groups=("users", "staff"), people=("maja", "daemon", "toor")),
)
MEMBER = frozenset({"users"})


@pytest.mark.parametrize(
    ("asked", "entry", "code"),
    [
        ("maja", Entry("maja", 20001), None),
        ("rui", Entry("rui", 20002, MEMBER), None),
        ("panhub", Entry("panhub", 999), None),
        ("rui", Entry("rui", 20002), Code.NOT_LISTED),
        ("rui", Entry("rui", 20002, frozenset({"others"})), Code.NOT_LISTED),
        ("nobody-here", None, Code.UNKNOWN_USER),
        # Another spelling than that of the directory.
        ("maja", Entry("Maja", 20001, MEMBER), Code.UNKNOWN_USER),
        ("maja", Entry("maja@facility.example", 20001, MEMBER), Code.UNKNOWN_USER),
        # Not even when listed: system accounts, whatever they are called.
        ("root", Entry("root", 0, MEMBER), Code.SYSTEM_ACCOUNT),
        ("toor", Entry("toor", 0, MEMBER), Code.SYSTEM_ACCOUNT),
        ("root", Entry("root", 5000, MEMBER), Code.SYSTEM_ACCOUNT),
        ("daemon", Entry("daemon", 1, MEMBER), Code.SYSTEM_ACCOUNT),
        ("rui", Entry("rui", 999, MEMBER), Code.SYSTEM_ACCOUNT),
        ("slurm", Entry("slurm", 64030, MEMBER), Code.SYSTEM_ACCOUNT),
        ("maja", Entry("maja", 64030, MEMBER, slurm_uid=64030), Code.SYSTEM_ACCOUNT),
        ("panhub", Entry("panhub", 0), Code.SYSTEM_ACCOUNT),
        ("panhub", Entry("panhub", 64030, slurm_uid=64030), Code.SYSTEM_ACCOUNT),
        # What is no name at all is not even compared.
        *(
            (name, Entry(name, 20001, MEMBER), Code.INVALID_NAME)
            for name in ("", "Maja", "1a", "-x", "a b", "maja\n", "maja\0", "a" * 33, "ма", "../x", "a$(id)")
        ),
    ],
)
def test_who_gets_a_token(asked, entry, code):
    assert refusal(asked, entry, SETTINGS) is code


def test_without_a_list_only_the_service_account_gets_one():
    settings = SETTINGS.model_copy(update={"allow": AllowSettings()})
    assert refusal("maja", Entry("maja", 20001, MEMBER), settings) is Code.NOT_LISTED
    assert refusal("panhub", Entry("panhub", 20001), settings) is None


def test_every_code_has_a_sentence():
    assert all(text_of(code, "maja").endswith(".") for code in Code)


def test_a_bucket_empties_and_fills_evenly():
    rate = RateLimit(per_minute=6)
    assert [rate.allows("maja", 100.0) for _ in range(7)] == [True] * 6 + [False]
    assert rate.allows("rui", 100.0)  # each has a bucket of their own
    assert not rate.allows("maja", 109.0)
    assert rate.allows("maja", 111.0)
    assert not rate.allows("maja", 111.0)
    assert [rate.allows("maja", 9999.0) for _ in range(7)] == [True] * 6 + [False]


def test_buckets_do_not_pile_up():
    rate = RateLimit(per_minute=1)
    for number in range(10_050):
        rate.allows(f"u{number}", float(number))
    assert len(rate._left) == 10_000
