"""Capabilities: signed by a key that nobody else reads, taken by a session once and for one thing."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hub.desktop.capability import (
    KeyFileError,
    is_signed_by,
    load_key,
    make_key,
    payload_of,
    public_text,
    sign,
)
from spawners.session.python.panhub_session.capability import RefusedError, Verifier

LAUNCH = "0123456789abcdef"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "key.pem"


def test_a_key_is_made_once_and_for_its_owner_only(path: Path):
    public = public_text(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert public_text(path) == public
    assert [one.name for one in path.parent.iterdir()] == ["key.pem"]


def test_two_that_make_it_at_once_have_the_same(path: Path):
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(public_text(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_key_that_others_may_read_is_not_used(path: Path):
    make_key(path)
    for mode in (0o640, 0o604, 0o620):
        path.chmod(mode)
        with pytest.raises(KeyFileError, match="chmod 600"):
            load_key(path)


def test_what_is_no_key_says_so(path: Path):
    with pytest.raises(KeyFileError, match="No such file"):
        load_key(path)
    with pytest.raises(KeyFileError):
        make_key(path / "below")
    rsa = generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for content in (b"", b"nonsense", rsa):
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(KeyFileError, match="not an Ed25519 key"):
            load_key(path)


def test_a_capability_is_what_the_contract_says(path: Path):
    make_key(path)
    one, other = (sign(load_key(path), LAUNCH, "rfb") for _ in range(2))
    assert is_signed_by(one, public_text(path))
    assert "=" not in one
    said = payload_of(one)
    assert set(said) == {"launch", "do", "exp", "nonce"}
    assert (said["launch"], said["do"]) == (LAUNCH, "rfb")
    assert 0 < int(str(said["exp"])) - time.time() <= 30
    assert said["nonce"] != payload_of(other)["nonce"]


def test_what_was_changed_is_not_signed(path: Path):
    make_key(path)
    public = public_text(path)
    first, _, second = sign(load_key(path), LAUNCH, "rfb").partition(".")
    theirs, _, _ = sign(load_key(path), LAUNCH, "files").partition(".")
    for text in (f"{theirs}.{second}", f"{first}.", first, "", f"{first}.{second[:-4]}AAAA", f".{second}"):
        assert not is_signed_by(text, public)
    make_key(path.with_name("other.pem"))
    assert not is_signed_by(f"{first}.{second}", public_text(path.with_name("other.pem")))


def test_a_session_takes_it_once_and_for_what_it_says(path: Path):
    session = Verifier(public_text(path), LAUNCH)
    capability = f"Capability {sign(load_key(path), LAUNCH, 'rfb')}"
    with pytest.raises(RefusedError):
        session.check(capability, "files")
    session.check(capability, "rfb")
    with pytest.raises(RefusedError):
        session.check(capability, "rfb")
    with pytest.raises(RefusedError):
        session.check(f"Capability {sign(load_key(path), 'f' * 16, 'rfb')}", "rfb")
