"""What guacd is told of a workstation, and what an operator may declare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hub.desktop.handshake import ClientFacts, HandshakeError, answers
from hub.desktop.settings import WorkstationSettings
from hub.desktop.status import Status
from hub.desktop.workstations import read_secrets, workstation_needs, workstation_values

_PRINT = ":".join(["AB"] * 32)
_KEY = "ssh-ed25519 " + "A" * 68
_OFF = ("recording", "drive", "sftp", "printing", "audio-input", "typescript", "gateway", "wol-", "command")


def _settings(protocol: str, **more: Any) -> WorkstationSettings:
    machine = {"title": "Control", "instrument": "id22", "host": "ctl", "port": 5900, "protocol": protocol}
    return WorkstationSettings.model_validate({**machine, **more})


@pytest.mark.parametrize(
    ("protocol", "more", "expected", "absent"),
    [
        ("vnc", {}, {"disable-display-resize": "true", "color-depth": "24"}, {"ignore-cert", "username"}),
        (
            "rdp",
            {"host_key": _PRINT, "username": "beam"},
            {
                "cert-fingerprints": f"sha256:{_PRINT.lower()}",
                "security": "nla",
                "resize-method": "display-update",
                "username": "beam",
            },
            {"ignore-cert"},
        ),
        ("rdp", {"host_key": f"sha256:{_PRINT}"}, {"cert-fingerprints": f"sha256:{_PRINT.lower()}"}, set()),
        (
            "rdp",
            {"trust_network": True, "security": "tls"},
            {"ignore-cert": "true", "security": "tls"},
            {"cert-fingerprints"},
        ),
        ("rdp", {"host_key": _PRINT, "keyboard": "de"}, {"server-layout": "de-de-qwertz"}, set()),
        ("rdp", {"host_key": _PRINT, "keyboard": "zz"}, {"server-layout": "failsafe"}, set()),
        (
            "rdp",
            {"host_key": _PRINT, "screens": 2},
            {"width": "3840", "height": "1080"},
            {"resize-method"},
        ),
        ("ssh", {"host_key": _KEY, "username": "beam"}, {"host-key": f"127.0.0.1 {_KEY}"}, {"enable-sftp"}),
        ("ssh", {"trust_network": True}, {}, {"host-key"}),
    ],
)
def test_values(protocol: str, more: dict[str, Any], expected: dict[str, str], absent: set[str]) -> None:
    values = workstation_values(_settings(protocol, **more))
    assert {name: values.get(name) for name in expected} == expected
    assert not absent & set(values)
    assert not {"hostname", "port", "password", "private-key"} & set(values)
    assert not [name for name in values for part in _OFF if part in name]


@pytest.mark.parametrize(
    ("protocol", "more", "needs"),
    [
        ("vnc", {}, set()),
        ("rdp", {"host_key": _PRINT}, {"cert-fingerprints"}),
        ("rdp", {"trust_network": True}, set()),
        ("ssh", {"host_key": _KEY}, {"recording-write-existing"}),
        ("ssh", {"trust_network": True}, {"recording-write-existing"}),
        ("ssh", {"host_key": _KEY, "trust_ssh_server": True}, set()),
    ],
)
def test_needs(protocol: str, more: dict[str, Any], needs: set[str]) -> None:
    assert workstation_needs(_settings(protocol, **more)) == needs


def test_guacd_that_lacks_what_is_needed_is_not_used() -> None:
    args = ["VERSION_1_3_0", "hostname", "ignore-cert"]
    with pytest.raises(HandshakeError) as refused:
        answers(args, {}, ClientFacts(), "", frozenset({"cert-fingerprints"}))
    assert refused.value.status is Status.UNSUPPORTED
    assert answers([*args, "cert-fingerprints"], {}, ClientFacts(), "", frozenset({"cert-fingerprints"}))


@pytest.mark.parametrize(
    ("protocol", "more"),
    [
        ("rdp", {}),
        ("ssh", {}),
        ("rdp", {"trust_network": False}),
        ("rdp", {"host_key": _KEY}),
        ("rdp", {"host_key": "AB:CD"}),
        ("rdp", {"host_key": f"{_PRINT},sha1:{_PRINT}"}),
        ("ssh", {"host_key": _PRINT}),
        ("ssh", {"host_key": f"{_KEY}\n* {_KEY}"}),
        ("ssh", {"host_key": f"* {_KEY}"}),
        ("ssh", {"host_key": f"{_KEY} comment"}),
        ("vnc", {"host_key": _PRINT}),
        ("vnc", {"private_key_file": "/k"}),
        ("rdp", {"trust_network": "yes"}),
        ("rdp", {"host_key": _PRINT, "security": "rdp"}),
        ("vnc", {"screens": 3}),
        ("vnc", {"host": "ctl;rm"}),
        ("vnc", {"call_url": "http://call"}),
        ("vnc", {"margin_hours": 73}),
        ("telnet", {}),
        ("vnc", {"recording_path": "/r"}),
    ],
)
def test_what_may_not_be_declared(protocol: str, more: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _settings(protocol, **more)


def test_secrets_are_read_from_files(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hidden word\n")
    (tmp_path / "key").write_text("-----BEGIN\nAAA\n")
    found = read_secrets(
        _settings(
            "ssh",
            host_key=_KEY,
            password_file=tmp_path / "password",
            private_key_file=tmp_path / "key",
        )
    )
    assert found == {"password": "hidden word", "private-key": "-----BEGIN\nAAA\n"}


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * 70_000, None])
def test_secrets_that_are_none(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((OSError, ValueError)):
        read_secrets(_settings("vnc", password_file=path))
