"""Tokens are JWTs as the RFCs say, and the key is nobody else's."""

from __future__ import annotations

import base64
import os

import pytest
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import OctKey

from spawners.slurm.gateway.jwt import KeyFileError, mint, read_key

KEY = bytes(range(32))


def test_another_implementation_reads_the_token():
    token = mint(KEY, "maja", issued_at=1_790_000_000, lifetime_s=300)
    found = jwt.decode(token, OctKey.import_key(KEY), algorithms=["HS256"])
    assert found.header == {"alg": "HS256", "typ": "JWT"}
    assert found.claims == {"sun": "maja", "iat": 1_790_000_000, "exp": 1_790_000_300}


def test_another_key_does_not_fit():
    token = mint(KEY, "maja", issued_at=1_790_000_000, lifetime_s=300)
    with pytest.raises(BadSignatureError):
        jwt.decode(token, OctKey.import_key(KEY[::-1]), algorithms=["HS256"])


def test_the_example_of_rfc_7515_has_our_signature():
    # RFC 7515, A.1: the same steps on its own header and claims.
    import hashlib
    import hmac

    from spawners.slurm.gateway.jwt import _base64url

    key = base64.urlsafe_b64decode(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow=="
    )
    signed = (
        b"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQog"
        b"Imh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    )
    signature = _base64url(hmac.new(key, signed, hashlib.sha256).digest())
    assert signature == b"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "jwt_hs256.key"
    path.write_bytes(KEY)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_private_key_is_read_byte_by_byte(key_file, mode):
    key_file.chmod(mode)
    assert read_key(key_file) == KEY
    key_file.chmod(0o600)
    key_file.write_bytes(KEY + b"\n")
    assert read_key(key_file) == KEY + b"\n"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o700])
def test_a_key_that_is_open_to_others_is_refused(key_file, mode):
    key_file.chmod(mode)
    with pytest.raises(KeyFileError, match="chmod"):
        read_key(key_file)


@pytest.mark.parametrize("content", [b"", KEY[:31], bytes(4097)])
def test_a_key_of_another_length_is_refused(key_file, content):
    key_file.write_bytes(content)
    with pytest.raises(KeyFileError, match="32 to 4096"):
        read_key(key_file)


def test_what_is_no_file_of_ones_own_is_refused(key_file, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(key_file)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    for path in (link, fifo, tmp_path, tmp_path / "none"):
        with pytest.raises(KeyFileError, match=path.name):
            read_key(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file away")
def test_a_key_of_another_account_is_refused(key_file):
    os.chown(key_file, 12345, 12345)
    with pytest.raises(KeyFileError, match="belongs to uid 12345"):
        read_key(key_file)
