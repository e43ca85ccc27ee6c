"""The gateway without the application around it: ``python -m spawners.slurm.gateway --config FILE``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from spawners.slurm.gateway.server import run_gateway
from spawners.slurm.gateway.settings import GatewayConfigError, load_gateway_settings


def main() -> int:
    """Serve until told to stop; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m spawners.slurm.gateway")
    parser.add_argument("--config", type=Path, required=True, help="configuration file of the gateway")
    try:
        run_gateway(load_gateway_settings(parser.parse_args().config))
    except GatewayConfigError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
