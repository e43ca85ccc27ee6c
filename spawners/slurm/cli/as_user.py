"""Run one of Slurm's programs as another user: what `run_as` (sudo, setpriv) starts.

Executed as ``/usr/bin/python3 -I -S as_user.py``: no arguments, so that sudoers(5) needs one fixed
command and no secret is ever in an argument vector. One JSON object on standard input says all:

``program``
    One of `PROGRAMS`.
``arguments``
    Its arguments.
``bin``, ``conf``
    Folder of the programs (null: those of a fixed PATH) and slurm.conf (null: Slurm's default).
``timeout_s``
    The program is ended by SIGALRM then: who started sudo may not signal what runs below it.
``script``, ``environment``
    For sbatch: the batch script, and exactly what the job finds in its environment beside Slurm's
    own variables (``--export-file``, sbatch(1)).

Standard library only; runs on Python 3.6 and newer. It becomes the program (exec).
"""

import json
import os
import signal
import sys

PROGRAMS = ("sbatch", "scancel", "squeue", "scontrol", "sacct", "sacctmgr")
PATH = "/usr/local/bin:/usr/bin:/bin"
MOST = 8 * 1024 * 1024


def main() -> None:
    """Read the order and become the program."""
    text = sys.stdin.buffer.read(MOST + 1)
    if len(text) > MOST:
        sys.exit("as_user: the order is too long")
    order = json.loads(text.decode("utf-8"))
    if order["program"] not in PROGRAMS:
        sys.exit("as_user: no such program")
    words = [order["program"]] + [str(word) for word in order["arguments"]]
    variables = {"PATH": PATH, "TZ": "UTC0", "LC_ALL": "C.UTF-8"}
    if order.get("conf"):
        variables["SLURM_CONF"] = order["conf"]
    if order.get("environment") is not None:
        for name, value in order["environment"].items():
            if not name or "=" in name or "\0" in name + value:
                sys.exit("as_user: a variable that cannot be")
        pairs = "".join(f"{name}={value}\0" for name, value in order["environment"].items())
        words.append(f"--export-file={readable(pairs)}")
    os.dup2(readable(order.get("script") or ""), 0)
    # A file that only root of this machine could read must not stay open or decide where we are.
    os.chdir("/")
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(max(1, int(order["timeout_s"])))
    program = "{}/{}".format(order["bin"], words[0]) if order.get("bin") else words[0]
    os.execvpe(program, words, variables)  # noqa: S606 - becoming it is the purpose


def readable(text: str) -> int:
    """Descriptor from which the next program reads the text; never a file with a name."""
    descriptor = os.memfd_create("panhub", 0) if hasattr(os, "memfd_create") else unnamed()
    data = text.encode("utf-8")
    while data:
        data = data[os.write(descriptor, data) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.set_inheritable(descriptor, True)
    return descriptor


def unnamed() -> int:
    """Descriptor of a file that has no name any more (before Python 3.8)."""
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


if __name__ == "__main__":
    main()
