"""A session's first process as its parent has it: started in its view, its output kept, waited for.

Its parent is the supervisor on one machine (`spawners.local.supervisor`) or the job's own process on a
node (`spawners.session.minder`). Standard library only: nodes use it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable, Mapping, Sequence

from spawners.session.children import PR_SET_PDEATHSIG, bubblewrapped, first_process, prctl
from spawners.session.sessionlog import SessionLog


class FirstProcess:
    """One started process: ``main`` is our child, ``first`` the one in the view, which requests are for.

    They are two with bubblewrap; ``first`` is None if it could not start one. ``code`` is the exit code
    once it has ended (128 + n for signal n).
    """

    def __init__(self, main: int, first: int | None, output: int) -> None:
        self.main = main
        self.first = first
        self.code: int | None = None
        self._output = output

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        view: list[str] | None,
        stdin: int,
        environment: Mapping[str, str],
        prepare: Callable[[], None],
    ) -> FirstProcess:
        """Start it; ``stdin`` is closed here.

        With ``view`` the first word of the command is bubblewrap, and these are its arguments.
        ``prepare`` is called in the new process before it becomes the session.
        """
        output, output_child = os.pipe()
        info, info_child = os.pipe()
        keep, argv = [], list(command)
        if view is not None:
            argv, arguments = bubblewrapped(argv[0], view, argv[1:], info_child)
            keep = [arguments, info_child]
        main = os.fork()
        if main == 0:
            _become(argv, stdin, output_child, keep, environment, prepare)
        for descriptor in {stdin, output_child, info_child, *keep}:
            os.close(descriptor)
        first = main if view is None else first_process(info)
        os.close(info)
        os.set_blocking(output, False)
        return cls(main, first, output)

    def tell(self, number: signal.Signals) -> None:
        """Send a signal to the session's first process, if it is there."""
        if self.first:
            with contextlib.suppress(OSError):
                os.kill(self.first, number)

    def wait(
        self, wakeup: int, log: SessionLog, pause_s: Callable[[], float | None], look: Callable[[], None]
    ) -> None:
        """Wait until it has ended and all that it said is in the log.

        ``wakeup`` becomes readable by signals (`wake_on_signals`); ``look`` is called whenever something
        has happened or ``pause_s`` (None: no limit) has passed.
        """
        poll = select.poll()
        poll.register(self._output, select.POLLIN)
        poll.register(wakeup, select.POLLIN)
        while not self.reap():
            pause = pause_s()
            for descriptor, _ in poll.poll(None if pause is None else 1000 * pause):
                if descriptor == wakeup:
                    with contextlib.suppress(BlockingIOError):
                        os.read(wakeup, 4096)
                elif not log.copy(self._output):
                    poll.unregister(self._output)
            look()
        while log.copy(self._output) and select.select([self._output], [], [], 0)[0]:
            pass

    def reap(self) -> bool:
        """Collect ended children; whether the session itself has ended."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid == self.main:
                    code = os.waitstatus_to_exitcode(status)
                    self.code = code if code >= 0 else 128 - code
        return self.code is not None


def _become(
    command: list[str],
    stdin: int,
    output: int,
    keep: list[int],
    environment: Mapping[str, str],
    prepare: Callable[[], None],
) -> None:
    """In the forked child: turn into the session. Never returns."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        prepare()
        os.dup2(stdin, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        for descriptor in keep:
            os.set_inheritable(descriptor, True)
        os.execve(command[0], command, environment)  # noqa: S606 - no shell
    except OSError as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
    finally:
        os._exit(127)
