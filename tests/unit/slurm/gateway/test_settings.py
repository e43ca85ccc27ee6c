"""The gateway's file is closed; what is dangerous in it stops the start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hub.cli import main
from spawners.slurm.gateway.settings import GatewayConfigError, load_gateway_settings

MINIMAL = "socket: run/tokens.sock\nkey_file: key\npeers: [panhub]\n"


def load(tmp_path: Path, text: str):
    path = tmp_path / "token-gateway.yaml"
    path.write_text(text)
    return load_gateway_settings(path)


def test_paths_are_relative_to_the_file(tmp_path):
    settings = load(tmp_path, MINIMAL)
    assert settings.socket == tmp_path / "run/tokens.sock"
    assert settings.key_file == tmp_path / "key"
    assert (settings.lifetime_s, settings.uid_floor, settings.audit_file) == (300, 1000, None)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ("stray: 1\n", "stray"),
        ("lifetime_s: 901\n", "lifetime_s"),
        ("lifetime_s: 1\n", "lifetime_s"),
        ("uid_floor: 0\n", "uid_floor"),
        ("service_account: root\n", "root"),
        ("service_account: slurm\n", "slurm_user"),
        ("slurm_user: sl\nservice_account: sl\n", "slurm_user"),
        ("allow: {people: [root]}\n", "root"),
        ("allow: {people: [slurm]}\n", "slurm_user"),
        ("allow: {people: [Maja]}\n", "allow.people"),
        ("allow: {groups: users}\n", "allow.groups"),
        ("allow: {everyone: true}\n", "allow.everyone"),
        ("peers: []\n", "peers"),
        ("peers: ['*']\n", "peers"),
        ("peers: [-1]\n", "peers"),
        ("peers: [true]\n", "peers"),
        ("peers: [4294967295]\n", "peers"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, more, named):
    with pytest.raises(GatewayConfigError, match=named):
        load(
            tmp_path,
            MINIMAL + more if not more.startswith("peers") else MINIMAL.replace("peers: [panhub]\n", more),
        )


@pytest.mark.parametrize("text", ["", "[]", "a: [", "\x00"])
def test_what_is_no_configuration_is_refused(tmp_path, text):
    with pytest.raises(GatewayConfigError, match=r"token-gateway\.yaml"):
        load(tmp_path, text)


@pytest.mark.skipif(os.geteuid() != 0, reason="root is refused as root only")
def test_root_does_not_run_it(tmp_path, capsys):
    path = tmp_path / "token-gateway.yaml"
    path.write_text(MINIMAL)
    assert main(["token-gateway", "--config", str(path)]) == 1
    assert "does not run as root" in capsys.readouterr().err
