"""Siblings: one start, one difference, from the seed alone, whoever made them; and verify holds them to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch
from hedgefox import datasets
from hedgefox.contracts import Domain, MisuseError, Scene, Track, Trajectory
from hedgefox.contracts.scene import GROUP_OF, SCRIPT_GROUP_OF
from hedgefox.contracts.siblings import SCALE, SCRIPT_DELAY, SCRIPT_SCALE, Variation, with_script_changed
from hedgefox.contracts.track import smoke

from .spoilt import rehash
from .test_datasets import require_equal
from .test_datasets_verify import require_problem
from .tumbling import TUMBLING, Tumbling

TRACK: Track = dataclasses.replace(smoke(), trajectories={"train": 7, "material": 2})
K = 3
TRAIN = "train-00000-of-00001.h5"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return datasets.generate(TUMBLING, TRACK, tmp_path_factory.mktemp("data"), siblings=K)


def differing(a: Scene, b: Scene) -> set[str]:
    """Everything in which two scenes differ: fields, parameters, script."""
    found = {n for n in GROUP_OF if not torch.equal(getattr(a, n), getattr(b, n))}
    found |= {n for n in a.parameters if not torch.equal(a.parameters[n], b.parameters[n])}
    same = all(torch.equal(getattr(a.script, n), getattr(b.script, n)) for n in SCRIPT_GROUP_OF)
    return found if same else {*found, "script"}


@pytest.mark.parametrize("split", ["train", "material"])
def test_siblings_share_frame_0_to_the_bit_and_differ_in_one_thing(folder: Path, split: str) -> None:
    films, who = datasets.load(folder, split).split(), datasets.siblings(folder, split)
    assert [(w.group, w.variant) for w in who] == [divmod(j, K) for j in range(K * TRACK.trajectories[split])]
    for j, (film, w) in enumerate(zip(films, who, strict=True)):
        plain = films[j - w.variant]
        for name in ("position", "velocity", "pose", "twist"):
            assert torch.equal(getattr(film, name)[0], getattr(plain, name)[0]), name
        found = differing(plain.scene, film.scene)
        if w.variant == 0:
            assert not w.variation.varied
        elif w.variation.varied == "pull":
            assert found == {"pull", "gravity"}, "gravity follows from the pull"
            assert float(film.scene.parameters["pull"][0]) == w.variation.value
        else:
            assert w.variation.varied in (SCRIPT_SCALE, SCRIPT_DELAY)
            assert found == {"script"}
    assert {w.variation.varied for w in datasets.siblings(folder, "train")} == {"", "pull", SCRIPT_SCALE, SCRIPT_DELAY}


def test_no_two_siblings_of_a_group_are_the_same(folder: Path) -> None:
    who = datasets.siblings(folder, "train")
    assert len({(w.group, w.variation) for w in who}) == len(who)
    scripted = dataclasses.replace(TUMBLING.sample_start(TUMBLING.recipe("xs"), "train", 0, 1).scene)
    variations = [TUMBLING.sample_sibling(TUMBLING.recipe("xs"), "train", 0, k, 1)[1] for k in range(40)]
    assert len(set(variations)) == 40
    assert scripted.script.n_frames == TUMBLING.recipe("xs").n_frames("train")


def test_values_stay_inside_the_range_of_their_split(folder: Path) -> None:
    for split in ("train", "material"):
        low, high = TUMBLING.parameter_ranges["pull"][split]
        drawn = [w.variation for w in datasets.siblings(folder, split)]
        assert all(low <= v.value <= high for v in drawn if v.varied == "pull")
        assert all(SCALE[0] <= v.value <= SCALE[1] for v in drawn if v.varied == SCRIPT_SCALE)
        assert all(v.varied != "colour" for v in drawn), "a parameter without a range is never varied"


def test_a_script_is_made_smaller_or_begun_later(folder: Path) -> None:
    scene = TUMBLING.sample_start(TUMBLING.recipe("xs"), "train", 0, 1).scene
    path = scene.script.obstacle_position
    smaller = with_script_changed(scene, Variation(SCRIPT_SCALE, 0.5)).script.obstacle_position
    assert torch.allclose(smaller - path[0], 0.5 * (path - path[0]), atol=1e-7)
    later = with_script_changed(scene, Variation(SCRIPT_DELAY, 2 * scene.frame_interval)).script.obstacle_position
    assert torch.equal(later[:3], path[[0, 0, 0]])
    assert torch.equal(later[2:], path[:-2])


def test_the_plain_samples_are_those_without_siblings(folder: Path, tmp_path: Path) -> None:
    plain = datasets.generate(TUMBLING, TRACK, tmp_path)
    for split, n in TRACK.trajectories.items():
        require_equal(datasets.load(folder, split).select(range(0, K * n, K)), datasets.load(plain, split))


def test_any_sibling_can_be_made_again_alone(folder: Path) -> None:
    recipe = TUMBLING.recipe(TRACK.size)
    for j in (1, 5, 20):
        alone = TUMBLING.simulate(recipe, "train", [j], TRACK.root_seed, siblings=K)
        require_equal(datasets.load(folder, "train").select([j]), alone)


def test_more_workers_make_the_same_siblings(folder: Path, tmp_path: Path) -> None:
    from hedgefox.tests.tumbling import TUMBLING as NAMED

    again = datasets.generate(NAMED, TRACK, tmp_path, siblings=K, workers=2)
    assert datasets.manifest_hash(again) == datasets.manifest_hash(folder)


def test_siblings_resume_and_do_not_mix(folder: Path, tmp_path: Path) -> None:
    part = datasets.generate(TUMBLING, TRACK, tmp_path, siblings=K, splits=["material"])
    assert datasets.verify(part, TUMBLING) == []
    with pytest.raises(MisuseError, match="siblings = 3, not 1"):
        datasets.generate(TUMBLING, TRACK, tmp_path)
    datasets.generate(TUMBLING, TRACK, tmp_path, siblings=K)
    (part / TRAIN).unlink()
    datasets.generate(TUMBLING, TRACK, tmp_path, siblings=K)
    assert datasets.verify(part, TUMBLING) == []
    assert datasets.manifest_hash(part) == datasets.manifest_hash(folder)


def test_shards_never_part_siblings(tmp_path: Path) -> None:
    from hedgefox.datasets._plan import read_plan

    track = dataclasses.replace(TRACK, trajectories={"test": 30})
    folder = datasets.generate(TUMBLING, track, tmp_path, siblings=5)
    shards = list(read_plan(folder).shards("test"))
    assert len(shards) > 1
    assert all(shard.first % 5 == 0 for shard in shards)
    assert datasets.verify(folder, TUMBLING) == []


@pytest.mark.parametrize("k", [0, -2])
def test_less_than_one_sibling_is_misuse(tmp_path: Path, k: int) -> None:
    with pytest.raises(MisuseError, match=f"{k} siblings; at least 1"):
        datasets.generate(TUMBLING, TRACK, tmp_path, siblings=k)
    assert not list(tmp_path.iterdir())


class Still(Tumbling):
    """Tumbling, of which nothing may vary."""

    parameter_ranges = {"pull": {"train": (1.0, 2.0), "material": (4.0, 5.0)}}  # noqa: RUF012

    def sample_start(self, *args: Any) -> Trajectory:
        start = super().sample_start(*args)
        scene = start.scene
        unnamed = {"weight": scene.parameters["pull"]}
        still = scene.script._map(lambda _, x: x[:1].expand_as(x).clone())
        return dataclasses.replace(start, scene=dataclasses.replace(scene, parameters=unnamed, script=still))


def test_what_cannot_vary_has_no_siblings_and_says_so_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(
        MisuseError, match="states a range for pull of its parameters weight, and its script moves nothing"
    ):
        datasets.generate(Still(), TRACK, tmp_path, siblings=2)
    assert not list(tmp_path.iterdir())


def row_of(folder: Path, varied: str) -> int:
    return next(j for j, w in enumerate(datasets.siblings(folder, "train")) if w.variation.varied == varied)


@pytest.mark.parametrize(
    ("varied", "change", "says"),
    [
        ("pull", lambda f, j: f["index"].__setitem__((j, "value"), 0.5), "the index says 0.5"),
        ("pull", lambda f, j: f["index"].__setitem__((j, "varied"), b"colour"), "in pull; the index says 'colour'"),
        (SCRIPT_SCALE, lambda f, j: f["index"].__setitem__((j, "value"), 0.5), "script scale changed"),
        (SCRIPT_DELAY, lambda f, j: f["index"].__setitem__((j, "varied"), b""), "no parameter; the index says ''"),
        ("", lambda f, j: f["index"].__setitem__((j, "varied"), b"pull"), "a plain sample, but pull was varied"),
        ("pull", lambda f, j: f["index"].__setitem__((j, "group"), 9), "of group 9"),
    ],
)
def test_a_forged_sibling_is_found(
    folder: Path, tmp_path: Path, varied: str, change: Callable[[Any, int], None], says: str
) -> None:
    import shutil

    copy = Path(shutil.copytree(folder, tmp_path / "tumbling"))
    with h5py.File(copy / TRAIN, "r+", libver=("v110", "v110")) as file:
        change(file, row_of(folder, varied))
    rehash(copy)
    require_problem(copy, TRAIN, says)


def spoiled(what: str) -> Domain:
    class Spoiled(Tumbling):
        def sample_sibling(self, *args: Any) -> tuple[Trajectory, Variation]:
            start, variation = super().sample_sibling(*args)
            if not variation.varied:
                return start, variation
            return dataclasses.replace(start, **{what: getattr(start, what) + 0.01}), variation

    return Spoiled()


@pytest.mark.parametrize("what", ["position", "velocity", "twist"])
def test_a_sibling_with_another_start_is_found(tmp_path: Path, what: str) -> None:
    folder = datasets.generate(spoiled(what), TRACK, tmp_path, siblings=2)
    require_problem(folder, TRAIN, f"its {what} at frame 0 is not that of its plain sibling")
