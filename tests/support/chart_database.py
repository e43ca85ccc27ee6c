"""The database of the chart's test: an image in the manner of PostgreSQL's official one, and its books."""

from __future__ import annotations

import hashlib
import shlex
import shutil
import tempfile
import time
from pathlib import Path

from hub.demo.install import ROOT
from hub.demo.kubernetes.cluster import Cluster
from hub.demo.kubernetes.images import build_above, environment_key
from hub.demo.locks import locked
from hub.demo.slurm.release import cache_folder
from tests.support.kubernetes import output, own_namespace

DATABASE_USER = 64030
"""Uid and gid of the database, which its image does not know."""

_FOLDER = Path(__file__).parent / "postgresql_image"
_KEPT_S = 7 * 86400.0


def postgresql_image() -> Path:
    """Archive of the image, in the cache. Blocking: most of a minute the first time."""
    folder = cache_folder() / "images/tests"
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"postgresql-{_key()}.tar"
    with locked(folder, "postgresql"), tempfile.TemporaryDirectory() as name:
        if not archive.exists():
            context = Path(name)
            shutil.copytree(_FOLDER, context, dirs_exist_ok=True)
            shutil.copytree(ROOT / "images/tools", context / "tools")
            build_above("base", context, "localhost/panhub-tests/postgresql:1", archive)
        archive.touch()
        for old in folder.glob("postgresql-*.tar"):
            if time.time() - old.stat().st_mtime > _KEPT_S:
                old.unlink()
    return archive


def _key() -> str:
    """Hash of what the image is made of."""
    digest = hashlib.sha256(environment_key("base").encode())
    for path in sorted(_FOLDER.iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def left_books(cluster: Cluster, image: str, folder: Path, query: str) -> list[tuple[str, ...]]:
    """Rows of the service's database in a folder that no server works on any more, in text."""
    options = "-c listen_addresses='' -k /tmp"
    script = (
        f'pg_ctl -s -D /books/pgdata -o "{options}" -w -l /tmp/log start || cat /tmp/log\n'
        f"psql -XAtq -h /tmp -U postgres -d panhub -c {shlex.quote(query)}"
    )
    with own_namespace(cluster) as namespace:
        said = output(
            cluster,
            namespace,
            "books",
            image,
            script,
            container={
                "securityContext": {"runAsUser": DATABASE_USER, "runAsGroup": DATABASE_USER},
                "volumeMounts": [{"name": "books", "mountPath": "/books"}],
            },
            volumes=[{"name": "books", "hostPath": {"path": str(folder), "type": "Directory"}}],
        )
    return rows(said)


def rows(printed: str) -> list[tuple[str, ...]]:
    """What ``psql -At`` has printed."""
    return [tuple(line.split("|")) for line in printed.splitlines()]
