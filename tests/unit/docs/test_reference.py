"""The reference pages say what the code says."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from hub.settings import Settings

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def reference():
    path = DOCS / "_ext/panhub_reference.py"
    spec = importlib.util.spec_from_file_location("panhub_reference", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_section_of_the_settings_is_there(reference):
    lines = list(reference.settings())
    assert [line for line in lines if line.startswith("## ")] == [f"## `{n}`" for n in Settings.model_fields]


def test_a_default_that_a_section_overrides_is_the_one_shown(reference):
    (row,) = [line for line in reference.settings() if line.startswith("| `team.rights.processed`")]
    assert '| `"rw"` |' in row


@pytest.mark.parametrize("kind", ["settings", "profiles", "token-gateway"])
def test_types_are_written_for_people(reference, kind):
    rows = [line.split(" | ") for line in reference.KINDS[kind]() if line.startswith("| `")]
    kinds = {row[1] for row in rows if len(row) == 4}
    odd = [each for each in kinds if not re.fullmatch(r"`[\w' \\|\[\],.-]+`", each)]
    assert kinds
    assert odd == []


def test_models_in_lists_are_described(reference):
    assert "### Each of `quota.proposals`" in list(reference.settings())


def test_every_problem_code_is_listed_once_with_a_title(reference):
    codes = reference.problem_codes()
    assert len({code.code for code in codes}) == len(codes) > 20
    assert all(code.title for code in codes)


def test_every_kind_has_its_page(reference):
    pages = {path.stem for path in (DOCS / "reference").glob("*.md")}
    assert pages == set(reference.KINDS)
    for kind in reference.KINDS:
        assert f"```{{panhub}} {kind}\n" in (DOCS / f"reference/{kind}.md").read_text()
        assert any(reference.KINDS[kind]())
