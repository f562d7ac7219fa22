"""One training loop for every network: fixed steps or fixed time, resumable to the same bits, and the best model kept.

Adam (Kingma & Ba 2015) with warm-up and cosine decay, gradients clipped. A run of several domains takes one batch of each in
every step and averages their losses. The random numbers come from one generator of the run's own, which is part of the
checkpoint. Which weights are kept is decided on rollouts of the split `valid`, as a share of what constant velocity gets wrong
there, averaged over the domains. What is special to a model it says itself: see `Follower` and `Watched`.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from .. import datasets
from ..contracts import HedgefoxError, MisuseError, Trajectory
from . import _processes, constant_velocity
from ._base import Learner, Run, Surrogate
from ._captured_training import InOneShape, Mark, Source, source_of
from ._checkpoint import read_checkpoint, require_resumable, write_checkpoint
from ._files import write
from ._pace import pace_of

CHECKPOINT, LOG = "checkpoint.safetensors", "log.jsonl"
RATIO = "valid_rollout_over_constant_velocity"


@dataclass(frozen=True)
class Plan:
    """How one model is trained."""

    steps: int
    """Optimiser steps, no more and no fewer; 0 where the time is fixed."""
    batch_size: int
    """Windows of each domain in a step."""
    learning_rate: float
    """Highest rate, after the warm-up."""
    final_rate: float = 0.02
    """Rate of the last step, as a share of the highest."""
    warm_up: int = 50
    """Steps over which the rate rises."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    check_every: int = 50
    """Steps between looks at the losses: each look waits for the device."""
    checkpoint_every: int = 200
    valid_every: int = 500
    """Steps between rollouts on `valid`; the last step always has one."""
    valid_scenes: int = 8
    valid_frames: int = 20
    """Frame after the cut at which rollouts are judged."""
    judged: bool = True
    """Whether the weights best at rollouts are kept; otherwise none are rolled out, and the last weights are kept."""
    seconds: float = 0.0
    """Device-seconds of a training whose time is fixed, rollouts on `valid` and checkpoints included; 0 where its steps are. Both
    then come at every twentieth of the time, whatever `valid_every` and `checkpoint_every` say."""

    def rate(self, step: int) -> float:
        """Learning rate of a step counted from zero."""
        warm_up = min(self.warm_up, max(self.steps // 10, 1))
        return self.rate_at(step, warm_up, max(0.0, step - warm_up) / max(self.steps - warm_up, 1))

    def rate_at(self, step: int, warm_up: int, done: float) -> float:
        """Learning rate of a step counted from zero when a share of the training is done."""
        rise = min(1.0, (step + 1) / warm_up)
        return (
            self.learning_rate * rise * (self.final_rate + (1 - self.final_rate) * 0.5 * (1 + math.cos(math.pi * done)))
        )


@runtime_checkable
class Follower(Protocol):
    """A model with something that follows its weights, such as a slow average; what follows belongs into its `state_dict`."""

    def after_step(self) -> None:
        """Called after every optimiser step."""


@runtime_checkable
class Watched(Protocol):
    """A model that measures itself while it is trained."""

    def watch(self, valid: Mapping[str, Trajectory]) -> dict[str, float]:
        """Numbers for the log, from the split `valid` by domain; asked every `valid_every` steps, without gradients."""


class TrainingFailed(HedgefoxError):
    """The loss ceased to be finite; the text names the step and the windows."""


def fit(model: Learner[Any], run: Run, plan: Plan) -> None:
    """Train `model` in place, resuming from what `run.out` holds, and leave it with its best weights and a complete card.

    Writes checkpoint.safetensors and log.jsonl into `run.out`. Raises TrainingFailed when a loss is not finite, and TimeUp, with a
    checkpoint, when the run's deadline is over.
    """
    with one_thread():
        _fit(_Progress(model, run, plan), model, run, plan)


def _fit(progress: _Progress, model: Learner[Any], run: Run, plan: Plan) -> None:
    progress.resume()
    # Sorted: the order in which domains are named must not change a bit.
    domains = dict(sorted(run.domains.items()))
    judge = Panel({k: v.valid for k, v in domains.items()}, model.card.history, plan)
    progress.learn_from({k: datasets.Windows(v.train, model.window) for k, v in domains.items()})
    while not progress.pace.over():
        progress.train_step()
        progress.pace.stepped()
        if progress.pace.look_due():
            progress.look()
        if progress.pace.valid_due():
            progress.validate(judge)
        if progress.pace.checkpoint_due():
            progress.save()
        # Where no loss is pending, so that the log of a training that was cut is that of one that was not.
        if not progress.pending and run.deadline.passed() and not progress.pace.over():
            progress.save()
            run.deadline.check()
    progress.finish()


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch's CPU kernels on one thread, then give back what there was.

    Sums then do not depend on the number of cores, so that a training can be repeated to the bit on another machine. At the
    sizes that a CPU can train it is also faster: waking a second thread for each small kernel costs more than it saves (forward
    and backward of size s on 480 nodes and 14 000 edges: 46 ms on one thread, 76 ms on two with OMP_WAIT_POLICY=PASSIVE).
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Judge:
    """Rollout error on held-out scenes, as a share of constant velocity's."""

    def __init__(self, valid: Trajectory, history: int, plan: Plan) -> None:
        scenes = list(range(min(plan.valid_scenes, valid.scene.n_scenes)))
        chosen = valid.select(scenes)
        # The longest past that leaves the frames to be judged: early frames are often all free fall.
        self.frames = min(plan.valid_frames, valid.n_frames - history)
        self.past = chosen.frames(0, history)
        self.truth = chosen.frames(history, history + self.frames)
        self.rival = self.error(constant_velocity.build(chosen.scene.domain))

    def error(self, model: Surrogate[Any]) -> float:
        """Root mean square position error [m] of free nodes at the last frame judged, a diverged scene counting as its diagonal."""
        film = model.rollout(self.past, self.frames)
        scene = film.scene
        off = scene.minimum_image(film.position[-1] - self.truth.position[-1]).square().sum(-1)
        lost = scene.diagonal.square()[scene.node_scene]
        return float(torch.where(torch.isfinite(off), torch.minimum(off, lost), lost)[scene.free].mean().sqrt())

    def ratio(self, model: Surrogate[Any]) -> float:
        """Error over that of constant velocity; below one is better."""
        return self.error(model) / max(self.rival, 1e-12)


class Panel:
    """A judge for every domain, and the split `valid` for models that measure themselves."""

    def __init__(self, valid: Mapping[str, Trajectory], history: int, plan: Plan) -> None:
        self.valid = valid
        self.judges = {k: Judge(film, history, plan) for k, film in valid.items()} if plan.judged else {}

    def entry(self, model: Surrogate[Any]) -> dict[str, Any]:
        """What rollouts say, for the log; nothing where none are judged. The mean over domains is what weights are kept by."""
        if not self.judges:
            return {}
        ratios = {k: judge.ratio(model) for k, judge in self.judges.items()}
        frames = min(judge.frames for judge in self.judges.values())
        entry = {RATIO: sum(ratios.values()) / len(ratios), "valid_frames": frames}
        return entry if len(ratios) == 1 else entry | {f"{RATIO}_{k}": ratio for k, ratio in ratios.items()}

    @torch.no_grad()
    def watched(self, model: Surrogate[Any]) -> dict[str, float]:
        """What the model measures itself, for the log."""
        return model.watch(self.valid) if isinstance(model, Watched) else {}


class _Progress:
    """All that a training needs to go on: what a checkpoint holds."""

    def __init__(self, model: Learner[Any], run: Run, plan: Plan) -> None:
        self.model, self.run, self.plan = model, run, plan
        self.step, self.seconds = 0, 0.0
        self.best_step, self.best_ratio = 0, math.inf
        self.validated = 0
        self.best = self._weights() if plan.judged else {}
        self.optimiser = torch.optim.Adam(model.parameters(), lr=plan.learning_rate, fused=True)
        self.generator = torch.Generator(device=run.device).manual_seed(run.seed)
        self.pending: list[tuple[int, dict[str, Tensor], Tensor]] = []
        self.lines: list[str] = []
        self.sources: dict[str, Source] = {}
        self.mark: Mark | None = None
        self.started = run.clock()
        self.last_look = (0, 0.0)
        self.pace = pace_of(self)

    def learn_from(self, windows: Mapping[str, datasets.Windows]) -> None:
        """Draw batches from these windows."""
        size = self.plan.batch_size
        self.sources = {k: source_of(self.model, cuts, size, self.generator) for k, cuts in windows.items()}
        self.mark = self.marked()

    def marked(self) -> Mark | None:
        """Where to go back to, if any source may ask for that."""
        return Mark(self) if any(isinstance(s, InOneShape) for s in self.sources.values()) else None

    def train_step(self) -> None:
        """One optimiser step on windows drawn at random from every domain. Does not wait for the device."""
        self.optimiser.param_groups[0]["lr"] = self.pace.rate()
        self.model.train()
        self.optimiser.zero_grad(set_to_none=True)
        drawn, losses = {}, []
        for domain, source in self.sources.items():
            # One domain after the other, gradients summed: only one graph is in memory at a time.
            drawn[domain], loss = source.add_gradients(len(self.sources))
            losses.append(loss)
        _processes.average(self.model.parameters())
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.plan.clip)
        self.optimiser.step()
        if isinstance(self.model, Follower):
            self.model.after_step()
        self.pending.append((self.step, drawn, torch.stack(losses)))
        self.step += 1

    def look(self) -> None:
        """Read the losses since the last look, stop if one is not finite, log their mean. If a graph did not fit, go back to it."""
        short = [domain for domain, source in self.sources.items() if source.too_small()]
        if short and self.mark is not None:
            self.log({"step": self.step, "again_from": self.mark.step})
            self.mark.back(self)
            self.pending.clear()
            return
        losses = torch.stack([loss for _, _, loss in self.pending]).cpu()
        self.require_finite(losses)
        seconds = self.elapsed()
        steps_per_second = (self.step - self.last_look[0]) / max(seconds - self.last_look[1], 1e-9)
        self.last_look = (self.step, seconds)
        mean = float(losses.mean())
        rate = self.optimiser.param_groups[0]["lr"]
        entry = {"step": self.step, "loss": mean, "learning_rate": rate, "steps_per_second": steps_per_second}
        domains = list(self.pending[-1][1])
        several = zip(domains, losses.mean(0).tolist(), strict=True) if len(domains) > 1 else ()
        self.log(entry | {f"loss_{domain}": value for domain, value in several})
        self.pending.clear()
        self.mark = self.marked()
        if self.run.progress is not None:
            self.run.progress(*self.pace.done(), mean)

    def require_finite(self, losses: Tensor) -> None:
        """Raise TrainingFailed for the first loss pending (steps, domains) that is not finite."""
        bad = torch.nonzero(~torch.isfinite(losses))
        if not bad.numel():
            return
        row, column = bad[0].tolist()
        step, drawn, _ = self.pending[row]
        domain, index = list(drawn.items())[column]
        of = f" of {domain}" if len(drawn) > 1 else ""
        raise TrainingFailed(
            f"{self.run.name}: the loss of step {step} is {float(losses[row, column])}, "
            f"on training windows {index.tolist()}{of}"
        )

    def validate(self, judge: Panel) -> None:
        """Measure the model on `valid`, and keep the weights if their rollouts are the best so far; not those measured last."""
        if self.step == self.validated:
            return
        self.validated = self.step
        self.model.eval()
        entry = judge.entry(self.model)
        for numbers in (entry, judge.watched(self.model)):
            if numbers:
                self.log({"step": self.step, **numbers})
        ratio = entry.get(RATIO, math.inf)
        if ratio < self.best_ratio:
            self.best_ratio, self.best_step, self.best = ratio, self.step, self._weights()

    def elapsed(self) -> float:
        """Device-seconds of training, over all sittings."""
        return self.seconds + self.run.clock() - self.started

    def log(self, entry: dict[str, Any]) -> None:
        self.lines.append(json.dumps({k: round(v, 6) if isinstance(v, float) else v for k, v in entry.items()}))

    def _weights(self) -> dict[str, Tensor]:
        return {k: v.detach().clone() for k, v in self.model.state_dict().items()}

    # Checkpoints: tensors, and in the header the numbers. The log is written after it, and cut back to it on resuming.

    def save(self) -> None:
        """Write the checkpoint and then the log, each whole or not at all."""
        if _processes.place() != 0:
            return
        state = self.optimiser.state_dict()["state"]
        tensors = {f"model.{k}": v for k, v in self._weights().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        tensors |= {f"adam.{i}.{k}": v for i, entry in state.items() for k, v in entry.items()}
        tensors["generator"] = self.generator.get_state()
        numbers = {
            "step": self.step,
            "seconds": self.elapsed(),
            "best_step": self.best_step,
            "best_ratio": self.best_ratio if math.isfinite(self.best_ratio) else None,
            "log": self.lines,
        }
        content = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        write_checkpoint(self.run.out / CHECKPOINT, content, numbers)
        write(self.run.out / LOG, "".join(line + "\n" for line in self.lines).encode())

    def resume(self) -> None:
        """Go back to the last checkpoint, if there is one."""
        path = self.run.out / CHECKPOINT
        if not path.exists():
            return
        tensors, numbers = read_checkpoint(path)
        require_resumable(tensors, self.model, bool(self.best), path)
        self.model.load_state_dict(_part(tensors, "model."))
        self.best = {k: v.to(self.run.device) for k, v in _part(tensors, "best.").items()}
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in _part(tensors, "adam.").items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": state})
        try:
            self.generator.set_state(tensors["generator"])
        except (RuntimeError, TypeError) as error:
            raise MisuseError(f"{path} holds no state of a generator: {error}; delete it to begin anew") from error
        self.step, self.seconds, self.best_step = numbers["step"], numbers["seconds"], numbers["best_step"]
        self.best_ratio = math.inf if numbers["best_ratio"] is None else numbers["best_ratio"]
        self.lines = numbers["log"]
        self.last_look = (self.step, self.seconds)
        self.started = self.run.clock()

    def finish(self) -> None:
        """Leave the model with its best weights and a card that says what the training was."""
        if self.plan.judged:
            self.model.load_state_dict(self.best)
        ceiling = self.run.track.training_ceiling
        seconds = self.elapsed()
        late = f"; took {seconds:.0f} s, more than the track's {ceiling:.0f} s" if seconds > ceiling else ""
        best = f"weights of step {self.best_step} kept: {self.best_ratio:.3f} of constant velocity's rollout error on valid"
        kept = best if self.plan.judged else f"weights of step {self.step}, the last, kept"
        self.model.card = dataclasses.replace(self.model.card, notes=kept + late)
        self.run.trained(self.model, self.step, seconds)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
