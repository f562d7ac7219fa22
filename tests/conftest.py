"""Shared fixtures. The environment is set before torch and numpy are imported: spinning threads starve a shared machine."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("ENABLE_TAICHI_HEADER_PRINT", "0")

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hedgefox.bench import environment
from hedgefox.bench import record as records
from hedgefox.bench.run import run
from hedgefox.contracts import Domain, Recipe, Track, Trajectory
from hedgefox.datasets import generate


@pytest.fixture(scope="session", autouse=True)
def frozen_code() -> Iterator[None]:
    """Stages of a run are stale when the code changes, which an editor may do while tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "source_hash", lambda: "code")
        yield


@pytest.fixture(scope="session")
def ballistic() -> Domain:
    """A domain with a closed form: points in free fall with drag. Cheap truth for tests of everything but physics."""
    from .ballistic import BALLISTIC

    return BALLISTIC


@pytest.fixture(scope="session")
def recipe(ballistic: Domain) -> Recipe:
    return ballistic.recipe("xs")


@pytest.fixture(scope="session")
def film(ballistic: Domain, recipe: Recipe) -> Trajectory:
    """Three scenes of unlike size, 5 frames of past and 8 of future."""
    with torch.no_grad():
        return ballistic.simulate(recipe, "test", [0, 1, 2], root_seed=1)


@pytest.fixture(scope="session")
def tiny() -> Track:
    """The track of `finished`."""
    from .runs import TINY

    return TINY


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, ballistic: Domain, tiny: Track) -> Path:
    """One whole run of the closed-form domain, of baselines alone, to be read; what changes it takes a copy."""
    return run(tiny, tmp_path_factory.mktemp("run"), [ballistic])


@pytest.fixture
def held(finished: Path) -> dict[str, Any]:
    """Its record."""
    return records.read(finished)


@pytest.fixture(scope="session")
def original(ballistic: Domain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set of four splits on disk, to be looked at and copied."""
    from .ballistic import TRACK

    return generate(ballistic, TRACK, tmp_path_factory.mktemp("original"))


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(original, tmp_path / "ballistic"))


@pytest.fixture(scope="session")
def lid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set in LagrangeBench's layout."""
    from . import foreign

    return foreign.lid_driven(tmp_path_factory.mktemp("foreign") / "2D_LDC_25_4kevery100")


@pytest.fixture(scope="session")
def drop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set in the layout of DeepMind's GNS."""
    from . import foreign

    return foreign.water_drop(tmp_path_factory.mktemp("foreign") / "WaterDrop")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests of the GPU skip by name where there is none."""
    if item.get_closest_marker("gpu") is not None and not torch.cuda.is_available():
        pytest.skip(f"{item.name} needs a CUDA device")
