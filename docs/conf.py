"""Documentation of PaNHub: Sphinx with MyST. Built by ``make docs``; warnings are errors."""

import sys
from importlib.metadata import version as _version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
sys.path.insert(0, str(Path(__file__).parents[1]))

project = "PaNHub"
author = "The PaNHub developers"
copyright = "The PaNHub developers, BSD-3-Clause"
release = version = _version("panhub")

extensions = ["myst_parser", "panhub_reference"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["examples/**"]

html_theme = "furo"
html_title = f"PaNHub {version}"
nitpicky = True
