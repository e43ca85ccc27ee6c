"""The command ``panhub``: run a demo, serve a site, look after it.

Each command imports what it needs when it runs, so that ``panhub version`` answers at once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0 all right, 1 not, 2 wrong usage."""
    options = parser().parse_args(arguments)
    command: Command = options.command
    return command(options)


def parser() -> argparse.ArgumentParser:
    """The command line with all its commands."""
    top = argparse.ArgumentParser(
        prog="panhub", description="Notebooks beside the data of photon and neutron facilities."
    )
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_demo(commands)
    _add_smoke(commands)
    serve = _add(commands, "serve", _serve, "run the service: pages, spawn API and engine")
    _add_config(serve)
    desktop = _add(commands, "desktop", _desktop, "run the tunnel of desktops: browsers, guacd and sessions")
    _add_config(desktop)
    check = _add(commands, "check", _check, "look at configuration and surroundings, say what to mend")
    _add_config(check)
    check.add_argument("--json", action="store_true", help="answer in JSON")
    check.add_argument(
        "--as",
        dest="person",
        metavar="USER",
        help="look at Slurm's nodes too, by a small job of this person in each partition",
    )
    database = _add(commands, "database", _database, "look after the service's database")
    database.add_argument("action", choices=["upgrade"], help="upgrade: bring its tables up to date")
    _add_config(database)
    _add_import(commands)
    _add_image(commands)
    gateway = _add(commands, "token-gateway", _token_gateway, "mint short Slurm tokens over a unix socket")
    gateway.add_argument("--config", type=Path, required=True, help="configuration file of the gateway")
    _add(commands, "version", _version, "print the version")
    return top


def _add(commands: Any, name: str, command: Command, help_text: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(name, help=help_text, description=f"{help_text}.")
    made.set_defaults(command=command)
    return made


def _add_config(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--config", type=Path, help="configuration file; by default the one that PANHUB_CONFIG names"
    )


def _add_demo(commands: Any) -> None:
    demo = _add(commands, "demo", _demo, "run everything on this machine, with demo data and people")
    demo.add_argument("--port", type=_port, help="port for browsers (default 8000)")
    demo.add_argument(
        "--ports", choices=["default", "free"], default="default", help="free: take any that are free"
    )
    demo.add_argument(
        "--state", type=Path, help="folder of the demo (default build/demo, with --slurm in /var/lib)"
    )
    demo.add_argument(
        "--slurm", action="store_true", help="run sessions on a Slurm of its own (Debian, root)"
    )
    demo.add_argument(
        "--kubernetes",
        action="store_true",
        help="run sessions in pods of a Kubernetes of its own (Debian, root; after make kubernetes); with "
        "--slurm: on both, side by side",
    )
    demo.add_argument("--logs", action="store_true", help="print the logs of all processes")


def _add_smoke(commands: Any) -> None:
    smoke = _add(commands, "smoke", _smoke, "go the demo's whole way without a browser, on free ports")
    smoke.add_argument(
        "--state", type=Path, help="folder of the run (default build/smoke, with --slurm in /var/lib)"
    )
    smoke.add_argument("--slurm", action="store_true", help="on a Slurm of its own (Debian, root)")
    smoke.add_argument(
        "--kubernetes",
        action="store_true",
        help="on a Kubernetes of its own (Debian, root); with --slurm: on both, side by side",
    )
    smoke.add_argument(
        "--desktop", action="store_true", help="the way of a desktop instead: typing, guests, outsiders"
    )


def _add_import(commands: Any) -> None:
    made = _add(
        commands,
        "import-profiles",
        _import_profiles,
        "make profiles and settings of Kubernetes from zero-to-jupyterhub's values or a profile_list",
    )
    made.add_argument("source", type=Path, metavar="FILE", help="values.yaml, or a profile_list in YAML")
    made.add_argument("output", type=Path, metavar="FOLDER", help="where the files are written")
    made.add_argument("--cluster", default="kubernetes", help="name of the cluster (default kubernetes)")
    made.add_argument(
        "--digest",
        action="append",
        default=[],
        metavar="IMAGE=sha256:…",
        help="digest of an image that the file names by tag; may be repeated",
    )
    made.add_argument(
        "--prefix", default="/opt/conda", help="where the software lies in the images (default /opt/conda)"
    )
    made.add_argument("--walltime", default="4 h", help="wall time when nothing is asked (default 4 h)")
    made.add_argument("--max-walltime", help="longest wall time (default: cull.maxAge of the values, or 1 d)")


def _add_image(commands: Any) -> None:
    made = _add(commands, "image", _image, "make an image's build folder of a repository with a lock")
    made.add_argument("repository", type=Path, metavar="REPOSITORY", help="folder with the lock")
    made.add_argument("output", type=Path, metavar="FOLDER", help="new folder that is then built")
    made.add_argument("--name", help="name of the environment (default: that of the repository's folder)")
    made.add_argument("--title", help="name that people read (default: the name)")
    made.add_argument("--container", metavar="IMAGE@sha256:…", help="the image when it is pushed")


def _port(text: str) -> int:
    if not text.isdecimal() or not 1024 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 1024 to 65535")
    return int(text)


def _demo(options: argparse.Namespace) -> int:
    from hub.demo.configure import choose_ports, free_ports
    from hub.demo.run import run_demo
    from hub.demo.supervisor import SupervisorError

    if options.ports == "free":
        ports, note = free_ports(public=options.port), ""
    else:
        ports, note = choose_ports(options.port)
    if note:
        print(note)
    try:
        state = _state(options, "demo")
        asyncio.run(run_demo(state, ports, with_logs=options.logs, site=_site(options, state)))
    except SupervisorError as error:
        return _fail(str(error))
    return 0


def _smoke(options: argparse.Namespace) -> int:
    from hub.demo.smoke import run_smoke

    if options.desktop:
        return _smoke_desktop(options)
    state = _state(options, "smoke")
    if options.slurm and options.kubernetes:
        from hub.demo.sidebyside import SideBySideSite
        from hub.demo.sidebysidesmoke import side_by_side_plan

        return run_smoke(state, side_by_side_plan(SideBySideSite(state)))
    if options.kubernetes:
        from hub.demo.kubernetes.site import KubernetesSite
        from hub.demo.kubernetes.smoke import kubernetes_plan

        return run_smoke(state, kubernetes_plan(KubernetesSite(state)))
    if options.slurm:
        from hub.demo.slurm.site import SlurmSite
        from hub.demo.slurm.smoke import slurm_plan

        return run_smoke(state, slurm_plan(SlurmSite(state)))
    return run_smoke(state)


def _smoke_desktop(options: argparse.Namespace) -> int:
    from hub.demo.desktopsmoke import run_desktop_smoke

    state = _state(options, "smoke-desktop")
    return run_desktop_smoke(state, _site(options, state))


def _state(options: argparse.Namespace, name: str) -> Path:
    """Folder of a demo. On Slurm other people's jobs read parts of it, so it lies where they may pass."""
    base = Path("/var/lib/panhub-demo") if options.slurm else Path("build")
    # What belongs to whom in it is not the same for sessions in pods.
    path: Path = options.state or base / (f"{name}-kubernetes" if options.kubernetes else name)
    return path.absolute()


def _site(options: argparse.Namespace, state: Path) -> Any:
    if options.slurm and options.kubernetes:
        from hub.demo.sidebyside import SideBySideSite

        return SideBySideSite(state)
    if options.kubernetes:
        from hub.demo.kubernetes.site import KubernetesSite

        return KubernetesSite(state)
    if options.slurm:
        from hub.demo.slurm.apptainer import apptainer_prefix
        from hub.demo.slurm.site import SlurmSite

        return SlurmSite(state, has_image=apptainer_prefix() is not None)
    return None


def _serve(options: argparse.Namespace) -> int:
    from hub.service import run_service
    from hub.settings import ConfigError, load_settings

    try:
        run_service(load_settings(_config(options)))
    except ConfigError as error:
        return _fail(str(error))
    return 0


def _desktop(options: argparse.Namespace) -> int:
    from hub.desktop.service import run_desktop
    from hub.settings import ConfigError, load_settings

    try:
        run_desktop(load_settings(_config(options)))
    except ConfigError as error:
        return _fail(str(error))
    return 0


def _check(options: argparse.Namespace) -> int:
    from hub.check import run_checks, to_json, to_text
    from hub.settings import ConfigError

    try:
        findings = asyncio.run(run_checks(_config(options), options.person))
    except ConfigError as error:
        return _fail(str(error))
    print(to_json(findings) if options.json else to_text(findings))
    return 0 if all(finding.is_fine for finding in findings) else 1


def _database(options: argparse.Namespace) -> int:
    from hub.migrate import upgrade
    from hub.settings import ConfigError, load_settings

    os.umask(0o077)  # a database file that is made here is for its owner only
    try:
        upgrade(load_settings(_config(options)).database.url)
    except ConfigError as error:
        return _fail(str(error))
    print("The database is up to date.")
    return 0


def _import_profiles(options: argparse.Namespace) -> int:
    from profiles.base import parse_duration
    from profiles.importer.command import NotImportedError, import_profiles, read_digests
    from profiles.importer.convert import Wishes

    try:
        longest = None if options.max_walltime is None else parse_duration(options.max_walltime)
        wishes = Wishes(
            cluster=options.cluster,
            default=parse_duration(options.walltime),
            longest=longest,
            digests=read_digests(options.digest),
            prefix=options.prefix,
        )
        made, faults = import_profiles(options.source, options.output, wishes)
    except (NotImportedError, ValueError) as error:
        return _fail(str(error))
    for note in made.notes:
        print(note)
    for fault in faults:
        print(f"To mend: {fault}")
    return 1 if faults else 0


def _image(options: argparse.Namespace) -> int:
    from hub.repository.command import run

    return run(
        options.repository,
        options.output,
        name=options.name,
        title=options.title,
        container=options.container,
    )


def _token_gateway(options: argparse.Namespace) -> int:
    from spawners.slurm.gateway.server import run_gateway
    from spawners.slurm.gateway.settings import GatewayConfigError, load_gateway_settings

    try:
        run_gateway(load_gateway_settings(options.config))
    except GatewayConfigError as error:
        return _fail(str(error))
    return 0


def _version(_options: argparse.Namespace) -> int:
    print(version("panhub"))
    return 0


def _config(options: argparse.Namespace) -> Path:
    """Configuration file of the command line or the environment; children of ours read the latter."""
    from hub.settings import settings_path

    if options.config is not None:
        os.environ["PANHUB_CONFIG"] = str(options.config)
    return settings_path()


def _fail(text: str) -> int:
    print(text, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
