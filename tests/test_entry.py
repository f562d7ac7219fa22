"""Entering one's own: a file and its mistakes, each told in one line; the example in README."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import sys
from pathlib import Path

import pytest
from hedgefox import cli
from hedgefox.bench import record as records
from hedgefox.bench.entries.admission import EXPLAINED, require_admissible
from hedgefox.bench.verbs import speed
from hedgefox.contracts import (
    CheckFailed,
    MisuseError,
    Track,
    registry,
    track,
)
from hedgefox.contracts.check import CHECKS
from hedgefox.datasets import generate

from .ballistic import BALLISTIC
from .entering import FREE_FALL, Scored, Write, data, scored, tiny, write

__all__ = ["data", "scored", "tiny", "write"]


# -- files that are right ----------------------------------------------------------------------------------------------


def test_a_file_is_scored_and_timed_and_the_record_names_its_bytes(
    write: Write, scored: Scored, tiny: Track, tmp_path: Path
) -> None:
    path, places = write(), list(sys.path)
    made = scored(path, "persistence", out=tmp_path / "scored")
    assert not made["failures"]
    errors = {r["model"]: r["values"]["position_rmse@1"]["last"]["value"] for r in made["scores"]}
    assert 0 < errors["free_fall"] < errors["persistence"]
    held = {c["card"]["name"]: c for c in records.read(tmp_path / "scored")["contestants"]}
    assert held["free_fall"]["source_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "source_sha256" not in held["persistence"]
    assert sys.path == places
    timed = speed([path], domain=BALLISTIC, track=tiny)
    assert {s["model"] for s in timed["speed"]} == {"ballistic", "free_fall"}
    assert timed["contestants"][1]["source_sha256"] == held["free_fall"]["source_sha256"]


@pytest.mark.parametrize(
    "more",
    [
        "def build(domain, size): return FreeFall()",
        "def build(domain, *, size, seed): assert (size, seed) == ('xs', 0); return FreeFall()",
        "def build(domain, size, *, seed=7): assert seed == 0; return FreeFall()",
        "def build(kind, how_large): assert (kind, how_large) == ('ballistic', 'xs'); return FreeFall()",
        "mine = also_mine = FreeFall()",
        "class Other(FreeFall): pass\ndef build(domain, size): return Other()",
    ],
)
def test_what_a_file_may_offer(write: Write, scored: Scored, more: str) -> None:
    assert {r["model"] for r in scored(write(more=more))["scores"]} == {"free_fall"}


def test_each_file_imports_what_lies_beside_it_and_not_beside_another(
    write: Write, scored: Scored, tmp_path: Path
) -> None:
    paths = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "beside.py").write_text(f"NAME = {name!r}\n")
        paths.append(write("from beside import NAME\n" + FREE_FALL, ('"free_fall"', "NAME"), name=f"{name}/mine.py"))
    assert {r["model"] for r in scored(*paths)["scores"]} == {"one", "two"}
    assert "beside" not in sys.modules
    assert not {str(p.parent) for p in paths} & set(sys.path)


def test_a_package_that_was_in_use_before_stays_whole(
    write: Write, scored: Scored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file may lie beside a package that is already imported, hedgefox's own checkout among them."""
    (tmp_path / "in_use").mkdir()
    (tmp_path / "in_use" / "__init__.py").touch()
    (tmp_path / "in_use" / "part.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    package = importlib.import_module("in_use")
    scored(write("import in_use.part\n" + FREE_FALL))
    assert sys.modules["in_use"] is package
    assert "in_use.part" in sys.modules
    for name in ("in_use", "in_use.part"):
        monkeypatch.delitem(sys.modules, name)


# -- files that are wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "more", "why"),
    [
        ([], "def f(:", r"mine\.py, line 28: SyntaxError"),
        ([], "1 / 0", r"mine\.py, line 28: ZeroDivisionError.*importing"),
        ([], "import nowhere", r"mine\.py, line 28: ModuleNotFoundError.*nowhere"),
        ([], "import sys; sys.exit(3)", r"mine\.py, line 28: SystemExit"),
        ([("def encode", "def encod")], "", r"FreeFall does not define encode"),
        ([("    card =", "    kard =")], "", r"FreeFall does not define card"),
        ([], "class Second(FreeFall): pass", r"2 Model classes, FreeFall, Second"),
        ([], "a, b = FreeFall(), FreeFall()", r"2 Models, a, b"),
        ([("    def encode", "    def __init__(self, width): pass\n\n    def encode")], "", r"width.*define build"),
        ([], "build = 3", r"build is a int"),
        ([], "def build(domain): pass", r"build\(domain\) cannot be called as build\(domain, size\)"),
        ([], "def build(domain, size): pass", r"build returned nothing"),
        ([], "def build(domain, size): return FreeFall", r"FreeFall, the class"),
        ([], "def build(domain, size): return 3", r"build returned a int"),
        ([], "def build(domain, size):\n    return {}['x']", r"line 29: KeyError: 'x' .*build\('ballistic', 'xs'\)"),
        ([], "def build(domain, size):\n    x = FreeFall()\n    FreeFall.card = 3\n    return x", r"card is a int"),
        ([('("ballistic",)', '("fluid",)')], "", r"names the domains fluid; this is ballistic"),
        ([('("ballistic",)', '("ballistic")')], "", r"domains is 'ballistic'; a tuple"),
        ([('"free_fall"', '"persistence"')], "", r"named 'persistence'.*change the card's name"),
        ([('"free_fall"', '"drag-1.4"')], "", r"named 'drag-1.4'"),
        ([('"free_fall"', '"ballistic"')], "", r"named 'ballistic'"),
        ([('"baseline"', '"reference"')], "", r"kind 'reference'.*simulator's own"),
        ([('"baseline"', '"ladder"')], "", r"kind 'ladder'.*simulator's own"),
        ([('"baseline"', '"solver"')], "", r"line 15: MisuseError: card kind 'solver' is unknown"),
        ([('("ballistic",)', '("ballistic",), parameters=1.5')], "", r"parameters is 1.5; its type is int"),
        ([('("ballistic",)', '("ballistic",), history=9')], "", r"history of 9 frames; models see 5"),
        ([], "EXEMPT = ('no_peeking',)", r"EXEMPT names 'no_peeking'"),
        ([('"baseline"', '"specialist"')], "EXEMPT = ('node_order',)", r"EXEMPT is for solvers"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_in_one_line(
    write: Write, scored: Scored, changes: list[tuple[str, str]], more: str, why: str
) -> None:
    path, places = write(FREE_FALL, *changes, more=more), list(sys.path)
    with pytest.raises(MisuseError, match=why) as caught:
        scored(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sys.path == places


def test_files_that_are_none(scored: Scored, tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "empty.py").touch()
    for name, why in (("folder.py", "is a folder"), ("empty.py", "defines no model"), ("gone.py", "No such file")):
        with pytest.raises(MisuseError, match=why):
            scored(tmp_path / name)


def test_parameters_may_not_be_understated(write: Write, scored: Scored) -> None:
    text = "import torch\n" + FREE_FALL
    layer = ("    def encode", "    def __init__(self):\n        self.net = torch.nn.Linear(3, 4)\n\n    def encode")
    with pytest.raises(MisuseError, match=r"states 0 parameters in 0 bytes; its modules hold 16 in 64"):
        scored(write(text, layer))
    stated = ('("ballistic",)', '("ballistic",), parameters=16, bytes=64')
    assert not scored(write(text, layer, stated))["failures"]


# -- checks, explained -------------------------------------------------------------------------------------------------


def rollout(*lines: str) -> str:
    body = "\n".join(f"        {line}" for line in lines)
    return f"\n\nclass Wrong(FreeFall):\n    def rollout(self, past, n_frames):\n{body}\n\nmodel = Wrong()\n"


BROKEN = {
    "shape": rollout("return super().rollout(past, n_frames + 1)"),
    "inputs_untouched": rollout("answer = super().rollout(past, n_frames)", "past.position.add_(1e-3)", "return answer"),
    "deterministic": rollout(
        "import torch", "film = super().rollout(past, n_frames)", "x = film.position + 1e-3 * torch.rand(film.position.shape)",
        "return replace(film, position=x)",
    ),
    "no_peeking": rollout(
        "film = super().rollout(past, n_frames)", "return replace(film, position=film.position + past.position[0])"
    ),
    "driven_follow_script": rollout(
        "film = super().rollout(past, n_frames)", "return replace(film, position=film.position + 0.01)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("check", BROKEN)
def test_a_broken_contract_is_explained_and_nothing_is_scored(
    write: Write, scored: Scored, tmp_path: Path, check: str
) -> None:
    with pytest.raises(CheckFailed, match=check) as caught:
        scored(write(more=BROKEN[check]), out=tmp_path / "out")
    assert EXPLAINED[check] in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_every_check_has_its_explanation() -> None:
    assert set(EXPLAINED) == set(CHECKS)
    assert all("Usually" in text and text.count(". ") >= 2 for text in EXPLAINED.values())


def test_an_error_in_rollout_is_told_with_its_line(write: Write, scored: Scored) -> None:
    with pytest.raises(CheckFailed, match=r"mine\.py, line 32: ZeroDivisionError.*asked for 2 frames of 3 scenes"):
        scored(write(more=rollout("return 1 / 0")))


def test_a_film_that_is_not_finite_is_a_result(write: Write, scored: Scored) -> None:
    made = scored(write(FREE_FALL, ("0.5 * dt**2", "float('nan') * dt")))
    assert made["scores"][0]["diverged_share"] == 1.0


def test_a_solver_may_say_that_the_order_of_its_nodes_matters(write: Write, scored: Scored) -> None:
    """Each free node falls a little faster than the one before it in its scene."""
    odd = rollout(
        "import torch",
        "film = super().rollout(past, n_frames)",
        "place = torch.arange(film.scene.n_nodes) - film.scene.scene_ptr[film.scene.node_scene]",
        "extra = (0.01 * place * film.scene.free).unsqueeze(-1)",
        "return replace(film, position=film.position + extra)",
    )
    with pytest.raises(CheckFailed, match="node_order"):
        scored(write(more=odd))
    assert not scored(write(more=odd + "EXEMPT = ('node_order',)"))["failures"]


# -- the example in README ---------------------------------------------------------------------------------------------


def examples() -> list[str]:
    """The Python blocks of the section "Enter your own model": the file, and predictions made with it."""
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    section = text.split("## Enter your own model\n", 1)[1].split("\n## ", 1)[0]
    return [block.split("\n```", 1)[0] for block in section.split("```python\n")[1:]]


def test_the_example_in_the_readme_works_as_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """On tiny data of a real domain, through the command line; the predictions, of the same model, get the same scores."""
    file, predicting = examples()
    generate(
        "fluid",
        dataclasses.replace(track("smoke"), trajectories={"train": 2, "valid": 1, "test": 2}),
        tmp_path / "data",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("my_model.py").write_text(file)
    assert cli.main(["score", "./my_model.py", "persistence", "--data", "data/fluid", "--out", "mine/score"]) == 0
    assert "free_fall" in capfd.readouterr().out
    assert cli.main(["speed", "./my_model.py", "--domain", "fluid", "--track", "smoke", "--out", "mine/speed"]) == 0
    assert '.recipe("s")' in predicting
    exec(predicting.replace('.recipe("s")', '.recipe("xs")'), {})
    assert cli.main(["score", "predictions", "--data", "data/fluid", "--split", "test", "--out", "mine/again"]) == 0
    values = [
        next(r["values"] for r in records.read(Path("mine") / folder)["scores"] if r["model"].startswith("free_fall"))
        for folder in ("score", "again")
    ]
    assert values[0] == values[1]
    sys.modules.pop("my_model", None)


@pytest.mark.parametrize("kind", ["cloth", "rigid"])
def test_the_example_keeps_the_contract_in_the_other_domains(kind: str, tmp_path: Path) -> None:
    from hedgefox.bench.contestants import resolve

    (tmp_path / "my_model.py").write_text(examples()[0])
    domain = registry.domain(kind)
    recipe = dataclasses.replace(domain.recipe("xs"), horizon=8)
    made = resolve(str(tmp_path / "my_model.py"), domain, recipe, size="xs", device="cpu")
    require_admissible(made, domain.simulate(recipe, "test", [0, 1, 2], root_seed=1), recipe)
