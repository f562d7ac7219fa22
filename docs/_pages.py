"""What the build of the pages adds to Sphinx, so that the same files read well on GitHub and as built pages.

- The sidebar is read from the lists of docs/index.md, which is plain Markdown; pages that it forgot come last.
- Formulas become MathML: the pages need no script and no network.
- Links are checked beyond what Sphinx does: links to files and folders of the repository, addresses elsewhere by their form,
  and paths in code spans (`bench/run.py`), which must exist. Whatever is wrong is a warning, and a warning ends `make docs`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

INDEX = "docs/index"
LINK = re.compile(r"^- \[[^\]]*\]\(([^)#]+\.md)\)", re.MULTILINE)
HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
PATH = re.compile(r"[a-z_.]+(?:/[\w.+*-]+)*/[\w.*+-]*")
"""A code span that reads as a path: lower case at first, with a slash."""
PLACEHOLDERS = re.compile(r"[A-Z]{4,}|<|…|\.\.\.|[{}]")
"""NAME, DIR/DOMAIN, <date>: nothing that can be looked up."""

log = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (_inline_formula, None), (_formula, None))
    app.connect("source-read", _with_sidebar)
    app.connect("doctree-read", _check)
    app.connect("build-finished", _front_door)
    return {"parallel_read_safe": True}


def _with_sidebar(app: Sphinx, page: str, source: list[str]) -> None:
    """The lists of the index, again as the tables of contents that make the sidebar, hidden."""
    if page == INDEX:
        there = sorted(f"docs/{path.stem}" for path in (Path(app.srcdir) / "docs").glob("*.md"))
        source[0] += "".join(toctrees(source[0], there))


def toctrees(index: str, pages: list[str]) -> list[str]:
    """A hidden table of contents for each section of the index that lists pages, and one for those that it forgot."""
    _, *parts = HEADING.split(index)
    found: dict[str, list[str]] = {}
    known: set[str] = set()
    for caption, text in zip(parts[::2], parts[1::2], strict=True):
        found[caption] = [page for page in _listed(text) if page not in known]
        known |= set(found[caption])
    found["More"] = [page for page in pages if page not in known and page != INDEX]
    return [_toctree(caption, listed) for caption, listed in found.items() if listed]


def _listed(text: str) -> Iterator[str]:
    """Pages in a section's list, each once."""
    yield from dict.fromkeys(
        Path(os.path.normpath(f"docs/{at}")).with_suffix("").as_posix() for at in LINK.findall(text)
    )


def _toctree(caption: str, pages: list[str]) -> str:
    entries = "\n".join(f"/{page}" for page in pages)
    return f"\n\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{entries}\n```\n"


def _inline_formula(writer: Any, node: nodes.math) -> None:
    _write_formula(writer, node, "inline")


def _formula(writer: Any, node: nodes.math_block) -> None:
    _write_formula(writer, node, "block")


def _write_formula(writer: Any, node: Any, display: str) -> None:
    from latex2mathml.converter import convert

    writer.body.append(convert(node.astext(), display=display))
    raise nodes.SkipNode


def _check(app: Sphinx, tree: nodes.document) -> None:
    root = Path(app.srcdir)
    for link in tree.findall(nodes.reference):
        fault = address_fault(link.get("refuri", ""))
        if fault:
            log.warning(fault, location=link)
    for span in tree.findall(nodes.literal):
        fault = path_fault(span.astext(), root)
        if fault:
            log.warning(fault, location=span)


def address_fault(address: str) -> str | None:
    """What is wrong with an address elsewhere; its form alone is looked at."""
    parts = urlsplit(address)
    if not parts.scheme or parts.scheme == "mailto":
        return None
    if parts.scheme not in ("http", "https"):
        return f"{address}: an address begins with https://"
    host = parts.hostname or ""
    fine = re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", host) and " " not in address
    return None if fine else f"{address} is no address"


def path_fault(text: str, root: Path) -> str | None:
    """What is wrong with a path in a code span: one that begins in a folder of the repository must lead somewhere."""
    if not PATH.fullmatch(text) or PLACEHOLDERS.search(text):
        return None
    first = text.split("/")[0]
    if not (root / first).is_dir() or first in ("runs", "data", "out", "weights"):
        return None
    # A path may be of a module, or of a name in one: contracts/rotation.fitted_pose.
    ways = (text.rstrip("/"), f"{text}.py", f"{text.rpartition('.')[0]}.py")
    there = any(next(root.glob(way), None) is not None for way in ways)
    return None if there else f"{text} is named as a path and is not there"


def _front_door(app: Sphinx, error: Exception | None) -> None:
    """index.html leads to the index, which lies in docs/ as it does in the repository."""
    if error is None and app.builder.format == "html":
        target = f"{INDEX}.html"
        page = f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={target}">'
        (Path(app.outdir) / "index.html").write_text(
            f'{page}<title>hedgefox</title><a href="{target}">hedgefox</a>\n', "utf-8"
        )
