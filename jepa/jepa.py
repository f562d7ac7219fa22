"""The generalist: a joint-embedding predictive architecture for particles, meshes and bodies, and its read-out of positions.

    z(t) = encoder(moment at t),   ẑ(t+k) = predictor(z(t), k, script),   loss = |ẑ(t+k) - sg z̄(t+k)|² + regulariser

Trained in two stages (stages.py). First the latents: the loss is in latent space alone, nothing is decoded. Then, with encoder
and predictor frozen, a read-out of positions is fitted to what the predictor says of the future, so that the JEPA is a model like
any other. After LeCun 2022 and V-JEPA 2-AC (Assran et al. 2025, arXiv:2506.09985); nobody has trained one over particles, meshes
and bodies before.

The same backbone trained on positions end to end, or on one domain alone, and one whose encoder stays as drawn, are variants:
presets, not other code. So are the ablations.

Sizes are variants as well: other widths, at as many steps, or at as long a training ("timed"). So are the subsets of the domains
that one of them learns, to see what the others gain (_lessons.py).

Good values: see `preset`; figures in results/LOG.md. Fails where detail finer than the supernodes decides: thin jets, first
contacts of small bodies.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch

from ..contracts import ModelCard
from ..surrogates._base import Run, Setting, Variant, configured, in_width, kind_of, manifest_of, steps_of
from ..surrogates._symmetry import with_images
from ..surrogates._training import Plan, fit
from ._lessons import Lesson, learned, lessons
from ._model import Jepa
from ._settings import Settings, checked, preset
from ._units import parameter_names
from .objectives import parts_of
from .stages import LatentStage, ReadingStage, health_of

KIND = "generalist"
DOMAINS = ("*",)
SCOPE = "all"
PLAIN = ("cloth", "fluid", "rigid")
"""The domains that variants learn subsets of."""
SHOTS = 8
"""Trajectories of a domain that was not learned."""


def _subsets() -> Iterator[tuple[str, Variant]]:
    """Variants that learn some of the domains, and are told of the others their units alone."""
    for one in PLAIN:
        others = tuple(d for d in PLAIN if d != one)
        few: dict[str, Setting] = {"few": (one,), "shots": SHOTS}
        yield f"only_{one}", Variant({"learn": (one,)}, None, f"learns {one}; told the units of the others")
        yield f"without_{one}", Variant({"learn": others}, None, f"learns all but {one}; told its units")
        yield f"few_{one}", Variant({"learn": others, **few}, None, f"learns all but {one}, then {SHOTS} films of it")
        yield f"scratch_{one}", Variant(few, None, f"control: the same {SHOTS} films of {one}, and nothing before")


VARIANTS: Mapping[str, Variant] = {
    "specialist": Variant({}, "each", "latent loss, one domain at a time"),
    "supervised": Variant({"objective": "state"}, None, "state loss: positions, end to end"),
    "supervised_specialist": Variant({"objective": "state"}, "each", "state loss, one domain at a time"),
    "random": Variant({"encoder": "random"}, None, "control: an encoder as drawn, the rest trained"),
    "mean_pooling": Variant({"mixer": "mean"}, None, "predictor: each token and the mean of all"),
    "message_passing": Variant({"mixer": "messages"}, None, "predictor: messages along all pairs"),
    "tokens_1": Variant({"tokens": 1}, None, "one latent token a scene"),
    "tokens_64": Variant({"tokens": 64}, None, "64 latent tokens a scene"),
    "unmasked": Variant({"masking": 0.0}, None, "the context encoder is shown everything"),
    "ema": Variant({"anti_collapse": "ema"}, None, "a slow target alone against collapse"),
    "vicreg": Variant({"anti_collapse": "vicreg"}, None, "variance and covariance alone"),
    "sigreg": Variant({"anti_collapse": "sigreg"}, None, "sketched Gaussians alone"),
    "ema_sigreg": Variant({"anti_collapse": "ema+sigreg"}, None, "a slow target and sketched Gaussians"),
    "small_readout": Variant({"readout_width": 16, "readout_looks": 1}, None, "a read-out of 16 channels and one look"),
    "large_readout": Variant(
        {"readout_width": 128, "readout_looks": 4}, None, "a read-out of 128 channels and four looks"
    ),
    "timed_readout": Variant({"readout_told": ("start", "time")}, None, "the read-out knows the time as well"),
    "stride_4": Variant({"stride": 4}, None, "leaps of 4 frames at most"),
    "stride_16": Variant({"stride": 16}, None, "leaps of 16 frames at most"),
    # Core-seconds a step, median of both stages together: 0.62 at width 16, 0.70 at 32, 0.90 at 64, 1.13 at 96, all in turn on one
    # torch thread of a busy machine; encoding what is seen does not depend on the width.
    **in_width(16, 64, "36 k", 1.45, readout_width=16),
    **in_width(32, 64, "133 k", 1.29, readout_width=32),
    **in_width(96, 64, "1.12 M", 0.79, readout_width=96),
    **dict(_subsets()),
}


def build(domain: str, *, size: str = "s", seed: int = 0, **settings: Setting) -> Jepa:
    """An untrained network; its weights are drawn from `seed` and nothing else.

    Raises MisuseError for a size or setting that does not exist.
    """
    chosen = checked(configured(preset(size), settings))
    if not chosen.domains:
        chosen = dataclasses.replace(chosen, domains=tuple(domain.split("+")))
    card = ModelCard(
        "jepa",
        kind_of("+".join(learned(chosen))),
        objective_of(chosen),
        "Adam",
        "token transformer: supernode encoder, leaping predictor, query read-out",
        chosen.domains,
        history=chosen.history,
        seed=seed,
        source="LeCun 2022; Assran et al. 2025, arXiv:2506.09985",
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return Jepa(card, domain, chosen)


def objective_of(settings: Settings) -> str:
    """What is optimised, in words."""
    if settings.objective == "state":
        return "state loss: positions of a rollout, end to end"
    parts_of(settings.anti_collapse)
    encoder = "" if settings.encoder == "trained" else ", encoder as drawn"
    return (
        f"latent loss: tokens of a rollout against {settings.anti_collapse}{encoder}; then positions on frozen latents"
    )


def train(run: Run, **settings: Setting) -> Jepa:
    """Train in two stages; `settings` override those of the track's size. The card says how sound the latents are.

    Raises MisuseError when the run lacks a domain that the settings name.
    """
    films = {name: with_images(data.train) for name, data in run.domains.items()}
    known: dict[str, Any] = {
        "domains": tuple(films),
        "parameters": parameter_names({n: d.train for n, d in run.domains.items()}),
    }
    model = build(run.domain, size=run.track.size, seed=run.seed, **{**known, **settings})
    taught = lessons(model.set, run)
    model = fitting(model, min(film.n_frames for film in films.values()), run).to(run.device)
    model.units.measure(films, model.set.history)
    learn(model, taught)
    return model


def fitting(model: Jepa, frames: int, run: Run) -> Jepa:
    """The same network, not looking farther ahead in training than films of so many frames reach."""
    s, left = model.set, frames - model.set.history
    reach = {
        "horizon": min(s.horizon, left),
        "leaps": min(s.leaps, max(1, left // s.stride)),
        "stride": min(s.stride, left),
    }
    if all(getattr(s, name) == value for name, value in reach.items()):
        return model
    return build(run.domain, size=run.track.size, seed=run.seed, **{**model.settings, **reach})


def learn(model: Jepa, taught: list[Lesson]) -> None:
    """One lesson after the other, and what they made and cost on the card."""
    s, cards = model.set, [both_stages(model, lesson, 1 / len(taught)) for lesson in taught]
    health = {d: health_of(model, data.valid) for lesson in taught for d, data in lesson.run.domains.items()}
    manifests = {d: data.manifest for lesson in taught for d, data in lesson.run.domains.items()}
    model.card = dataclasses.replace(
        cards[-1][1],
        learned=tuple(sorted(health)),
        shots=dict.fromkeys(s.few, s.shots),
        training_data=manifest_of(manifests),
        training_steps=sum(first.training_steps for first, _ in cards),
        training_device_seconds=sum(c.training_device_seconds for pair in cards for c in pair),
        health={d: h.to_dict() for d, h in health.items()},
        # A state loss asks nothing of the latents by themselves; and what was learned before the last lesson may be forgotten.
        collapsed=s.objective == "latent" and any(health[d].collapsed for d in taught[-1].run.domains),
        notes="; ".join(noted(lesson, *pair) for lesson, pair in zip(taught, cards, strict=True)) + untold(s, health),
        baseline="persistence, and a share of free flight that the read-out gives each node",
    )


def both_stages(model: Jepa, lesson: Lesson, part: float = 1.0) -> tuple[ModelCard, ModelCard]:
    """Both stages of a lesson, each with a checkpoint of its own, and the cards after them.

    Where the track fixes the time, they share the lesson's part of it as they would share the steps.
    """
    s, track = model.set, lesson.run.track
    time = part * track.training_seconds / (s.share + s.readout_share)
    first: LatentStage | ReadingStage = (
        LatentStage(model) if s.objective == "latent" else ReadingStage(model, frozen=False)
    )
    cards = []
    for name, stage, share, rate in (
        ("first", first, s.share, s.learning_rate),
        ("readout", ReadingStage(model, frozen=True), s.readout_share, s.readout_rate),
    ):
        judged = lesson.judged and name == "readout"
        plan = Plan(steps_of(track, s.effort * share), s.batch_size, rate, judged=judged, seconds=time * share)
        fit(stage, dataclasses.replace(lesson.run, out=lesson.run.out / lesson.folder(name)), plan)
        cards.append(stage.card)
    return cards[0], cards[1]


def noted(lesson: Lesson, first: ModelCard, readout: ModelCard) -> str:
    """What a lesson was, in words."""
    of = f"{lesson.name} of {lesson.run.domain}: " if lesson.name else ""
    return f"{of}{first.training_steps} steps, then {readout.training_steps} of the read-out: {readout.notes}"


def untold(settings: Settings, taught: Collection[str]) -> str:
    """Of which domains a jepa knows the units alone, in words."""
    rest = [d for d in settings.domains if d not in taught]
    return f"; of {' and '.join(rest)} the units alone, from their training data" if rest else ""
