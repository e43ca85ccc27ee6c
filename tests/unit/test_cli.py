"""The command line answers at once and refuses what is not one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hub.cli import main, parser


def test_the_version_is_printed(capsys):
    assert main(["version"]) == 0
    assert capsys.readouterr().out.count(".") >= 2


@pytest.mark.parametrize(
    "words", [[], ["nonsense"], ["demo", "--port", "80"], ["demo", "--port", "x"], ["database", "drop"]]
)
def test_what_is_no_command_is_refused(words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    capsys.readouterr()


@pytest.mark.parametrize(
    "command",
    ["demo", "smoke", "serve", "desktop", "check", "token-gateway", "database", "import-profiles", "version"],
)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as caught:
        parser().parse_args([command, "--help"])
    assert caught.value.code == 0
    assert command in capsys.readouterr().out


def test_the_command_line_loads_nothing_heavy():
    code = (
        "import hub.cli, sys; print([m for m in ('jupyterhub', 'sqlalchemy', 'tornado') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
