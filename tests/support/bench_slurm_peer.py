"""A plain JupyterHub with batchspawner's SlurmSpawner on the same cluster, as the peer of benchmarks."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import batchspawner
import httpx

from tests.support.bench_slurm_site import PERSON, BenchSite
from tests.support.bench_stock import StockHub, stock_hub

_CONFIG = Path(__file__).with_name("bench_slurm_config.py")
_LOGS = "jupyterhub_slurmspawner_*.log"

_SINGLEUSER = """#!{python}
from batchspawner.singleuser import main
main()
"""
"""What pip makes of batchspawner's entry point."""


@contextmanager
def batchspawner_hub(site: BenchSite, *, is_stubbed: bool = False) -> Iterator[StockHub]:
    """Run it, with a proxy of its own; with stand-ins for sessions if wanted."""
    folder = site.state / "peer"
    programs = _install(folder, site.prefix)
    environment = {
        "SLURM_CONF": str(site.cluster.conf),
        "BENCH_PROGRAMS": f"{programs}:{site.prefix / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        "BENCH_PACKAGES": str(folder / "lib"),
        "BENCH_STUB": str(site.stub / "node.py") if is_stubbed else "",
    }
    home = site.cluster.people.home(PERSON)
    before = set(home.glob(_LOGS))
    try:
        with stock_hub(folder, spawner="local", config=_CONFIG, environment=environment) as hub:
            reply = httpx.post(f"{hub.api_url}/users/{PERSON}", headers=hub.headers)
            reply.raise_for_status()
            yield hub
    except Exception:
        print((folder / "hub.log").read_text(errors="replace")[-3000:])
        raise
    finally:
        for log in set(home.glob(_LOGS)) - before:
            log.unlink()


def _install(folder: Path, prefix: Path) -> Path:
    """Put batchspawner beside the sessions' environment; returns the folder of its programs."""
    package, programs = folder / "lib/batchspawner", folder / "bin"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(batchspawner.__file__).parent, package, ignore=ignored)
    programs.mkdir()
    program = programs / "batchspawner-singleuser"
    program.write_text(_SINGLEUSER.format(python=prefix / "bin/python"), encoding="ascii")
    # People cannot write byte code there.
    subprocess.run([prefix / "bin/python", "-m", "compileall", "-q", package], check=True)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path == program else 0o644)
    return programs
