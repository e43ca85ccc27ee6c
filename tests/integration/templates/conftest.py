"""The simulated LaB6 series and one good run of the template, made once for all tests here."""

import pytest

from templates.catalogue import Library
from tests.support.lab6 import Lab6, write_nxsas
from tests.support.notebooks import ENVIRONMENT, run_template
from tests.support.required import require

TRUTH = Lab6()


@pytest.fixture(scope="session", autouse=True)
def environment():
    """The notebook environment that sessions run in."""
    require((ENVIRONMENT / "bin/papermill").exists(), "the notebook environment (make environment)")


@pytest.fixture(scope="session")
def library():
    """Templates that come along."""
    return Library.load()


@pytest.fixture(scope="session")
def saxs(library):
    """The template under test."""
    return library.get("saxs-azimuthal-integration")


@pytest.fixture(scope="session")
def counts():
    """Simulated frames."""
    return TRUTH.counts()


@pytest.fixture(scope="session")
def lab6(tmp_path_factory, counts):
    """File of the simulated frames."""
    return write_nxsas(tmp_path_factory.mktemp("data") / "lab6.nxs", TRUTH, counts)


@pytest.fixture(scope="session")
def good(tmp_path_factory, saxs, lab6):
    """One good run with the template's own defaults."""
    return run_template(saxs, lab6, tmp_path_factory.mktemp("good"))
