"""Files that a session gets."""

import ast
import hashlib
import json
from pathlib import PurePosixPath

import nbformat
import pytest

from templates.catalogue import Library
from templates.cell import read_parameters
from templates.parameters import DatasetRef, Effective, Source, effective
from templates.render import PROVENANCE_FILE, RenderContext, render

LIBRARY = Library.load()
DATASET = DatasetRef(PurePosixPath("/data/hc-1/raw/scan.h5"), "scan", PurePosixPath("/data/hc-1/processed"))
CONTEXT = RenderContext(
    dataset=DATASET,
    dataset_pid="10.5072/1",
    proposal="hc-1",
    investigation="hc-1-a",
    environment_id="pan-core",
    lock_sha256="a" * 64,
    launch_id="0123456789abcdef",
    username="ada",
    kernel="pan-core",
)


@pytest.mark.parametrize("template", LIBRARY.all(), ids=lambda t: t.id)
def test_the_notebook_is_valid_has_no_output_and_names_its_template(template):
    files = render(template, effective(template, {}, DATASET), CONTEXT)
    notebook = nbformat.reads(files[0].content, as_version=4)
    nbformat.validate(notebook)
    assert files[0].path == PurePosixPath(template.spec.notebook.file)
    assert notebook.metadata.kernelspec.name == "pan-core"
    assert notebook.metadata.pan_template == {
        "id": template.id,
        "version": template.spec.version,
        "hash": template.sha256,
    }
    assert all(not cell.get("outputs") for cell in notebook.cells)


def test_the_parameters_cell_holds_the_values_and_keeps_its_comments():
    template = LIBRARY.get("saxs-azimuthal-integration")
    files = render(template, effective(template, {"npt": 321}, DATASET), CONTEXT)
    notebook = nbformat.reads(files[0].content, as_version=4)
    cell = next(c for c in notebook.cells if "parameters" in c.metadata.get("tags", ()))
    values = {p.name: p for p in read_parameters(cell.source)}
    assert values["npt"].default == 321
    assert values["npt"].comment == "[bins] points of a pattern"
    assert values["input_file"].default == "/data/hc-1/raw/scan.h5"


def test_text_of_a_person_stays_text():
    template = LIBRARY.get("nexus-inspect")
    hostile = '"); import os; os.system("true") #'
    values = effective(template, {"path": hostile}, DATASET)
    notebook = json.loads(render(template, values, CONTEXT)[0].content)
    source = "".join(notebook["cells"][1]["source"])
    assert all(isinstance(statement, ast.AnnAssign) for statement in ast.parse(source).body)
    assert {p.name: p.default for p in read_parameters(source)}["path"] == hostile


def test_modules_and_context_come_beside_the_notebook():
    template = LIBRARY.get("saxs-azimuthal-integration")
    files = {f.path: f.content for f in render(template, effective(template, {}, DATASET), CONTEXT)}
    assert [str(path) for path in files] == [
        "azimuthal_integration.ipynb",
        "azimuthal_input.py",
        "azimuthal.py",
        "azimuthal_output.py",
        "panhub_provenance.json",
    ]
    context = json.loads(files[PROVENANCE_FILE])
    assert context["template"] == {"id": template.id, "version": "1.0.0", "sha256": template.sha256}
    assert context["environment"] == {"id": "pan-core", "lock_sha256": "a" * 64}
    assert context["input"]["dataset_pid"] == "10.5072/1"
    assert context["parameters"]["npt"] == {"value": 1000, "source": "default"}
    notebook = files[PurePosixPath("azimuthal_integration.ipynb")]
    assert context["notebook_sha256"] == hashlib.sha256(notebook.encode()).hexdigest()


def test_rendering_is_deterministic_and_leaves_the_template_alone():
    template = LIBRARY.get("saxs-azimuthal-integration")
    first = render(template, effective(template, {}, DATASET), CONTEXT)
    render(template, {"npt": Effective(77, Source.USER)}, CONTEXT)
    assert render(template, effective(template, {}, DATASET), CONTEXT) == first
