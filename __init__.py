"""Benchmark suite for neural physics surrogates: simulators, specialists and a generalist under one measure.

    import hedgefox as hf

    hf.run("quick", "runs/quick")            # data, training, scores, timing, board, report
    film = hf.domain("fluid").example(8)     # what everything here exchanges: a Trajectory
    rows = hf.leaderboard("runs/quick")      # the board as plain data

Names load when they are used, so that importing the package is quick and silent.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bench.compare import compare as compare
    from .bench.environment import doctor as doctor
    from .bench.leaderboard import rows as leaderboard
    from .bench.report import report as report
    from .bench.run import run as run
    from .bench.verbs import score as score
    from .bench.verbs import speed as speed
    from .bench.verbs import validate as validate
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
    from .datasets import generate as generate
    from .datasets import load as load
    from .datasets import save as save
    from .datasets import verify as verify
    from .surrogates import train as train

_FROM = {
    "contracts": [
        *("CheckFailed", "Domain", "MisuseError", "Model", "ModelCard", "Scene", "Stepper", "Track", "Trajectory"),
        *("check_model", "track"),
    ],
    "contracts.registry": ["domain"],
    "datasets": ["generate", "load", "save", "verify"],
    "surrogates": ["train"],
    "bench.verbs": ["score", "speed", "validate"],
    "bench.run": ["run"],
    "bench.compare": ["compare"],
    "bench.report": ["report"],
    "bench.environment": ["doctor"],
}
_HOME = {name: (module, name) for module, names in _FROM.items() for name in names}
_HOME["leaderboard"] = ("bench.leaderboard", "rows")

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
    "compare",
    "doctor",
    "domain",
    "generate",
    "leaderboard",
    "load",
    "report",
    "run",
    "save",
    "score",
    "speed",
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
