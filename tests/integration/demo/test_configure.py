"""The demo writes a configuration that a site could have written."""

from __future__ import annotations

import socket
from dataclasses import astuple

from hub.demo.configure import SECRETS, Ports, choose_ports, free_ports, write_configuration
from hub.settings import read_secret


def test_the_configuration_is_valid_and_its_secrets_are_private(tmp_path):
    config, settings = write_configuration(tmp_path / "demo", free_ports())
    assert config.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "demo").stat().st_mode & 0o777 == 0o700
    for name in SECRETS:
        assert len(bytes.fromhex(read_secret(tmp_path / "demo/secrets" / name))) == 32
    assert settings.database.url != settings.hub.database


def test_secrets_stay_and_no_two_are_alike(tmp_path):
    write_configuration(tmp_path, free_ports())
    before = {name: read_secret(tmp_path / "secrets" / name) for name in SECRETS}
    write_configuration(tmp_path, free_ports())
    assert {name: read_secret(tmp_path / "secrets" / name) for name in SECRETS} == before
    assert len(set(before.values())) == len(SECRETS)


def test_no_secret_is_in_the_configuration(tmp_path):
    config, _ = write_configuration(tmp_path, free_ports())
    text = config.read_text()
    assert not any(read_secret(tmp_path / "secrets" / name) in text for name in SECRETS)


def test_free_ports_are_all_different():
    ports = astuple(free_ports())
    assert len(set(ports)) == len(ports)
    assert free_ports(public=4321).public == 4321


def test_a_taken_port_is_said_and_replaced(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        monkeypatch.setattr("hub.demo.configure.Ports.taken", lambda self: (number,))
        ports, note = choose_ports(None)
        assert str(number) in note
        assert str(ports.public) in note


def test_a_taken_port_is_seen():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        assert Ports(public=number).taken().count(number) == 1
