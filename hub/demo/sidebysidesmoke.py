"""The whole way of two people at once, one on Slurm and one in a pod: `panhub smoke --slurm --kubernetes`.

Beside what the walks of each side look at: that each place is paid by whom it names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hub.demo.kubernetes.site import PLACE
from hub.demo.kubernetes.smoke import kubernetes_plan
from hub.demo.run import Demo
from hub.demo.sidebyside import PAYER, SideBySideSite
from hub.demo.slurm.smoke import slurm_plan
from hub.demo.smoke import Look, Plan, Report
from hub.demo.visitor import Visitor

_PAYERS = {"cpu": ("proposal", "ma5501"), PLACE: ("facility", PAYER)}


def side_by_side_plan(site: SideBySideSite) -> Plan:
    """Maja on Slurm, Rui in a pod, with the looks of both sides."""
    slurm, pods = slurm_plan(site.slurm), kubernetes_plan(site.kubernetes)
    on_slurm, in_a_pod = slurm.walks[0], pods.walks[1]
    return Plan(
        (on_slurm, replace(in_a_pod, request={"profile": "lab", "place": PLACE})),
        site,
        running=(
            *(_at(site.place, look) for look in slurm.running),
            *(_at(PLACE, look) for look in pods.running),
        ),
        ended=(
            *(_at(site.place, look) for look in slurm.ended),
            *(_at(PLACE, look) for look in pods.ended),
            _payer,
        ),
    )


def _at(place: str, look: Look) -> Look:
    """The same look, at sessions of one place only."""

    async def wrapped(demo: Demo, visitor: Visitor, launch: Mapping[str, Any], report: Report) -> None:
        if launch["summary"]["place"]["id"] == place:
            await look(demo, visitor, launch, report)

    return wrapped


async def _payer(_demo: Demo, visitor: Visitor, launch: Mapping[str, Any], report: Report) -> None:
    payer, place = launch["summary"]["payer"], launch["summary"]["place"]
    report.check(
        visitor.username,
        f"{place['title']}: paid by whom the place names",
        is_right=(payer["id"], payer["title"]) == _PAYERS[place["id"]],
        found=f"{payer['id']} {payer['title']}",
    )
