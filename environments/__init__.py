"""Driven scenes as gymnasium environments: the script is the action, and a simulator or any model of ours answers it.

    import gymnasium, hedgefox.environments

    env = gymnasium.make("hedgefox/cloth-v0")
    many = gymnasium.make_vec("hedgefox/fluid-v0", num_envs=8, vectorization_mode="vector_entry_point")

Importing this registers one environment a task, by name: simulators load when one is made. Needs the extra gym.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..contracts.errors import MisuseError

try:
    import gymnasium
except ImportError as error:
    raise MisuseError("environments need gymnasium; pip install 'hedgefox[gym]'") from error

if TYPE_CHECKING:
    from ._single import DrivenEnv as DrivenEnv
    from ._tasks import TASKS as TASKS
    from ._tasks import Task as Task
    from ._vector import DrivenVectorEnv as DrivenVectorEnv

NAMES = ("cloth", "fluid", "rigid")
"""Tasks that are registered, as hedgefox/NAME-v0."""
_FROM = {"DrivenEnv": "_single", "DrivenVectorEnv": "_vector", "TASKS": "_tasks", "Task": "_tasks"}
__all__ = ["NAMES", "TASKS", "DrivenEnv", "DrivenVectorEnv", "Task"]


def register() -> None:
    """Tell gymnasium the environments' names; again is harmless."""
    for name in NAMES:
        if (known := f"hedgefox/{name}-v0") not in gymnasium.registry:
            gymnasium.register(
                known,
                entry_point=f"{__name__}._single:DrivenEnv",
                vector_entry_point=f"{__name__}._vector:DrivenVectorEnv",
                kwargs={"task": name},
            )


def __getattr__(name: str) -> Any:
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_FROM[name]}"), name)


register()
