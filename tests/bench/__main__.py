"""Runs the benchmarks: ``python -m tests.bench [name…]``, or ``ONLY=<name>`` for one.

Every module of this folder that has ``NAME`` and ``run`` is one. Ends with 1 if a goal was missed
or a benchmark could not run.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path
from types import ModuleType

from tests.bench.harness import save, table


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all."""
    wanted = set(names) or {name for name in [os.environ.get("ONLY", "")] if name}
    found = {module.NAME: module for module in _modules()}
    if unknown := wanted - found.keys():
        print(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(sorted(found))}")
        return 2
    return max([_run(found[name]) for name in sorted(wanted or found)], default=0)


def _modules() -> list[ModuleType]:
    names = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py") if path.stem != "harness")
    modules = [import_module(f"tests.bench.{name}") for name in names]
    return [module for module in modules if hasattr(module, "NAME") and hasattr(module, "run")]


def _run(bench: ModuleType) -> int:
    began = time.perf_counter()
    try:
        rows = bench.run()
    except Exception:
        # One that cannot run must not hide the others.
        traceback.print_exc()
        print(f"\n{bench.NAME}: failed\n")
        return 1
    path = save(bench.NAME, rows)
    print(f"\n{bench.NAME}: {time.perf_counter() - began:.0f} s, {path}\n\n{table(rows)}\n", flush=True)
    return int(any(row.met is False for row in rows))


if __name__ == "__main__":
    sys.exit(main([name for name in sys.argv[1:] if name]))
