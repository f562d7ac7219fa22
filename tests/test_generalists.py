"""Models that learn several domains at once, and named variants of a model's file: by name, on disk, in a run, on the board."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from hedgefox import cli, datasets, jepa, simulators, surrogates
from hedgefox.bench import leaderboard
from hedgefox.bench import record as records
from hedgefox.bench._trainings import trainings
from hedgefox.bench.contestants import surrogate_names
from hedgefox.bench.run import COLLAPSED, run
from hedgefox.bench.verbs import score, speed, training_data
from hedgefox.contracts import Domain, MisuseError, Track, registry, track
from hedgefox.contracts.card import knows
from hedgefox.surrogates import _store
from hedgefox.surrogates._base import Data, Run, manifest_of
from hedgefox.tests.ballistic import BALLISTIC
from hedgefox.tests.tumbling import TUMBLING

from . import particles

DOMAINS: list[Domain] = [TUMBLING, BALLISTIC]
BOTH = "ballistic+tumbling"
SMOKE = track("smoke")
VARIANTS = ("damped-half", "damped-specialist", "damped-dull", "damped-frail")
TINY: Track = dataclasses.replace(SMOKE, training_steps=4, variants=VARIANTS)


@pytest.fixture(scope="module", autouse=True)
def plugged_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A jepa/ of two files, a model and one that defines no `build` and so is none; two more files are two more domains."""
    models, domains = tmp_path_factory.mktemp("jepa"), tmp_path_factory.mktemp("simulators")
    (models / "damped.py").symlink_to(Path(__file__).with_name("damped.py"))
    (models / "part.py").write_text("raise ImportError('only models are imported')\n")
    for name in ("ballistic", "tumbling"):
        (domains / f"{name}.py").write_text(f"from hedgefox.tests.{name} import {name.upper()} as DOMAIN\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jepa, "__path__", [str(models)])
        patch.setattr(simulators, "__path__", [*simulators.__path__, str(domains)])
        yield


@pytest.fixture
def damped() -> ModuleType:
    return registry.model("damped")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("data")
    return {d.name: datasets.generate(d, "smoke", folder) for d in DOMAINS}


# Names


def test_models_of_both_folders_go_by_name_and_parts_of_models_do_not() -> None:
    assert {"damped", "linear", "particle_gnn"} <= set(surrogates.names())
    assert "part" not in surrogates.names()
    assert surrogates.names() == sorted(set(surrogates.names()))
    with pytest.raises(MisuseError, match="unknown model 'part'; one of constant_velocity"):
        surrogates.create("part", "ballistic")


def test_a_variant_is_its_file_with_other_settings() -> None:
    assert surrogates.variants("damped") == list(VARIANTS)
    assert surrogates.variants("linear") == []
    plain, half = (surrogates.create(name, BOTH) for name in ("damped", "damped-half"))
    assert (plain.card.name, half.card.name) == ("damped", "damped-half")
    assert (float(plain.share), float(half.share)) == (1.0, 0.5)  # type: ignore[attr-defined]
    assert half.card.domains == ("ballistic", "tumbling")
    assert float(surrogates.create("damped-half", BOTH, start=0.25).share) == 0.25  # type: ignore[attr-defined]


@pytest.mark.parametrize("ask", [surrogates.scope, surrogates.trainable, lambda n: surrogates.create(n, "ballistic")])
def test_unknown_variants_are_refused_with_those_that_exist(ask: Any) -> None:
    with pytest.raises(MisuseError, match="damped has no variant 'third'; one of half, specialist, dull, frail is"):
        ask("damped-third")
    with pytest.raises(MisuseError, match="linear has no variant 'half'; there is none"):
        ask("linear-half")
    with pytest.raises(MisuseError, match="unknown model 'none-half'; one of"):
        ask("none-half")


def test_scope_is_the_files_unless_the_variant_says_another() -> None:
    assert [surrogates.scope(n) for n in ("damped", "damped-half", "damped-specialist", "linear")] == [
        "all", "all", "each", "each",
    ]  # fmt: skip


def test_every_part_of_a_joined_domain_has_to_be_known() -> None:
    assert knows(("a", "b"), "a+b")
    assert not knows(("a", "b"), "a+c")
    with pytest.raises(
        MisuseError, match=r"damped continues ballistic, tumbling; it knows nothing of ballistic\+fluid"
    ):
        surrogates.create("damped", "ballistic+fluid")
    for name in ("damped-specialist", "linear"):
        with pytest.raises(MisuseError, match=f"{name} learns one domain at a time; choose one of ballistic, tumbling"):
            surrogates.create(name, BOTH)


# Training


def test_a_run_of_several_domains_has_no_single_data(tmp_path: Path) -> None:
    film = particles.film(1, 8)
    a, b = (Data(film, film, name * 64) for name in "ab")
    several = Run("damped", {"y": b, "x": a}, SMOKE, 0, tmp_path)
    assert (several.domain, list(several.domains)) == ("x+y", ["x", "y"])
    with pytest.raises(MisuseError, match=r"damped learns one domain at a time; the data are of x\+y"):
        _ = several.data
    one = Run("damped", {"x": a}, SMOKE, 0, tmp_path)
    assert (one.domain, one.data) == ("x", a)
    other = particles.film(2, 8)
    assert one.with_train(other).data == Data(other, film, a.manifest)
    text = f"x {a.manifest}\ny {b.manifest}\n"
    assert manifest_of({"y": b.manifest, "x": a.manifest}) == hashlib.sha256(text.encode()).hexdigest()
    assert manifest_of({"x": a.manifest}) == a.manifest


def test_one_training_on_two_domains_is_saved_under_its_full_name(data: dict[str, Path], tmp_path: Path) -> None:
    model: Any = surrogates.train("damped-half", data, SMOKE, seed=0, out=tmp_path)
    assert (model.card.name, model.domain) == ("damped-half", BOTH)
    assert model.card.training_data == manifest_of({d: datasets.manifest_hash(f) for d, f in data.items()})
    assert 0.45 < float(model.share) < 0.5
    described = json.loads((tmp_path / "model.json").read_text())
    assert (described["model"], described["domain"]) == ("damped-half", BOTH)
    again: Any = surrogates.load(tmp_path)
    assert (again.card, again.settings) == (model.card, model.settings)
    assert torch.equal(again.share, model.share)


def test_stored_settings_override_those_of_the_variant(tmp_path: Path) -> None:
    surrogates.save(surrogates.create("damped-half", BOTH, start=0.75), tmp_path)
    assert surrogates.load(tmp_path).settings["start"] == 0.75  # type: ignore[attr-defined]


def test_a_training_of_its_own_settings(tmp_path: Path) -> None:
    film = particles.film(1, 8)
    given = Run("damped-half", {"ballistic": Data(film, film, "0" * 64)}, SMOKE, 0, tmp_path, settings={"start": 0.25})
    model = _store.learn(given)
    assert (model.card.name, model.settings["start"]) == ("damped-half", 0.25)


def test_a_finished_training_is_loaded_and_one_of_other_data_refused(
    data: dict[str, Path], damped: ModuleType, tmp_path: Path
) -> None:
    where: Any = {"seed": 0, "out": tmp_path}
    first = surrogates.train("damped", data, SMOKE, **where)
    done = list(damped.trained)
    assert surrogates.train("damped", dict(reversed(data.items())), SMOKE, **where).card == first.card
    assert damped.trained == done
    with pytest.raises(MisuseError, match=r"domain 'ballistic\+tumbling'; this one has 'ballistic'"):
        surrogates.train("damped", {"ballistic": data["ballistic"]}, SMOKE, **where)
    other = datasets.generate(BALLISTIC, dataclasses.replace(SMOKE, root_seed=3), tmp_path / "other")
    with pytest.raises(MisuseError, match=r"a training with data '[0-9a-f]{64}'; this one has '[0-9a-f]{64}'"):
        surrogates.train("damped", {**data, "ballistic": other}, SMOKE, **where)
    with pytest.raises(MisuseError, match="model 'damped'; this one has 'damped-half'"):
        surrogates.train("damped-half", data, SMOKE, **where)


def test_a_training_needs_data_that_fit_the_scope(data: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="at least one domain"):
        surrogates.train("damped", {}, SMOKE, seed=0, out=tmp_path / "out")
    with pytest.raises(MisuseError, match="linear learns one domain at a time"):
        surrogates.train("linear", data, SMOKE, seed=0, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


# A run

FEW: Track = dataclasses.replace(TINY, variants=(), only=("persistence", "linear", "damped", *VARIANTS))
"""The rest of the models there are would only take time."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(FEW, tmp_path_factory.mktemp("run"), DOMAINS)


def test_a_generalist_trains_once_and_stands_on_the_board_of_every_domain(finished: Path, damped: ModuleType) -> None:
    assert damped.trained.count(("damped-specialist", "ballistic")) == 1
    assert (finished / "weights" / BOTH / "damped" / "seed-0" / "model.json").is_file()
    assert sorted(p.name for p in (finished / "weights").iterdir()) == ["ballistic", BOTH, "tumbling"]
    on_board = {(r["domain"], r["model"]) for r in leaderboard.rows(finished) if r["kind"] == "generalist"}
    assert on_board == {(d.name, n) for d in DOMAINS for n in ("damped", "damped-half", "damped-specialist")}
    held = records.read(finished)
    cards = [c["card"] for c in held["contestants"] if c["card"]["name"] == "damped"]
    assert [c["domains"] for c in cards] == [["ballistic", "tumbling"]] * 2
    assert held["track"]["only"] == list(FEW.only)


def test_a_collapsed_and_a_failed_generalist_are_failures_in_every_domain(finished: Path) -> None:
    held = records.read(finished)
    lost = {(f["domain"], f["model"], f["stage"], f["error"]) for f in held["failures"]}
    why = {"damped-dull": COLLAPSED, "damped-frail": "HedgefoxError: too frail to be trained"}
    assert lost == {(d.name, name, "train", error) for d in DOMAINS for name, error in why.items()}
    assert not {c["card"]["name"] for c in held["contestants"]} & set(why)


def finished_stages(folder: Path) -> list[Path]:
    """What stages left, but for the marks of those at work: what failed is tried again."""
    return [p for p in (folder / "stages").iterdir() if p.suffix != ".work"]


def test_a_run_with_a_generalist_resumes(finished: Path, damped: ModuleType) -> None:
    done = len([t for t in damped.trained if t[0] != "damped-frail"])
    before = {p: p.stat().st_mtime_ns for p in finished_stages(finished)}
    run(FEW, finished, DOMAINS)
    assert {p: p.stat().st_mtime_ns for p in finished_stages(finished)} == before
    assert len([t for t in damped.trained if t[0] != "damped-frail"]) == done


def test_long_trainings_come_first() -> None:
    names = [d.name for d in DOMAINS]
    found = [(job.name, job.domain) for job in trainings(FEW, names)]
    every = [(n, BOTH) for n in ("damped", "damped-half", "damped-dull", "damped-frail")]
    each = [(n, d) for n in ("damped-specialist", "linear") for d in names]
    assert sorted(found[:4]) == sorted(every)
    assert sorted(found[4:]) == sorted(each)
    assert [name for name, _ in found[-2:]] == ["linear", "linear"]
    assert [j.domain for j in trainings(FEW, ["ballistic"]) if j.name == "damped"] == ["ballistic"]
    assert {j.name for j in trainings(TINY, names)} >= {j.name for j in trainings(FEW, names)}


def test_only_those_compete_that_a_track_names() -> None:
    assert "damped-half" in surrogate_names("ballistic", TINY)
    assert {"damped", "linear"} <= set(surrogate_names("ballistic", SMOKE))
    assert "damped-half" not in surrogate_names("ballistic", SMOKE)
    few = dataclasses.replace(TINY, only=("damped-half", "persistence"))
    assert surrogate_names("ballistic", few) == ["damped-half", "persistence"]
    assert surrogate_names("fluid", few) == ["persistence"]


def test_a_track_that_names_what_does_not_exist_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    for more in ({"variants": ("damped-third",)}, {"only": ("damped-third",)}):
        with pytest.raises(MisuseError, match="no variant 'third'"):
            run(dataclasses.replace(SMOKE, **more), tmp_path / "out", DOMAINS)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


# The verbs


def test_data_of_several_domains_are_found_below_a_folder(data: dict[str, Path], tmp_path: Path) -> None:
    above = data["ballistic"].parent
    assert training_data("damped", above) == dict(sorted(data.items()))
    assert training_data("damped", data["ballistic"]) == {"ballistic": data["ballistic"]}
    assert training_data("linear", above, "tumbling") == {"tumbling": data["tumbling"]}
    with pytest.raises(MisuseError, match=r"linear learns one domain .* holds 'ballistic' and 'tumbling'; give one"):
        training_data("linear", above)
    with pytest.raises(MisuseError, match="are of 'ballistic' and 'tumbling'; --domain says 'fluid'"):
        training_data("damped", above, "fluid")
    with pytest.raises(MisuseError, match="not a data set"):
        training_data("damped", tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).symlink_to(data["ballistic"])
    with pytest.raises(MisuseError, match="both of domain 'ballistic'"):
        training_data("damped", tmp_path)


def test_a_generalist_from_the_command_line(data: dict[str, Path], tmp_path: Path) -> None:
    above, weights = data["ballistic"].parent, tmp_path / "w"
    train = ("train", "damped-half", "--track", "smoke", "--data", str(above), "--out", str(weights))
    assert cli.main([*train]) == 0
    for domain in DOMAINS:
        made = score([weights], data[domain.name], domain=domain)
        assert {r["model"] for r in made["scores"]} == {"damped-half"}
    with pytest.raises(MisuseError, match="trained on ballistic, tumbling; give one of them with --domain"):
        speed([weights], track=SMOKE)
    assert {e["model"] for e in speed([weights], domain="tumbling", track=SMOKE)["speed"]} >= {"damped-half"}


def test_list_shows_files_and_variants_with_their_scope(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["models"]}
    assert (rows["damped"]["kind"], rows["damped"]["scope"]) == ("generalist", "all")
    assert rows["damped-half"]["note"] == "begins at half the speed"
    assert (rows["damped-specialist"]["scope"], rows["linear"]["scope"]) == ("each", "each")
