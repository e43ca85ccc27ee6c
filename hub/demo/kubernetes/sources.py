"""Where do the packages of an image come from? From where this machine's own come, which no image keeps.

The container files take it as the build secret ``sources`` (`images/README.md`): a shell fragment that
sets variables, and writes the files that they name into ``$SCRATCH``, which the same step removes.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from hub.demo import guacd
from hub.demo.kubernetes.errors import KubernetesDemoError
from hub.demo.slurm.root import acquire_options

_PASSED_ON = ("PIP_INDEX", "PIP_EXTRA_INDEX", "PIP_TRUSTED", "UV_INDEX", "UV_EXTRA_INDEX", "UV_DEFAULT_INDEX")
_NAMED = ("http_proxy", "https_proxy", "no_proxy", "npm_config_registry", guacd.MIRROR_VARIABLE.lower())
_BUNDLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_CONFIGURED = {
    "UV_CONFIG_FILE": ("~/.config/uv/uv.toml", "/etc/uv/uv.toml"),
    "PIP_CONFIG_FILE": ("~/.config/pip/pip.conf", "~/.pip/pip.conf", "/etc/pip.conf"),
    "npm_config_userconfig": ("~/.npmrc",),
}
"""Variable of a program that names its file → where it is if the variable is not set."""

_END = "PANHUB_END_OF_FILE"


def package_sources(suite: str, uv_cache: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """The fragment. Blocking: asks apt.

    Parameters
    ----------
    suite
        Debian's name of the release that the images are.
    uv_cache
        Where the builder shows a cache of uv to the steps; None for no cache.

    Raises
    ------
    KubernetesDemoError
        If apt names no mirror of Debian.
    """
    listed = "".join(f"deb {line}\n" for line in debian_sources(suite, _index_targets()))
    settings = 'Dir::Etc::sourcelist "$SCRATCH/apt.list";\nDir::Etc::sourceparts "-";\n'
    parts = [
        _file("apt.list", listed),
        _file("apt.conf", f'{acquire_options()}APT::Sandbox::User "root";\n'),
        # Not quoted, so that the shell puts the folder's name in.
        f'cat >> "$SCRATCH/apt.conf" <<{_END}\n{settings}{_END}\nAPT_CONFIG="$SCRATCH/apt.conf"\n',
        *_variables(environment),
        *_files(environment),
    ]
    if uv_cache is not None:
        parts.append(f"UV_CACHE_DIR={shlex.quote(uv_cache)}\n")
    return "".join(parts)


def debian_sources(suite: str, targets: str) -> list[str]:
    """Lines ``address suite component`` for a release: its archive, and the updates that apt knows.

    Parameters
    ----------
    targets
        Answer of ``apt-get indextargets`` in the form of `_index_targets`.

    Raises
    ------
    KubernetesDemoError
        If there is no mirror of Debian among them.
    """
    archive, updates = None, []
    for line in targets.splitlines():
        codename, component, address = line.split()
        if component == "main" and "-" not in codename:
            archive = archive or address
        elif component == "main" and codename.startswith(f"{suite}-"):
            updates.append(f"{address} {codename} main")
    if archive is None:
        raise KubernetesDemoError("apt names no mirror of Debian: run apt-get update, on Debian.")
    return [f"{archive} {suite} main", *updates]


def _index_targets() -> str:
    form = "$(CODENAME) $(COMPONENT) $(REPO_URI)"
    command = ["apt-get", "indextargets", "--format", form, "Created-By: Packages", "Origin: Debian"]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except OSError as error:
        raise KubernetesDemoError(f"Images are built on Debian: {error}") from error
    return done.stdout


def _variables(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in sorted(environment.items()):
        if name.startswith(_PASSED_ON) or name.lower() in _NAMED:
            yield f"{name}={shlex.quote(value)}\n"


def _files(environment: Mapping[str, str]) -> Iterator[str]:
    for variable, places in _CONFIGURED.items():
        candidates = [environment[variable]] if variable in environment else places
        found = next((path for name in candidates if (path := Path(name).expanduser()).is_file()), None)
        if found is not None:
            yield _file(variable, found.read_text()) + f'{variable}="$SCRATCH/{variable}"\n'
    bundle = next((environment[name] for name in _BUNDLES if name in environment), None)
    if bundle is not None and Path(bundle).is_file():
        yield _file("certificates", Path(bundle).read_text())
        for name in ("SSL_CERT_FILE", "PIP_CERT", "NODE_EXTRA_CA_CERTS"):
            yield f'{name}="$SCRATCH/certificates"\n'


def _file(name: str, text: str) -> str:
    """Shell text that writes a file into the step's own folder."""
    end = "" if text.endswith("\n") or not text else "\n"
    return f"cat > \"$SCRATCH/{name}\" <<'{_END}'\n{text}{end}{_END}\n"
