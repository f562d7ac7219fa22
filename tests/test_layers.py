"""Import arrows point one way, heavy libraries load where they are used, and the command line answers at once."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import hedgefox
import pytest
from hedgefox.contracts import registry

ROOT = Path(hedgefox.__file__).parent
LAYERS = {
    "contracts": {"contracts"},
    "simulators": {"contracts", "simulators"},
    "datasets": {"contracts", "simulators", "datasets"},
    "surrogates": {"contracts", "datasets", "surrogates"},
    "jepa": {"contracts", "datasets", "surrogates", "jepa"},
    "environments": {"contracts", "simulators", "surrogates", "environments"},
    "bench": {"contracts", "simulators", "datasets", "surrogates", "jepa", "bench"},
    "commands": {"contracts", "simulators", "datasets", "surrogates", "jepa", "bench", "commands", "_terminal"},
}
"""What each folder may import of ours."""

FREE = {"cli", "_terminal", "__main__", "__init__"}
HEAVY = {"taichi", "warp", "newton", "ray", "plotly", "torch_geometric", "pandas", "matplotlib", "rich", "pyarrow"}
BEHIND_ONE_IMPORT = {
    f"simulators/{name}.py"
    for name in (
        "_taichi",
        "_sph_kernels",
        "_sph_solids",
        "_sph_warp",
        "_sph_warp_kernels",
        "_sph_warp_solids",
        "_warp",
        "_cloth_kernels",
        "_cloth_work",
        "_newton",
    )
}
"""Private files that are themselves imported only inside functions, because kernels need their library to be declared."""


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def every_source() -> list[Path]:
    return [*sorted(ROOT.glob("*.py")), *(p for folder in LAYERS for p in sources(folder))]


def imports(path: Path, *, module_level: bool = False) -> Iterator[str]:
    """Full names of the modules a file imports; ours begin with "hedgefox."."""
    tree = ast.parse(path.read_text())
    package = ["hedgefox", *path.relative_to(ROOT).with_suffix("").parts][:-1]
    for node in _at_import(tree) if module_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            full = ".".join([*base, *([node.module] if node.module else [])])
            # `from .. import surrogates` names a layer in what it imports.
            yield from [f"{full}.{alias.name}" for alias in node.names] if full == "hedgefox" else [full]


def _at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """What runs when the file is imported: not the bodies of functions, nor what only type checkers see."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from _at_import(node)


def layer_of(name: str) -> str | None:
    parts = name.split(".")
    return parts[1] if parts[0] == "hedgefox" and len(parts) > 1 else None


@pytest.mark.parametrize("folder", LAYERS)
def test_arrows_point_one_way(folder: str) -> None:
    for path in sources(folder):
        used = {layer for name in imports(path) if (layer := layer_of(name)) is not None}
        assert used <= LAYERS[folder], f"{path.relative_to(ROOT)} imports {sorted(used - LAYERS[folder])}"


def test_solvers_and_learners_do_not_know_each_other() -> None:
    """Also not through their layers: datasets may call a domain by name, surrogates never do."""
    for path in sources("surrogates") + sources("jepa"):
        assert not [n for n in imports(path) if n.startswith("hedgefox.simulators")], path


def test_no_two_model_files_share_a_name() -> None:
    """A model goes by its file's name, whichever folder the file is in."""
    files = [name for folder in registry.MODEL_FOLDERS for name in registry.names(folder)]
    assert len(files) == len(set(files))


def test_imports_inside_are_relative() -> None:
    for path in every_source():
        absolute = [
            node
            for node in ast.walk(ast.parse(path.read_text()))
            if (
                isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").split(".")[0] == "hedgefox"
            )
            or (isinstance(node, ast.Import) and any(a.name.split(".")[0] == "hedgefox" for a in node.names))
        ]
        assert not absolute, f"{path.relative_to(ROOT)} line {absolute[0].lineno}"


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    for path in every_source():
        where = path.relative_to(ROOT).as_posix()
        heavy = HEAVY & {name.split(".")[0] for name in imports(path, module_level=True)}
        assert not heavy or where in BEHIND_ONE_IMPORT, f"{where} imports {sorted(heavy)} when it is imported"


def test_files_behind_one_import_are_not_imported_at_module_level() -> None:
    private = {f"hedgefox.{name.removesuffix('.py').replace('/', '.')}" for name in BEHIND_ONE_IMPORT}
    for path in every_source():
        if path.relative_to(ROOT).as_posix() not in BEHIND_ONE_IMPORT:
            assert not private & set(imports(path, module_level=True)), path


def test_the_finder_sees_what_it_must(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault: without it the tests above could pass by finding nothing."""
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    (tmp_path / "contracts").mkdir()
    planted = tmp_path / "contracts" / "x.py"
    planted.write_text(
        "import taichi as ti\ndef f():\n    from ..bench import run\n    from .. import surrogates\n    import rich\n"
    )
    assert set(imports(planted)) == {"taichi", "hedgefox.bench", "hedgefox.surrogates", "rich"}
    assert set(imports(planted, module_level=True)) == {"taichi"}


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, env=environment)


@pytest.mark.timed
def test_help_answers_within_half_a_second() -> None:
    def once() -> float:
        started = time.perf_counter()
        assert python("-m", "hedgefox", "--help").returncode == 0
        return time.perf_counter() - started

    assert min(once() for _ in range(3)) < 0.5


def test_importing_hedgefox_is_silent_and_light() -> None:
    done = python("-c", "import sys, hedgefox; print(sorted(set(sys.modules) & {'torch', 'numpy', 'pandas'}))")
    assert (done.stdout, done.stderr) == ("[]\n", "")
    assert python("-c", "import hedgefox").stdout == ""


def test_every_public_name_exists_and_is_documented() -> None:
    assert 15 <= len(hedgefox.__all__) <= 30
    for name in hedgefox.__all__:
        assert getattr(hedgefox, name).__doc__, name
    with pytest.raises(AttributeError, match="nonsense"):
        hedgefox.nonsense  # noqa: B018


def test_all_layers_import_without_heavy_libraries() -> None:
    code = (
        "import sys, hedgefox.cli, hedgefox.bench.run, hedgefox.bench.verbs\n"
        "import hedgefox.datasets, hedgefox.surrogates, hedgefox.jepa\n"
        "from hedgefox.contracts import registry\n"
        "[registry.domain(n) for n in registry.names('simulators')]\n"
        f"print(sorted(set(sys.modules) & {HEAVY!r}))"
    )
    done = python("-c", code)
    assert done.stdout == "[]\n", done.stderr


def test_spinning_threads_are_off_before_torch_loads() -> None:
    done = python("-c", "import hedgefox.cli, os, sys; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)")
    assert done.stdout == "PASSIVE False\n"
