"""The nouns: batching is exact, slicing keeps the script aligned, misuse says what is right, planted faults are caught."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from hedgefox.contracts import (
    NEVER,
    CheckFailed,
    Domain,
    Frame,
    MisuseError,
    ModelCard,
    Recipe,
    Trajectory,
    check_model,
    single_scene,
    stack,
)
from hedgefox.contracts.trajectory import mark_divergence

from .ballistic import _Solver, _State


def same(a: Trajectory, b: Trajectory) -> bool:
    return torch.equal(a.position, b.position) and torch.equal(a.scene.scene_ptr, b.scene.scene_ptr)


def test_split_then_stack_is_the_identity(film: Trajectory) -> None:
    again = stack(film.split())
    assert same(again, film)
    assert torch.equal(again.scene.script.node_position, film.scene.script.node_position)
    assert torch.equal(again.scene.parameters["drag"], film.scene.parameters["drag"])


def test_select_repeats_and_reorders(film: Trajectory) -> None:
    chosen = film.select([2, 0, 2])
    assert chosen.scene.n_scenes == 3
    parts = chosen.split()
    assert torch.equal(parts[0].position, parts[2].position)
    assert torch.equal(parts[1].position, film.split()[0].position)


def test_slicing_keeps_the_script_aligned(film: Trajectory) -> None:
    later = film.frames(3)
    assert torch.equal(later.position[0], film.position[3])
    driven = film.scene.driven_nodes
    assert torch.allclose(later.scene.script.node_position[0], later.position[0, driven], atol=1e-6)


def test_windows_start_where_asked(film: Trajectory) -> None:
    cut = film.window(torch.tensor([2, 0]), torch.tensor([1, 4]), 3)
    assert torch.equal(cut.split()[0].position, film.split()[2].position[1:4])
    assert torch.equal(cut.split()[1].position, film.split()[0].position[4:7])
    assert torch.allclose(cut.scene.script.node_position, cut.position[:, cut.scene.driven_nodes], atol=1e-6)


def test_mesh_indices_follow_their_nodes() -> None:
    def mesh(n: int) -> Trajectory:
        x = torch.rand(n, 3)
        scene = single_scene(
            domain="cloth", frame_interval=0.1, rest_position=x, mass=1.0, n_frames=1,
            bounds=torch.tensor([[0.0] * 3, [1.0] * 3]), edges=torch.tensor([[0, n - 1]]), faces=torch.tensor([[0, 1, n - 1]]),
            body_id=torch.tensor([-1] + [0] * (n - 1)),
        )  # fmt: skip
        return Trajectory(scene, x[None], 0 * x[None])

    batch = stack([mesh(3), mesh(5)])
    assert batch.scene.edges.tolist() == [[0, 2], [3, 7]]
    assert batch.scene.body_id.tolist() == [-1, 0, 0, -1, 1, 1, 1, 1]
    back = batch.select([1, 0]).scene
    assert back.edges.tolist() == [[0, 4], [5, 7]]
    assert back.faces.tolist() == [[0, 1, 4], [5, 6, 7]]
    assert back.body_id.tolist() == [-1, 0, 0, 0, 0, -1, 1, 1]


def test_divergence_is_marked_per_scene_and_blanks_what_follows(film: Trajectory) -> None:
    position = film.position.clone()
    position[5, 0] = torch.inf
    marked = mark_divergence(dataclasses.replace(film, position=position))
    assert marked.diverged_at is not None
    assert marked.diverged_at.tolist() == [5, NEVER, NEVER]
    first = marked.split()[0]
    assert bool(torch.isnan(first.position[5:]).all())
    assert bool(torch.isfinite(first.position[:5]).all())
    assert marked.frames(6).diverged_at.tolist() == [0, NEVER, NEVER]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rest_position": torch.zeros(0, 2)}, "no nodes"),
        ({"rest_position": torch.tensor([[0.1, 0.2], [0.3, 0.3], [0.1, 0.2]])}, "nodes 0 and 2 are both at"),
        ({"rest_position": torch.tensor([[torch.nan, 0.0]])}, "not finite"),
        ({"mass": -1.0}, "-1.0 kg"),
        ({"frame_interval": 0.0}, "0.0 s"),
        ({"bounds": torch.tensor([[0.0, 1.0], [1.0, 1.0]])}, "empty"),
        ({"n_frames": 0}, "0 frames"),
        ({"node_position": torch.zeros(4, 1, 2)}, "script.node_position has shape"),
    ],
)
def test_misuse_names_the_value(change: dict[str, object], said: str) -> None:
    good: dict[str, object] = {
        "domain": "fluid", "frame_interval": 0.1, "rest_position": torch.rand(3, 2), "mass": 1.0, "n_frames": 4,
        "bounds": torch.tensor([[0.0, 0.0], [1.0, 1.0]]),
    }  # fmt: skip
    with pytest.raises(MisuseError, match=said):
        single_scene(**{**good, **change})  # type: ignore[arg-type]


def test_rollout_refuses_what_it_cannot_do(ballistic: Domain, recipe: Recipe, film: Trajectory) -> None:
    solver = ballistic.reference(recipe)
    past = film.frames(0, recipe.past)
    with pytest.raises(MisuseError, match="asked for 0 frames"):
        solver.rollout(past, 0)
    with pytest.raises(MisuseError, match="the script covers 13 frames; 5 past and 9 new ones need 14"):
        solver.rollout(past, 9)


def test_a_scene_without_nodes_is_refused(ballistic: Domain, recipe: Recipe, film: Trajectory) -> None:
    ptr = film.scene.scene_ptr.clone()
    ptr[1] = 0
    empty = dataclasses.replace(film, scene=dataclasses.replace(film.scene, scene_ptr=ptr))
    with pytest.raises(MisuseError, match="a scene has no nodes"):
        ballistic.reference(recipe).rollout(empty.frames(0, 4), 1)


def test_two_short_rollouts_equal_one_long(ballistic: Domain, recipe: Recipe, film: Trajectory) -> None:
    solver = ballistic.reference(recipe)
    past = film.frames(0, 4)
    whole = solver.rollout(past, 6)
    first = solver.rollout(past, 3)
    second = solver.rollout(past.followed_by(first), 3)
    assert torch.allclose(whole.position[3:], second.position, atol=1e-6)


class _Faulty(_Solver):
    """A solver with one planted fault."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault, "specialist", 1.0)
        self.fault = fault
        self.calls = 0

    def rollout(self, past: Trajectory, n_frames: int) -> Trajectory:
        self.calls += 1
        answer = super().rollout(past, n_frames)
        change = getattr(self, f"_{self.fault}", lambda past, answer: answer)
        return change(past, answer)  # type: ignore[no-any-return]

    def decode(self, state: _State) -> Frame:
        if self.fault == "hides_nan":
            return Frame(state.frame.position.nan_to_num(), state.frame.velocity.nan_to_num())
        return state.frame

    @staticmethod
    def _shift(answer: Trajectory, by: torch.Tensor | float) -> Trajectory:
        return dataclasses.replace(answer, position=answer.position + by)

    def _peeks(self, past: Trajectory, answer: Trajectory) -> Trajectory:
        """Reads the frame behind the past through shared memory, when there is one."""
        n, d = past.position.shape[1:]
        if past.position.untyped_storage().nbytes() < 4 * (past.n_frames + 1) * n * d:
            return answer
        base = torch.as_strided(past.position, (n, d), past.position.stride()[1:], past.n_frames * n * d)
        return self._shift(answer, base)

    def _random(self, past: Trajectory, answer: Trajectory) -> Trajectory:
        return self._shift(answer, 0.01 * self.calls)

    def _mixes_scenes(self, past: Trajectory, answer: Trajectory) -> Trajectory:
        return self._shift(answer, past.position[-1].mean())

    def _counts_nodes(self, past: Trajectory, answer: Trajectory) -> Trajectory:
        return self._shift(answer, 0.01 * torch.arange(answer.scene.n_nodes)[:, None] * answer.scene.free[:, None])

    def _writes(self, past: Trajectory, answer: Trajectory) -> Trajectory:
        past.position.add_(1e-3)
        return answer

    def _ignores_script(self, past: Trajectory, answer: Trajectory) -> Trajectory:
        return self._shift(answer, 0.01)


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("random", "deterministic"),
        ("mixes_scenes", "batch_independent"),
        ("counts_nodes", "batch"),
        ("writes", "inputs_untouched"),
        ("ignores_script", "driven_follow_script"),
        ("hides_nan", "finite_or_said"),
        ("peeks", "no_peeking"),
    ],
)
def test_planted_faults_are_caught(film: Trajectory, fault: str, check: str) -> None:
    with pytest.raises(CheckFailed, match=check):
        check_model(_Faulty(fault), film.frames(0, 4))


def test_an_honest_model_passes_every_check(film: Trajectory) -> None:
    from hedgefox.contracts.check import CHECKS

    assert check_model(_Solver("honest", "specialist", 1.0), film.frames(0, 4)) == list(CHECKS)


def test_a_card_refuses_unknown_fields() -> None:
    card = ModelCard("x", "baseline", "none", "none", "none", ("*",))
    assert ModelCard.from_dict(card.to_dict()) == card
    well = dataclasses.replace(card, health={"fluid": {"deviation": 1.0, "rank_share": 0.5}}, baseline="persistence")
    assert ModelCard.from_dict(json.loads(json.dumps(well.to_dict()))) == well
    with pytest.raises(MisuseError, match="'weight'"):
        ModelCard.from_dict(card.to_dict() | {"weight": 3})
    with pytest.raises(MisuseError, match="'winner'"):
        ModelCard("x", "winner", "none", "none", "none", ("*",))
