"""The part of a batch script that is ours: the same text for everybody, no shell reads what differs.

What differs (JupyterHub's variables for the session, its own token among them) is one word: base64 of JSON,
as schedulers mangle values with commas, quotes and line ends, and these have all of them. Slurm takes it
as a variable, which it shows to nobody. Torque, PBS and Grid Engine show the variables of a job to everybody
(``Variable_List`` in ``qstat -f``), so there it stands in the script, which they keep for the job's owner
and root. It is in no argument and in no file of ours.
"""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Mapping
from pathlib import PurePosixPath

VARIABLE = "PANHUB_ENVIRONMENT"

_UNPACK = """\
import base64, json, os
given = {given}
os.environ.update(json.loads(base64.urlsafe_b64decode(given)))
os.execv("/bin/bash", ["bash", "-c", {script!r}])
"""

_MARK = "PANHUB_START"


def packed(environment: Mapping[str, str]) -> str:
    """The variables as one word."""
    return base64.urlsafe_b64encode(json.dumps(dict(environment)).encode()).decode("ascii")


def command(script: str, python: PurePosixPath, word: str | None = None) -> str:
    """Last lines of a batch script: take over the variables and run ``script`` (bash) with them.

    ``word`` is `packed` variables to put into it; None takes those in the variable `VARIABLE`.
    """
    given = repr(word) if word is not None else f"os.environ.pop({VARIABLE!r})"
    program = _UNPACK.format(given=given, script=script)
    assert _MARK not in program
    return f"exec {shlex.quote(str(python))} -I -S - <<'{_MARK}'\n{program}{_MARK}"
