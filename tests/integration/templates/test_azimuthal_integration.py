"""Acceptance of the azimuthal integration: every number is read from the output file."""

import json
import re
import subprocess

import h5py
import numpy as np
import pytest
import yaml

from tests.integration.templates.conftest import TRUTH
from tests.support.lab6 import Lab6, write_nxsas
from tests.support.notebooks import ENVIRONMENT, run_template

OUTPUT = "LaB6_scan_1_azint.nxs"
FAILED = f"{OUTPUT}.failed.json"


@pytest.fixture
def run(saxs, tmp_path):
    """Run the template on frames that a test makes or changes."""

    def run(data, name="run", **parameters):
        return run_template(saxs, data, tmp_path / name, parameters)

    return run


@pytest.fixture
def changed(tmp_path, counts):
    """A file of the simulated frames, changed in place."""

    def change(edit=lambda file: None, data=None):
        path = write_nxsas(tmp_path / "changed.nxs", TRUTH, counts[:2] if data is None else data)
        with h5py.File(path, "r+") as file:
            edit(file)
        return path

    return change


def read(outcome, name):
    """One item of the output file."""
    assert outcome.code == 0, outcome.log[-2000:]
    with h5py.File(outcome.outputs / OUTPUT, "r") as file:
        return file[name][()]


def expected(saxs):
    """Limits of the acceptance check."""
    return yaml.safe_load((saxs.folder / "expected.yaml").read_text())


def test_every_line_lies_within_a_hundredth_of_a_degree_of_bragg_s_law(good, saxs):
    lines, limits = read(good, "entry/peaks/two_theta_deg"), expected(saxs)
    truth = np.array(sorted(TRUTH.lines_deg()))
    nearest = truth[np.abs(truth[:, None] - lines).argmin(axis=0)]
    assert len(lines) >= limits["least_lines"]
    assert np.abs(lines - nearest).max() <= limits["ring_residual_deg"]["max"]
    assert np.abs(lines - read(good, "entry/peaks/table_two_theta_deg")).max() <= 0.01
    assert read(good, "entry/peaks/hkl")[0] == b"1 0 0"


def test_errors_are_as_large_as_the_scatter_between_frames(good, saxs):
    intensity, errors = read(good, "entry/data/I"), read(good, "entry/data/I_errors")
    seen = (read(good, "entry/data/norm") > 50) & (errors > 0).all(axis=0)
    chi2 = intensity[:, seen].var(axis=0, ddof=1) / (errors[:, seen] ** 2).mean(axis=0)
    limits = expected(saxs)["chi2_between_frames"]
    assert seen.sum() > 500
    assert limits["min"] <= chi2.mean() <= limits["max"]


def test_the_validator_finds_no_error(good):
    answer = subprocess.run(
        [ENVIRONMENT / "bin/nxvalidate", good.outputs / OUTPUT, "-a", "NXazint1d"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(r"Total number of errors: 0\b", answer.stdout), answer.stdout


def test_nothing_but_the_result_is_left(good):
    assert good.code == 0, good.log[-2000:]
    assert good.left == [OUTPUT]


def test_provenance_says_what_ran_on_what(good, saxs):
    note = json.loads(read(good, "entry/reduction/provenance/data"))
    rendered = json.loads((good.folder / "panhub_provenance.json").read_text())
    assert note["status"] == "finished"
    assert note["template"] == {"id": saxs.id, "version": saxs.spec.version, "sha256": saxs.sha256}
    assert note["environment"] == rendered["environment"]
    assert note["notebook_sha256"] == rendered["notebook_sha256"]
    assert note["input"]["dataset_pid"] == "10.5072/panhub-lab6"
    assert re.fullmatch(r"[0-9a-f]{64}", note["input"]["fingerprint_sha256"])
    assert note["parameters"]["npt"] == {"value": 1000, "source": "default"}
    assert note["parameters"]["wavelength"] == {"value": 0.5, "source": "metadata"}
    assert set(note["versions"]) >= {"python", "numpy", "pyFAI", "h5py"}
    assert read(good, "entry/reduction/program") == saxs.id.encode()


def test_verdicts_follow_the_limits_of_the_sidecar(good, saxs):
    note = json.loads(read(good, "entry/reduction/provenance/data"))
    verdicts = {item["name"]: item["verdict"] for item in note["quality"]}
    assert verdicts == {item.name: "pass" for item in saxs.spec.quality}
    limits = saxs.modules["azimuthal.py"].partition("LIMITS = ")[2].partition("\n}\n")[0] + "\n}"
    declared = {item.name: [item.pass_if, item.warn_if] for item in saxs.spec.quality}
    assert yaml.safe_load(limits.replace("(", "[").replace(")", "]")) == declared


def test_the_executed_notebook_shows_figures_and_results(good):
    notebook = json.loads((good.folder / "run.ipynb").read_text())
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3
    results = next(c for c in notebook["cells"] if "results" in c["metadata"].get("tags", ()))
    assert "ring_residual_deg" in "".join(results["outputs"][0]["data"]["text/plain"])


def test_masked_pixels_have_no_effect(run, changed, counts):
    mask = np.zeros(TRUTH.shape, dtype=np.uint32)
    mask[100:150, 100:300] = 1
    frames = counts[:2].copy()

    def add_mask(file):
        file["entry/instrument/detector/pixel_mask"] = mask

    clean = run(changed(add_mask, frames), "clean")
    frames[:, mask == 1] = 1_000_000
    hot = run(changed(add_mask, frames), "hot")
    assert np.array_equal(read(clean, "entry/data/I"), read(hot, "entry/data/I"))


def test_a_turned_detector_gives_the_same_pattern(run, good, tmp_path, counts):
    turned = Lab6(shape=TRUTH.shape[::-1], beam_y=TRUTH.shape[1] - TRUTH.beam_x, beam_x=TRUTH.beam_y)
    path = write_nxsas(tmp_path / "turned.nxs", turned, np.rot90(counts, axes=(1, 2)).copy())
    straight, rotated = read(good, "entry/data/I"), read(run(path), "entry/data/I")
    many = read(good, "entry/data/norm") > 20  # of few pixels the splitting itself differs with the direction
    assert np.allclose(rotated[:, many], straight[:, many], rtol=2e-3)


def test_twice_the_counts_give_twice_the_intensity_and_root_two_of_its_relative_error(run, changed, counts):
    single = run(changed(data=counts[:2]), "single")
    double = run(changed(data=np.where(counts[:2] < 0, -1, 2 * counts[:2])), "double")
    ratio = read(double, "entry/data/I") / read(single, "entry/data/I")
    errors = read(double, "entry/data/I_errors") / read(single, "entry/data/I_errors")
    assert np.allclose(ratio[np.isfinite(ratio)], 2, rtol=1e-4)
    assert np.allclose(errors[np.isfinite(errors)], np.sqrt(2), rtol=1e-4)


def test_a_monitor_frames_and_unit_are_taken(run, lab6):
    outcome = run(lab6, frames="1:4:2", normalise_by="entry/monitor/data", unit="q_A^-1", npt=400)
    assert read(outcome, "entry/data/I").shape == (2, 400)
    ratio = np.divide(*read(outcome, "entry/data/I").mean(axis=1))
    monitor = np.linspace(1.0, 1.3, 4)
    assert ratio == pytest.approx(monitor[3] / monitor[1], rel=0.01)
    assert np.abs(read(outcome, "entry/quality/ring_residual_deg")) < 0.01


def remove(path):
    return lambda file: file.__delitem__(path)


def set_unit(path, unit):
    return lambda file: file[path].attrs.__setitem__("units", unit)


def drop_unit(path):
    return lambda file: file[path].attrs.__delitem__("units")


DETECTOR = "entry/instrument/detector"


def put(name, value):
    def change(file):
        detector = file[DETECTOR]
        units = dict(detector[name].attrs) if name in detector else {}
        if name in detector:
            del detector[name]
        detector[name] = value
        detector[name].attrs.update(units)

    return change


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (remove(f"{DETECTOR}/distance"), "has no distance"),
        (remove(f"{DETECTOR}/beam_center_x"), "has no beam_center_x"),
        (remove(f"{DETECTOR}/data"), "has no NXdetector with a series of images"),
        (remove("entry/instrument/monochromator"), "neither a wavelength nor an energy"),
        (drop_unit("entry/instrument/monochromator/wavelength"), "no unit"),
        (put("distance", 150.0), "distance of 150 m cannot be right"),
        (set_unit(f"{DETECTOR}/x_pixel_size", "mm"), "x_pixel_size of 1.72e-07 m"),
        (set_unit(f"{DETECTOR}/y_pixel_size", "furlong"), "the unit 'furlong'"),
        (
            lambda file: file.create_dataset(f"{DETECTOR}/pixel_mask", data=np.ones(TRUTH.shape)),
            "every pixel is masked",
        ),
        (
            lambda file: file.create_dataset(f"{DETECTOR}/pixel_mask", data=np.ones((3, 3))),
            "pixel_mask has (3, 3)",
        ),
    ],
    ids=[
        "distance",
        "centre",
        "frames",
        "wavelength",
        "no unit",
        "mm as m",
        "m as mm",
        "unit",
        "masked",
        "shape",
    ],
)
def test_data_that_cannot_be_used_end_in_one_line_and_a_record(run, changed, edit, says):
    outcome = run(changed(edit))
    assert outcome.code != 0
    assert outcome.left == [FAILED]
    record = json.loads((outcome.outputs / FAILED).read_text())
    assert record["status"] == "failed"
    assert says in record["error"]
    notebook = json.loads((outcome.folder / "run.ipynb").read_text())
    errors = [o for c in notebook["cells"] for o in c.get("outputs", ()) if o["output_type"] == "error"]
    assert len(errors) == 1
    assert len(errors[0]["traceback"]) == 1
    assert says in errors[0]["traceback"][0]


def test_a_truncated_file_ends_in_one_line(run, lab6, tmp_path):
    short = tmp_path / "short.nxs"
    short.write_bytes(lab6.read_bytes()[:20_000])
    outcome = run(short)
    assert outcome.code != 0
    assert outcome.left == [FAILED]
    assert "cannot be read" in json.loads((outcome.outputs / FAILED).read_text())["error"]


def test_a_frame_without_counts_ends_in_one_line(run, changed, counts):
    frames = counts[:2].astype(np.float32)
    frames[1] = np.nan
    outcome = run(changed(data=frames))
    assert outcome.code != 0
    assert "frame 1: every pixel" in json.loads((outcome.outputs / FAILED).read_text())["error"]


def test_the_record_of_a_failure_goes_with_the_next_good_run(run, changed):
    broken = run(changed(remove(f"{DETECTOR}/distance")))
    assert broken.left == [FAILED]
    assert run(changed()).left == [OUTPUT]
