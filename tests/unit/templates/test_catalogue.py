"""Loading and checking of templates."""

import shutil

import pytest
import yaml

from templates.catalogue import BUILTIN, Library, TemplateError, load_template
from templates.schema import SCHEMA_FILE, schema_text

SAXS = BUILTIN / "saxs-azimuthal-integration"


@pytest.fixture
def copy(tmp_path):
    """A copy of a template with parts of its sidecar changed."""

    def make(name=SAXS.name, edit=lambda sidecar: None):
        folder = shutil.copytree(SAXS, tmp_path / name)
        sidecar = yaml.safe_load((folder / "template.yaml").read_text())
        edit(sidecar)
        (folder / "template.yaml").write_text(yaml.safe_dump(sidecar, sort_keys=False))
        return folder

    return make


def test_the_templates_that_come_along_are_sound():
    assert [t.ref for t in Library.load().all()] == [
        "saxs-azimuthal-integration@1.0.0",
        "nexus-inspect@1.0.0",
    ]


def test_the_published_schema_is_current():
    assert SCHEMA_FILE.read_text() == schema_text()


def test_every_template_has_the_files_a_reader_looks_for():
    wanted = ["README.md", "CHANGELOG.md", "expected.yaml"]
    missing = [t.folder / f for t in Library.load().all() for f in wanted if not (t.folder / f).is_file()]
    assert missing == []


def test_notebooks_have_a_title_of_the_sidecar_and_at_most_twelve_cells():
    for template in Library.load().all():
        assert template.notebook.cells[0].source.startswith(f"# {template.spec.title}\n")
        assert len(template.notebook.cells) <= 12


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("saxs-azimuthal-integration", "1.10.0"),
        ("saxs-azimuthal-integration@1", "1.10.0"),
        ("saxs-azimuthal-integration@1.9", "1.9.0"),
        ("saxs-azimuthal-integration@1.9.0", "1.9.0"),
        ("saxs-azimuthal-integration@2", None),
        ("saxs-azimuthal-integration@", None),
        ("../saxs-azimuthal-integration", None),
        ("unknown", None),
    ],
)
def test_a_reference_takes_the_newest_version_it_names(copy, tmp_path, reference, expected):
    for version in ("1.9.0", "1.10.0"):
        copy(f"{SAXS.name}@{version}", lambda sidecar, v=version: sidecar.update(version=v))
    found = Library.load([tmp_path]).get(reference)
    assert (found.spec.version if found else None) == expected


def test_deprecated_templates_are_found_by_name_but_not_listed(copy, tmp_path):
    copy(edit=lambda sidecar: sidecar["review"].update(status="deprecated"))
    library = Library.load([tmp_path])
    assert library.all() == ()
    assert library.get(SAXS.name) is not None


def test_the_hash_changes_with_a_module(copy):
    folder = copy()
    before = load_template(folder).sha256
    module = folder / "azimuthal.py"
    module.write_text(module.read_text() + "\n# changed\n")
    assert load_template(folder).sha256 != before


@pytest.mark.parametrize(
    ("edit", "key"),
    [
        (lambda s: s.update(techniques=["PaNET99999"]), "techniques: PaNET99999 is not in PaNET"),
        (lambda s: s.update(id="other"), "is not the name of the folder"),
        (lambda s: s.update(flavour="sweet"), "flavour"),
        (lambda s: s.update(version="1"), "version"),
        (lambda s: s.pop("authors"), "authors"),
        (lambda s: s["parameters"].pop("npt"), "differ in npt"),
        (lambda s: s["parameters"]["npt"].update(default=5000), "npt: default 1000"),
        (lambda s: s["parameters"]["npt"].update(type="number"), "npt: is int"),
        (lambda s: s["parameters"]["npt"].pop("default"), "parameters.npt"),
        (lambda s: s["parameters"]["distance"].update(bind="nexus:sample"), "nothing is named 'sample'"),
        (lambda s: s["notebook"]["modules"].append("missing.py"), "missing.py: cannot be read"),
        (
            lambda s: s["inputs"][0]["match"]["require"][0].update(any=[{"regex": "("}]),
            "not a regular expression",
        ),
        (lambda s: s["inputs"][0]["match"]["require"][0].update(any=[{}]), "match everything"),
    ],
)
def test_a_wrong_template_is_refused_with_file_key_and_cause(copy, edit, key):
    folder = copy(edit=edit)
    with pytest.raises(TemplateError) as error:
        load_template(folder)
    assert str(folder) in str(error.value)
    assert key in str(error.value)


def test_a_missing_folder_and_a_double_template_are_refused(copy, tmp_path):
    with pytest.raises(TemplateError, match="no such folder"):
        Library.load([tmp_path / "nowhere"])
    copy()
    with pytest.raises(TemplateError, match="is also in"):
        Library.load([tmp_path, BUILTIN])
