"""The generalist: what its parts promise, what keeps it from collapsing, and that reading out never touches it."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hedgefox import surrogates
from hedgefox.contracts import Stepper, Trajectory, track
from hedgefox.contracts.track import TRACKS
from hedgefox.jepa import _model, collapse, jepa, objectives
from hedgefox.jepa._attention import MIXERS, Mixer
from hedgefox.jepa._model import Jepa
from hedgefox.jepa._moment import farthest_points
from hedgefox.jepa.encoder import nearest
from hedgefox.jepa.stages import LatentStage, ReadingStage
from hedgefox.surrogates._base import Data, Run
from hedgefox.surrogates._training import Plan, TrainingFailed, fit

from . import particles, sheets, solids

FILMS = {"cloth": sheets.film, "fluid": particles.film, "rigid": solids.film}
ALL = "+".join(FILMS)
TINY: dict[str, Any] = {"stride": 2, "leaps": 2, "horizon": 6, "history": 3, "batch_size": 4}


def films(scenes: int = 4, frames: int = 12) -> dict[str, Trajectory]:
    return {name: make(scenes, frames, extra_script=8) for name, make in FILMS.items()}


def run_of(out: Path, steps: int = 10, name: str = "jepa", domains: tuple[str, ...] = tuple(FILMS)) -> Run:
    held = {k: Data(f, f, k * 4) for k, f in films().items() if k in domains}
    chosen = dataclasses.replace(track("smoke"), training_steps=steps)
    return Run(name, held, chosen, 0, out)


def trained(out: Path, **settings: Any) -> Jepa:
    return jepa.train(run_of(out), **{**TINY, **settings})


def drawn_as(model: Jepa) -> Jepa:
    """The same network, untrained."""
    settings: dict[str, Any] = model.settings
    return jepa.build(ALL, size="xs", **settings)


def wake(blocks: Any) -> None:
    """Let conditions matter: as drawn, their layers are zero."""
    for block in blocks:
        torch.nn.init.normal_(block.to_mix.modulate.weight)


def hash_of(*modules: torch.nn.Module) -> str:
    digest = hashlib.sha256()
    for module in modules:
        for name, value in sorted(module.state_dict().items()):
            digest.update(name.encode() + value.detach().numpy().tobytes())
    return digest.hexdigest()


# Parts


def test_supernodes_are_spread_and_their_number_is_bounded() -> None:
    line = torch.zeros(1, 9, 3)
    line[0, :, 0] = torch.arange(9.0)
    there = torch.ones(1, 9, dtype=torch.bool)
    chosen, found = farthest_points(line, there, 3)
    assert chosen.tolist() == [[0, 8, 4]]
    assert found.all()
    chosen, found = farthest_points(line[:, :2], there[:, :2], 4)
    assert chosen.tolist() == [[0, 1, 0, 0]]
    assert found.tolist() == [[True, True, False, False]]
    # Points on one spot are one point; places without a point are never chosen.
    same = torch.zeros(1, 4, 3)
    _, found = farthest_points(same, torch.tensor([[True, True, True, False]]), 4)
    assert found.tolist() == [[True, False, False, False]]


def test_a_supernode_gathers_its_own_body_first() -> None:
    where = torch.tensor([[[0.0, 0, 0], [0.1, 0, 0], [5.0, 0, 0], [6.0, 0, 0]]])
    body = torch.tensor([[0, 1, 0, 1]])
    near, close = nearest(where, body, torch.ones(1, 4, dtype=torch.bool), torch.tensor([[0]]), 2)
    assert near.tolist() == [[[0, 2]]]
    assert close.all()


@pytest.mark.parametrize("kind", MIXERS)
def test_a_token_that_is_not_there_does_not_matter(kind: str) -> None:
    torch.manual_seed(0)
    mixer, x = Mixer(16, kind), torch.randn(2, 5, 16)
    there = torch.tensor([[True] * 4 + [False]] * 2)
    changed = x.clone()
    changed[:, 4] = 9.0
    torch.testing.assert_close(mixer(x, there)[:, :4], mixer(changed, there)[:, :4])
    changed[:, 3] = 9.0
    assert not torch.allclose(mixer(x, there)[:, :3], mixer(changed, there)[:, :3])


def test_mixers_have_about_as_many_weights() -> None:
    numbers = [sum(p.numel() for p in Mixer(64, kind).parameters()) for kind in MIXERS]
    assert max(numbers) <= 1.03 * min(numbers)


def test_an_untrained_predictor_says_that_nothing_changes() -> None:
    model = jepa.build(ALL, size="xs", **TINY)
    for film in films().values():
        z = model.backbone.encode(model.backbone.moment(film, 4))
        later = model.backbone.leap(z, film.scene, film.scene.script.starting_at(4), 2)
        assert torch.equal(later.latest, z.latest)


def test_known_parameters_matter_and_withheld_ones_do_not() -> None:
    film = films()["cloth"]
    model = jepa.build("cloth", size="xs", parameters=("cloth/stretch_stiffness",), **TINY)
    wake(model.backbone.encoder.blocks)
    model.units.measure({"cloth": film}, 3)
    other = {**film.scene.parameters, "stretch_stiffness": 1.5 * film.scene.parameters["stretch_stiffness"]}
    changed = dataclasses.replace(film, scene=dataclasses.replace(film.scene, parameters=other))
    seen = [model.backbone.moment(f, 4) for f in (film, changed)]
    kept = torch.zeros(film.scene.n_scenes, 1)
    plain, more = (model.backbone.encode(s).latest for s in seen)
    assert not torch.allclose(plain, more)
    plain, more = (model.backbone.encode(s, kept).latest for s in seen)
    assert torch.equal(plain, more)


def test_the_script_is_heard() -> None:
    model = jepa.build(ALL, size="xs", **TINY)
    b = model.backbone
    torch.nn.init.normal_(b.predictor.leave.weight)
    wake(b.predictor.blocks)
    for film in films().values():
        z = b.encode(b.moment(film, 4))
        script = film.scene.script.starting_at(4)
        moved = dataclasses.replace(
            script, box_offset=script.box_offset + 0.1 * torch.arange(script.n_frames)[:, None, None]
        )
        plain, other = (b.leap(z, film.scene, s, 2).latest for s in (script, moved))
        assert not torch.allclose(plain, other)


# What keeps latents apart


def test_sigreg_has_the_floor_of_a_gaussian_and_grows_with_collapse() -> None:
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(256, 4, 32, generator=rng)
    n = z.shape[0] * z.shape[1]
    # 2 ∫ (1 - e^{-t²} - t² e^{-t²}) e^{-t²/2} dt: the last term is what estimating the means takes away.
    assert objectives.sigreg(z, rng) == pytest.approx(0.57, abs=0.15)
    assert objectives.sigreg(0 * z, rng) == pytest.approx(0.402 * n, rel=0.01)
    assert objectives.sigreg(0.5 * z, rng) > 20
    # A constant of a slot is not variety, nor is it punished.
    slots = 5 * torch.randn(4, 32, generator=rng)
    assert objectives.sigreg(0 * z + slots, rng) == pytest.approx(0.402 * n, rel=0.01)


def test_vicreg_is_zero_for_white_latents_and_sees_both_faults() -> None:
    rng = torch.Generator().manual_seed(0)
    z = 1.2 * torch.randn(4096, 2, 8, generator=rng)
    assert objectives.vicreg(z) < 0.02
    assert objectives.vicreg(0 * z) == pytest.approx(1.0, abs=0.01)
    assert objectives.vicreg(z[..., :1].expand_as(z)) > 5


def test_regularisers_see_one_domain_at_a_time_in_float32() -> None:
    z = torch.randn(64, 2, 8)
    assert objectives.vicreg(z.bfloat16()).dtype == torch.float32
    assert objectives.sigreg(z.bfloat16(), torch.Generator()).dtype == torch.float32
    # Two domains far apart, each white: pooled they would be punished for being apart.
    pooled = objectives.vicreg(torch.cat([z - 5, z + 5]))
    assert pooled > objectives.vicreg(z - 5) + 10


@pytest.mark.parametrize("choice", ["none", "ema", "vicreg", "sigreg", "ema+vicreg", "ema+sigreg"])
def test_every_choice_trains(choice: str, tmp_path: Path) -> None:
    model = trained(tmp_path, anti_collapse=choice)
    assert set(model.card.health) == set(FILMS)


def test_unknown_choices_are_refused() -> None:
    with pytest.raises(ValueError, match="'dropout' is unknown; 'none' or some of ema, vicreg, sigreg"):
        objectives.parts_of("ema+dropout")


# Collapse


def test_effective_rank_of_known_spectra() -> None:
    rng = torch.Generator().manual_seed(0)
    rows = torch.randn(4000, 16, generator=rng)
    assert collapse.effective_rank(rows) == pytest.approx(16, rel=0.01)
    assert collapse.effective_rank(rows[:, :4] @ torch.randn(4, 16, generator=rng)) <= 4.001
    assert collapse.effective_rank(0 * rows + 3) == 0
    assert collapse.effective_rank(torch.full_like(rows, torch.nan)) == 0


def test_a_collapse_of_scale_is_seen_that_rank_does_not_see() -> None:
    rng = torch.Generator().manual_seed(0)
    z, later = torch.randn(2, 64, 4, 16, generator=rng).unbind()
    sound, shrunk = collapse.health(z, later, z), collapse.health(0.01 * z, 0.01 * later, 0.01 * z)
    assert not sound.collapsed
    assert shrunk.effective_rank == pytest.approx(sound.effective_rank)
    assert shrunk.collapsed
    assert sound.prediction == pytest.approx(1.0)
    assert collapse.health(z, later, later).prediction == 0


def test_a_planted_collapse_is_caught(tmp_path: Path) -> None:
    """No regulariser and gradients through the target: the best answer is a constant, and the card says so."""
    quick = {**TINY, "learning_rate": 1e-2, "masking": 0.0, "share": 1.0, "readout_share": 0.02}
    planted, sound = (
        jepa.train(run_of(tmp_path / choice, steps=120), **{**quick, "anti_collapse": choice})
        for choice in ("none", "ema+vicreg")
    )
    assert planted.card.collapsed
    assert max(h["deviation"] for h in planted.card.health.values()) < collapse.DEVIATION_FLOOR
    assert not sound.card.collapsed


# Reading out


def test_no_gradient_reaches_what_is_read() -> None:
    model = jepa.build(ALL, size="xs", **TINY)
    stage = ReadingStage(model, frozen=True)
    for film in films().values():
        stage.loss(film.frames(0, stage.window), torch.Generator().manual_seed(0)).backward()  # type: ignore[no-untyped-call]
    b = model.backbone
    assert all(p.grad is None for part in (b.encoder, b.predictor, b.known, b.foreknown) for p in part.parameters())
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in b.readout.parameters())


def test_reading_out_leaves_the_encoder_as_it_was(tmp_path: Path) -> None:
    model = jepa.build(ALL, size="xs", **TINY)
    b, run = model.backbone, run_of(tmp_path)
    frozen, read = (b.encoder, b.predictor, b.known, b.foreknown), (b.readout,)
    before = hash_of(*frozen), hash_of(*read)
    fit(ReadingStage(model, frozen=True), run, Plan(6, 4, 1e-2))
    assert hash_of(*frozen) == before[0]
    assert hash_of(*read) != before[1]


def test_the_latent_stage_leaves_the_read_out_as_it_was(tmp_path: Path) -> None:
    model = jepa.build(ALL, size="xs", **TINY)
    before = hash_of(model.backbone.readout), hash_of(model.backbone.encoder)
    fit(LatentStage(model), run_of(tmp_path), Plan(6, 4, 1e-2, judged=False))
    assert hash_of(model.backbone.readout) == before[0]
    assert hash_of(model.backbone.encoder) != before[1]


def test_the_control_keeps_the_encoder_as_drawn_and_trains_the_rest(tmp_path: Path) -> None:
    model = trained(tmp_path, encoder="random")
    same = drawn_as(model)
    assert hash_of(model.backbone.encoder) == hash_of(same.backbone.encoder)
    assert hash_of(model.backbone.predictor) != hash_of(same.backbone.predictor)


def test_the_state_loss_trains_the_encoder(tmp_path: Path) -> None:
    model = trained(tmp_path, objective="state")
    same = drawn_as(model)
    assert hash_of(model.backbone.encoder) != hash_of(same.backbone.encoder)
    assert "state" in model.card.objective


def test_bodies_stay_rigid_and_reconstruction_is_of_the_true_frames(tmp_path: Path) -> None:
    model = trained(tmp_path)
    film = films()["rigid"]
    past, truth = film.frames(0, 5), film.frames(5, 10)
    got = model.rollout(past, 5)
    assert got.pose is not None
    for body in range(int(film.scene.body_ptr[-1])):
        mine = film.scene.body_id == body
        gaps = [torch.pdist(x) for x in (past.position[-1, mine], got.position[-1, mine])]
        torch.testing.assert_close(*gaps, atol=1e-4, rtol=1e-4)
    floor = model.reconstruct(past, truth)
    assert floor.position.shape == truth.position.shape
    moved = dataclasses.replace(truth, position=truth.position + 0.2)
    assert not torch.allclose(model.reconstruct(past, moved).position, floor.position)


@pytest.mark.parametrize("n_frames", [2, 3, 10])
def test_a_rollout_is_what_its_steps_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_frames: int) -> None:
    """In one piece or read in several, with everything that a script may move."""
    model = trained(tmp_path, stride=3, horizon=7, readout_told=("start", "time"))
    for kind, film in FILMS.items():
        past = moving(film(3, 5, extra_script=n_frames))
        whole, steps = model.rollout(past, n_frames), Stepper.rollout(model, past, n_frames)
        monkeypatch.setattr(_model, "ROWS", 2 * past.scene.n_nodes)
        for got in (whole, model.rollout(past, n_frames)):
            for name in ("position", "velocity", "pose", "twist"):
                mine, theirs = getattr(got, name), getattr(steps, name)
                assert (mine is None) == (theirs is None), (kind, name)
                if mine is not None:
                    torch.testing.assert_close(mine, theirs, atol=2e-5, rtol=1e-4)
            assert torch.equal(got.scene.script.box_offset, steps.scene.script.box_offset)


def moving(film: Trajectory) -> Trajectory:
    """The same film, everything in its script on its way somewhere else."""
    script = film.scene.script
    way = 0.01 * torch.arange(script.n_frames, dtype=torch.float32).square().view(-1, 1, 1)
    return dataclasses.replace(film, scene=film.scene.with_script(script._map(lambda _, x: x + way.to(x.dtype))))


# Training


def test_interrupted_and_resumed_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trained(tmp_path / "whole")
    before = ReadingStage.loss
    calls = 0

    def tripping(self: Any, *args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise TrainingFailed("tripped")
        return before(self, *args)

    monkeypatch.setattr(ReadingStage, "loss", tripping)
    with pytest.raises(TrainingFailed, match="tripped"):
        trained(tmp_path / "parts")
    monkeypatch.setattr(ReadingStage, "loss", before)
    again = trained(tmp_path / "parts")
    assert hash_of(again) == hash_of(whole)


@pytest.mark.parametrize("choice", ["ema+vicreg", "sigreg"])
def test_two_processes_train_what_one_does(choice: str, tmp_path: Path) -> None:
    """The same global batch: the weights within 1 % of what was learned, where half the batch is farther than 10 %."""
    alone = jepa.train(run_of(tmp_path / "alone", steps=40), **{**TINY, "anti_collapse": choice})
    command = [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "hedgefox.tests.two_processes",
    ]
    done = subprocess.run(
        [sys.executable, *command, str(tmp_path), choice], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    both: Any = surrogates.load(tmp_path)
    half = jepa.train(run_of(tmp_path / "half", steps=40), **{**TINY, "anti_collapse": choice, "batch_size": 2})
    learned = apart(alone, drawn_as(alone))
    assert apart(both, alone) <= 0.01 * learned
    assert apart(half, alone) > 0.1 * learned


def apart(a: Jepa, b: Jepa) -> float:
    """Distance of two models' weights."""
    pairs = zip(a.parameters(), b.parameters(), strict=True)
    return float(torch.stack([(x - y).detach().double().square().sum() for x, y in pairs]).sum().sqrt())


def test_one_set_of_weights_continues_every_domain(tmp_path: Path) -> None:
    model = surrogates_train(tmp_path)
    for film in films().values():
        got = model.rollout(film.frames(0, 5), 4)
        assert torch.isfinite(got.position).all()
    surrogates.save(model, tmp_path / "saved")
    again: Any = surrogates.load(tmp_path / "saved")
    assert hash_of(again) == hash_of(model)
    film = films()["cloth"].frames(0, 5)
    assert torch.equal(again.rollout(film, 4).position, model.rollout(film, 4).position)


def surrogates_train(out: Path) -> Any:
    model = trained(out)
    return model.eval()


@pytest.mark.parametrize("name", ["jepa", *(f"jepa-{v}" for v in jepa.VARIANTS)])
def test_every_variant_builds_and_says_what_it_is(name: str) -> None:
    domain = "fluid" if surrogates.scope(name) == "each" else ALL
    model = surrogates.create(name, domain, size="xs")
    assert model.card.name == name
    one = domain == "fluid" or name.startswith(("jepa-only", "jepa-scratch"))
    assert model.card.kind == ("specialist" if one else "generalist")
    assert model.card.objective.startswith("state" if "supervised" in name else "latent")


@pytest.mark.parametrize("name", sorted(TRACKS))
def test_every_name_on_a_track_is_a_model(name: str) -> None:
    chosen = track(name)
    named = (*chosen.variants, *chosen.only, *chosen.without)
    assert set(named) <= {full for file in surrogates.names() for full in (file, *surrogates.variants(file))}
    assert all(surrogates.scope(full) in ("each", "all") for full in named)


@pytest.mark.parametrize("variant", ["tokens_1", "tokens_64", "mean_pooling", "message_passing", "unmasked", "random"])
def test_variants_of_the_network_take_a_step_of_both_stages(variant: str) -> None:
    settings: dict[str, Any] = {**TINY, **jepa.VARIANTS[variant].settings}
    model = jepa.build(ALL, size="xs", **settings)
    for stage in (LatentStage(model), ReadingStage(model, frozen=True)):
        for film in films().values():
            loss = stage.loss(film.frames(0, stage.window), torch.Generator().manual_seed(0))
            assert torch.isfinite(loss)
