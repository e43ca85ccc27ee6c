"""What a place of batchspawner takes: only what its settings say, as its scheduler is not asked."""

from __future__ import annotations

from datetime import timedelta

from spawners.backend import NotAdmittedError, PlaceOffer
from spawners.batchspawner.known import Known
from spawners.batchspawner.settings import BatchSystemSettings
from spawners.plan import LaunchPlan
from spawners.slurm.words import one_of, size, span


def offer(settings: BatchSystemSettings) -> PlaceOffer:
    """The same for everybody."""
    return PlaceOffer(
        max_cpus=settings.max_cpus,
        max_memory_mib=settings.max_memory_mib,
        max_gpus=settings.max_gpus,
        max_walltime=_longest(settings),
        accounts=settings.accounts,
        qos=settings.qos,
    )


def check(settings: BatchSystemSettings, known: Known, plan: LaunchPlan) -> None:
    """Refuse what is over a limit or not in the settings.

    Raises
    ------
    NotAdmittedError
        With the limit, what was asked, and the next step.
    """
    wanted = plan.size
    for asked, most, words, what in (
        (wanted.cpus, settings.max_cpus, str, "CPUs"),
        (wanted.memory_mib, settings.max_memory_mib, size, "of memory"),
        (wanted.gpus, settings.max_gpus, str, "GPUs"),
    ):
        if most is not None and asked > most:
            raise _over(f"{words(most)} {what}", f"{words(asked)}")
    longest = _longest(settings)
    if longest is not None and plan.walltime > longest:
        raise _over(span(longest), span(plan.walltime))
    if wanted.gpus and wanted.gpu_type and not known.has_gpu_types:
        raise NotAdmittedError(
            "place_limit", "This place does not tell types of GPUs apart.", "Choose any type of GPU."
        )
    _check_names(settings, plan)


def _longest(settings: BatchSystemSettings) -> timedelta | None:
    return timedelta(seconds=settings.max_walltime_s) if settings.max_walltime_s is not None else None


def _check_names(settings: BatchSystemSettings, plan: LaunchPlan) -> None:
    named = plan.scheduling
    for code, what, name, allowed in (
        ("account_unknown", "account", named.account, settings.accounts),
        ("qos_unknown", "QOS", named.qos, settings.qos),
        ("reservation_unknown", "reservation", named.reservation, ()),
    ):
        if name is not None and name not in allowed:
            leave = f"leave the {what} out."
            raise NotAdmittedError(
                code,
                f"There is no {what} {name} that may be named at this place.",
                f"Choose {one_of(allowed)}, or {leave}" if allowed else leave.capitalize(),
            )


def _over(most: str, asked: str) -> NotAdmittedError:
    return NotAdmittedError(
        "place_limit",
        f"This place allows at most {most}; asked were {asked}.",
        f"Choose at most {most}, or another place.",
    )
