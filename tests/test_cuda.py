"""Every path on CUDA gives what its path on the CPU gives, on inputs that are fresh in every run; the seed is in the message.

Sums run in another order on a GPU, so equal means within a stated tolerance; what only chooses and copies must be the same bits.
On the CPU the same comparisons hold two runs of one input to the same bits.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hedgefox import surrogates
from hedgefox.contracts import MisuseError, Trajectory, registry
from hedgefox.datasets import Windows
from hedgefox.jepa import planning
from hedgefox.jepa.stages import ReadingStage
from hedgefox.surrogates._captured import Captured
from hedgefox.surrogates._captured_training import InOneShape, Plain, source_of
from hedgefox.surrogates._message_passing import AtReceivers, EncodeProcessDecode
from hedgefox.surrogates._neighbours import radius_graph
from torch import Tensor

from . import particles, sheets, solids
from . import test_captured_training as lessons
from . import test_jepa_steps as latents
from . import test_sph_warp as water
from .carried import FRAMES, carried

SEED = int(os.environ.get("SEED", int.from_bytes(os.urandom(3), "big")))
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
FILMS: dict[str, Callable[..., Trajectory]] = {"fluid": particles.film, "cloth": sheets.film, "rigid": solids.film}
MODELS = {
    "particle_gnn": "fluid", "mesh_gnn": "cloth", "rigid_gnn": "rigid", "gns": "fluid", "jepa": "fluid", "linear": "fluid",
}  # fmt: skip
SHARE = {"cpu": 0.0, "cuda": 1e-4}
"""Largest error allowed of networks, as a share of what is typical."""
SIMULATED = {"fluid": 1e-4, "cloth": 1e-4, "rigid": 1e-3}
"""Largest error allowed of a simulator after FRAMES frames [m]: contacts part sooner than waves."""


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(SEED)


def generator_on(device: str) -> torch.Generator:
    return torch.Generator(device=device).manual_seed(SEED)


def close(got: Tensor, right: Tensor, most: float) -> None:
    assert got.shape == right.shape
    assert bool(torch.isfinite(right).all())
    error = float((got.cpu() - right.cpu()).abs().max())
    assert error <= most, f"off by {error:.3g}, at most {most:.3g} is right; seed {SEED}"


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("device", DEVICES)
def test_neighbours(device: str, dim: int) -> None:
    x = 2 * torch.rand((600, dim), generator=generator()) - 1
    ptr = torch.tensor([0, 1, 3, 300, 600])
    for period in (None, torch.full((4, dim), 2.0)):
        right = radius_graph(x, 0.17, ptr, period, backend="tree")
        there = None if period is None else period.to(device)
        got = radius_graph(x.to(device), 0.17, ptr.to(device), there, backend="cells")
        assert torch.equal(got.cpu(), right), f"seed {SEED}"


@pytest.mark.parametrize("device", DEVICES)
def test_too_many_neighbours_are_an_error_and_never_cut(device: str) -> None:
    x, ptr = torch.rand((50, 2), generator=generator()).to(device), torch.tensor([0, 50], device=device)
    assert radius_graph(x, 2.0, ptr, max_edges=50 * 49).shape[1] == 50 * 49
    with pytest.raises(MisuseError, match=r"2450 edges; max_edges is 2449"):
        radius_graph(x, 2.0, ptr, max_edges=2449)


@pytest.mark.parametrize("device", DEVICES)
def test_message_passing_and_its_gradients(device: str) -> None:
    torch.manual_seed(SEED)
    network = EncodeProcessDecode(5, 3, 2, 32, 3)
    node, along, index = torch.randn(200, 5), torch.randn(900, 3), torch.randint(0, 200, (2, 900))

    def gradients(where: str) -> tuple[Tensor, list[Tensor]]:
        moved = network.to(where)
        moved.zero_grad()
        out = moved(node.to(where), along.to(where), index.to(where))
        out.square().mean().backward()
        return out.detach().cpu(), [p.grad.cpu().clone() for p in moved.parameters() if p.grad is not None]

    right, right_slopes = gradients("cpu")
    got, slopes = gradients(device)
    close(got, right, SHARE[device] * float(right.abs().max()))
    for slope, expected in zip(slopes, right_slopes, strict=True):
        close(slope, expected, 10 * SHARE[device] * float(expected.abs().max()) + 1e-7 * (device == "cuda"))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("device", DEVICES)
def test_rollouts(device: str, name: str) -> None:
    past = FILMS[MODELS[name]](3, 8, seed=SEED % 1000, extra_script=8)
    model = network(name, MODELS[name], past)
    right = model.rollout(past, 4)
    got = model.to(device).rollout(past.to(device), 4).to("cpu")
    moved = float((right.position - past.position[-1]).abs().max()) + float(right.scene.diagonal.max())
    close(got.position, right.position, SHARE[device] * moved)


@pytest.mark.parametrize(
    "name", ["particle_gnn", "particle_gnn-bundle_4", "particle_gnn-bfloat16", "mesh_gnn", "rigid_gnn"]
)
@pytest.mark.parametrize("device", DEVICES)
def test_calls_of_fixed_shape(device: str, name: str) -> None:
    """On CUDA one graph a call: against kernel by kernel there, twice from one start, and from another start of its shape."""
    file, half = name.partition("-")[0], "bfloat16" in name
    # Room beside the edges changes how products are cut up: in bfloat16 each rounds to three digits, which grow from step to step.
    frames = 1 if half else 6
    films = [FILMS[MODELS[file]](3, 8, seed=SEED % 1000 + k, extra_script=8) for k in (0, 1)]
    model = network(name, MODELS[file], films[0]).to(device)
    for film in (films[0], films[1], films[0]):
        past = film.to(device)
        model.captured = False
        right = model.rollout(past, frames)
        model.captured = True
        got = model.rollout(past, frames)
        moved = float((right.position - past.position[-1]).abs().max()) + float(right.scene.diagonal.max())
        close(got.position, right.position, max(SHARE[device], 1e-3 if half else 1e-6) * moved)
        again = model.rollout(past, frames).position
        # Sums at receivers run in order; those at the vertices of a mesh and at bodies are added up by atomics on CUDA.
        close(again, got.position, 0.0 if file == "particle_gnn" else SHARE[device] * moved)
    assert model.calls.ready
    assert all((call.captured.graph is not None) == (device == "cuda") for call in model.calls.ready.values())


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("width", [16, 24, 32, 64, 128, 256])
@torch.no_grad()
def test_fused_rounds(width: int, precision: str) -> None:
    """Three kernels a round against double precision on the CPU: as near to it as the plain path, and captured the same."""
    torch.manual_seed(SEED)
    network = EncodeProcessDecode(5, 3, 2, width, 3, precision)
    receiver = torch.randint(0, 2000, (40_000,)).sort().values
    index = torch.stack([torch.randint(0, 2700, (40_000,)), receiver])
    node, along, ptr = torch.randn(2700, 5), torch.randn(40_000, 3), torch.searchsorted(receiver, torch.arange(2701))
    exact = copy.deepcopy(network).double()
    exact.precision = "float32"
    right = exact(node.double(), along.double(), index)
    network.to("cuda")
    given = [x.cuda() for x in (node, along, index, ptr)]

    def answer(*x: Tensor) -> list[Tensor]:
        return [network(*x[:3], AtReceivers(x[3]))]

    network.fused = False
    plain = float((answer(*given)[0].cpu() - right).norm() / right.norm())
    network.fused = True
    got = answer(*given)[0]
    fused = float((got.cpu() - right).norm() / right.norm())
    most = {"float32": 5e-6, "bfloat16": 1.5 * plain}[precision]
    assert fused <= most, f"off by {fused:.2g}, plain by {plain:.2g}; seed {SEED}"
    close(answer(*given)[0], got, 0.0)
    call = Captured(answer, given)
    assert call.graph is not None
    close(call(*given)[0], got, 0.0)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["particle_gnn", "particle_gnn-bfloat16", "mesh_gnn", "rigid_gnn"])
@pytest.mark.parametrize("captured", [False, True])
def test_fused_rollouts(name: str, captured: bool) -> None:
    """Of whole specialists, fused against plain, both on CUDA."""
    file = name.partition("-")[0]
    past = FILMS[MODELS[file]](3, 8, seed=SEED % 1000, extra_script=8)
    model = network(name, MODELS[file], past).to("cuda")
    model.captured, past = captured, past.to("cuda")
    films = []
    for fused in (False, True):
        twin = copy.deepcopy(model)
        twin.network.fused = fused
        films.append(twin.rollout(past, 4).position)
    moved = float((films[0] - past.position[-1]).abs().max()) + float(past.scene.diagonal.max())
    close(films[1], films[0], (1e-2 if "bfloat16" in name else 1e-4) * moved)


@pytest.mark.parametrize("name", lessons.FILMS)
@pytest.mark.parametrize("device", DEVICES)
def test_training_steps_of_fixed_shape(device: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On CUDA one graph a domain: loss and gradients of the plain path on the CPU, for one batch after the other."""
    model, windows = lessons.lesson(name)
    right = Plain(model, windows, 4, generator())
    there = copy.deepcopy(model).to(device)
    got = InOneShape(there, Windows(windows.film.to(device), windows.length), 4, generator_on(device))
    for _ in range(3):
        index = right.draw()
        monkeypatch.setattr(got, "draw", functools.partial(index.to, device))
        model.zero_grad()
        there.zero_grad()
        loss = model.loss(windows.at(index), generator())
        loss.backward()
        close(got.add_gradients(1)[1], loss.detach(), 1e-4 * float(loss.detach()))
        most = max(float(p.grad.abs().max()) for p in model.parameters() if p.grad is not None)
        for mine, its in zip(model.parameters(), there.parameters(), strict=True):
            expected = torch.zeros_like(mine) if mine.grad is None else mine.grad
            assert its.grad is not None
            close(its.grad, expected, 1e-3 * most)
    assert got.call is not None
    assert (got.call.graph is not None) == (device == "cuda")
    assert not got.too_small()


@pytest.mark.parametrize("kind", [*FILMS, "adrift"])
@pytest.mark.parametrize("device", DEVICES)
def test_latent_steps_of_fixed_shape(device: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On CUDA one graph a domain: loss and gradients of the plain path on the CPU, where nothing is drawn."""
    film = latents.film_of(kind)
    stage = latents.stage_of(film, stride=1, leaps=3, masking=0.0, withheld=0.0)
    windows, there = Windows(film, stage.window), copy.deepcopy(stage).to(device)
    right = Plain(stage, windows, 4, generator())
    got = InOneShape(there, Windows(film.to(device), windows.length), 4, generator_on(device))
    for _ in range(3):
        index = right.draw()
        monkeypatch.setattr(got, "draw", functools.partial(index.to, device))
        stage.zero_grad()
        there.zero_grad()
        loss = stage.loss(windows.at(index), generator())
        loss.backward()  # type: ignore[no-untyped-call]
        close(got.add_gradients(1)[1], loss.detach(), 1e-4 * float(loss.detach()))
        most = max(float(p.grad.abs().max()) for p in stage.parameters() if p.grad is not None)
        for mine, its in zip(stage.parameters(), there.parameters(), strict=True):
            assert its.grad is not None
            close(its.grad, torch.zeros_like(mine) if mine.grad is None else mine.grad, 1e-3 * most)
    assert got.call is not None
    assert (got.call.graph is not None) == (device == "cuda")


@pytest.mark.parametrize("kind", FILMS)
@pytest.mark.parametrize("device", DEVICES)
def test_stages_of_a_jepa_learn_on_the_device(device: str, kind: str) -> None:
    """All that a stage draws is drawn there: leaps, what is hidden and withheld, times and nodes that are read."""
    film = latents.film_of(kind).to(device)
    for frozen in (None, True, False):
        first = latents.stage_of(film.to("cpu"))
        stage = first if frozen is None else ReadingStage(first.model, frozen)
        stage = stage.to(device)
        windows = Windows(film, stage.window)
        losses = []
        for _ in range(2):
            drawn = generator_on(device)
            source = source_of(stage, windows, 2, drawn)
            losses.append([float(source.add_gradients(1)[1]) for _ in range(3)])
        assert losses[0] == pytest.approx(losses[1], rel=1e-4), "the same again"
        assert len(set(losses[0])) == 3


@pytest.mark.parametrize("device", DEVICES)
def test_training_steps_draw_new_noise_each_time_and_the_same_again(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, windows = lessons.lesson("particle_gnn")
    model.common = dataclasses.replace(model.common, noise=0.3)
    source = InOneShape(model.to(device), Windows(windows.film.to(device), windows.length), 4, generator_on(device))
    index = torch.tensor([0, 1, 2, 3], device=device)
    monkeypatch.setattr(source, "draw", lambda: index)
    start = source.generator.get_state()
    first, second = (float(source.add_gradients(1)[1]) for _ in range(2))
    assert first != second
    source.generator.set_state(start)
    again = [float(source.add_gradients(1)[1]) for _ in range(2)]
    assert again == pytest.approx([first, second], rel=1e-5)


@pytest.mark.parametrize("domain", FILMS)
@pytest.mark.parametrize("device", DEVICES)
def test_leaps_of_fixed_shape(device: str, domain: str) -> None:
    """On CUDA one graph a leap: against kernel by kernel there, again, and for another film of the same shapes."""
    films = [FILMS[domain](3, 8, seed=SEED % 1000 + k, extra_script=8) for k in (0, 1)]
    model = woken(network("jepa", domain, films[0])).to(device)
    for film in (films[0], films[1], films[0]):
        past = film.to(device)
        model.captured = False
        right = model.rollout(past, 8)
        model.captured = True
        got, again = (model.rollout(past, 8).position for _ in range(2))
        moved = float((right.position - past.position[-1]).abs().max()) + float(right.scene.diagonal.max())
        # The same kernels on the same numbers; a product may be cut up otherwise in a graph's own workspace.
        close(got, right.position, (1e-5 if device == "cuda" else 0.0) * moved)
        close(again, got, (1e-6 if device == "cuda" else 0.0) * moved)
    assert model.leaps.ready
    assert all((call.graph is not None) == (device == "cuda") for call in model.leaps.ready.values())


@pytest.mark.parametrize("device", DEVICES)
def test_plans(device: str) -> None:
    """The futures of candidates, and which of them is chosen."""
    past = FILMS["fluid"](1, 8, seed=SEED % 1000, extra_script=16)
    model, drive = woken(network("jepa", "fluid", past)), planning.Drive("node_position", speed=1.0, reach=0.3)
    actions = 2 * torch.rand((6, drive.knots, 1), generator=generator()) - 1
    right = planning.futures(model, past, drive.script(past, actions, 8), (3, 8))
    there, model = past.to(device), model.to(device)
    got = planning.futures(model, there, drive.script(there, actions, 8), (3, 8))
    assert right.position is not None
    assert got.position is not None
    close(got.position, right.position, SHARE[device] * float(past.scene.diagonal.max()))
    goal = right.centre()[-1, 3]
    found = planning.plan(model, there, drive, planning.distance_to(goal), n_frames=8, search=planning.Search(32, 2))
    assert found.cost <= found.by_round[0] <= found.nothing
    assert found.script.node_position.device.type == device


def woken(model: Any) -> Any:
    """A jepa none of whose weights are zero: as drawn, it says that nothing moves."""
    drawn = generator()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=drawn))
    return model


def network(name: str, domain: str, film: Trajectory) -> Any:
    """A network with weights as drawn, in units of the film; one whose units a training would set keeps those of a fresh one."""
    known: dict[str, Any] = (
        {}
        if name in ("jepa", "gns", "linear")
        else {"dim": film.scene.dim, "parameters": tuple(sorted(film.scene.parameters))}
    )
    if name.startswith("particle_gnn"):
        known["spacing"] = particles.SPACING
    model: Any = surrogates.create(name, domain, size="xs", seed=SEED % 1000, **known)
    if name not in ("jepa", "linear"):
        model.measure(film)
    return model.eval()


@pytest.mark.parametrize("device", DEVICES)
def test_windows(device: str) -> None:
    film = particles.film(5, 12, seed=SEED % 1000)
    here, there = Windows(film, 4), Windows(film.to(device), 4)
    index = torch.randint(len(here), (16,), generator=generator())
    for right, got in ((here.at(index), there.at(index)), (here.batch(generator(), 9), there.batch(generator(), 9))):
        assert torch.equal(got.position.cpu(), right.position), f"seed {SEED}"
        assert torch.equal(got.velocity.cpu(), right.velocity)
        assert torch.equal(got.scene.scene_ptr.cpu(), right.scene.scene_ptr)


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("device", DEVICES)
def test_the_fluid_in_one_graph(device: str, dim: int) -> None:
    """Against Taichi on the CPU; captured twice, and launched again, the same bits."""
    film = water.batch(dim, "free slip", water.FRAME)
    right = water.stepped(film, water.FRAME, "taichi")
    runs = []
    for _ in range(2):
        solver, state = water.started(film, water.FRAME, "warp", device)
        runs += [solver.advance(state, film.scene.script) for _ in range(2)]
        assert state.work.graphs[water.FRAME, True] is not None
    assert all(water.same(runs[0], again) for again in runs[1:])
    close(runs[0].position, right.position, 1e-4 * water.SPACING if device == "cpu" else 1e-2 * water.SPACING)


@pytest.mark.parametrize("domain", SIMULATED)
@pytest.mark.parametrize("device", [pytest.param("cpu", marks=pytest.mark.long), DEVICES[1]])
def test_simulators(device: str, domain: str) -> None:
    past, truth = carried(domain, SEED)
    kind = registry.domain(domain)
    solver = kind.reference(kind.recipe("xs"), device)
    got = solver.rollout(past.to(device), FRAMES).to("cpu")
    close(got.position, truth.position, 0.0 if device == "cpu" else SIMULATED[domain])
    again = solver.rollout(past.to(device), FRAMES).to("cpu")
    close(again.position, got.position, 0.0)
