"""`panhub check` says what is wrong and what to mend."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from hub.check import Level, run_checks, to_json, to_text
from hub.cli import main
from hub.demo.configure import free_ports, write_configuration
from hub.migrate import upgrade


@pytest.fixture
def site(tmp_path):
    """Configuration of a site where nothing runs yet; it can be written to."""
    config, settings = write_configuration(tmp_path / "site", free_ports())
    settings.data.root.mkdir(parents=True)
    return config, settings


def found(config):
    return {finding.check: finding for finding in asyncio.run(run_checks(config))}


def test_a_file_with_a_stray_key_is_the_one_finding(site):
    config, _ = site
    config.write_text(config.read_text() + "stray: 1\n")
    findings = found(config)
    assert set(findings) == {"configuration"}
    assert "stray" in findings["configuration"].text
    assert not findings["configuration"].is_fine


def test_what_does_not_run_yet_is_a_warning_with_a_next_step(site):
    findings = found(site[0])
    for name in ("proxy", "service", "hub", "database", "public address"):
        assert findings[name].level is Level.WARNING, findings[name]
        assert findings[name].mend
    assert findings["secrets"].level is Level.FINE


def test_an_upgraded_database_is_fine_and_one_without_tables_is_not(site):
    config, settings = site
    upgrade(settings.database.url)
    assert found(config)["database"].level is Level.FINE
    Path(settings.database.url.removeprefix("sqlite:///")).write_bytes(b"")
    assert "panhub database upgrade" in found(config)["database"].mend


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_secret_that_others_may_read_is_a_fault(site, mode):
    config, settings = site
    settings.hub.proxy_token_file.chmod(mode)
    finding = found(config)["secrets"]
    assert not finding.is_fine
    assert "proxy-token" in finding.text


def test_a_key_that_is_no_key_is_a_fault(site):
    config, settings = site
    settings.hub.crypt_key_file.write_text("z" * 64)
    assert "64 hexadecimal" in found(config)["secrets"].text


def test_a_broken_catalogue_names_its_file(site):
    config, settings = site
    settings.catalogue.folder.mkdir(parents=True)
    (settings.catalogue.folder / "facility.yaml").write_text("nonsense: [")
    finding = found(config)["catalogue"]
    assert not finding.is_fine
    assert "facility.yaml" in finding.text


def test_a_data_root_that_is_not_there_is_a_fault(site):
    config, settings = site
    settings.data.root.rmdir()
    assert not found(config)["data"].is_fine


async def test_a_port_of_another_program_is_a_fault(site):
    config, settings = site
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", settings.service.port)
    findings = {finding.check: finding for finding in await run_checks(config)}
    server.close()
    assert not findings["service"].is_fine
    assert "another port" in findings["service"].mend


def test_the_report_says_whether_all_is_fine(site):
    findings = asyncio.run(run_checks(site[0]))
    report = json.loads(to_json(findings))
    assert report["fine"] is False  # no provider runs
    assert {row["check"] for row in report["findings"]} == {finding.check for finding in findings}
    assert "→" in to_text(findings)


def test_no_secret_is_in_the_report(site):
    config, settings = site
    text = to_text(asyncio.run(run_checks(config))) + to_json(asyncio.run(run_checks(config)))
    for path in settings.hub.proxy_token_file.parent.iterdir():
        assert path.read_text().strip() not in text


def test_the_command_ends_with_one_on_a_fault(site, capsys):
    assert main(["check", "--config", str(site[0])]) == 1
    assert "FAULT" in capsys.readouterr().out


def test_the_command_without_a_configuration_says_how_to_name_one(capsys, monkeypatch):
    monkeypatch.delenv("PANHUB_CONFIG", raising=False)
    assert main(["check"]) == 1
    assert "PANHUB_CONFIG" in capsys.readouterr().err
