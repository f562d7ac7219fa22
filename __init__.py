"""Benchmark suite for neural physics surrogates: simulators, specialists and a generalist under one measure.

    import hedgefox as hf

    data = hf.generate("fluid", "quick", "data")          # shards on disk
    gnn = hf.train("particle_gnn", data, out="weights")   # on the data's track
    hf.score([gnn, "persistence"], data, "scored")        # a board; .to_pandas(), .figure()
    hf.play(data)                                         # a film; the last value of a notebook's cell plays it

What these functions give back reads as text and as HTML, and gives pandas of every table: docs/api.md.

Names load when they are used, so that importing the package is quick and silent.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bench.environment import doctor as doctor
    from .bench.show.player import play as play
    from .bench.show.verbs import claims as claims
    from .bench.show.verbs import compare as compare
    from .bench.show.verbs import generate as generate
    from .bench.show.verbs import leaderboard as leaderboard
    from .bench.show.verbs import load as load
    from .bench.show.verbs import pretrained as pretrained
    from .bench.show.verbs import report as report
    from .bench.show.verbs import run as run
    from .bench.show.verbs import score as score
    from .bench.show.verbs import show as show
    from .bench.show.verbs import speed as speed
    from .bench.show.verbs import train as train
    from .bench.show.verbs import validate as validate
    from .bench.show.verbs import verify as verify
    from .bench.status import status as status
    from .contracts import CheckFailed as CheckFailed
    from .contracts import Domain as Domain
    from .contracts import MisuseError as MisuseError
    from .contracts import Model as Model
    from .contracts import ModelCard as ModelCard
    from .contracts import Scene as Scene
    from .contracts import Stepper as Stepper
    from .contracts import Track as Track
    from .contracts import Trajectory as Trajectory
    from .contracts import check_model as check_model
    from .contracts import track as track
    from .contracts.registry import domain as domain
    from .datasets import save as save

_FROM = {
    "contracts": [
        *("CheckFailed", "Domain", "MisuseError", "Model", "ModelCard", "Scene", "Stepper", "Track", "Trajectory"),
        *("check_model", "track"),
    ],
    "contracts.registry": ["domain"],
    "datasets": ["save"],
    "bench.show.verbs": [
        *("claims", "compare", "generate", "leaderboard", "load", "pretrained", "report", "run"),
        *("score", "show", "speed", "train", "validate", "verify"),
    ],
    "bench.show.player": ["play"],
    "bench.environment": ["doctor"],
    "bench.status": ["status"],
}
_HOME = {name: (module, name) for module, names in _FROM.items() for name in names}

__all__ = [
    "CheckFailed",
    "Domain",
    "MisuseError",
    "Model",
    "ModelCard",
    "Scene",
    "Stepper",
    "Track",
    "Trajectory",
    "check_model",
    "claims",
    "compare",
    "doctor",
    "domain",
    "generate",
    "leaderboard",
    "load",
    "play",
    "pretrained",
    "report",
    "run",
    "save",
    "score",
    "show",
    "speed",
    "status",
    "track",
    "train",
    "validate",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOME[name]
    found = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
