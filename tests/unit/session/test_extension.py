"""The extension of the notebook server: what it leaves to kernels."""

import importlib.util
from pathlib import Path

import pytest

import spawners.session

PACKAGE = Path(spawners.session.__file__).parent / "python" / "panhub_session" / "__init__.py"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{ours}", None),
        ("{ours}:/opt/module/python", "/opt/module/python"),
        ("/a:{ours}::/b", "/a:/b"),
        (None, None),
    ],
)
def test_kernels_inherit_the_search_path_of_modules_but_not_ours(before, after):
    described = importlib.util.spec_from_file_location("panhub_session", PACKAGE)
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    environment = {"KEPT": "1"}
    if before is not None:
        environment["PYTHONPATH"] = before.format(ours=PACKAGE.parents[1])
    module.forget_own_path(environment)
    assert environment == {"KEPT": "1", **({} if after is None else {"PYTHONPATH": after})}
