"""Say to an environment that the application lies in a folder: its metadata, its path, its command.

What an editable installation writes, without a build backend to fetch: names are those of the
entry points and core metadata specifications. Run as ``python application.py FOLDER``.
"""

from __future__ import annotations

import sys
import sysconfig
import tomllib
from pathlib import Path


def install(folder: Path, packages: Path, programs: Path) -> None:
    """Write metadata and path into ``packages``, commands into ``programs``."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    information = packages / f"{project['name']}-{project['version']}.dist-info"
    information.mkdir(exist_ok=True)
    requirements = "".join(f"Requires-Dist: {each}\n" for each in project["dependencies"])
    head = f"Metadata-Version: 2.4\nName: {project['name']}\nVersion: {project['version']}\n"
    (information / "METADATA").write_text(f"{head}Summary: {project['description']}\n{requirements}")
    (information / "INSTALLER").write_text("image\n")
    groups = {"console_scripts": project["scripts"], **project["entry-points"]}
    sections = []
    for group, entries in groups.items():
        lines = "".join(f"{name} = {target}\n" for name, target in entries.items())
        sections.append(f"[{group}]\n{lines}")
    (information / "entry_points.txt").write_text("\n".join(sections))
    (packages / f"{project['name']}.pth").write_text(f"{folder}\n")
    for name, target in project["scripts"].items():
        module, _, function = target.partition(":")
        program = programs / name
        program.write_text(
            f"#!{programs}/python\nimport sys\n\nfrom {module} import {function}\n\nsys.exit({function}())\n"
        )
        program.chmod(0o755)


if __name__ == "__main__":
    install(Path(sys.argv[1]), Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("scripts")))
