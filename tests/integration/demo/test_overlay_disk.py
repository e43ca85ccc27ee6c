"""A machine whose disk is itself an overlay, as that of many containers, builds images too."""

from __future__ import annotations

import os
import subprocess
import sys

from hub.demo.kubernetes.archives import read_archive
from tests.support.required import require, require_program

_DISK = """
set -e
cd "$1"
mkdir lower memory disk
mount -t tmpfs tmpfs memory
mkdir memory/upper memory/work
mount -t overlay overlay -o lowerdir=lower,upperdir=memory/upper,workdir=memory/work disk
exec "$2" -c "$3" "$1"
"""

_BUILD = """
import shutil, sys
from pathlib import Path
from hub.demo.kubernetes.buildah import Build, Buildah
from hub.demo.kubernetes.machine import snapshotter_of
folder = Path(sys.argv[1])
disk, context = folder / "disk", folder / "context"
assert snapshotter_of(disk) == "native"
context.mkdir()
(context / "Containerfile").write_text("FROM scratch\\nCOPY file /file\\n")
(context / "file").write_text("x")
(context / "sources").touch()
builder = Buildah(disk / "store", disk / "uv")
builder.build(Build("localhost/one:1", context / "Containerfile", context, {}), context / "sources")
assert builder.tags() == ["localhost/one:1"]
builder.write("localhost/one:1", disk / "one.tar")
shutil.copy(disk / "one.tar", folder)
"""


def test_layers_are_copied_where_they_cannot_be_laid_over_each_other(tmp_path):
    require(os.geteuid() == 0, "root, to mount a disk")
    require_program("buildah", package="buildah")
    words = ["sh", "-c", _DISK, "disk", str(tmp_path), sys.executable, _BUILD]
    command = ["unshare", "--mount", "--propagation=private", *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert read_archive(tmp_path / "one.tar").name == "localhost/one:1"
