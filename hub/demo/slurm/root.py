"""How does a Slurm of another Debian release run on this machine? In a root folder of its own.

The root is made once by debootstrap, from the mirror that this machine's apt uses, and kept in the
cache; a cluster lays a layer in memory over it (see `hub.demo.slurm.namespace`), so that it is
never changed. Nothing of it stays mounted: packages are installed in a mount namespace that ends
with the installer.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from hub.demo.locks import locked
from hub.demo.slurm.release import PACKAGES, Release, SlurmDemoError, cache_folder

_EXTRA = ("python3-venv", "bubblewrap", "acl", "procps", "hostname", "ca-certificates", "util-linux-extra")
"""What sessions need beside Slurm; trixie has ``pivot_root`` and others in the last one."""

_INSTALL = """
set -e
root=$1 mirror=$2 client=$3 library=$4
shift 4
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin
chroot "$root" apt-get update -qq
chroot "$root" apt-get install -y -qq --no-install-recommends "$@"
if [ -n "$client" ]; then
  echo "deb $mirror $client main" > "$root/etc/apt/sources.list.d/client.list"
  chroot "$root" apt-get update -qq
  mkdir -p "$root$library"
  chroot "$root" sh -c 'cd "$1" && apt-get download -qq "libmariadb3/$2" && dpkg -x libmariadb3*.deb .' \\
    download "$library" "$client"
fi
chroot "$root" apt-get clean
"""

CLIENT_LIBRARY = Path("/opt/libmariadb")
"""Folder in the root of a release with a `Release.client_suite`, in which that library is unpacked."""

# Half of a root is manuals and translations that nobody reads in it; and it can be made again, so
# nothing waits for the disk.
_DPKG = """path-exclude=/usr/share/doc/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/locale/*
force-unsafe-io
"""

_STAMP = "etc/panhub-root"


def prepare_root(release: Release, cache: Path | None = None) -> Path | None:
    """Root folder of a release, made if it is not in the cache. Blocking: a minute the first time.

    Returns None for a release of the machine's own system. Two callers at once make one root.

    Raises
    ------
    SlurmDemoError
        If it cannot be made; the end of the log is in the text.
    """
    if release.suite is None:
        return None
    folder = cache or cache_folder()
    root = folder / f"slurm-{release.name}"
    suites = [release.suite, *([release.client_suite] if release.client_suite else [])]
    stamp = f"{' '.join((*suites, *PACKAGES, *_EXTRA))}\n"
    with locked(folder, f"slurm-{release.name}"):
        if _is_complete(root, stamp):
            return root
        part = folder / f".slurm-{release.name}.part"
        for left_over in (part, root):
            shutil.rmtree(left_over, ignore_errors=True)
        _make(part, release.suite, release.client_suite)
        (part / _STAMP).write_text(stamp)
        part.rename(root)
    return root


def _is_complete(root: Path, stamp: str) -> bool:
    try:
        return (root / _STAMP).read_text() == stamp
    except OSError:
        return False


def _make(root: Path, suite: str, client_suite: str | None) -> None:
    debootstrap = shutil.which("debootstrap", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if debootstrap is None:
        raise SlurmDemoError("debootstrap is needed (Debian package debootstrap).")
    log = root.with_suffix(".log")
    mirror = debian_mirror()
    # debootstrap knows testing by the script of unstable, which it takes for any newer name.
    script = Path("/usr/share/debootstrap/scripts") / suite
    words = [suite, str(root), mirror, *([] if script.exists() else [str(script.with_name("sid"))])]
    run_logged([debootstrap, "--variant=minbase", *words], log)
    (root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
    (root / "usr/sbin/policy-rc.d").chmod(0o755)
    (root / "etc/dpkg/dpkg.cfg.d/panhub").write_text(_DPKG)
    (root / "etc/apt/apt.conf.d/99panhub").write_text(acquire_options())
    shutil.copyfile("/etc/resolv.conf", root / "etc/resolv.conf")
    install = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", _INSTALL, "install"]
    words = [str(root), mirror, client_suite or "", str(CLIENT_LIBRARY)]
    run_logged([*install, *words, *PACKAGES, *_EXTRA], log)
    log.unlink(missing_ok=True)


def debian_mirror() -> str:
    """Mirror of Debian itself that this machine's apt uses.

    Raises
    ------
    SlurmDemoError
        If apt names none.
    """
    form = "$(CODENAME) $(COMPONENT) $(REPO_URI)"
    command = ["apt-get", "indextargets", "--format", form, "Created-By: Packages"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    for line in done.stdout.splitlines():
        codename, component, address = line.split()
        # The other lines are its updates and other people's packages.
        if component == "main" and "-" not in codename:
            return address
    raise SlurmDemoError("apt names no mirror of Debian: run apt-get update, on Debian.")


def acquire_options() -> str:
    """How this machine's apt fetches (proxy, checks): the root's does the same."""
    done = subprocess.run(["apt-config", "dump", "Acquire"], check=False, capture_output=True, text=True)
    return "".join(f"{line}\n" for line in done.stdout.splitlines() if "Languages" not in line)


def run_logged(
    command: list[str], log: Path, *, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> None:
    """Run a command with its output in a log. Blocking.

    Raises
    ------
    SlurmDemoError
        If it fails; the end of the log is in the text.
    """
    with log.open("ab") as out:
        done = subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd, env=environment
        )
    if done.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise SlurmDemoError(f"{command[0]} failed with code {done.returncode}. The end of {log}:\n{tail}")
