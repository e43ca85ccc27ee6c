"""Runs the benchmarks: ``python -m tests.bench [name…]``, or ``ONLY=<name>`` for one.

Every module of this folder that has ``NAME`` (that of its file, with ``-`` for ``_``) and ``run`` is one.
Ends with 1 if a goal was missed or a benchmark could not run.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path

from tests.bench.harness import save, table


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all."""
    wanted = set(names) or {name for name in [os.environ.get("ONLY", "")] if name}
    there = {path.stem.replace("_", "-") for path in Path(__file__).parent.glob("[a-z]*.py")} - {"harness"}
    if unknown := wanted - there:
        print(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(sorted(there))}")
        return 2
    return max([_run(name) for name in sorted(wanted or there)], default=0)


def _end(*_: object) -> None:
    """Stop as after Ctrl+C, so that what was started ends too; asked again, go on with that."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + signal.SIGTERM)


def _run(name: str) -> int:
    began = time.perf_counter()
    try:
        bench = import_module(f"tests.bench.{name.replace('-', '_')}")
        rows = bench.run() if hasattr(bench, "NAME") else None
    except Exception:
        # One that cannot run must not hide the others.
        traceback.print_exc()
        print(f"\n{name}: failed\n", flush=True)
        return 1
    if rows is None:
        return 0  # a helper of benchmarks
    path = save(bench.NAME, rows)
    print(f"\n{name}: {time.perf_counter() - began:.0f} s, {path}\n\n{table(rows)}\n", flush=True)
    return int(any(row.met is False for row in rows))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(main([name for name in sys.argv[1:] if name]))
