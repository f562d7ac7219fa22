"""Rigid bodies against physics: the rows of `hedgefox validate rigid`, and that they can fail."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable

import pytest
from hedgefox.contracts import PhysicsCheck
from hedgefox.simulators import _rigid_physics as physics
from hedgefox.simulators.rigid import DOMAIN

CHECKS: list[Callable[[], list[PhysicsCheck]]] = [
    physics.free_fall,
    physics.incline,
    physics.stopping,
    physics.bounce,
    physics.oblique_bounce,
    physics.inelastic,
    physics.pushed,
    physics.collision,
    physics.rolling,
    physics.pendulum,
    physics.spinning,
    lambda: physics.tower(3.0),
]
needs_mujoco = pytest.mark.skipif(importlib.util.find_spec("mujoco") is None, reason="mujoco is not installed")


def require(rows: list[PhysicsCheck]) -> None:
    assert rows
    for row in rows:
        assert row.holds, f"{row.name}: {row.measured:.4g} outside {row.low:.4g} to {row.high:.4g} ({row.source})"


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: getattr(c, "__name__", "check"))
def test_physics_holds(check: Callable[[], list[PhysicsCheck]]) -> None:
    require(check())


@needs_mujoco
@pytest.mark.parametrize(
    "check", [physics.before_contact_with_mujoco, physics.rest_with_mujoco], ids=lambda c: c.__name__
)
def test_agrees_with_mujoco(check: Callable[[], list[PhysicsCheck]]) -> None:
    require(check())


@pytest.mark.long
def test_every_physics_check_holds_in_full() -> None:
    require(DOMAIN.validate(full=True))


def failing(check: Callable[[], list[PhysicsCheck]]) -> list[str]:
    return [row.name for row in check() if not row.holds]


def test_another_engine_fails_the_oblique_bounce(monkeypatch: pytest.MonkeyPatch) -> None:
    """Newton's position-based solver gives an impact a tangential impulse that hangs on where in the step it falls."""
    honest = physics.reference_settings
    monkeypatch.setattr(
        physics,
        "reference_settings",
        lambda frame=0.02: dataclasses.replace(honest(frame), engine="xpbd", iterations=8),
    )
    assert len(failing(physics.oblique_bounce)) == 2
    assert failing(physics.rolling)


def test_too_long_a_step_fails_the_tower(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = physics.reference_settings
    monkeypatch.setattr(
        physics,
        "reference_settings",
        lambda frame=0.02: dataclasses.replace(honest(frame), substeps=1),
    )
    assert failing(lambda: physics.tower(1.0))
