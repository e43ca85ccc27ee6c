"""Image archives of single static programs: layout of OCI images in a tar file, without a builder.

Formats: image-spec 1.1, "Image Layout" and "Image Configuration".
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Archive:
    """One image in an archive: its name with tag, and the digest of its manifest."""

    name: str
    digest: str

    @property
    def reference(self) -> str:
        """Name by digest, as a pod's ``image``."""
        return f"{self.name.rpartition(':')[0]}@{self.digest}"


def write_archive(
    path: Path,
    name: str,
    programs: Mapping[str, Path],
    *,
    command: Sequence[str],
    links: Mapping[str, str] | None = None,
    machine: str = "x86_64",
) -> None:
    """Write an image with nothing but static programs.

    Parameters
    ----------
    programs
        Path in the image → file on this machine.
    command
        What the image runs.
    links
        Symbolic links of the image: path → where it leads.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for folder in ("bin", "tmp", "etc"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(entry)
        for inside, program in programs.items():
            _add(tar, inside.lstrip("/"), program.read_bytes(), 0o755)
        for inside, target in (links or {}).items():
            entry = tarfile.TarInfo(inside.lstrip("/"))
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    layer = gzip.compress(packed.getvalue(), compresslevel=1, mtime=0)
    config = {
        "architecture": _ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": {"Cmd": list(command), "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [_digest(packed.getvalue())]},
    }
    blobs = [layer, json.dumps(config).encode()]
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _descriptor(_CONFIG, blobs[1]),
        "layers": [_descriptor(_LAYER, layer)],
    }
    blobs.append(json.dumps(manifest).encode())
    entry_of_index = {
        **_descriptor(_MANIFEST, blobs[2]),
        "annotations": {"org.opencontainers.image.ref.name": name, "io.containerd.image.name": name},
    }
    index = {"schemaVersion": 2, "manifests": [entry_of_index]}
    with tarfile.open(path, "w") as tar:
        _add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(tar, "index.json", json.dumps(index).encode())
        for blob in blobs:
            _add(tar, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)


def read_archive(path: Path) -> Archive:
    """Name and digest of the one image in an archive, as buildah and `write_archive` write it.

    Raises
    ------
    ValueError
        If it is no such archive.
    """
    try:
        with tarfile.open(path) as tar:
            file = tar.extractfile("index.json")
            manifests = json.load(file)["manifests"] if file is not None else []
    except (tarfile.TarError, EOFError, KeyError, json.JSONDecodeError) as error:
        # One that was cut off is no tar file, or one without an index.
        raise ValueError(f"{path} is no archive of an OCI image: {error}") from error
    if len(manifests) != 1:
        raise ValueError(f"{path} has {len(manifests)} images, not one.")
    named: dict[str, str] = manifests[0].get("annotations", {})
    name = named.get("io.containerd.image.name") or named.get("org.opencontainers.image.ref.name", "")
    if ":" not in name or "/" not in name:
        raise ValueError(f"The image in {path} has no whole name with a tag, but {name!r}.")
    return Archive(name, manifests[0]["digest"])


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
