"""The pages: what the build checks, that it finds what is planted, and that figures are small. The build itself is `make docs`."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
sphinx = pytest.importorskip("sphinx", reason="needs the extra `docs`, which make docs installs")


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    """docs/_pages.py, which is no part of the package."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("_pages", ROOT / "docs" / "_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["_pages"] = module
    spec.loader.exec_module(module)
    return module


PAGE = """# Planted

See [a heading](#planted), [another page](other.md#there), $x^2$, [the licence](../LICENSE),
`docs/other.md`, `docs/_pages.setup` and `docs/NAME.md`.
"""
OTHER = "# Other\n\n## There\n\n[back](planted.md)\n"
INDEX = "# Index\n\n## All\n\n- [Planted](planted.md)\n- [Other](other.md)\n"


def built(folder: Path, page: str) -> str:
    """The warnings of a build of two pages and an index, as `make docs` builds."""
    import contextlib
    import io

    from sphinx.cmd.build import build_main

    (folder / "docs").mkdir()
    for name, text in (("planted", page), ("other", OTHER), ("index", INDEX)):
        (folder / "docs" / f"{name}.md").write_text(text)
    (folder / "LICENSE").write_text("free")
    for name in ("conf.py", "_pages.py"):
        (folder / "docs" / name).write_text((ROOT / "docs" / name).read_text())
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = build_main(["-q", "-b", "html", "-W", "--keep-going", "-c", str(folder / "docs"), "-D", "html_theme=basic",
                           "-d", str(folder / "kept"), str(folder), str(folder / "out")])  # fmt: skip
    assert (code != 0) == bool(said.getvalue())
    return said.getvalue()


@pytest.mark.filterwarnings("ignore")
def test_pages_without_a_fault_build_and_formulas_need_no_script(tmp_path: Path, pages: ModuleType) -> None:
    assert built(tmp_path, PAGE) == ""
    page = (tmp_path / "out" / "docs" / "planted.html").read_text()
    assert "<msup>" in page
    assert "https://cdn" not in page
    assert 'href="other.html"' in (tmp_path / "out" / "docs" / "index.html").read_text()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("planted", "said"),
    [
        ("[x](other.md#nowhere)", "nowhere"),
        ("[x](#nowhere)", "nowhere"),
        ("[x](missing.md)", "missing.md"),
        ("[x](../results/nothing.json)", "nothing.json"),
        ("`docs/missing.md`", "docs/missing.md"),
        ("[x](https://nowhere)", "nowhere"),
    ],
)
def test_a_planted_fault_ends_the_build(planted: str, said: str, tmp_path: Path, pages: ModuleType) -> None:
    told = built(tmp_path, PAGE + planted + "\n")
    assert said in told
    assert "planted.md" in told


@pytest.mark.parametrize(
    ("address", "fine"),
    [
        ("https://example.org/a#b", True),
        ("mailto:a@example.org", True),
        ("other.html#x", True),
        ("https://example", False),
        ("ftp://example.org", False),
        ("https://exa mple.org", False),
    ],
)
def test_addresses_are_judged_by_their_form(address: str, fine: bool, pages: ModuleType) -> None:
    assert (pages.address_fault(address) is None) == fine


def test_the_sidebar_has_every_page_once(pages: ModuleType) -> None:
    there = ["docs/index", "docs/a", "docs/b", "docs/forgotten"]
    made = "".join(
        pages.toctrees(
            "# I\n\n## One\n\n- [A](a.md): first\n- [A again](a.md#x)\n\n## Two\n\n- [B](b.md)\n- [A](a.md)\n", there
        )
    )
    assert [made.count(f"\n/{page}\n") for page in there] == [0, 1, 1, 1]
    assert made.index("caption: More") > made.index("/docs/b\n")


def test_pages_of_the_index_are_there(pages: ModuleType) -> None:
    listed = list(pages._listed((ROOT / "docs" / "index.md").read_text(encoding="utf-8")))
    assert {"README", "docs/measure", "docs/fluid", "docs/extend", "results/LEADERBOARD"} <= set(listed)


def test_figures_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in (ROOT / "docs" / "figures").iterdir()}
    assert sizes
    for name, size in sizes.items():
        most = 1_500_000 if name.endswith(".gif") else 100_000 if name.startswith("validate") else 150_000
        assert size <= most, (name, size)
