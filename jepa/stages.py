"""How a jepa learns: the latent stage, in which nothing is decoded, and the reading stage, in which nothing else changes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..contracts import Frame, Script, Trajectory
from ..surrogates._base import Learner
from ..surrogates._embedding import lifted
from ..surrogates._fixed_graph import Room
from ..surrogates._one_step import pseudo_huber
from ..surrogates._processes import drawn, everyone
from ..surrogates._uniform import Table, Uniform
from . import collapse, objectives
from ._backbone import Tokens
from ._future import latents_at
from ._model import Jepa, Latent
from ._moment import Matter, Moment, script_from
from ._uniform import matter_from, tables


class Stage(Learner[Latent]):
    """A training of some of a jepa's weights; as a model it is the jepa."""

    def __init__(self, model: Jepa) -> None:
        super().__init__(model.card, model.domain, model.settings)
        self.model, self.set = model, model.set

    def encode(self, past: Trajectory) -> Latent:
        """The jepa's."""
        return self.model.encode(past)

    def advance(self, state: Latent, script: Script) -> Latent:
        """The jepa's."""
        return self.model.advance(state, script)

    def decode(self, state: Latent) -> Frame:
        """The jepa's."""
        return self.model.decode(state)


class LatentStage(Stage):
    """The first stage: encoder and predictor, by a loss in latent space alone."""

    def __init__(self, model: Jepa) -> None:
        super().__init__(model)
        self.parts = objectives.parts_of(model.set.anti_collapse)
        self.target = copy.deepcopy(nn.ModuleList([model.backbone.known, model.backbone.encoder])).requires_grad_(False)

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Only what this stage trains."""
        b = self.model.backbone
        ahead, seen = (b.foreknown, b.predictor), (b.known, b.encoder)
        return (
            p
            for part in ((*seen, *ahead) if self.set.encoder == "trained" else ahead)
            for p in part.parameters(recurse)
        )

    @property
    def window(self) -> int:
        """Frames of a training window."""
        return self.set.history + self.set.leaps * self.set.stride

    def aim(self, seen: Moment) -> Tensor:
        """What the predictor is to reach. It sees all parameters, so that those withheld have to be inferred."""
        if "ema" not in self.parts and self.set.encoder == "trained":
            return self.model.backbone.encode(seen).latest
        known, encoder = self.target
        with torch.no_grad():
            aim: Tensor = encoder(seen, known(self.model.units, seen.scene, self.set.history, self.set.stride, None))
        return aim

    def loss(self, window: Trajectory, generator: torch.Generator) -> Tensor:
        """Mean squared error of predicted tokens over some leaps, and what keeps them from collapsing."""
        return self.loss_of(window, self.model.backbone.matter(window.scene), generator, Tensor.tolist)

    def loss_of(
        self, window: Trajectory, matter: Matter, generator: torch.Generator, numbers: Callable[[Tensor], Sequence[Any]]
    ) -> Tensor:
        """The loss; `numbers` makes frames of leaps numbers, or leaves them on the device, which is then asked nothing."""
        s, b, scene = self.set, self.model.backbone, window.scene
        kept = (drawn(scene.n_scenes, len(s.parameters), generator) >= s.withheld).float()
        frame = s.history - 1
        hidden = None
        if s.masking:
            hidden = drawn(scene.n_scenes, s.supernodes, generator) < s.masking
        now = first = b.encode(b.moment(window, frame, matter), kept, hidden)
        total = first.latest.new_zeros(())
        aims = []
        for k in numbers(self.lengths(generator)):
            script = script_from(scene.script, frame, s.stride)
            now = b.leap(now, scene, script, k, kept, known=matter.layout)
            frame = frame + k
            aims.append(self.aim(b.moment(window, frame, matter)))
            total = total + F.mse_loss(now.latest, aims[-1]) / s.leaps
        return total + self.regulariser([first.latest, *([] if "ema" in self.parts else aims)], generator)

    def lengths(self, generator: torch.Generator) -> Tensor:
        """Frames of the leaps, (leaps,): whole strides, but for the first and the last, which are drawn."""
        s = self.set
        frames = torch.randint(1, s.stride + 1, (s.leaps,), generator=generator, device=generator.device)
        frames[1:-1].fill_(s.stride)
        return frames

    # In calls of one shape, see surrogates/_captured_training.py

    fixed_steps, looks = True, 1

    @property
    def captured(self) -> bool | None:
        """The jepa's."""
        return self.model.captured

    def constants(self, films: Uniform) -> dict[str, Table]:
        """The matter of all scenes of a training."""
        return tables(self.model.backbone.matter(films.scene), films)

    def loss_in_room(
        self, window: Trajectory, held: Mapping[str, Tensor], room: Room, generator: torch.Generator
    ) -> Tensor:
        """As `loss`, asking the device nothing; there is no graph that a room could be too small for."""
        return self.loss_of(window, matter_from(held, window.scene), generator, Tensor.unbind)

    def regulariser(self, found: list[Tensor], generator: torch.Generator) -> Tensor:
        """What keeps latents from collapsing, over those that get gradients."""
        total = found[0].new_zeros(())
        for z in found:
            every = everyone(z)
            if "vicreg" in self.parts:
                total = total + self.set.vicreg_weight * objectives.vicreg(every)
            if "sigreg" in self.parts:
                total = total + self.set.sigreg_weight * objectives.sigreg(every, generator)
        return total / len(found)

    @torch.no_grad()
    def after_step(self) -> None:
        """Let the target encoder follow."""
        b, m = self.model.backbone, self.set.momentum
        for mine, its in zip([*b.known.parameters(), *b.encoder.parameters()], self.target.parameters(), strict=True):
            its.lerp_(mine, 1 - m)

    def watch(self, valid: Mapping[str, Trajectory]) -> dict[str, float]:
        """Health of the latents by domain."""
        found = {d: health_of(self.model, film) for d, film in valid.items()}
        return {f"{d}_{name}": value for d, h in found.items() for name, value in h.to_dict().items()}


@torch.no_grad()
def health_of(model: Jepa, film: Trajectory) -> collapse.Health:
    """Health on leaps of a whole stride from a few frames of a film."""
    b, s = model.backbone, model.set
    matter = b.matter(film.scene)
    starts = torch.linspace(s.history - 1, film.n_frames - 1 - s.stride, 8).to(torch.int64).tolist()
    now, later, predicted = [], [], []
    for t in starts:
        first = b.encode(b.moment(film, t, matter))
        now.append(first.latest)
        later.append(b.encode(b.moment(film, t + s.stride, matter)).latest)
        predicted.append(b.leap(first, film.scene, film.scene.script.starting_at(t), s.stride).latest)
    return collapse.health(torch.cat(now), torch.cat(later), torch.cat(predicted))


class ReadingStage(Stage):
    """The second stage: positions from frozen latents. `frozen` False trains all of it end to end: the state loss."""

    def __init__(self, model: Jepa, frozen: bool) -> None:
        super().__init__(model)
        self.frozen = frozen

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Only what this stage trains."""
        return (self.model.backbone.readout if self.frozen else self.model).parameters(recurse)

    @property
    def window(self) -> int:
        """Frames of a training window."""
        return self.set.history + self.set.horizon

    def loss(self, window: Trajectory, generator: torch.Generator) -> Tensor:
        """Pseudo-Huber error of positions and velocities at some times of a rollout, from predicted and from true latents."""
        s, b, scene = self.set, self.model.backbone, window.scene
        start = b.moment(window, s.history - 1)
        times = self.times(generator)
        with torch.set_grad_enabled(not self.frozen):
            first = b.encode(start)
            script = scene.script.starting_at(s.history - 1)
            asked = list(zip(times, latents_at(b, first, scene, script, times), strict=True))
            true = times[int(torch.randint(0, len(times), (), generator=generator, device=generator.device))]
            asked.append((true, b.encode(b.moment(window, s.history - 1 + true, start.matter))))
        nodes = start.packing.there.sum(-1)
        rows = (drawn(scene.n_scenes, s.read_nodes, generator) * nodes.unsqueeze(-1)).to(torch.int64)
        errors = [self.error(window, start, first, z, t, rows) for t, z in asked]
        return torch.stack(errors).mean()

    def times(self, generator: torch.Generator) -> list[int]:
        """Frames after the start at which nodes are asked for, sorted, the early ones closer."""
        draw = torch.rand(self.set.read_times, generator=generator, device=generator.device)
        # Squared: a share of each of the first frames is as large as that of many late ones, which are much alike.
        spread = ((torch.arange(len(draw), device=draw.device) + draw) / len(draw)).square()
        return sorted({max(1, round(float(u) * self.set.horizon)) for u in spread})

    def error(self, window: Trajectory, start: Moment, first: Tokens, z: Tokens, t: int, rows: Tensor) -> Tensor:
        """Pseudo-Huber error of some nodes `t` frames after the start, read from tokens z; driven nodes do not count."""
        s, b, scene = self.set, self.model.backbone, window.scene
        k, now = b.units.number(scene.domain), s.history - 1
        out = b.read(start, first, z, t, rows)
        moved = lifted(scene.minimum_image(window.position[now + t] - window.position[now])) / b.reach(scene, [t])[0]
        velocity = lifted(window.velocity[now + t]) / b.units.speed[k]
        chosen = torch.gather(start.packing.index, 1, rows)
        free = scene.free[chosen]
        off = out - torch.cat([moved, velocity], -1)[chosen]
        return pseudo_huber(off[..., :3][free], 0.1) + 0.1 * pseudo_huber(off[..., 3:][free], 0.1)
