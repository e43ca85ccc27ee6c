"""What opens the desktop's handlers, and all that does not."""

import base64
import json
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hub.desktop.capability import sign
from spawners.session.python.panhub_session.capability import MOST_AHEAD_S, RefusedError, Verifier

LAUNCH = "0123456789abcdef"
KEY = Ed25519PrivateKey.generate()
NOW = 1_800_000_000.0


def public(key=KEY):
    return base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def text(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def capability(key=KEY, **changes):
    payload = {"launch": LAUNCH, "do": "rfb", "exp": NOW + 20, "nonce": "00112233445566aa", **changes}
    first = text(json.dumps({name: value for name, value in payload.items() if value is not ...}).encode())
    return f"Capability {first}.{text(key.sign(first.encode()))}"


@pytest.fixture
def verifier():
    return Verifier(public(), LAUNCH, clock=lambda: NOW)


def test_what_the_tunnel_signs_opens_once():
    verifier = Verifier(public(), LAUNCH)
    for do in ("rfb", "screens", "keyboard", "files"):
        header = f"Capability {sign(KEY, LAUNCH, do)}"
        verifier.check(header, do)
        with pytest.raises(RefusedError, match="used before"):
            verifier.check(header, do)


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (None, "no capability"),
        ("", "no capability"),
        ("token abc", "no capability"),
        ("Bearer " + capability()[11:], "no capability"),
        ("Capability ", "not signed"),
        ("Capability .", "not signed"),
        ("Capability a.b.c", "not signed"),
        ("Capability é.é", "not signed"),
        (capability()[:-4], "not signed"),
        (capability() + "A" * 2000, "no capability"),
        (capability(Ed25519PrivateKey.generate()), "not signed"),
        (capability().replace("Capability e", "Capability f"), "not signed"),
        (capability(launch="f" * 16), "another launch"),
        (capability(launch=None), "another launch"),
        (capability(do="files"), "something else"),
        (capability(do=["rfb"]), "something else"),
        (capability(exp=NOW - 1), "expired"),
        (capability(exp=NOW + MOST_AHEAD_S + 1), "expired"),
        (capability(exp=float("nan")), "expired"),
        (capability(exp=str(NOW + 1)), "no time"),
        (capability(exp=True), "no time"),
        (capability(nonce="short"), "no nonce"),
        (capability(nonce=17), "no nonce"),
        (capability(nonce=...), "another payload"),
        (capability(more="x"), "another payload"),
    ],
)
def test_everything_else_is_refused(verifier, header, why):
    with pytest.raises(RefusedError, match=why):
        verifier.check(header, "rfb")
    verifier.check(capability(), "rfb")  # and spoils nothing


def test_without_a_key_or_a_launch_nothing_opens():
    for key, launch in (("", LAUNCH), (public(), "")):
        with pytest.raises(RefusedError):
            Verifier(key, launch, clock=lambda: NOW).check(capability(launch=launch), "rfb")


def test_nonces_are_kept_as_long_as_they_could_be_used_again():
    now = [NOW]
    verifier = Verifier(public(), LAUNCH, clock=lambda: now[0])
    for number in range(100):
        now[0] = NOW + 10 * number
        verifier.check(capability(exp=now[0] + 20, nonce=f"{number:016x}"), "rfb")
        assert len(verifier._used) <= 4


def test_the_clock_is_the_machines():
    Verifier(public(), LAUNCH).check(capability(exp=time.time() + 5), "rfb")
