"""The generalist: a joint-embedding predictive architecture for particles, meshes and bodies, and its read-out of positions.

    z(t) = encoder(moment at t),   ẑ(t+k) = predictor(z(t), k, script),   loss = |ẑ(t+k) - sg z̄(t+k)|² + regulariser

Trained in two stages (stages.py). First the latents: the loss is in latent space alone, nothing is decoded. Then, with encoder
and predictor frozen, a read-out of positions is fitted to what the predictor says of the future, so that the JEPA is a model like
any other. After LeCun 2022 and V-JEPA 2-AC (Assran et al. 2025, arXiv:2506.09985); nobody has trained one over particles, meshes
and bodies before.

The same backbone trained on positions end to end, or on one domain alone, and one whose encoder stays as drawn, are variants:
presets, not other code. So are the ablations.

Good values: see `preset`; figures in results/LOG.md. Fails where detail finer than the supernodes decides: thin jets, first
contacts of small bodies.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from ..contracts import ModelCard
from ..surrogates._base import Run, Setting, Variant, configured, kind_of
from ..surrogates._symmetry import with_images
from ..surrogates._training import Plan, fit
from ._model import Jepa
from ._settings import Settings, checked, preset
from ._units import parameter_names
from .objectives import parts_of
from .stages import LatentStage, ReadingStage, health_of

KIND = "generalist"
DOMAINS = ("*",)
SCOPE = "all"
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
        kind_of(domain),
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
    """Train in two stages; `settings` override those of the track's size. The card says how sound the latents are."""
    films = {name: with_images(data.train) for name, data in run.domains.items()}
    known: dict[str, Any] = {
        "domains": tuple(films),
        "parameters": parameter_names({n: d.train for n, d in run.domains.items()}),
    }
    model = build(run.domain, size=run.track.size, seed=run.seed, **{**known, **settings})
    model = fitting(model, min(film.n_frames for film in films.values()), run).to(run.device)
    model.units.measure(films, model.set.history)
    domains = {name: dataclasses.replace(data, train=films[name]) for name, data in run.domains.items()}
    learn(model, dataclasses.replace(run, domains=domains))
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


def learn(model: Jepa, run: Run) -> None:
    """Both stages, each with a checkpoint of its own, and what they cost."""
    s, steps = model.set, run.track.training_steps
    first: LatentStage | ReadingStage = (
        LatentStage(model) if s.objective == "latent" else ReadingStage(model, frozen=False)
    )
    second = ReadingStage(model, frozen=True)
    rates = (s.share, s.learning_rate), (s.readout_share, s.readout_rate)
    plans = [Plan(max(1, round(share * steps)), s.batch_size, rate, judged=False) for share, rate in rates]
    cards = []
    for name, stage, plan in (
        ("first", first, plans[0]),
        ("readout", second, dataclasses.replace(plans[1], judged=True)),
    ):
        fit(stage, dataclasses.replace(run, out=run.out / name), plan)
        cards.append(stage.card)
    health = {d: health_of(model, data.valid) for d, data in run.domains.items()}
    model.card = dataclasses.replace(
        cards[1],
        training_steps=cards[0].training_steps,
        training_device_seconds=sum(c.training_device_seconds for c in cards),
        health={d: h.to_dict() for d, h in health.items()},
        # A state loss asks nothing of the latents by themselves.
        collapsed=s.objective == "latent" and any(h.collapsed for h in health.values()),
        notes=f"{plans[0].steps} steps, then {plans[1].steps} of the read-out: {cards[1].notes}",
        baseline="persistence, and a share of free flight that the read-out gives each node",
    )
