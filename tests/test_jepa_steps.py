"""A jepa's latent stage in calls of one shape: the plain path's loss, gradients and weights, and nothing asked of the device."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hedgefox
import pytest
import torch
from hedgefox import datasets
from hedgefox.contracts import NodeType, Trajectory, Wall, single_scene, stack
from hedgefox.jepa import jepa
from hedgefox.jepa._layout import MOST_DRIVEN, layout
from hedgefox.jepa.stages import LatentStage, ReadingStage
from hedgefox.surrogates._captured_training import InOneShape, Plain, source_of
from hedgefox.surrogates._training import Plan, fit
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from .test_captured import trouble
from .test_captured_training import batch
from .test_jepa import ALL, FILMS, TINY, run_of

VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "sketched Gaussians": {"anti_collapse": "sigreg"},
    "all there is against collapse": {"anti_collapse": "ema+vicreg+sigreg"},
    "more tokens than supernodes": {"tokens": 6, "supernodes": 4},
    "more supernodes than nodes": {"supernodes": 40},
    "all in sight": {"masking": 0.0, "withheld": 0.0},
    "an encoder as drawn": {"encoder": "random"},
    "messages, four leaps": {"mixer": "messages", "leaps": 4, "stride": 2},
}


def stage_of(film: Trajectory, **settings: Any) -> LatentStage:
    """A stage whose conditions matter: as drawn, their layers are zero."""
    known = tuple(f"{film.scene.domain}/{name}" for name in sorted(film.scene.parameters))
    model = jepa.build(ALL, size="xs", **{**TINY, "parameters": known, **settings})
    model.units.measure({film.scene.domain: film}, model.set.history)
    for name, p in model.named_parameters():
        if "modulate" in name or name.endswith("leave.weight"):
            torch.nn.init.normal_(p, std=0.3)
    return LatentStage(model)


def adrift(nodes: int, driven: int, obstacles: int, seed: int, frames: int = 12) -> Trajectory:
    """A cloud that drifts, some of it driven, between obstacles that move, in a box that moves."""
    rng = torch.Generator().manual_seed(seed)
    time = torch.arange(float(frames + 2)).view(-1, 1, 1)
    x, v = torch.rand((nodes, 2), generator=rng), torch.randn((nodes, 2), generator=rng)
    at, u = torch.rand((obstacles, 2), generator=rng), torch.randn((obstacles, 2), generator=rng)
    path = x + 0.01 * time * v
    types = torch.full((nodes,), int(NodeType.FREE))
    types[:driven] = NodeType.DRIVEN
    scene = single_scene(
        domain="fluid", frame_interval=0.01, rest_position=x, mass=1 + torch.rand(nodes, generator=rng),
        bounds=torch.tensor([[0.0, 0.0], [1.0, 1.0]]), wall=torch.full((2, 2), int(Wall.FREE_SLIP)), gravity=[0.0, -9.81],
        node_type=types, n_frames=frames + 2, obstacle_kind=torch.arange(obstacles) % 2,
        obstacle_size=torch.full((obstacles, 2), 0.1), obstacle_position=at + 0.02 * time * u,
        node_position=path[:, :driven], box_offset=0.01 * time[:, 0] * torch.tensor([1.0, 0.5]),
        parameters={"viscosity": 1e-3 * (1 + seed)},
    )  # fmt: skip
    moving = v.expand(frames, -1, -1) * torch.linspace(0.5, 1, frames).view(-1, 1, 1)
    return Trajectory(scene, path[:frames], moving)


def film_of(kind: str) -> Trajectory:
    """Scenes of unlike size, and of unlike numbers of all that a scene may have."""
    if kind == "adrift":
        sizes = ((9, 0, 0), (20, MOST_DRIVEN + 3, 2), (14, 2, 0), (11, 1, 3))
        return stack([adrift(*size, seed=k) for k, size in enumerate(sizes)])
    film = FILMS[kind](5, 12, seed=4, extra_script=8)
    # Of neighbours equally near, as on a sheet's lattice, which are gathered depends on how wide the table is.
    shake = 1e-3 * torch.rand(film.scene.rest_position.shape, generator=torch.Generator().manual_seed(1))
    rest = film.scene.rest_position + shake * (len(film.scene.edges) > 0)
    return dataclasses.replace(film, scene=dataclasses.replace(film.scene, rest_position=rest))


def both(kind: str, seed: int, **settings: Any) -> tuple[list[Tensor], list[Tensor]]:
    """Loss and gradients of both ways, from the same random numbers."""
    film = film_of(kind)
    stage = stage_of(film, **settings)
    windows, generator = datasets.Windows(film, stage.window), torch.Generator()
    index = batch(windows)
    source = InOneShape(stage, windows, len(index), generator)
    generator.manual_seed(seed)
    found = list(source.gradients(index))
    loss = stage.loss(windows.at(index), generator.manual_seed(seed))
    return found, [loss.detach(), *torch.autograd.grad(loss, source.parameters, materialize_grads=True)]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", [*FILMS, "adrift"])
def test_loss_and_gradients_are_those_of_the_plain_path(kind: str, variant: str) -> None:
    for seed in range(3):
        found, expected = both(kind, seed, **VARIANTS[variant])
        assert float(expected[0]) > 0
        most = 3e-6 * float(torch.stack([x.abs().max() for x in expected]).max())
        for got, right in zip(found, expected, strict=True):
            torch.testing.assert_close(got, right, rtol=0, atol=most)


def test_what_is_drawn_is_felt() -> None:
    """Else the agreement above would say nothing of leaps of other lengths, of what is hidden and of what is withheld."""
    losses = {float(both("adrift", seed)[0][0]) for seed in range(6)}
    assert len(losses) == 6


class Asked(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes what would end a capture on a GPU: numbers read, shapes that depend on them, constants copied there from the host."""

    NAMES = ("lift_fresh", "_local_scalar", "nonzero", "masked_select", "unique", "repeat_interleave.Tensor")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[str] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        masks = [x for x in args[1] if x is not None and x.dtype == torch.bool] if "aten.index" in str(function) and (
            isinstance(args[1], (list, tuple))
        ) else []  # fmt: skip
        if masks or any(name in str(function) for name in self.NAMES):
            self.found.append(str(function))
        return function(*args, **(kwargs or {}))


def test_what_would_end_a_capture_is_seen() -> None:
    x = torch.arange(3.0)
    for ask in (lambda: x[x > 1], lambda: float(x[0]), lambda: torch.nonzero(x), lambda: torch.tensor([1.0])):
        with Asked() as asked:
            ask()
        assert asked.found
    with Asked() as asked:
        x[torch.arange(2)].sum().mul(2)
    assert asked.found == []


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", [*FILMS, "adrift"])
def test_a_step_asks_the_device_nothing_and_makes_no_tensor_from_the_host(kind: str, variant: str) -> None:
    film = film_of(kind)
    stage = stage_of(film, **VARIANTS[variant])
    windows = datasets.Windows(film, stage.window)
    source, index = InOneShape(stage, windows, 4, torch.Generator()), batch(windows)
    with Asked() as asked:
        source.gradients(index)
    assert asked.found == []


def test_nor_does_its_trace() -> None:
    film = film_of("adrift")
    stage = stage_of(film)
    windows = datasets.Windows(film, stage.window)
    source = InOneShape(stage, windows, 4, torch.Generator())
    assert trouble(lambda index: source.gradients(index), [batch(windows)]) == []


def test_a_training_in_one_shape_is_the_plain_one(tmp_path: Path) -> None:
    weights = []
    for name, captured in (("plain", None), ("one shape", True)):
        run = run_of(tmp_path / name)
        held = {d: data.train for d, data in run.domains.items()}
        model = jepa.build(ALL, size="xs", domains=tuple(FILMS), **TINY)
        model.units.measure(held, model.set.history)
        model.captured = captured
        stage = LatentStage(model)
        fit(stage, run, Plan(12, 3, 2e-3, check_every=4, checkpoint_every=12, judged=False))
        weights.append({k: v.clone() for k, v in stage.state_dict().items()})
    begun = LatentStage(jepa.build(ALL, size="xs", domains=tuple(FILMS), **TINY)).state_dict()
    moved = [float((weights[0][k] - begun[k]).abs().max()) for k in begun if begun[k].numel()]
    assert max(moved) > 0.01
    for k, right in weights[0].items():
        torch.testing.assert_close(weights[1][k], right, rtol=1e-3, atol=1e-4, msg=k)


def test_which_stage_goes_in_one_shape() -> None:
    film = film_of("fluid")
    stage = stage_of(film)
    windows, generator = datasets.Windows(film, stage.window), torch.Generator()
    assert type(source_of(stage, windows, 2, generator)) is Plain, "on a CPU, unless asked for"
    stage.model.captured = True
    assert type(source_of(stage, windows, 2, generator)) is InOneShape
    reading = ReadingStage(stage.model, frozen=True)
    assert type(source_of(reading, datasets.Windows(film, reading.window), 2, generator)) is Plain


def test_a_layout_thins_driven_nodes_out_evenly() -> None:
    found = layout(film_of("adrift").scene)
    assert found.driven_there.sum(1).tolist() == [0, MOST_DRIVEN, 2, 1]
    assert found.driven[1].tolist() == [k * (MOST_DRIVEN + 3) // MOST_DRIVEN for k in range(MOST_DRIVEN)]
    assert found.driven[2:, :2].tolist() == [[15, 16], [17, 0]]
    assert found.solid_there.sum(1).tolist() == [0, 2, 0, 3]
    assert found.owner.tolist() == [1, 1, 3, 3, 3]


DRAWS = {"rand", "randn", "randint", "randperm"}


def draws() -> Iterator[tuple[str, ast.Call]]:
    """Calls in what trains networks that draw from a generator given by name."""
    root = Path(hedgefox.__file__).parent
    for folder in ("jepa", "surrogates", "datasets"):
        for path in sorted((root / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in DRAWS:
                    given = {k.arg: ast.unparse(k.value) for k in node.keywords}
                    if given.get("generator", "").endswith("generator"):
                        yield f"{path.name}:{node.lineno}", node


def test_random_numbers_are_drawn_where_their_generator_is() -> None:
    """A generator of a GPU draws nothing for the CPU, torch's default: such a call fails on a GPU and nowhere else."""
    found = list(draws())
    assert len(found) > 5
    assert [where for where, call in found if "device" not in {k.arg for k in call.keywords}] == []
