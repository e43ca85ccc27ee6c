"""From what was decided to what people read of it before the click: fills `Summary`."""

from __future__ import annotations

from collections.abc import Sequence

from hub.access.service import AccessResult
from hub.launch.models import LaunchRequest
from hub.launch.notebooks import PlannedTemplate
from hub.launch.placement import Placement
from hub.launch.summary import (
    DataSummary,
    HoldSummary,
    MountSummary,
    Named,
    SchedulingSummary,
    Summary,
    payer_named,
)
from profiles.choose import Choice, OfferedPlace
from quota.models import AccountRef, Enforcement, Preview
from spawners.backend import Forecast
from spawners.plan import Interface, LaunchPlan

_INTERFACES = {Interface.LAB: "JupyterLab", Interface.DESKTOP: "Desktop"}


def summary_of(
    request: LaunchRequest,
    granted: AccessResult,
    choice: Choice,
    plan: LaunchPlan,
    placement: Placement,
    template: PlannedTemplate | None,
    payer: AccountRef,
    previews: Sequence[Preview],
) -> Summary:
    """The summary of a launch as it was planned."""
    forecast = placement.forecast or Forecast(None)
    return Summary(
        interface=Named(id=choice.interface.value, title=_INTERFACES[choice.interface]),
        profile=Named(id=choice.profile, title=choice.profile_title),
        environment=Named(id=plan.environment.id, title=plan.environment.title),
        place=_named(placement.place),
        place_note=placement.note,
        is_soonest=choice.is_soonest,
        instead_of=_named(placement.instead_of) if placement.instead_of else None,
        size=Named(id=choice.size.id, title=choice.size.title),
        cpus=choice.size.cpus,
        memory_mib=choice.size.memory_mib,
        gpus=choice.size.gpus,
        gpu_type=choice.size.gpu_type,
        expected_start=forecast.starts_at,
        expected_start_basis=forecast.basis,
        scheduling=SchedulingSummary(
            account=plan.scheduling.account,
            qos=plan.scheduling.qos,
            reservation=plan.scheduling.reservation,
        ),
        alternatives=placement.alternatives,
        walltime_s=int(choice.walltime.total_seconds()),
        max_walltime_s=int(choice.walltime_max.total_seconds()),
        template=template.summary if template else None,
        data=_data(request, granted),
        mounts=tuple(
            MountSummary(path=str(m.target), mode=m.mode.value, reason=m.reason) for m in plan.mounts
        ),
        holds=tuple(_hold(preview) for preview in previews),
        payer=payer_named(payer),
        workdir=str(plan.workdir),
    )


def _named(place: OfferedPlace) -> Named:
    return Named(id=place.id, title=place.title)


def _hold(preview: Preview) -> HoldSummary:
    meter = preview.meter
    return HoldSummary(
        account_kind=meter.account.kind.value,
        account=meter.account.key,
        resource=meter.resource.value,
        amount=preview.asked,
        limit=meter.limit,
        used=meter.used,
        held=meter.held,
        left=meter.left,
        resets_at=meter.resets_at,
        is_enforced=meter.enforcement is Enforcement.ENFORCED,
    )


def _data(request: LaunchRequest, granted: AccessResult) -> tuple[DataSummary, ...]:
    named = tuple(
        DataSummary(
            ref=one.dataset.pid,
            title=one.dataset.name,
            proposal=one.investigation.proposal,
            investigation=one.investigation.id,
            instrument=one.investigation.instrument,
            path=str(one.target),
            reason=one.decision.reasons_text,
            is_open=one.decision.is_open,
        )
        for one in granted.datasets
    )
    with_sets = {one.investigation.id for one in granted.datasets}
    whole = tuple(
        DataSummary(
            ref=investigation.id,
            title=investigation.title,
            proposal=investigation.proposal,
            investigation=investigation.id,
            instrument=investigation.instrument,
            path=str(investigation.root),
            reason=decision.reasons_text,
            is_open=decision.is_open,
        )
        for investigation, decision in zip(granted.investigations, granted.decisions, strict=True)
        if investigation.id not in with_sets
    )
    return named + whole
