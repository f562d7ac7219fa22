"""docs/extend.md does what it says: its files, put where it says, are found by their names and work."""

from __future__ import annotations

import dataclasses
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hedgefox.bench._metric import every_metric, metric
from hedgefox.contracts import Domain, Recipe, Track, Trajectory, check_model, registry

PAGE = (Path(__file__).parent.parent / "docs" / "extend.md").read_text(encoding="utf-8")
CODE = dict(zip(("metric", "model", "track"), re.findall(r"```python\n(.*?)```", PAGE, re.S), strict=True))


@pytest.fixture
def placed(tmp_path: Path) -> Iterator[Path]:
    """The page's metric and model in folders that count as parts of theirs, as if they lay in the repository."""
    added = []
    for package, file, code in (
        ("bench.metrics", "height_error", CODE["metric"]),
        ("surrogates", "tired", CODE["model"]),
    ):
        assert f"**{package.replace('.', '/')}/{file}.py**, whole" in PAGE
        folder = tmp_path / package
        folder.mkdir()
        (folder / f"{file}.py").write_text(code)
        path = importlib.import_module(f"hedgefox.{package}").__path__
        path.append(str(folder))
        added.append((path, folder, f"hedgefox.{package}.{file}"))
    importlib.invalidate_caches()
    yield tmp_path
    for path, folder, name in added:
        path.remove(str(folder))
        sys.modules.pop(name, None)


def test_the_metric_is_found_and_measures_height_alone(placed: Path, film: Trajectory, ballistic: Domain) -> None:
    assert "height_error@1" in {m.id for m in every_metric()}
    moved = film.position.clone()
    moved[..., 0] += 0.5
    moved[..., -1] += 0.25
    asked = metric("height_error")
    found = asked.evaluate(film, Trajectory(film.scene, moved, film.velocity), ballistic)["height_error@1"]
    np.testing.assert_allclose(found, 0.25, rtol=1e-5)


def test_the_model_is_found_and_holds_the_contract(placed: Path, film: Trajectory) -> None:
    assert "tired" in registry.model_names()
    file = registry.model("tired")
    # The closed-form points stand in for a fluid, which the model knows.
    points = dataclasses.replace(film, scene=dataclasses.replace(film.scene, domain="fluid"))
    model, free = file.build("fluid"), points.scene.free
    assert model.card.kind == file.KIND
    went = model.rollout(points.frames(0, 5), 2)
    step = points.velocity[4][free] * 0.95 * points.scene.frame_interval
    torch.testing.assert_close(went.position[0][free], points.position[4][free] + step)
    assert check_model(model, points.frames(0, 6))


def test_the_track_is_one(recipe: Recipe) -> None:
    held: dict[str, object] = {}
    exec(CODE["track"], held)
    tiny = held["tiny"]
    assert isinstance(tiny, Track)
    assert (tiny.name, tiny.training_steps, tiny.trajectories["test"]) == ("tiny", 5, 2)
