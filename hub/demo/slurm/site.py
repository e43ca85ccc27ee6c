"""A demo site whose sessions run on a Slurm of its own: what `panhub demo --slurm` adds to the demo.

The cluster, accounts for the demo's people, their rights on the data, the code that nodes need, the
token gateway under its own account, and the sections of the configuration. Needs root.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from hub.demo.install import ROOT
from hub.demo.slurm.cluster import SlurmCluster
from hub.demo.slurm.data import share_data
from hub.demo.slurm.environment import DESKTOP_LOCK, LOCK, SessionEnvironment, prepare_environment
from hub.demo.slurm.image import PREFIX, NodeImage, prepare_image
from hub.demo.slurm.people import GATEWAY_USER, SERVICE_ACCOUNT, SLURM_USER
from hub.demo.supervisor import Program

CLUSTER = "pan"
"""Name of the cluster in the configuration and in the profiles."""

IMAGE, IMAGE_PROFILE = "pan-core-image", "lab-image"
"""Environment in an image and profile that offers it, where the site has one."""

_PROFILES = ROOT / "profiles/site/demo-slurm.yaml"
_CODE = ROOT / "spawners/slurm/gateway"


class SlurmSite:
    """The Slurm side of a demo.

    Parameters
    ----------
    state
        Folder of the demo. Other people must be able to pass through it and all its parents.
    release
        Slurm's release; only the machine's own can run whole sessions of the checkout.
    has_image
        Whether the environment is also offered in an apptainer image; apptainer must have been built.
    """

    def __init__(self, state: Path, *, release: str = "22.05", has_image: bool = False) -> None:
        self.state = state
        self.cluster = SlurmCluster(state / "slurm", release=release, shared=[state / "data"])
        self._made: SessionEnvironment | None = None
        self.has_desktops = False
        """Whether the environment of desktops is made too; set it before the start."""
        self._has_image = has_image
        self._image: NodeImage | None = None

    @property
    def place(self) -> str:
        """A place of the profiles for everyday work."""
        return "cpu"

    def start(self, say: Callable[[str], None]) -> None:
        """Start the cluster and make what its jobs need. Blocking.

        Raises
        ------
        SlurmDemoError
            If something is missing or does not come up.
        """
        say("starting a Slurm cluster: slurmdbd, slurmctld, slurmrestd, three nodes")
        self.cluster.start()
        say("making the environment of sessions on its nodes")
        self._made = prepare_environment(self.cluster.release, with_desktop=self.has_desktops)
        if self._has_image:
            say("making an apptainer image of the environment")
            self._image = prepare_image(self._made.prefix)
        self._prepare_gateway()

    def share_data(self) -> None:
        """Give the demo's people what they may read; after the facility was made. Blocking."""
        share_data(self.state / "data/visitor", self.state / "catalogue", datetime.now(UTC))

    def stop(self) -> None:
        """Stop the cluster, jobs included. Blocking."""
        self.cluster.stop()

    # --- configuration ------------------------------------------------------------------------

    def change(self, raw: dict[str, Any]) -> None:
        """Put this site's sections into the settings of a demo."""
        raw["identity"]["accounts"] = {"kind": "nss"}
        raw["profiles"] = {"file": str(self._profiles()), "environments_root": str(self._environments())}
        raw["quota"]["proposals"] += [
            {**entry, "resource": "gpu_hours", "limit": 40} for entry in raw["quota"]["proposals"]
        ]
        raw["quota"]["roles"].append(
            {"group": "panhub:users", "resource": "gpu_hours", "limit": 10, "window": "week"}
        )
        raw["slurm"] = {"clusters": {CLUSTER: self.cluster_settings()}}

    def cluster_settings(self) -> dict[str, Any]:
        """The cluster's section: slurmrestd with tokens of the gateway."""
        return {
            "transport": {"kind": "rest", "url": self.cluster.rest_url},
            "gateway_socket": str(self._socket),
            "service_account": SERVICE_ACCOUNT,
            "poll_s": 0.5,
            "session_code": str(self._nodes.code),
            **({"apptainer": str(self._image.program)} if self._image else {}),
        }

    def _profiles(self) -> Path:
        """The demo's profiles, with one more where there is an image."""
        if self._image is None:
            return _PROFILES
        raw = yaml.safe_load(_PROFILES.read_text(encoding="utf-8"))
        raw["environments"][IMAGE] = {
            **raw["environments"]["pan-core"],
            "title": "Photon and neutron basics, in an image",
            "prefix": str(PREFIX),
            "image": str(self._image.image),
        }
        raw["profiles"][IMAGE_PROFILE] = {
            **raw["profiles"]["lab"],
            "title": "JupyterLab in an image",
            "environment": IMAGE,
        }
        path = self.state / "profiles.yaml"
        path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
        return path

    @property
    def _nodes(self) -> SessionEnvironment:
        assert self._made is not None, "the site was started"
        return self._made

    def _environments(self) -> Path:
        """A folder with the environment under the name that the profiles give."""
        folder = self.state / "environments"
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        targets = {
            "pan-core": self._nodes.prefix,
            "pan-core.lock": LOCK,
            # Without desktops nothing starts in it, but the profiles name it.
            "pan-desktop": self._nodes.desktop or folder / "none",
            "pan-desktop.lock": DESKTOP_LOCK,
        }
        for name, target in targets.items():
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to(target)
        return folder

    @property
    def _gateway(self) -> Path:
        return self.state / "gateway"

    @property
    def _socket(self) -> Path:
        return self._gateway / "tokens.sock"

    # --- token gateway ------------------------------------------------------------------------

    def _prepare_gateway(self) -> None:
        # Its account may not read the checkout.
        shutil.rmtree(self._gateway, ignore_errors=True)
        code = self._gateway / "code/spawners/slurm"
        shutil.copytree(_CODE, code / "gateway", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("__init__.py", "transport.py", "models.py"):
            shutil.copy(_CODE.parent / name, code / name)
        (code.parent / "__init__.py").touch()
        key = self._gateway / "jwt_hs256.key"
        key.unlink(missing_ok=True)
        key.touch(mode=0o600)
        key.write_bytes(self.cluster.jwt_key.read_bytes())
        settings = {
            "socket": str(self._socket),
            "key_file": str(key),
            "peers": ["root"],  # the demo's service runs as whoever starts the demo
            "service_account": SERVICE_ACCOUNT,
            "slurm_user": SLURM_USER,
            "allow": {"people": list(self.cluster.people.usernames)},
            "per_minute": 600,
            "audit_file": str(self._gateway / "audit.jsonl"),
        }
        config = self._gateway / "token-gateway.yaml"
        config.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
        for path in (self._gateway, *self._gateway.rglob("*")):
            shutil.chown(path, GATEWAY_USER, GATEWAY_USER)
        self._gateway.chmod(0o700)

    def programs(self) -> tuple[Program, ...]:
        """The token gateway, before all others."""
        python = self._nodes.prefix / "bin/python"
        config = str(self._gateway / "token-gateway.yaml")
        environment: Mapping[str, str] = {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(self._gateway / "code"),
            "PYTHONUNBUFFERED": "1",
        }
        argv = (str(python), "-m", "spawners.slurm.gateway", "--config", config)
        return (Program("gateway", argv, environment, f"unix:{self._socket}", user=GATEWAY_USER),)
