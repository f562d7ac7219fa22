"""Driven scenes as gymnasium environments: gymnasium's checker, determinism, batches that are many single ones, any backend."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hedgefox import surrogates
from hedgefox.contracts import Domain, MisuseError, Model, Trajectory, registry
from hedgefox.contracts.trajectory import mark_divergence

pytest.importorskip("gymnasium", reason="needs gymnasium (the extra gym)")

import gymnasium
import hedgefox.environments as driven
from gymnasium.utils.env_checker import check_env
from hedgefox.environments import DrivenEnv, DrivenVectorEnv, Task

DOCS = Path(__file__).parents[1] / "docs" / "gym.md"


def aside(rng: np.random.Generator, dim: int) -> np.ndarray:
    way: np.ndarray = np.eye(dim)[0] * rng.uniform(0.05, 0.1)
    return way


@pytest.fixture(scope="module")
def falling(ballistic: Domain) -> Task:
    """The driven node of the closed-form domain: what a batch costs is nothing."""
    return Task(ballistic, 0, "node_position", (0, 1), 1.0, 20.0, 0.3, aside, (0,))


def actions(env: DrivenEnv | DrivenVectorEnv, steps: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(3).uniform(-1, 1, (steps, *shape, env.setup.n_actions)).astype(np.float32)


def played(env: DrivenEnv, seed: int, acts: np.ndarray) -> list[Any]:
    seen = [env.reset(seed=seed)[0]]
    return seen + [env.step(act)[0] for act in acts]


def require_checked(env: DrivenEnv) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="taichi")
        # Nothing is rendered; only an environment made by name can be asked so.
        check_env(env, skip_render_check=env.spec is None)


def require_batch_is_single_ones(task: str | Task, steps: int) -> None:
    """Three environments over more than an episode, with what begins anew: bit for bit."""
    many = DrivenVectorEnv(task, 3)
    single = gymnasium.vector.SyncVectorEnv([lambda: DrivenEnv(task)] * 3)
    acts = actions(many, steps, 3)
    assert np.array_equal(many.reset(seed=5)[0], single.reset(seed=5)[0])
    for act in acts:
        ours, theirs = many.step(act), single.step(act)
        for mine, other in zip(ours[:4], theirs[:4], strict=True):
            assert np.array_equal(mine, other)
        assert np.array_equal(ours[4]["distance"], theirs[4]["distance"])


def test_gymnasiums_checker_has_nothing_to_say(falling: Task) -> None:
    require_checked(DrivenEnv(falling))


def test_the_same_seed_and_actions_give_the_same_observations(falling: Task) -> None:
    env, other = DrivenEnv(falling), DrivenEnv(falling)
    acts = actions(env, 8)
    first = played(env, 7, acts)
    assert np.array_equal(first, played(env, 7, acts))
    assert np.array_equal(first, played(other, 7, acts))
    assert not np.array_equal(first[0], played(env, 8, acts)[0])
    assert not np.array_equal(env.reset()[0], env.reset()[0])


def test_a_batch_is_many_single_ones(falling: Task) -> None:
    require_batch_is_single_ones(falling, 20)


def test_an_episode_is_truncated_at_its_horizon(falling: Task) -> None:
    env = DrivenEnv(falling, horizon=3)
    env.reset(seed=0)
    ends = [env.step(env.action_space.sample())[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]


def test_actions_move_what_is_driven_within_its_reach(falling: Task) -> None:
    env = DrivenEnv(falling, horizon=100)
    env.reset(seed=0)
    assert env.worlds is not None
    home, dt = env.worlds.handle.clone(), env.setup.domain.frame_interval
    env.step(np.array([1.0, 0.0], dtype=np.float32))
    # One frame at the acceleration of 20 m/s².
    assert torch.allclose(env.worlds.handle - home, torch.tensor([[20.0 * dt * dt, 0.0]]), atol=1e-6)
    driven_node = env.worlds.film.scene.driven_nodes
    assert torch.equal(env.worlds.film.position[-1, driven_node], env.worlds.handle)
    for _ in range(60):
        env.step(np.array([1.0, -1.0], dtype=np.float32))
    assert torch.allclose(env.worlds.handle - home, torch.tensor([[0.3, -0.3]]), atol=1e-6)
    assert torch.equal(env.worlds.velocity, torch.zeros(1, 2))


def test_the_reward_is_the_distance_to_the_goal(falling: Task) -> None:
    env = DrivenEnv(falling)
    env.reset(seed=0)
    _, reward, _, _, told = env.step(env.action_space.sample())
    assert env.worlds is not None
    scene, position = env.worlds.film.scene, env.worlds.film.position[-1]
    centre = position[scene.free].mean(0)
    assert told["distance"] == pytest.approx(float((centre - env.worlds.goal[0])[0].abs()), abs=1e-6)
    assert reward == pytest.approx(-told["distance"] / 2**0.5, abs=1e-6)


class Persisting(Model):
    """A model that only rolls out: everything free stays; from the third rollout on, the first scene is lost."""

    def __init__(self, losing: bool = False) -> None:
        self.calls, self.losing = 0, losing

    @property
    def card(self) -> Any:
        return dataclasses.replace(surrogates.create("persistence", "ballistic").card, history=2)

    def rollout(self, past: Trajectory, n_frames: int) -> Trajectory:
        self.calls += 1
        self.check_request(past, n_frames)
        film = surrogates.create("persistence", "ballistic").rollout(past, n_frames)
        if not self.losing or self.calls < 3:
            return film
        position = film.position.clone()
        position[:, : int(past.scene.scene_ptr[1])] = torch.nan
        return mark_divergence(dataclasses.replace(film, position=position))


@pytest.mark.parametrize(
    "make", [lambda: surrogates.create("persistence", "ballistic"), Persisting], ids=["stepper", "rollouts"]
)
def test_any_model_can_answer(make: Any, falling: Task) -> None:
    env = DrivenEnv(falling, backend=make())
    require_checked(env)
    seen = played(env, 7, actions(env, 4))
    assert env.worlds is not None
    free = env.worlds.film.scene.free
    assert torch.equal(env.worlds.film.position[-1, free], env.worlds.film.position[0, free])
    assert not np.array_equal(seen[-1], played(DrivenEnv(falling), 7, actions(env, 4))[-1])


def test_a_rung_of_the_ladder_and_saved_weights_can_answer(falling: Task, tmp_path: Path) -> None:
    acts = actions(DrivenEnv(falling), 8)
    truth = played(DrivenEnv(falling), 7, acts)
    coarse = played(DrivenEnv(falling, backend="drag-4.0"), 7, acts)
    assert np.array_equal(truth[0], coarse[0])
    assert not np.array_equal(truth[-1], coarse[-1])
    surrogates.save(surrogates.create("constant_velocity", "ballistic"), tmp_path)
    assert len(played(DrivenEnv(falling, backend=tmp_path), 7, acts)) == 9


def test_divergence_ends_an_episode_and_the_others_go_on(falling: Task) -> None:
    many = DrivenVectorEnv(falling, 3, backend=Persisting(losing=True), horizon=6)
    many.reset(seed=0)
    acts = actions(many, 8, 3)
    steps = [many.step(act) for act in acts[:3]]
    assert [step[2].tolist() for step in steps] == [[False] * 3, [False] * 3, [True, False, False]]
    assert steps[2][1][0] == -1.0
    assert np.isfinite(steps[2][0]).all()
    anew = many.step(acts[3])
    assert (anew[1][0], anew[2].tolist()) == (0.0, [False] * 3)
    assert anew[0][0, -1] == 1.0  # all of its time is left
    assert anew[0][1, -1] == pytest.approx(2 / 6)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"task": "smoke"}, "one of fluid, cloth, rigid is right"),
        ({"task": "cloth", "horizon": 0}, "at least 1 is right"),
        ({"task": "cloth", "backend": "nothing"}, "no folder of weights and no setting of cloth; one of fem-c0.9"),
        ({"task": "cloth", "size": "huge"}, "has no size 'huge'"),
    ],
)
def test_misuse_is_told(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(MisuseError, match=said):
        DrivenEnv(**asked)


def test_every_domain_with_driven_scenes_is_registered() -> None:
    assert set(driven.NAMES) == set(driven.TASKS) <= set(registry.names("simulators"))
    for name in driven.NAMES:
        made = gymnasium.spec(f"hedgefox/{name}-v0")
        assert made.entry_point
        assert made.vector_entry_point


def test_without_gymnasium_its_extra_is_named() -> None:
    code = "import sys; sys.modules['gymnasium'] = None\nimport hedgefox.environments"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'hedgefox[gym]'" in done.stderr.splitlines()[-1]


def test_cloth_dragged_by_its_corner() -> None:
    require_batch_is_single_ones("cloth", 14)


def test_the_example_of_the_documentation_runs() -> None:
    code = re.search(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert code is not None
    found: dict[str, Any] = {}
    exec(code.group(1), found)
    assert found["best"] >= found["idle"]


@pytest.mark.long
@pytest.mark.parametrize("name", driven.NAMES)
def test_every_domains_environment(name: str) -> None:
    made = gymnasium.make(f"hedgefox/{name}-v0").unwrapped
    assert isinstance(made, DrivenEnv)
    require_checked(made)
    acts = actions(made, 6)
    assert np.array_equal(played(made, 7, acts), played(DrivenEnv(name), 7, acts))
    require_batch_is_single_ones(name, 14)
    many = gymnasium.make_vec(f"hedgefox/{name}-v0", num_envs=2, vectorization_mode="vector_entry_point")
    assert many.reset(seed=1)[0].shape == (2, made.setup.n_seen)
