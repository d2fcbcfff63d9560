"""How the site is built: `uv run --group docs sphinx-build -W --keep-going -j 2 docs site`, from these pages as they stand."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import winsome
from winsome.lazy import places

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project, author, copyright = "Winsome", "The Winsome authors", "The Winsome authors, Apache-2.0"
version = release = winsome.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_*"]
suppress_warnings = ["mystnb.unknown_mime_type", "ref.python"]  # public names stand on two pages

myst_enable_extensions = ["attrs_inline", "colon_fence", "linkify"]
myst_linkify_fuzzy_links = False
myst_heading_anchors = 4
myst_links_external_new_tab = False

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600  # a cell, on a machine that does much else
nb_execution_in_temp = True
nb_merge_streams = True

autodoc_default_options = {"members": True, "show-inheritance": False, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
napoleon_use_rtype = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
add_module_names = False
toc_object_entries = False  # thousands of entries in the tree of every page

html_theme = "furo"
html_title = f"Winsome {version}"
html_static_path = ["_static"]
html_css_files = ["winsome.css"]
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}

PUBLIC_NAMES = "<!-- every public name of winsome -->"


def list_public_names(app: Sphinx, docname: str, content: list[str]) -> None:
    """Put a directive for every name that the package lists where the page of the reference has a comment for them."""
    if PUBLIC_NAMES not in content[0]:
        return
    names = [name for name in places(inspect.getsource(winsome)) if not name.startswith("_")]
    kinds = {name: "class" if inspect.isclass(getattr(winsome, name)) else "function" for name in names}
    directives = "\n".join(f".. auto{kind}:: winsome.{name}\n" for name, kind in kinds.items())
    content[0] = content[0].replace(PUBLIC_NAMES, f"```{{eval-rst}}\n{directives}```")


def as_restructured_text(app: Sphinx, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text with code between single backticks: escape what reStructuredText would take for more."""
    example = False
    for number, line in enumerate(lines):
        example = line.strip() == "Example:" or (example and (not line or line.startswith(" ")))
        if not example:
            lines[number] = "".join(map(_escaped, re.split(r"(`[^`]*`|(?<!\S)\*\w+\*(?!\w))", line)))


def _escaped(part: str) -> str:
    if part.startswith("`") and len(part) > 2:
        return f"`{part}`"
    if re.fullmatch(r"\*\w+\*", part):  # stressed
        return part
    return re.sub(r"([|*`]|(?<=\w)_(?=\W|$))", r"\\\1", part)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", list_public_names)
    app.connect("autodoc-process-docstring", as_restructured_text, priority=400)  # before napoleon
    Path(app.outdir).mkdir(parents=True, exist_ok=True)
