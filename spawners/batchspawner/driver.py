"""One batch system: the commands of batchspawner's class, run one by one without a shell.

Of the class come its traits, its templates and how it reads job ids and states. Its own ways to run a
command and to judge an answer are not used: a command there has no time limit, and an answer that is not
recognised counts as the end of the job.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from spawners.backend import State
from spawners.batchspawner.known import known
from spawners.batchspawner.settings import BatchSystemSettings

_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\[\]-]{0,127}")
_USER = re.compile(r"[a-z][a-z0-9._-]{0,31}")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,252}")
_NO_ANSWER = re.compile(
    r"timed? ?out|unable to contact|cannot connect|could not connect|connection refused|"
    r"communication failure|end of file|no route to host|temporarily",
    re.IGNORECASE,
)
_PATH = "/usr/local/bin:/usr/bin:/bin"
_MOST_TEXT = 500


class BatchspawnerError(Exception):
    """The settings of a batch system cannot be used; the text names what to change."""


class RefusedError(Exception):
    """The scheduler said no; the text is its own, bounded, plain."""


class NoAnswerError(Exception):
    """No answer, or none that is understood: nothing is known."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the scheduler says of a job."""

    state: State
    host: str | None = None


class Driver:
    """Runs the commands of one batch system."""

    def __init__(self, name: str, settings: BatchSystemSettings) -> None:
        self.name = name
        self.settings = settings
        self._class = _load(name, settings.class_name)
        ancestry = [one.__name__ for one in self._class.__mro__]
        self.known = known(ancestry)
        self._slots = asyncio.Semaphore(settings.queries_at_once)
        if "CondorSpawner" in ancestry:
            raise BatchspawnerError(f"{name}: HTCondor's submit files cannot start a session of ours.")
        if settings.state_gone_re is None and self.known.gone == known([]).gone:
            raise BatchspawnerError(
                f"{name}: set state_gone_re: which answers of {settings.class_name} say that a job is over?"
            )
        self._gone = settings.state_gone_re or self.known.gone
        self._list_re = re.compile(settings.batch_list_re or self.known.list_re or r"(?!)", re.MULTILINE)
        if self.can_list and not {"id", "name"} <= set(self._list_re.groupindex):
            raise BatchspawnerError(f"{name}: batch_list_re needs the groups id and name.")
        try:
            self.programs()  # what the class does not have, or cannot read, stops the start
        except (ValueError, KeyError, IndexError) as error:
            raise BatchspawnerError(f"{name}: a command cannot be read: {error}") from error

    @property
    def can_list(self) -> bool:
        """Whether jobs that were submitted just before a crash can be found."""
        return bool(self.settings.batch_list_cmd or self.known.list_cmd)

    def spawner(self, user: str, **requests: str) -> Any:
        """An object of the class with the settings' and these values of ``req_…``."""
        if not _USER.fullmatch(user):
            raise BatchspawnerError(f"{user!r} is no POSIX account name.")
        made = self._class(user=SimpleNamespace(name=user))
        # Without a home and variables given here, the class would look both up, and block.
        nothing = {"req_homedir": "", "req_keepvars": ""}
        values = {"exec_prefix": self.settings.exec_prefix, **nothing, **self.settings.requests, **requests}
        for field in ("batch_submit_cmd", "batch_query_cmd", "batch_cancel_cmd"):
            if (value := getattr(self.settings, field)) is not None:
                values[field] = value
        for trait, value in values.items():
            if not made.has_trait(trait):
                raise BatchspawnerError(f"{self.name}: {self.settings.class_name} has no trait {trait}.")
            setattr(made, trait, value)
        return made

    def programs(self) -> list[str]:
        """Programs that the commands begin with, each once."""
        made = self.spawner("nobody")
        templates = [made.batch_submit_cmd, made.batch_query_cmd, made.batch_cancel_cmd]
        values = {**made.get_req_subvars(), "job_id": "1"}
        words = [shlex.split(format_template(text, values)) for text in (made.exec_prefix, *templates)]
        return list(dict.fromkeys(found[0] for found in words if found))

    async def submit(self, made: Any, script: str, environment: Mapping[str, str]) -> str:
        """Submit a script; returns the job's id.

        Raises
        ------
        RefusedError
            If the scheduler refused it: nothing was submitted.
        NoAnswerError
            If it is not known whether it was.
        """
        code, out, said = await self._run(made, made.batch_submit_cmd, {}, script, environment)
        if code != 0:
            made.job_status = said
            if _NO_ANSWER.search(said) or made.state_isunknown():
                raise NoAnswerError(said)
            raise RefusedError(said or f"The command ended with {code}.")
        try:
            job = str(made.parse_job_id(out)).strip()
        except Exception as error:  # whatever a class does with text that it does not know
            raise NoAnswerError(f"No job id in the answer: {_plain(out)}") from error
        if not _JOB_ID.fullmatch(job):
            raise NoAnswerError(f"No job id in the answer: {_plain(out)}")
        return job

    async def query(self, user: str, job: str) -> Found:
        """State of one job. Only an answer that says so ends it."""
        made = self.spawner(user)
        try:
            code, out, said = await self._run(made, made.batch_query_cmd, {"job_id": job})
        except NoAnswerError:
            return Found(State.UNKNOWN)
        made.job_id, made.job_status = job, out if code == 0 else said
        try:
            return self._judge(made, job, has_answer=code == 0)
        except Exception:  # a class that cannot read an answer
            return Found(State.UNKNOWN)

    def _judge(self, made: Any, job: str, *, has_answer: bool) -> Found:
        if has_answer and made.state_isrunning():
            host = _host(made.state_gethost())
            return Found(State.RUNNING, self.settings.node_addresses.get(host or "", host))
        if has_answer and made.state_ispending():
            return Found(State.PENDING)
        if made.state_isunknown():
            return Found(State.UNKNOWN)
        gone = self._gone.replace("{job_id}", re.escape(job))
        # Nothing at all is the end of a job only where the command itself went well.
        if (has_answer or made.job_status) and re.search(gone, made.job_status, re.MULTILINE):
            return Found(State.GONE)
        return Found(State.UNKNOWN)

    async def cancel(self, user: str, job: str) -> None:
        """Cancel a job; one that is over is no error.

        Raises
        ------
        NoAnswerError
            If it is not known whether it was cancelled.
        """
        made = self.spawner(user)
        code, _, said = await self._run(made, made.batch_cancel_cmd, {"job_id": job})
        if code != 0 and not re.search(self._gone, said or "?", re.MULTILINE):
            raise NoAnswerError(said or f"The command ended with {code}.")

    async def extend(self, user: str, job: str, seconds: int) -> None:
        """Set a job's time limit.

        Raises
        ------
        RefusedError
            If there is no command for it, or the scheduler refused.
        NoAnswerError
            If it is not known.
        """
        template = self.settings.batch_extend_cmd
        if template is None:
            raise RefusedError("The time of sessions cannot be changed at this place.")
        values = {"job_id": job, "seconds": str(seconds), "runtime": clock(seconds)}
        code, _, said = await self._run(self.spawner(user), template, values)
        if code != 0:
            raise NoAnswerError(said) if _NO_ANSWER.search(said) else RefusedError(said)

    async def listed(self, user: str) -> Mapping[str, str]:
        """A person's jobs: id by name.

        Raises
        ------
        NoAnswerError
            If there is no answer.
        """
        template = self.settings.batch_list_cmd or self.known.list_cmd
        if template is None:
            raise NoAnswerError(f"{self.settings.class_name} cannot list jobs.")
        code, out, said = await self._run(self.spawner(user), template, {})
        if code != 0:
            raise NoAnswerError(said)
        found = {match["name"]: match["id"] for match in self._list_re.finditer(out)}
        return {name: job for name, job in found.items() if _JOB_ID.fullmatch(job)}

    async def _run(
        self,
        made: Any,
        template: str,
        values: Mapping[str, str],
        script: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> tuple[int, str, str]:
        """Exit code, output and what it said of an error.

        Raises
        ------
        NoAnswerError
            If it does not end in time or cannot be run.
        """
        made.req_keepvars = ",".join(environment or ())
        known_values = {**made.get_req_subvars(), **values}
        words = [
            *shlex.split(format_template(made.exec_prefix, known_values)),
            *shlex.split(format_template(template, known_values)),
        ]
        async with self._slots:
            return await self._communicate(words, script, {**self._environment(), **(environment or {})})

    def _environment(self) -> dict[str, str]:
        return {"PATH": _PATH, "LANG": "C.UTF-8", **self.settings.environment}

    async def _communicate(
        self, words: list[str], script: str | None, environment: Mapping[str, str]
    ) -> tuple[int, str, str]:
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *words, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, start_new_session=True
            )
        except OSError as error:
            raise NoAnswerError(f"{words[0]} cannot be run: {error.strerror}") from error
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                out, err = await process.communicate(None if script is None else script.encode())
        except TimeoutError as error:
            raise NoAnswerError(f"No answer within {self.settings.timeout_s:g} s.") from error
        finally:
            if process.returncode is None:
                await _end(process)
        assert process.returncode is not None
        return process.returncode, out.decode(errors="replace").strip(), _plain(err.decode(errors="replace"))


def _host(said: str | None) -> str | None:
    """Name of a node; LSF writes ``4*node7``."""
    name = (said or "").rpartition("*")[2]
    return name if _HOST.fullmatch(name) else None


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill a command with what it started; sudo's may be another person's and is left alone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            await process.wait()


def format_template(template: str, values: Mapping[str, str]) -> str:
    """As batchspawner does it: jinja2 where there are its braces, else ``str.format``."""
    from batchspawner.batchspawner import format_template as format_

    return str(format_(template, **values))


def clock(seconds: int) -> str:
    """``hh:mm:ss``, as every scheduler reads it."""
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _load(name: str, class_name: str) -> Any:
    module, _, wanted = class_name.partition(":")
    try:
        from batchspawner import BatchSpawnerBase

        found = getattr(import_module(module), wanted)
    except (ImportError, AttributeError) as error:
        raise BatchspawnerError(
            f"{name}: {class_name} cannot be loaded ({error}). Install panhub[batchspawner], or correct it."
        ) from error
    if not (isinstance(found, type) and issubclass(found, BatchSpawnerBase)):
        raise BatchspawnerError(f"{name}: {class_name} is no class of batchspawner's kind.")
    return found


def _plain(text: str) -> str:
    line = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", text).split())
    return line if len(line) <= _MOST_TEXT else f"{line[: _MOST_TEXT - 1]}…"
