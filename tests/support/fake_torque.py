"""qsub, qstat and qdel that answer as Torque 6 does, from a folder; no job ever runs.

The texts are Torque's own: the XML of ``qstat -x``, ``Unknown Job Id Error`` with exit code 153 for a job
that the server has forgotten, and its words when the server is away.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

PROGRAM = """#!{python} -IS
import json, os, sys
from pathlib import Path

folder = Path({folder!r})
name = Path(sys.argv[0]).name
calls = folder / "calls"
with calls.open("a") as file:
    file.write(json.dumps({{"argv": [name, *sys.argv[1:]], "environment": dict(os.environ)}}) + "\\n")

fault = folder / f"{{name}}.fault"
if fault.exists():
    code, text = fault.read_text().split(" ", 1)
    if code == "hang":
        import time
        time.sleep(60)
    sys.stderr.write(text + "\\n")
    sys.exit(int(code))

XML = (
    "<Job><Job_Id>{{id}}</Job_Id><Job_Name>{{name}}</Job_Name><Job_Owner>maja@login1</Job_Owner>"
    "<job_state>{{state}}</job_state><queue>batch</queue><server>torque.example.org</server>"
    "<Checkpoint>u</Checkpoint><ctime>1562156185</ctime><Error_Path>login1:/home/maja/p.e1</Error_Path>"
    "{{host}}<Hold_Types>n</Hold_Types><Join_Path>oe</Join_Path><Keep_Files>n</Keep_Files>"
    "<mtime>1562156185</mtime><Priority>0</Priority><qtime>1562156185</qtime><Rerunable>False</Rerunable>"
    "<Resource_List><mem>8000mb</mem><nodes>1:ppn=8</nodes><nodect>1</nodect><walltime>01:00:00</walltime>"
    "</Resource_List><session_id>21782</session_id></Job>"
)

def xml(job):
    host = "<exec_host>node07/0-7</exec_host>" if job["state"] in "RE" else ""
    return XML.format(id=job["id"], name=job["name"], state=job["state"], host=host)

def jobs():
    return [json.loads(path.read_text()) for path in sorted(folder.glob("job.*"))]

def find(number):
    path = folder / f"job.{{number}}"
    if not path.exists():
        sys.stderr.write(f"{{name}}: Unknown Job Id Error {{number}}\\n")
        sys.exit(153)
    return path

if name == "qsub":
    script = sys.stdin.read()
    number = f"{{1000 + len(jobs())}}.torque.example.org"
    title = next(line.split()[-1] for line in script.splitlines() if line.startswith("#PBS -N"))
    job = {{"id": number, "name": title, "state": "Q", "script": script}}
    (folder / f"job.{{number}}").write_text(json.dumps(job))
    if (folder / "qsub.lost").exists():
        sys.stderr.write("qsub: End of File\\n")
        sys.exit(190)
    print(number)
elif name == "qstat":
    found = jobs() if len(sys.argv) == 2 else [json.loads(find(sys.argv[2]).read_text())]
    print("<Data>" + "".join(xml(job) for job in found) + "</Data>")
elif name == "qdel":
    path = find(sys.argv[1])
    job = json.loads(path.read_text())
    path.write_text(json.dumps({{**job, "state": "C"}}))
"""


class FakeTorque:
    """The programs in ``folder/bin``, and their jobs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        for name in ("qsub", "qstat", "qdel", "qalter"):
            path = self.bin / name
            path.write_text(PROGRAM.format(python=sys.executable, folder=str(folder)))
            path.chmod(0o755)

    def jobs(self) -> list[dict[str, str]]:
        """All jobs, by their number: id, name, state, script."""
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("job.*"))]

    def set_state(self, job: str, state: str) -> None:
        """Let a job be in one of Torque's states (Q, H, R, E, C)."""
        path = self.folder / f"job.{job}"
        path.write_text(json.dumps({**json.loads(path.read_text()), "state": state}))

    def forget(self, job: str) -> None:
        """Let the server forget a job, as some minutes after its end."""
        (self.folder / f"job.{job}").unlink()

    def fail(self, program: str, code: int | str, text: str) -> None:
        """Let a program end with a code and words; ``hang`` instead of a code lets it not end."""
        (self.folder / f"{program}.fault").write_text(f"{code} {text}")

    def heal(self, program: str) -> None:
        """Let it work again."""
        (self.folder / f"{program}.fault").unlink()

    def lose_answers(self) -> None:
        """Let qsub submit, and then lose the connection before it tells the number."""
        (self.folder / "qsub.lost").touch()

    def calls(self, program: str) -> list[dict[str, object]]:
        """What a program was called with: ``argv`` and ``environment``."""
        lines = (self.folder / "calls").read_text().splitlines() if (self.folder / "calls").exists() else []
        found = [json.loads(line) for line in lines]
        return [call for call in found if call["argv"][0] == program]
