"""How the pages are built (`make docs`): README, docs/ and results/ as they stand, with the links that GitHub follows too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "hedgefox"
copyright = "the hedgefox authors; text and code Apache-2.0"
extensions = ["myst_parser", "_pages"]
root_doc = "docs/index"
include_patterns = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md", "results/*.md"]
exclude_patterns = [".*", "build", "runs", "out", "*.egg-info"]  # folders that would be walked through for nothing
html_theme = "furo"
html_title = "hedgefox"
html_show_sourcelink = False
html_copy_source = False
html_math_renderer = "mathml"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
nitpicky = True
