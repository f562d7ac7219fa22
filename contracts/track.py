"""Track: what a leaderboard fixes. Data, training budget, timing effort and machine class; presets are functions."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import MisuseError
from .nearest import one_of


@dataclass(frozen=True)
class Track:
    """The fixed part of a competition: two results on one track are comparable."""

    name: str
    size: str
    """Scene size that each domain's `recipe` is asked for, and model size that each surrogate is built in."""
    machine: str
    """"cpu" or "cuda": the class of device that results are timed on."""
    trajectories: Mapping[str, int]
    """Number of trajectories of each split."""
    training_steps: int
    """Optimiser steps of a trained model. CPU tracks fix the steps, so that a run can be repeated exactly."""
    training_ceiling: float
    """Device time that the steps may take [s]; passing it is reported, never cut."""
    training_seeds: tuple[int, ...]
    timing_samples: int
    """Timing samples of each contestant."""
    timing_sample_seconds: float
    """A sample repeats the rollout until it takes at least this long [s]."""
    timing_batches: tuple[int, ...]
    """Batch sizes tried for throughput."""
    timed_rungs: int
    """How many rungs of each ladder are timed."""
    floor_scenes: int = 0
    """Test scenes on which the reference is held against its refined run; none when 0."""
    root_seed: int = 20260901
    stage_budget: Mapping[str, float] = field(default_factory=dict)
    """Seconds each stage of `hedgefox run` should take on 2 quiet CPU cores, all domains together."""
    variants: tuple[str, ...] = ()
    """Full names (FILE-VARIANT) of the variants that compete, besides the models under their plain names."""
    only: tuple[str, ...] = ()
    """When not empty, the full names of all learned models and baselines that compete; `variants` then adds none."""
    without: tuple[str, ...] = ()
    """Models that would compete under their plain names, and do not on this track."""
    probed: bool = True
    """Whether linear probes ask what features know; of many contestants that takes as long as scoring them."""
    training_seconds: float = 0.0
    """Device-seconds of each training on a track that fixes the time and not the steps, which are then recorded on the card; 0
    where the steps are fixed."""
    films: bool = False
    """Whether a run keeps films of the worst, median and best scene of every split, which its report then plays."""

    @property
    def training_extent(self) -> int:
        """What the progress of a training is told of: its steps, or its seconds where those are fixed."""
        return math.ceil(self.training_seconds) if self.training_seconds else self.training_steps


def rehearsal(asked: Track, seconds: float = 2.0) -> Track:
    """A track of a GPU as a CPU can run all of it in minutes: tiny scenes, films and networks, so many seconds a training [s].

    It has a name and a machine of its own, so that what comes of it is never ranked with the track's.
    """
    small = smoke()
    return dataclasses.replace(
        asked,
        name=f"{asked.name}-rehearsal",
        size=small.size,
        machine=small.machine,
        trajectories=small.trajectories,
        training_seconds=seconds,
        training_ceiling=small.training_ceiling,
        timing_samples=small.timing_samples,
        timing_sample_seconds=small.timing_sample_seconds,
        timing_batches=small.timing_batches,
        timed_rungs=small.timed_rungs,
        floor_scenes=small.floor_scenes,
        probed=False,
    )


def on_device(asked: Track, device: str | None, there: bool) -> tuple[Track, str]:
    """A track and the device it runs on; where none is named, that of its machine. `there`: whether a GPU is.

    A track of a GPU becomes its rehearsal where a CPU is named. Raises MisuseError where none is named and there is no GPU.
    """
    if asked.machine != "cuda":
        return asked, device or asked.machine
    if device is None and not there:
        raise MisuseError(
            f"track {asked.name!r} is trained and timed on cuda, which is not here; --device cpu rehearses it, for no board"
        )
    on_cpu = device is not None and device.startswith("cpu")
    return (rehearsal(asked), "cpu") if on_cpu else (asked, device or "cuda")


def track_of(plain: Mapping[str, Any]) -> Track:
    """A track from plain data, as records hold it; raises MisuseError for a field that is unknown or missing."""
    kept = {f.name: plain[f.name] for f in dataclasses.fields(Track) if f.name in plain}
    unknown = sorted(set(plain) - set(kept))
    if unknown:
        raise MisuseError(
            f"a track has no field {unknown[0]!r}; known are {', '.join(f.name for f in dataclasses.fields(Track))}"
        )
    try:
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in kept.items()}
        return Track(**values)
    except TypeError as error:
        raise MisuseError(f"a track is incomplete: {error}") from error


def smoke() -> Track:
    """For CI: seconds a model on a CPU. Too small to rank anything."""
    return Track(
        name="smoke",
        size="xs",
        machine="cpu",
        trajectories={"train": 4, "valid": 2, "test": 2, "long": 1},
        training_steps=40,
        training_ceiling=30.0,
        training_seeds=(0,),
        timing_samples=2,
        timing_sample_seconds=0.0,
        timing_batches=(1, 2),
        timed_rungs=1,
        floor_scenes=2,
        stage_budget={"generate": 10, "train": 10, "score": 15, "speed": 15},
    )


BUNDLED = ("particle_gnn-bundle_8",)
"""The network of fluid with eight frames a call: a fifth of the time for a tenth more error (results/LOG.md)."""


def quick() -> Track:
    """A newcomer's first run: three domains and a generalist in about 8½ minutes on 2 quiet CPU cores."""
    return Track(
        name="quick",
        size="s",
        machine="cpu",
        trajectories={"train": 48, "valid": 8, "test": 32, "more": 8, "material": 8, "shape": 8, "long": 8},
        training_steps=1500,
        training_ceiling=120.0,
        training_seeds=(0,),
        timing_samples=4,
        timing_sample_seconds=0.1,
        timing_batches=(1, 4),
        timed_rungs=3,
        floor_scenes=4,
        stage_budget={"generate": 60, "train": 180, "score": 155, "probe": 25, "films": 15, "speed": 95},
        variants=BUNDLED,
        without=("gns",),
        films=True,
    )


BASELINES = ("persistence", "constant_velocity", "linear")
TWO_BY_TWO = ("jepa", "jepa-specialist", "jepa-supervised", "jepa-supervised_specialist")


def hour() -> Track:
    """A board without a GPU, in an hour on 2 CPU cores: specialists, the two-by-two, the generalist GNN, the random encoder.

    One seed a record. Every cell of the two-by-two gets the 600 steps of its first stage and 600 of its read-out, each with a
    batch of every domain that it learns: a specialist sees as much of its domain as the generalist does.
    """
    return Track(
        name="hour",
        size="s",
        machine="cpu",
        trajectories={"train": 96, "valid": 8, "test": 32, "more": 8, "material": 8, "shape": 8, "long": 8},
        training_steps=4000,
        training_ceiling=900.0,
        training_seeds=(0,),
        timing_samples=5,
        timing_sample_seconds=0.1,
        timing_batches=(1, 4),
        timed_rungs=4,
        floor_scenes=8,
        stage_budget={"generate": 120, "train": 2200, "score": 400, "probe": 120, "films": 15, "speed": 300},
        variants=(*TWO_BY_TWO[1:], "jepa-random", *BUNDLED),
        films=True,
    )


def gpu(minutes: int) -> Track:
    """The board on a GPU: so many minutes of the device a training, as many steps as fit. Contestants as on `hour`, one seed first.

    Both stages of a jepa share the time. A reproduction replays the number of steps on the card.
    """
    seconds = 60.0 * minutes
    return dataclasses.replace(
        hour(),
        name=f"gpu-{minutes}min",
        size="m",
        machine="cuda",
        trajectories={"train": 192, "valid": 16, "test": 32, "more": 16, "material": 16, "shape": 16, "long": 16},
        training_steps=0,
        training_seconds=seconds,
        training_ceiling=1.05 * seconds,
        timing_samples=30,
        timing_batches=(1, 16, 64, 256),
        timed_rungs=6,
        stage_budget={},
    )


def _small(name: str, models: tuple[str, ...]) -> Track:
    """Some models, trained as on `quick`, beside the baselines, in distribution."""
    asked = quick()
    return dataclasses.replace(
        asked,
        name=name,
        trajectories={split: asked.trajectories[split] for split in ("train", "valid", "test")},
        only=(*BASELINES, *models),
        without=(),
        timed_rungs=1,
        floor_scenes=0,
        stage_budget={},
        films=False,
    )


def _ablation(question: str, *variants: str) -> Track:
    """One question about the generalist: jepa and its variants."""
    return _small(f"ablate-{question}", ("jepa", *(f"jepa-{v}" for v in variants)))


ABLATIONS: Mapping[str, tuple[str, ...]] = {
    "attention": ("mean_pooling", "message_passing"),
    "tokens": ("tokens_1", "tokens_64"),
    "masking": ("unmasked",),
    "objective": ("ema", "vicreg", "sigreg", "ema_sigreg"),
    "decoder": ("small_readout", "large_readout", "timed_readout", "random"),
    "stride": ("stride_4", "stride_16"),
}
"""What each ablation track varies: what passes between tokens in the predictor, their number, masking, what keeps latents from
collapsing, the capacity of the read-out, and the frames that one call of the predictor leaps over."""

SIZES: Mapping[str, tuple[int, ...]] = {
    "jepa": (16, 32, 96),
    "particle_gnn": (16, 64),
    "mesh_gnn": (16, 64),
    "rigid_gnn": (16, 64),
}
"""Widths in which a model competes on `sizes` beside its own."""


def sizes() -> Track:
    """Error against parameters: the generalist and every specialist in several widths, at equal data and at equal compute.

    Half of the steps of `quick`, for all, so that 22 networks train in eight to ten minutes on 2 quiet cores.
    """
    others = [f"{name}-width_{w}{at}" for name, widths in SIZES.items() for w in widths for at in ("", "_timed")]
    less = {"training_steps": 750, "timing_samples": 3, "timing_batches": (1,), "probed": False}
    return dataclasses.replace(_small("sizes", (*SIZES, *others)), **less)  # type: ignore[arg-type]


def bundles() -> Track:
    """How many frames one call of the fluid's network should advance: error against time, beside the ladder."""
    names = ("particle_gnn", *(f"particle_gnn-bundle_{m}" for m in (2, 4, 8)))
    return dataclasses.replace(_small("ablate-bundle", names), timed_rungs=quick().timed_rungs)


SUBSETS = ("only", "without", "few", "scratch")


def transfer() -> Track:
    """What learning one kind of physics is worth to another: the generalist trained on every subset of three domains, scored on
    all; shown a few trajectories of the one that it did not learn; and shown those few alone.

    Speed is no question here: timing is a single call, so that no contestant is without a figure.
    """
    subsets = [f"jepa-{how}_{domain}" for how in SUBSETS for domain in ("cloth", "fluid", "rigid")]
    once = {"timing_samples": 1, "timing_sample_seconds": 0.0, "timing_batches": (1,), "probed": False}
    return dataclasses.replace(_small("transfer", ("jepa", *subsets)), **once)  # type: ignore[arg-type]


TRACKS: Mapping[str, Callable[[], Track]] = {
    "smoke": smoke,
    "quick": quick,
    "hour": hour,
    "gpu-3min": functools.partial(gpu, 3),
    "gpu-9min": functools.partial(gpu, 9),
    "sizes": sizes,
    "transfer": transfer,
    "ablate-bundle": bundles,
    **{f"ablate-{question}": functools.partial(_ablation, question, *names) for question, names in ABLATIONS.items()},
}


def track(name: str) -> Track:
    """A track by name; raises MisuseError naming those that exist."""
    if name not in TRACKS:
        raise MisuseError(f"unknown track {name!r}; {one_of(name, TRACKS)}")
    return TRACKS[name]()
