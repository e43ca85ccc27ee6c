"""A Slurm cluster by slurmrestd."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from spawners.slurm import parse
from spawners.slurm.decode import Decoder
from spawners.slurm.models import (
    AccountedJob,
    Association,
    Job,
    JobSpec,
    Node,
    Partition,
    Qos,
    Reservation,
    marked,
)
from spawners.slurm.refusals import is_no_answer
from spawners.slurm.rest.adapters import ADAPTERS, Adapter
from spawners.slurm.rest.client import Answer, RestClient, refused
from spawners.slurm.rest.wire import failures, numbers
from spawners.slurm.settings import RestSettings
from spawners.slurm.transport import SlurmError, SlurmUnavailableError, Tokens

T = TypeVar("T")

_OVER = frozenset({2017, 2021, 2084})
"""ESLURM_INVALID_JOB_ID, ESLURM_ALREADY_DONE, ESLURM_JOB_FINISHED."""

_NOT_SAID = frozenset({-1, 1007, 5005, 7000})
"""Errors of the way to the daemons: it is not known what became of the request."""

_NO_TOKEN = frozenset({401, 403, 511})
"""Statuses of an answer to a token that is not accepted."""

_MOST_IDS = 200
"""Job ids in one address."""


class RestTransport:
    """`spawners.slurm.transport.Transport` by slurmrestd."""

    def __init__(self, settings: RestSettings, service_account: str, tokens: Tokens) -> None:
        self._user = service_account
        self._tokens = tokens
        self._client = RestClient(settings.url, tokens, settings.timeout_s)
        self._decoder = Decoder()
        self._fixed: Adapter | None = None if settings.version == "auto" else ADAPTERS[settings.version]
        self._adapter = self._fixed
        self._negotiating = asyncio.Lock()
        self._cluster: str | None = None

    async def submit(self, spec: JobSpec) -> int:
        """``POST job/submit`` with the person's token."""
        adapter = await self._version()
        await self._prove(adapter, spec.user)
        path = f"/slurm/{adapter.version}/job/submit"
        answer = await self._client.change("POST", path, spec.user, adapter.submission(spec))
        _check(answer)
        job_id = answer.envelope().get("job_id")
        if not isinstance(job_id, int) or job_id <= 0:
            raise SlurmUnavailableError("slurmrestd answered a submission without a job id.")
        return job_id

    async def cancel(self, job_id: int, *, user: str) -> None:
        """``DELETE`` with the person's token."""
        adapter = await self._version()
        await self._prove(adapter, user)
        path, body = adapter.cancellation(job_id)
        answer = await self._client.change("DELETE", f"/slurm/{adapter.version}/{path}", user, body)
        if answer.status not in _NO_TOKEN and numbers(failures(answer.envelope())) & _OVER:
            return
        _check(answer)

    async def set_time_limit(self, job_id: int, limit: timedelta) -> None:
        """``POST job/{id}`` with the service account's token."""
        adapter = await self._version()
        await self._prove(adapter, self._user)
        body = adapter.time_limit(parse.whole_minutes(limit))
        _check(await self._client.change("POST", f"/slurm/{adapter.version}/job/{job_id}", self._user, body))

    async def jobs(self) -> tuple[Job, ...]:
        """``GET jobs/``."""
        return await self._ask("slurm", "jobs/", lambda adapter: adapter.jobs)

    async def nodes(self) -> tuple[Node, ...]:
        """``GET nodes/``."""
        return await self._ask("slurm", "nodes/", lambda adapter: adapter.nodes)

    async def partitions(self) -> tuple[Partition, ...]:
        """``GET partitions/``."""
        return await self._ask("slurm", "partitions/", lambda adapter: adapter.partitions)

    async def reservations(self) -> tuple[Reservation, ...]:
        """``GET reservations/``."""
        found = await self._ask("slurm", "reservations/", lambda adapter: adapter.reservations)
        return tuple(reservation for reservation in found if reservation.ends_at > datetime.now(UTC))

    async def associations(self) -> tuple[Association, ...]:
        """``GET associations/``."""
        cluster = await self._cluster_name()
        return await self._ask(
            "slurmdb", "associations/", lambda adapter: partial(adapter.associations, cluster=cluster)
        )

    async def qos(self) -> tuple[Qos, ...]:
        """``GET qos/``."""
        return await self._ask("slurmdb", "qos/", lambda adapter: adapter.qos)

    async def accounted(self, job_ids: Collection[int]) -> tuple[AccountedJob, ...]:
        """``GET jobs/`` of slurmdbd."""
        ids = sorted(set(job_ids))
        found: list[AccountedJob] = []
        for at in range(0, len(ids), _MOST_IDS):
            query = (await self._version()).accounted_query(ids[at : at + _MOST_IDS])
            found += await self._ask("slurmdb", "jobs/", lambda adapter: adapter.accounted, query)
        return tuple(job for job in found if job.id in set(ids))

    async def accounted_since(self, since: datetime) -> tuple[AccountedJob, ...]:
        """``GET jobs/`` of slurmdbd; a comment is there when its job has ended (``AccountingStoreFlags``)."""
        query = (await self._version()).accounted_since_query(int(since.timestamp()))
        found = await self._ask("slurmdb", "jobs/", lambda adapter: adapter.accounted, query)
        return tuple(job for job in found if marked(job.comment))

    async def expected_start(self, spec: JobSpec) -> datetime | None:
        """None: none of the versions has a test of a job that is not submitted."""
        return None

    async def ping(self) -> None:
        """``GET ping/``."""
        await self._ping(await self._version(), self._user)

    async def aclose(self) -> None:
        """Close connections and end the spare process."""
        self._client.close()
        await self._decoder.aclose()

    async def _prove(self, adapter: Adapter, user: str) -> None:
        """Try the token before a change, where a bad one looks like a connection that broke after it.

        Such a change may not be sent again, and the token would never be found out.
        """
        if not adapter.answers_name_authentication:
            await self._ping(adapter, user)

    async def _ping(self, adapter: Adapter, user: str) -> None:
        answer = await self._client.get(_path("slurm", adapter, "ping/"), user)
        if not answer.is_ok:
            raise SlurmUnavailableError(refused(answer))
        if not await self._decoder.decode(adapter.is_up, answer.body):
            raise SlurmUnavailableError("slurmctld does not answer.")

    async def _ask(
        self,
        part: str,
        what: str,
        decode: Callable[[Adapter], Callable[[bytes], T]],
        query: Sequence[tuple[str, str]] = (),
    ) -> T:
        adapter = await self._version()
        answer = await self._client.get(_path(part, adapter, what), self._user, query)
        if answer.status in _NO_TOKEN:
            raise SlurmUnavailableError("Slurm did not accept the token of the service.")
        if answer.status == 404 and not answer.body.lstrip().startswith(b"{"):
            # slurmrestd is another one now: look again what it speaks.
            self._adapter = self._fixed
            raise SlurmUnavailableError(f"slurmrestd does not know {adapter.version} any more.")
        return await self._decoder.decode(decode(adapter), answer.body)

    async def _version(self) -> Adapter:
        if self._adapter is not None:
            return self._adapter
        async with self._negotiating:
            if self._adapter is None:
                for adapter in ADAPTERS.values():
                    answer = await self._client.get(_path("slurm", adapter, "ping/"), self._user)
                    if answer.status in (401, 403):
                        raise SlurmUnavailableError("slurmrestd did not accept the token of the service.")
                    # Without the version the answer is 404; with it, whatever slurmctld's state is.
                    if answer.status != 404 and answer.body.lstrip().startswith(b"{"):
                        self._adapter = adapter
                        break
                else:
                    raise SlurmUnavailableError(f"slurmrestd speaks none of {', '.join(ADAPTERS)}.")
        return self._adapter

    async def _cluster_name(self) -> str:
        if self._cluster is None:
            names = await self._ask("slurmdb", "clusters/", lambda adapter: adapter.clusters)
            if len(names) != 1:
                raise SlurmUnavailableError(f"slurmdbd has {len(names)} clusters; which one is not known.")
            self._cluster = names[0]
        return self._cluster


def _path(part: str, adapter: Adapter, what: str) -> str:
    return f"/{part}/{adapter.version}/{what}"


def _check(answer: Answer) -> None:
    """Return if a change was made.

    Raises
    ------
    SlurmError
        If Slurm refused it.
    SlurmUnavailableError
        If it is not known what became of it.
    """
    if answer.status in _NO_TOKEN:
        raise SlurmUnavailableError("Slurm did not accept the token.")
    envelope = answer.envelope()
    found = failures(envelope)
    if answer.is_ok and not found:
        return
    text = refused(answer)
    if not found or (numbers(found) & _NOT_SAID and answer.status != 400) or is_no_answer(text):
        raise SlurmUnavailableError(text)
    raise SlurmError(text)
