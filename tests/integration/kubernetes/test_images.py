"""What is in the images, and that it runs in a pod as a uid that no image knows.

Others are looked at in the same way by ``PANHUB_IMAGES="notebook-full gpu"`` (make test-images).
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import h5py
import httpx
import numpy as np
import pytest

from hub.cli import main
from hub.demo.install import ROOT
from templates.catalogue import Library
from tests.support.images import ANYBODY, address_of, built, built_above, run_in, start_in
from tests.support.kubernetes import wait
from tests.support.lab6 import Lab6, write_nxsas
from tests.support.notebooks import write_template

pytestmark = pytest.mark.timeout(1800)
"""Whoever has not made the images before (make images) makes them here."""

ALL = tuple(os.environ.get("PANHUB_IMAGES", "notebook-core desktop hub").split())
SESSIONS = tuple(name for name in ALL if name != "hub")
LOCKS = {"hub": "requirements/hub.lock"}
TOKEN = "sample-token"
SAMPLE = Path(__file__).with_name("repository")

OPENCL = """
import pyopencl, pyFAI.opencl
devices = [device for platform in pyopencl.get_platforms() for device in platform.get_devices()]
assert devices, "no device of OpenCL"
print("devices", [device.name for device in devices])
"""


@pytest.fixture(scope="module")
def images(cluster):
    """The images by name, made when first asked for."""
    known = {}

    def image(name):
        if name not in known:
            known[name] = built(cluster, name)
        return known[name]

    return image


@pytest.fixture(scope="module")
def run(cluster, module_namespace, images):
    """Runs a script in an image; returns what it prints."""
    return lambda name, script, **how: run_in(cluster, module_namespace, images(name), script, **how)


@pytest.mark.parametrize("name", ALL)
def test_labels_say_what_the_image_is_made_of(images, name):
    configuration = images(name).configuration["config"]
    labels = configuration["Labels"]
    lock = ROOT / LOCKS.get(name, f"images/{name}/requirements.lock")
    assert labels["org.panhub.lock-sha256"] == hashlib.sha256(lock.read_bytes()).hexdigest()
    assert labels["org.opencontainers.image.licenses"] == "BSD-3-Clause"
    assert labels["org.opencontainers.image.title"].startswith("PaNHub")
    assert re.fullmatch(r"([0-9a-f]{40}(-dirty)?)?", labels["org.opencontainers.image.revision"])
    assert configuration["User"] == "1000:1000"


@pytest.mark.parametrize("name", ALL)
def test_nothing_of_the_building_machine_and_nothing_that_others_may_change(run, name):
    addresses = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)"], capture_output=True, text=True, check=True
    )
    mirrors = {urlsplit(line).hostname for line in addresses.stdout.split()} - {None}
    words = "|".join(sorted(re.escape(mirror) for mirror in mirrors))
    said = run(
        name,
        f"""
        find / -xdev -type f -perm /6000 -printf 'setuid %p\\n'
        find / -xdev ! -type l -perm -002 ! -perm -1000 -printf 'writable %p\\n'
        find /opt /usr /etc -xdev ! -uid 0 -printf 'owned %p\\n'
        find /opt/panhub ! -type l ! -perm -004 -printf 'closed %p\\n'
        find /etc /root /home /srv /var /usr/local /tmp -xdev -type f \\( -name '*.sources' -o -name 'id_*' \\
          -o -name '.npmrc' -o -name '*.key' -o -name '.netrc' -o -name 'pip.conf' -o -name 'uv.toml' \\) \\
          -printf 'kept %p\\n'
        for folder in /run/secrets /root/.cache /var/lib/apt/lists /srv /tmp/tools /tmp/images; do
          [ -z "$(ls -A $folder 2>/dev/null)" ] || echo "left $folder"
        done
        ! [ -e /etc/apt/sources.list ] || echo 'left sources'
        grep -rlE '{words}' /etc /root /usr/local /var/lib/apt || true
        """,
        uid=0,
    )
    assert said == ""


@pytest.mark.parametrize("name", SESSIONS)
def test_anybody_can_use_a_session_s_image_and_change_nothing_of_it(run, name):
    said = run(
        name,
        """
        id -u
        jupyterhub-singleuser --version
        python -c 'import h5py, pyFAI, silx, fabio, hdf5plugin; print("imports")'
        python -I -S /opt/panhub/session/start.py </dev/null 2>/dev/null || echo "starts as far as it can"
        touch /opt/panhub/session/x /opt/panhub/environment/x /etc/x 2>/dev/null || echo unchanged
        grep -E '^(CapEff|NoNewPrivs)' /proc/self/status
        """,
    )
    lines = said.split("\n")
    assert lines[0] == str(ANYBODY)
    assert lines[1].startswith("6.")
    assert lines[2:5] == ["imports", "starts as far as it can", "unchanged"]
    assert "CapEff:\t0000000000000000" in lines
    assert "NoNewPrivs:\t1" in lines


@pytest.mark.parametrize("name", SESSIONS)
def test_jupyterlab_answers(cluster, module_namespace, images, name):
    script = f"""
        export HOME=/tmp JUPYTER_PATH=/opt/panhub/session/share/jupyter
        exec jupyter lab --ip=0.0.0.0 --port=8888 --no-browser --IdentityProvider.token={TOKEN}
    """
    address = address_of(cluster, module_namespace, start_in(cluster, module_namespace, images(name), script))
    with httpx.Client(
        base_url=f"http://{address}:8888", trust_env=False, headers={"Authorization": f"token {TOKEN}"}
    ) as client:

        def answers():
            try:
                return client.get("/api/status").is_success
            except httpx.HTTPError:
                return False

        wait(answers, "JupyterLab does not answer", timeout_s=120)
        assert "python3" in client.get("/api/kernelspecs").json()["kernelspecs"]
        page = client.get("/lab").text
    assert "panhub-time" in page
    assert "jupyterlab-h5web" in page


@pytest.mark.skipif("desktop" not in ALL, reason="other images are looked at")
def test_a_desktop_starts(run):
    said = run(
        "desktop",
        """
        export HOME=/tmp
        python -I -S /opt/panhub/session/desktop.py --folder /tmp/d --width 1280 --height 720 & desktop=$!
        for i in $(seq 300); do [ -e /tmp/d/display ] && break; sleep 0.2; done
        export DISPLAY=$(cat /tmp/d/display) XAUTHORITY=/tmp/d/Xauthority
        xrandr | grep -o 'current 1280 x 720'
        glxinfo -B | grep -o 'direct rendering: Yes'
        for i in $(seq 300); do pgrep -x icewm >/dev/null && break; sleep 0.2; done
        pgrep -x icewm >/dev/null && echo manager
        python -c 'from PySide6.QtWidgets import QApplication; QApplication([]); print("Qt")'
        python -c 'import socket
s = socket.socket(socket.AF_UNIX); s.connect("/tmp/d/rfb"); print(s.recv(12).decode().strip())'
        kill $desktop; wait
        """,
    )
    for line in ("current 1280 x 720", "direct rendering: Yes", "manager", "Qt", "RFB 003.008"):
        assert line in said.split("\n"), said


@pytest.mark.parametrize("name", [name for name in SESSIONS if name != "desktop"])
def test_a_template_passes_its_acceptance_inside(run, tmp_path, name):
    saxs = Library.load().get("saxs-azimuthal-integration")
    truth = Lab6()
    data = write_nxsas(tmp_path / "lab6.nxs", truth, truth.counts())
    results = write_template(saxs, data, tmp_path / "run")
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, ANYBODY, ANYBODY)
    command = f"papermill {saxs.spec.notebook.file} run.ipynb --no-progress-bar"
    run(name, f"cd {tmp_path}/run && USER=anybody HOME=/tmp {command}", folder=tmp_path)
    (written,) = results.glob("*.nxs")
    with h5py.File(written) as file:
        lines = file["entry/peaks/two_theta_deg"][()]
    lines_there = np.array(sorted(truth.lines_deg()))
    assert len(lines) >= 5
    assert np.abs(lines_there[:, None] - lines).min(axis=0).max() <= 0.01


if "gpu" in ALL:

    def test_opencl_has_a_device_without_a_gpu_too(run):
        assert "devices" in run("gpu", f"HOME=/tmp python -c '{OPENCL}'")


@pytest.mark.skipif("hub" not in ALL, reason="other images are looked at")
def test_the_application_runs_with_a_read_only_root(run):
    said = run(
        "hub",
        """
        panhub version
        panhub check --config /nowhere.yaml 2>&1 | grep -o /nowhere.yaml | head -n 1
        python3 -c 'import hub.app, hub.hubconfig, spawners.kubernetes.settings; print("application")'
        python3 -c 'from hub.static.collect import *; print(len(load_manifest(static_folder())) > 20)'
        jupyterhub --version; configurable-http-proxy --version
        guacd -f -b 127.0.0.1 -l 4822 -L warning & guacd=$!
        python3 - <<'CODE'
import socket, time
for protocol in "vnc", "rdp", "ssh":
    for attempt in range(100):
        try:
            guacd = socket.create_connection(("127.0.0.1", 4822))
            break
        except ConnectionRefusedError:
            time.sleep(0.1)
    guacd.sendall(f"6.select,3.{protocol};".encode())
    print(protocol, guacd.recv(7).decode())
CODE
        kill $guacd
        """,
    ).split("\n")
    assert said[0] == version("panhub")
    assert said[1] == "/nowhere.yaml"
    assert said[2:4] == ["application", "True"]
    assert said[4].startswith("6.")
    assert said[5].startswith("5.")
    assert said[6:9] == ["vnc 4.args,", "rdp 4.args,", "ssh 4.args,"]


@pytest.mark.skipif("notebook-core" not in ALL, reason="other images are looked at")
def test_an_environment_of_a_repository_is_built_and_runs_a_notebook(
    cluster, module_namespace, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("repository")
    assert main(["image", str(SAMPLE), str(folder / "context"), "--name", "roman"]) == 0
    image = built_above(cluster, "notebook-core", folder / "context", folder / "roman.tar")
    assert image.configuration["config"]["Labels"]["org.opencontainers.image.title"] == "roman"
    said = run_in(
        cluster,
        module_namespace,
        image,
        """
        export HOME=/tmp
        jupyter kernelspec list | grep -o '^ *roman '
        printf 'import roman\\nprint(roman.toRoman(2026))\\n' > /tmp/in.py
        jupytext --quiet --to ipynb /tmp/in.py
        papermill --no-progress-bar -k roman --language python /tmp/in.ipynb /tmp/out.ipynb
        grep -o MMXXVI /tmp/out.ipynb
        python -c 'import roman' 2>/dev/null || echo "the server's own environment is as it was"
        """,
    )
    assert said.split("\n")[-3:-1] == ["MMXXVI", "the server's own environment is as it was"]
