"""Entering one's own: a file and its mistakes, each told in one line; what looks its answers up is refused; predictions."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hedgefox import cli
from hedgefox.bench import record as records
from hedgefox.bench.contestants import Contestant
from hedgefox.bench.entries.admission import EXPLAINED, require_admissible
from hedgefox.bench.entries.given import is_own, require_given
from hedgefox.bench.entries.honesty import SLOWED, require_honest, unseen
from hedgefox.bench.entries.predictions import Predictions
from hedgefox.bench.score import answer_of, prepare
from hedgefox.bench.verbs import score, speed
from hedgefox.contracts import (
    CheckFailed,
    Domain,
    MisuseError,
    Model,
    ModelCard,
    Obstacle,
    Recipe,
    Track,
    Trajectory,
    Wall,
    registry,
    single_scene,
    stack,
    track,
)
from hedgefox.contracts.check import CHECKS
from hedgefox.contracts.rotation import local_points
from hedgefox.datasets import generate, load, save
from hedgefox.surrogates import create, train

from .ballistic import BALLISTIC

FREE_FALL = """
from dataclasses import dataclass, replace

from hedgefox.contracts import Frame, ModelCard, Scene, Stepper
from hedgefox.contracts.model import place_driven


@dataclass(frozen=True)
class State:
    scene: Scene
    frame: Frame


class FreeFall(Stepper[State]):
    card = ModelCard("free_fall", "baseline", "none", "none", "uniform acceleration", ("ballistic",))

    def encode(self, past):
        return State(past.scene, past.frame(-1))

    def advance(self, state, script):
        scene, frame, dt = state.scene, state.frame, state.scene.frame_interval
        gravity = scene.gravity[scene.node_scene]
        position = frame.position + dt * frame.velocity + 0.5 * dt**2 * gravity
        return replace(state, frame=place_driven(Frame(position, frame.velocity + dt * gravity), scene, script))

    def decode(self, state):
        return state.frame
"""


@pytest.fixture(scope="module")
def tiny() -> Track:
    return dataclasses.replace(track("smoke"), trajectories={"train": 2, "valid": 1, "test": 3})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, tiny: Track) -> Path:
    return generate(BALLISTIC, tiny, tmp_path_factory.mktemp("data"))


Scored = Callable[..., dict[str, Any]]


@pytest.fixture
def scored(data: Path, tiny: Track) -> Scored:
    def run(*models: Path | str | Model, out: Path | None = None, **more: Any) -> dict[str, Any]:
        return score(list(models), data, out, domain=BALLISTIC, track=tiny, **more)

    return run


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A file with a text, after replacements."""

    def make(text: str = FREE_FALL, *changes: tuple[str, str], more: str = "", name: str = "mine.py") -> Path:
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / name
        path.write_text(text + more)
        return path

    return make


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


# -- honesty -----------------------------------------------------------------------------------------------------------


class Plain(Model):
    """A model made of a function."""

    def __init__(self, answer: Callable[[Trajectory, int], Trajectory]) -> None:
        self.answer = answer
        self._card = ModelCard("plain", "specialist", "none", "none", "none", ("*",))

    @property
    def card(self) -> ModelCard:
        return self._card

    def rollout(self, past: Trajectory, n_frames: int) -> Trajectory:
        return self.answer(past, n_frames)


def replaying(films: Trajectory, recipe: Recipe) -> Callable[[Trajectory, int], Trajectory]:
    """Holds the films of a data set, and answers with the continuation of the one whose start is nearest, node by node."""
    held = films.split()

    def distance(past: Trajectory, film: Trajectory) -> float:
        same = past.scene.n_nodes == film.scene.n_nodes
        return float((past.position[-1] - film.position[recipe.past - 1]).norm()) if same else float("inf")

    def answer(past: Trajectory, n_frames: int) -> Trajectory:
        found = []
        for one in past.split():
            nearest = min(held, key=lambda film: distance(one, film))
            ahead = nearest.frames(recipe.past, recipe.past + n_frames)
            scene = one.scene.with_script(one.scene.script.starting_at(one.n_frames))
            position, velocity = ahead.position.clone(), ahead.velocity.clone()
            driven = scene.driven_nodes
            position[:, driven] = scene.script.node_position[:n_frames]
            found.append(
                dataclasses.replace(ahead, scene=scene, position=position, velocity=velocity).with_divergence()
            )
        return stack(found)

    return answer


def test_a_model_that_replays_the_truth_is_refused(film: Trajectory, recipe: Recipe) -> None:
    model, past = Plain(replaying(film, recipe)), film.frames(0, recipe.past)
    assert torch.equal(model.rollout(past, 8).position, film.position[5:]), "it is perfect on what it holds"
    with pytest.raises(CheckFailed, match=r"a state that no file holds.*first frame.*changed by 0 m"):
        require_honest(model, past, recipe.horizon)


def test_blurring_what_is_looked_up_does_not_help(film: Trajectory, recipe: Recipe) -> None:
    def blurred(past: Trajectory, n_frames: int) -> Trajectory:
        answer = replaying(film, recipe)(past, n_frames)
        return dataclasses.replace(answer, position=answer.position + 1e-3 * past.position[-1])

    with pytest.raises(CheckFailed, match="no file holds"):
        require_honest(Plain(blurred), film.frames(0, recipe.past), recipe.horizon)


def test_following_in_the_first_frame_alone_does_not_help(film: Trajectory, recipe: Recipe) -> None:
    def late(past: Trajectory, n_frames: int) -> Trajectory:
        answer = replaying(film, recipe)(past, n_frames)
        position = answer.position.clone()
        position[0] += past.position[-1] - film.position[4]
        return dataclasses.replace(answer, position=position)

    with pytest.raises(CheckFailed, match="last frame"):
        require_honest(Plain(late), film.frames(0, recipe.past), recipe.horizon)


def test_a_model_that_remembers_is_refused(film: Trajectory, recipe: Recipe, ballistic: Domain) -> None:
    """Its first question shifts all later answers to others, and an answer to an equal question in a row is the same."""
    solver, seen = ballistic.reference(recipe), list[Trajectory]()

    def answer(past: Trajectory, n_frames: int) -> Trajectory:
        film = solver.rollout(past, n_frames)
        if not seen or not torch.equal(seen[-1].position, past.position):
            seen.append(past)
        return dataclasses.replace(film, position=film.position + 1e-3 * len(seen))

    with pytest.raises(CheckFailed, match="keeps something between calls"):
        require_honest(Plain(answer), film.frames(0, recipe.past), recipe.horizon)


@pytest.mark.parametrize("name", ["persistence", "constant_velocity", "reference", "drag-4.0"])
def test_honest_models_pass(film: Trajectory, recipe: Recipe, ballistic: Domain, name: str) -> None:
    from hedgefox.bench.contestants import resolve

    model = resolve(name, ballistic, recipe, size="xs", device="cpu").model
    entered = Contestant(Plain(model.rollout), None, Path("mine.py"), "0" * 64)
    require_admissible(entered, film, recipe)


@pytest.mark.parametrize("kind", ["fluid", "cloth", "rigid"])
def test_real_solvers_and_baselines_pass(kind: str) -> None:
    domain = registry.domain(kind)
    recipe = dataclasses.replace(domain.recipe("xs"), horizon=8)
    film = domain.simulate(recipe, "test", [0, 1, 2], root_seed=1)
    cheapest = list(domain.ladder(recipe).values())[-1]
    models: list[Model] = [domain.reference(recipe), cheapest, create("persistence", kind, size="xs", seed=0)]
    for model in models:
        require_admissible(Contestant(Plain(model.rollout), None, Path("mine.py"), "0" * 64), film, recipe)


def test_an_unseen_state_is_moved_within_its_box_and_slowed(film: Trajectory) -> None:
    past = film.frames(0, 5)
    before = past.position.clone()
    changed, shift = unseen(past)
    assert torch.equal(past.position, before)
    assert torch.allclose(shift, torch.full((3,), 0.02 * 2**0.5))
    free = past.scene.free
    moved = changed.position[-1] - past.position[-1]
    assert torch.allclose(moved, torch.tensor([0.02 * 2**0.5, 0.0]).expand_as(moved), atol=1e-6)
    assert torch.allclose(changed.velocity[:, free], SLOWED * past.velocity[:, free])
    assert torch.allclose(changed.position.diff(dim=0)[:, free], SLOWED * past.position.diff(dim=0)[:, free], atol=1e-6)
    assert torch.allclose(changed.position[:, ~free], changed.scene.script.node_position[:5], atol=1e-6), (
        "what is driven still follows its script"
    )


@pytest.mark.parametrize(("x", "room", "expected"), [(0.05, 0.9, 0.02), (0.992, 0.0, -0.02), (0.5, 0.0, 0.02)])
def test_the_shift_goes_to_the_side_with_room(x: float, room: float, expected: float) -> None:
    """One node between solid walls at 0 and 1, and an obstacle that the box must hold as well."""
    scene = single_scene(
        domain="ballistic", frame_interval=0.02, rest_position=torch.tensor([[x, 0.5]]), mass=1.0,
        bounds=torch.tensor([[0.0, 0.0], [1.0, 1.0]]), wall=torch.full((2, 2), int(Wall.NO_SLIP)), n_frames=3,
        obstacle_kind=torch.tensor([int(Obstacle.BALL)]), obstacle_size=torch.tensor([[0.1, 0.0]]),
        obstacle_position=torch.tensor([[0.5, 0.1]]),
    )  # fmt: skip
    past = Trajectory(scene, scene.rest_position.unsqueeze(0), torch.zeros(1, 1, 2))
    changed, _ = unseen(past)
    got = float(changed.position[0, 0, 0] - x)
    assert got == pytest.approx(expected * 2**0.5, rel=1e-4)
    assert 0 <= float(changed.position[0, 0, 0]) <= 1
    assert torch.equal(changed.scene.bounds, scene.bounds)
    assert float(changed.scene.script.obstacle_position[0, 0, 0]) == pytest.approx(0.5 + got)


def test_where_matter_reaches_from_wall_to_wall_the_box_moves_too() -> None:
    scene = single_scene(
        domain="ballistic", frame_interval=0.02, rest_position=torch.tensor([[0.0, 0.5], [1.0, 0.5]]), mass=1.0,
        bounds=torch.tensor([[0.0, 0.0], [1.0, 1.0]]), wall=torch.full((2, 2), int(Wall.NO_SLIP)), n_frames=3,
    )  # fmt: skip
    changed, shift = unseen(Trajectory(scene, scene.rest_position.unsqueeze(0), torch.zeros(1, 2, 2)))
    assert torch.allclose(changed.scene.bounds[:, :, 0] - scene.bounds[:, :, 0], shift)
    assert torch.allclose(changed.position[0, :, 0] - scene.rest_position[:, 0], shift)


def test_bodies_stay_rigid_in_an_unseen_state() -> None:
    film = registry.domain("rigid").example(4)
    changed, _ = unseen(film)
    scene, on = film.scene, film.scene.body_id >= 0
    assert film.pose is not None
    assert film.twist is not None
    assert changed.pose is not None
    assert changed.twist is not None
    body = scene.body_id[on]
    before = local_points(film.position[:, on], film.pose, body)
    after = local_points(changed.position[:, on], changed.pose, body)
    assert torch.allclose(before, after, atol=1e-5), "nodes sit where they sat on their bodies"
    assert torch.allclose(changed.pose[..., 3:].norm(dim=-1), torch.ones(1), atol=1e-5)
    assert torch.allclose(changed.twist, SLOWED * film.twist)
    assert torch.allclose(changed.pose[-1, :, 3:].abs(), film.pose[-1, :, 3:].abs(), atol=1e-5), (
        "the last frame is not turned"
    )


# -- predictions -------------------------------------------------------------------------------------------------------


@pytest.fixture
def foretold(data: Path, recipe: Recipe, tmp_path: Path) -> Path:
    """A rung's answers as a folder of predictions."""
    folder = tmp_path / "foretold"
    folder.mkdir()
    past = load(data, "test").frames(0, recipe.past)
    save(BALLISTIC.ladder(recipe)["drag-1.4"].rollout(past, recipe.horizon), folder / "test.h5")
    card = ModelCard("far_away", "specialist", "unknown", "unknown", "unknown", ("ballistic",), parameters=12)
    (folder / "card.json").write_text(json.dumps(card.to_dict()))
    return folder


def test_predictions_get_accuracy_and_no_speed(foretold: Path, scored: Scored, tiny: Track, tmp_path: Path) -> None:
    made = scored(foretold, "drag-1.4", out=tmp_path / "out")
    assert not made["failures"]
    mine, rung = ({**r, "model": "", "kind": ""} for r in made["scores"])
    assert mine == rung, "the same films get the same scores, whoever made them"
    held = records.read(tmp_path / "out")["contestants"]
    assert [c.get("predictions") for c in held] == [True, None]
    assert held[0]["card"]["parameters"] == 12
    assert "as stated" in held[0]["card"]["notes"]
    with pytest.raises(MisuseError, match="nothing to time"):
        speed([foretold], domain=BALLISTIC, track=tiny)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"surname": 1}, "unknown field 'surname'"),
        ({"kind": "reference"}, "simulator's own"),
        ({"domains": ["fluid"]}, "names the domains fluid; this is ballistic"),
        ({"name": "persistence"}, "change the card's name"),
        ({"parameters": "many"}, "parameters is 'many'"),
        ({"bytes": -1}, "no negative numbers"),
    ],
)
def test_cards_of_predictions_are_held_to_what_cards_are(
    foretold: Path, scored: Scored, change: dict[str, Any], why: str
) -> None:
    path = foretold / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(MisuseError, match=why):
        scored(foretold)


def test_predictions_that_are_not_whole(foretold: Path, scored: Scored) -> None:
    with pytest.raises(MisuseError, match=r"no train\.h5; it has predictions for test"):
        scored(foretold, splits=["train"])
    for text, why in (("[1]", "holds a list"), ("{", "no JSON")):
        (foretold / "card.json").write_text(text)
        with pytest.raises(MisuseError, match=why):
            scored(foretold)
    (foretold / "card.json").unlink()
    with pytest.raises(MisuseError, match=r"no card\.json"):
        scored(foretold)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda film: film.frames(0, 7), "frames 7; 8 is right"),
        (lambda film: film.select([0, 1]), "scenes 2; 3 is right"),
        (lambda film: film.select([0, 2, 1]), "nodes by scene"),
        (lambda film: film.select([0, 0, 0]), r"nodes \d+; \d+ is right"),
    ],
)
def test_predictions_of_something_else_are_a_failure_that_names_both(
    foretold: Path, scored: Scored, change: Callable[[Trajectory], Trajectory], why: str
) -> None:
    from hedgefox.datasets import read

    save(change(read(foretold / "test.h5")), foretold / "test.h5")
    made = scored(foretold)
    assert len(made["failures"]) == 1
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(made["failures"][0]["error"])


def test_predictions_that_are_not_finite_have_diverged(foretold: Path, scored: Scored) -> None:
    from hedgefox.datasets import read

    film = read(foretold / "test.h5")
    position = film.position.clone()
    position[3, 0] = torch.inf
    save(dataclasses.replace(film, position=position), foretold / "test.h5")
    made = scored(foretold)
    assert not made["failures"]
    assert made["scores"][0]["diverged_share"] == pytest.approx(1 / 3)


def test_a_file_that_is_no_film_is_one_line(foretold: Path, scored: Scored) -> None:
    (foretold / "test.h5").write_bytes(b"no film at all")
    made = scored(foretold)
    assert made["failures"]
    assert "test.h5" in made["failures"][0]["error"]
    assert "\n" not in made["failures"][0]["error"]


# -- objects -----------------------------------------------------------------------------------------------------------


class Object(Plain):
    """A model made of a function, with a card of its own."""

    def __init__(self, answer: Callable[[Trajectory, int], Trajectory], **card: Any) -> None:
        super().__init__(answer)
        self._card = dataclasses.replace(self._card, **card)


def still(past: Trajectory, n_frames: int) -> Trajectory:
    return create("persistence", "ballistic", size="xs", seed=0).rollout(past, n_frames)


def test_an_object_is_scored_as_what_it_computes(scored: Scored, tiny: Track) -> None:
    made = scored(Object(still), "persistence")
    assert not made["failures"]
    mine, its = ({**r, "model": "", "kind": ""} for r in made["scores"])
    assert mine == its
    with pytest.raises(MisuseError, match="kind 'reference', which is the simulator's own"):
        scored(Object(still, kind="reference"))
    with pytest.raises(MisuseError, match="simulator's own"):
        speed([Object(still, kind="reference")], domain=BALLISTIC, track=tiny)


def test_an_own_model_as_an_object_keeps_its_name(scored: Scored) -> None:
    own = create("constant_velocity", "ballistic", size="xs", seed=0)
    by_name, by_object = (scored(m)["scores"] for m in ("constant_velocity", own))
    assert by_name == by_object


@pytest.mark.parametrize(
    ("card", "why"),
    [
        ({"kind": "ladder"}, "kind 'ladder', which is the simulator's own"),
        ({"name": "persistence"}, "named 'persistence'.*change the card's name"),
        ({"name": "ballistic"}, "named 'ballistic'"),
        ({"domains": ("fluid",)}, "names the domains fluid; this is ballistic"),
        ({"history": 9}, "history of 9 frames; models see 5"),
        ({"parameters": 1.5}, "parameters is 1.5; its type is int"),
    ],
)
def test_cards_of_objects_are_held_to_what_cards_are(scored: Scored, card: dict[str, Any], why: str) -> None:
    with pytest.raises(MisuseError, match=why) as caught:
        scored(Object(still, **card))
    assert "test_entry.py" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_simulator_is_asked_for_by_name_and_not_as_an_object(tmp_path: Path) -> None:
    fluid = registry.domain("fluid")
    for model in (fluid.reference(fluid.recipe("xs")), fluid.ladder(fluid.recipe("xs"))["sph-dx2"]):
        with pytest.raises(MisuseError, match=f"give its name, '{model.card.name}'"):
            require_given(model, "fluid")


def test_a_class_that_only_says_it_is_our_own_is_not(scored: Scored) -> None:
    kind = type("Persistence", (Object,), {"__module__": "hedgefox.surrogates.persistence"})
    assert not is_own(kind(still))
    assert is_own(create("persistence", "ballistic", size="xs", seed=0))
    with pytest.raises(MisuseError, match="change the card's name"):
        scored(kind(still, name="persistence"))


def test_an_object_that_replays_the_truth_is_refused(data: Path, recipe: Recipe, scored: Scored) -> None:
    with pytest.raises(
        CheckFailed, match=r"test_entry\.py: plain (fails the check|answers a state that no file holds)"
    ):
        scored(Object(replaying(load(data, "test"), recipe)))
    ours = create("persistence", "ballistic", size="xs", seed=0)
    ours.rollout = replaying(load(data, "test"), recipe)  # type: ignore[assignment, method-assign]
    with pytest.raises(CheckFailed, match=r"persistence (fails the check|answers a state that no file holds)"):
        scored(ours)


def test_an_object_that_breaks_the_contract_is_told_how_and_where(scored: Scored) -> None:
    with pytest.raises(CheckFailed, match="shape") as caught:
        scored(Object(lambda past, n: still(past, n + 1)))
    assert EXPLAINED["shape"] in str(caught.value)

    def broken(past: Trajectory, n_frames: int) -> Trajectory:
        raise ZeroDivisionError("by nought")

    with pytest.raises(CheckFailed, match=r"test_entry\.py, line \d+: ZeroDivisionError: by nought"):
        scored(Object(broken))


class Turncoat(Object):
    """Once it was asked for its answer to the whole split, its card says that it is the simulator."""

    def rollout(self, past: Trajectory, n_frames: int) -> Trajectory:
        if past.scene.n_scenes == 3 and n_frames > 2:
            self.asked = getattr(self, "asked", 0) + 1
            if self.asked == 4:  # after three questions of the check
                self._card = dataclasses.replace(self._card, kind="reference")
        return super().rollout(past, n_frames)


def test_a_card_that_turns_into_the_simulators_gets_nothing(scored: Scored, data: Path, recipe: Recipe) -> None:
    with pytest.raises(CheckFailed, match="card of plain changed while the model was measured"):
        scored(Turncoat(still))
    film = load(data, "test")
    case = prepare(BALLISTIC, "test", film, recipe)
    late = Object(still, kind="reference")
    assert torch.equal(answer_of(case, late).position, case.truth.position), "what a card alone would get"
    assert torch.equal(answer_of(case, late, entered=True).position, still(case.past, 8).position)


def test_predictions_are_given_as_a_folder(foretold: Path, scored: Scored) -> None:
    model = Predictions(foretold, ModelCard("far", "reference", "-", "-", "-", ("*",)))
    with pytest.raises(MisuseError, match="given as their folder"):
        scored(model)


def test_weights_whose_card_says_that_they_are_the_simulator_are_refused(
    data: Path, scored: Scored, tmp_path: Path
) -> None:
    train("linear", {"ballistic": data}, track("smoke"), seed=0, out=tmp_path / "weights")
    assert not scored(tmp_path / "weights")["failures"]
    path = tmp_path / "weights" / "model.json"
    held = json.loads(path.read_text())
    path.write_text(json.dumps(held | {"card": held["card"] | {"kind": "reference"}}))
    with pytest.raises(MisuseError, match="simulator's own"):
        scored(tmp_path / "weights")


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
