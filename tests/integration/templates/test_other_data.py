"""The same notebooks on real measured data, and the look into any file."""

import json
import subprocess

import h5py
import numpy as np
import pytest
import yaml

from tests.support.measured import silver_behenate, write_measured
from tests.support.notebooks import ENVIRONMENT, run_template

READ = "import fabio, numpy, sys; numpy.save(sys.argv[2], fabio.open(sys.argv[1]).data)"

CHOPPER = "lib/python3.11/site-packages/nexusformat/examples/chopper.nxs"


@pytest.fixture(scope="module")
def behenate(tmp_path_factory):
    """The measured image as a file, and its geometry."""
    measured, folder = silver_behenate(), tmp_path_factory.mktemp("behenate")
    python, counts = ENVIRONMENT / "bin/python", folder / "counts.npy"
    subprocess.run([python, "-c", READ, measured.image, counts], check=True)
    return measured, write_measured(folder / "agbeh.nxs", measured, np.load(counts))


def ring_ratios(outcome):
    """Fitted over tabulated position by order of the ring."""
    assert outcome.code == 0, outcome.log[-2000:]
    with h5py.File(outcome.outputs / outcome.left[0], "r") as file:
        peaks = file["entry/peaks"]
        ratio = peaks["two_theta_deg"][()] / peaks["table_two_theta_deg"][()]
        return {int(hkl.split()[-1]): r for hkl, r in zip(peaks["hkl"].asstr()[()], ratio, strict=True)}


def test_rings_two_to_five_of_silver_behenate_lie_within_half_a_percent(saxs, behenate, tmp_path):
    measured, data = behenate
    nominal = ring_ratios(run_template(saxs, data, tmp_path / "nominal"))
    assert all(abs(nominal[order] - 1) < 0.01 for order in range(2, 9))  # the header's distance, as it is
    distance = measured.distance * nominal[8]  # calibrated by a ring that is not checked
    calibrated = ring_ratios(run_template(saxs, data, tmp_path / "calibrated", {"distance": distance}))
    assert [order for order in range(2, 6) if not abs(calibrated[order] - 1) < 0.005] == []


def test_the_declared_signal_of_a_file_is_plotted(library, lab6, tmp_path):
    template = library.get("nexus-inspect")
    expected = yaml.safe_load((template.folder / "expected.yaml").read_text())
    assert run_template(template, lab6, tmp_path).code == 0
    results = json.loads((tmp_path / "run.ipynb").read_text())["cells"][-2]
    assert f"'plotted': '{expected['plotted']}'" in "".join(results["outputs"][0]["data"]["text/plain"])


def test_a_measured_time_of_flight_file_can_be_looked_into(library, tmp_path):
    outcome = run_template(library.get("nexus-inspect"), ENVIRONMENT / CHOPPER, tmp_path)
    assert outcome.code == 0, outcome.log[-2000:]
    notebook = json.loads((tmp_path / "run.ipynb").read_text())
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert any("NXdata" in "".join(output.get("text", ())) for output in outputs)
