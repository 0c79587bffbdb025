"""How Sphinx makes the site: Markdown, notebooks and docstrings in, pages that need no network out."""

import html
import tomllib
from pathlib import Path

import latex2mathml.converter
from docutils import nodes
from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]

project = "dreamlib"
author = copyright = "The dreamlib developers"
release = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

extensions = ["myst_nb", "autoapi.extension", "sphinx.ext.napoleon", "sphinx_copybutton"]
default_role = "code"  # single backticks in a docstring name a parameter
html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False  # the sources are in the repository

# Pages are made of notebooks that were run by make: a site shows what was measured, and measures nothing.
nb_execution_mode = "off"
nb_merge_streams = True
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3
copybutton_exclude = ".linenos, .gp"

# The package is read, not imported: the tools of the site need no PyTorch.
autoapi_dirs = [str(ROOT / "dreamlib")]
autoapi_root = "api"
autoapi_options = ["members", "show-inheritance", "show-module-summary"]
autoapi_member_order = "bysource"
autoapi_add_toctree_entry = False
autoapi_python_class_content = "class"
# A type in a docstring, "SGD", may be the name of two classes; the signature above it says which is meant.
suppress_warnings = ["ref.python"]
napoleon_google_docstring = False
napoleon_use_rtype = False


def mathml(visitor, node: nodes.math | nodes.math_block, display: str = "inline") -> None:
    """Write a formula as MathML, which browsers draw by themselves."""
    source = node.astext()
    body = latex2mathml.converter.convert(source, display=display)
    visitor.body.append(body.replace("<math ", f'<math aria-label="{html.escape(source)}" ', 1))
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Formulas without a script."""
    app.add_html_math_renderer(
        "mathml", (mathml, None), (lambda visitor, node: mathml(visitor, node, "block"), None)
    )


html_math_renderer = "mathml"
