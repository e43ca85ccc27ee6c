"""The whole way of two people on Slurm: one on CPUs, one on a GPU. `panhub smoke --slurm`.

Beside what the demo's own walk looks at: that raw data is read-only as the kernel sees it, that a
job submitted from inside runs and belongs to its session, that the GPU is there, and that the
charge is what Slurm's own accounting says.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

from hub.demo.run import Demo
from hub.demo.slurm.site import SlurmSite
from hub.demo.smoke import Plan, Report, Walk
from hub.demo.visitor import Visitor

WALKS = (
    Walk(
        "maja",
        "ds-ma5501-lab6-series",
        "ma5501/id22/*/PROCESSED_DATA/panhub/*_azint.nxs",
        {"profile": "lab", "place": "cpu"},
    ),
    Walk(
        "rui",
        "ds-hc4802-ceo2-series",
        "hc4802/id22/*/PROCESSED_DATA/panhub/*_azint.nxs",
        {"profile": "lab-gpu", "place": "gpu", "resources": {"cpus": 2, "memory_mib": 4096, "gpus": 1}},
    ),
)

_LOOK_AROUND = """
import errno, json, os, pathlib
data = pathlib.Path(os.environ.get("PANHUB_DATA", "/")) / "data/visitor"
raw = next(data.glob("*/*/*/RAW_DATA"))
try:
    (raw / "written").write_text("x")
    said = "written"
except OSError as error:
    said = errno.errorcode[error.errno]
print(json.dumps({
    "raw": said,
    "proposals": sorted(path.name for path in data.iterdir()),
    "uid": os.getuid(),
    "job": os.environ.get("SLURM_JOB_ID"),
    "gpus": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
    "secrets": sorted(name for name in os.environ if "SECRET" in name or name == "SLURM_JWT"),
}))
"""

_SUBMIT = """
import subprocess
command = ["sbatch", "--parsable", "--output=/dev/null", "--time=2", "--mem=100", "--wrap=sleep 20"]
print(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
"""

_JOB_SHOWN_WITHIN_S = 30.0


def slurm_plan(site: SlurmSite) -> Plan:
    """What `panhub smoke --slurm` walks."""

    async def charge(_demo: Demo, visitor: Visitor, launch: Mapping[str, Any], report: Report) -> None:
        await _charge_is_sacct(site, visitor, launch, report)

    return Plan(WALKS, site, running=(_see_inside, _submit_inside), ended=(charge,))


async def _see_inside(_demo: Demo, visitor: Visitor, launch: Mapping[str, Any], report: Report) -> None:
    who = visitor.username
    text = await report.step(who, "looks around in the session", visitor.run_code(launch, _LOOK_AROUND))
    seen = json.loads(text)
    report.check(who, "raw data is read-only", is_right=seen["raw"] in {"EROFS", "EACCES"}, found=seen["raw"])
    own = {entry["proposal"] for entry in launch["summary"]["data"]}
    report.check(
        who,
        "no other proposal is to be seen",
        is_right=set(seen["proposals"]) == own,
        found=", ".join(seen["proposals"]),
    )
    report.check(who, "it is a job of their own account", is_right=seen["uid"] >= 1000 and bool(seen["job"]))
    report.check(who, "no further secret in the environment", is_right=not seen["secrets"])
    if launch["summary"]["gpus"]:
        report.check(who, "the GPU is there", is_right=bool(seen["gpus"]), found=seen["gpus"])


async def _submit_inside(_demo: Demo, visitor: Visitor, launch: Mapping[str, Any], report: Report) -> None:
    who = visitor.username
    text = await report.step(who, "submits a job from inside", visitor.run_code(launch, _SUBMIT))
    job = text.strip()
    deadline = time.monotonic() + _JOB_SHOWN_WITHIN_S
    jobs: list[dict[str, Any]] = []
    while time.monotonic() < deadline and job not in {one["id"] for one in jobs}:
        reply = await visitor.api("GET", f"/launches/{launch['id']}/jobs")
        jobs = reply.json()["items"] if reply.status_code == 200 else []
        await asyncio.sleep(0.3)
    shown = {one["id"]: one["state"] for one in jobs}
    report.check(who, "the job appears on the session", is_right=job in shown, found=shown.get(job, shown))


async def _charge_is_sacct(
    site: SlurmSite, visitor: Visitor, launch: Mapping[str, Any], report: Report
) -> None:
    usage = launch["usage"] or {}
    rows = await asyncio.to_thread(
        site.cluster.run,
        "sacct", "--allusers", "--allocations", "--duplicates", "--noheader", "--parsable2",
        "--starttime=now-1hours", "--format=Comment,ElapsedRaw,AllocTRES",
    )  # fmt: skip
    wanted = f"panhub:{launch['id']}"
    found = [line.split("|") for line in rows.stdout.splitlines() if line.startswith(wanted)]
    elapsed = sum(int(row[1]) for row in found)
    tres = dict(part.split("=", 1) for part in found[-1][2].split(",")) if found else {}
    is_right = (
        bool(found)
        and usage.get("elapsed_seconds") == elapsed
        and usage.get("cpus") == int(tres.get("cpu", 0))
        and usage.get("gpus") == int(tres.get("gres/gpu", 0))
    )
    report.check(
        visitor.username,
        "the charge is what sacct says",
        is_right=is_right,
        found=f"{elapsed} s, {found[-1][2] if found else 'no record'}",
    )
