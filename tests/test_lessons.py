"""Subsets of domains: of what a generalist does not learn it sees units alone, of what it is shown little exactly that little."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hedgefox import datasets, surrogates
from hedgefox.contracts import MisuseError, ModelCard, Trajectory, track
from hedgefox.jepa import jepa
from hedgefox.jepa._model import Jepa
from hedgefox.jepa._units import Units
from hedgefox.jepa.stages import ReadingStage
from hedgefox.surrogates import _store
from hedgefox.surrogates._base import Data, Run, manifest_of
from hedgefox.surrogates._symmetry import with_images
from hedgefox.surrogates._training import TrainingFailed

from . import particles, sheets, solids

FILMS = {"cloth": sheets.film, "fluid": particles.film, "rigid": solids.film}
TINY: dict[str, Any] = {"stride": 2, "leaps": 2, "horizon": 6, "history": 3, "batch_size": 4}


def films(scenes: int = 4) -> dict[str, Trajectory]:
    return {name: make(scenes, 12, extra_script=8) for name, make in FILMS.items()}


def run_of(name: str, out: Path, train: dict[str, Trajectory] | None = None, **settings: Any) -> Run:
    valid = films()
    held = {k: Data(f, valid[k], k * 4) for k, f in (train or valid).items()}
    return Run(
        name, held, dataclasses.replace(track("smoke"), training_steps=14), 0, out, settings={**TINY, **settings}
    )


def trained(name: str, out: Path, train: dict[str, Trajectory] | None = None, **settings: Any) -> Jepa:
    model = _store.learn(run_of(name, out, train, **settings))
    assert isinstance(model, Jepa)
    return model


def same(a: Jepa, b: Jepa) -> bool:
    mine, its = a.state_dict(), b.state_dict()
    return all(torch.equal(value, its[name]) for name, value in mine.items())


def spoilt(film: Trajectory) -> Trajectory:
    """The same scenes, and no usable frame."""
    return dataclasses.replace(film, position=torch.full_like(film.position, torch.nan))


def measured_on(clean: dict[str, Trajectory], patch: pytest.MonkeyPatch) -> None:
    """From now on units are measured on these films, whatever a model is trained on."""
    measure, images = Units.measure, {name: with_images(film) for name, film in clean.items()}
    patch.setattr(Units, "measure", lambda self, found, history: measure(self, images, history))


class Seen:
    """Which training films windows were made of, and how many scenes those had."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.films: list[tuple[str, int]] = []
        whole = datasets.Windows

        def windows(film: Trajectory, length: int) -> datasets.Windows:
            self.films.append((film.scene.domain, film.scene.n_scenes))
            return whole(film, length)

        patch.setattr(datasets, "Windows", windows)


def test_of_a_domain_that_is_not_learned_no_frame_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = trained("jepa-without_fluid", tmp_path / "plain")
    clean = films()
    measured_on(clean, monkeypatch)
    without = trained("jepa-without_fluid", tmp_path / "spoilt", clean | {"fluid": spoilt(clean["fluid"])})
    assert same(plain, without)
    # The same weights would not do for a model that does learn it: its loss is not finite.
    with pytest.raises((TrainingFailed, MisuseError)):
        trained("jepa-only_fluid", tmp_path / "only", clean | {"fluid": spoilt(clean["fluid"])})


def test_units_of_a_domain_that_is_not_learned_are_known(tmp_path: Path) -> None:
    model = trained("jepa-only_cloth", tmp_path)
    every = trained("jepa", tmp_path / "all")
    assert model.units.domains == every.units.domains == ("cloth", "fluid", "rigid")
    for name, value in every.units.state_dict().items():
        assert torch.equal(model.units.state_dict()[name], value)
    # As drawn: no gradient ever came to its row.
    settings: dict[str, Any] = model.settings
    drawn = jepa.build("cloth+fluid+rigid", size="xs", **settings)
    row, as_drawn = (m.backbone.known.domain.weight for m in (model, drawn))
    assert torch.equal(row[1:], as_drawn[1:])
    assert not torch.equal(row[0], as_drawn[0])
    for film in films().values():
        assert torch.isfinite(model.eval().rollout(film.frames(0, 5), 3).position).all()


def test_the_card_says_what_was_learned(tmp_path: Path) -> None:
    found = {name: trained(f"jepa-{name}", tmp_path / name, shots=2).card for name in ("few_rigid", "scratch_rigid")}
    found["without_rigid"] = trained("jepa-without_rigid", tmp_path / "without").card
    few, scratch, without = (found[name] for name in ("few_rigid", "scratch_rigid", "without_rigid"))
    assert [c.learned for c in (few, scratch, without)] == [("cloth", "fluid", "rigid"), ("rigid",), ("cloth", "fluid")]
    assert [c.shots for c in (few, scratch, without)] == [{"rigid": 2}, {"rigid": 2}, {}]
    assert [c.kind for c in (few, scratch, without)] == ["generalist", "specialist", "generalist"]
    assert [sorted(c.health) for c in (few, scratch, without)] == [
        ["cloth", "fluid", "rigid"],
        ["rigid"],
        ["cloth", "fluid"],
    ]
    assert without.training_data == manifest_of({d: d * 4 for d in ("cloth", "fluid")})
    assert without.notes.endswith("; of rigid the units alone, from their training data")
    assert few.training_steps == without.training_steps + scratch.training_steps
    assert re.search(r"; few of rigid: 2 steps, then 2 of the read-out: weights of step 2, the last, kept", few.notes)
    for card in found.values():
        assert ModelCard.from_dict(card.to_dict()) == card


def test_exactly_the_shots_are_seen_and_nothing_else_of_that_domain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = films(5)
    seen = Seen(monkeypatch)
    few = trained("jepa-few_rigid", tmp_path / "few", clean, shots=2)
    # Two stages, a film each; bodies have eight images.
    assert seen.films[-2:] == [("rigid", 16)] * 2
    assert seen.films[:-2] == [("cloth", 40), ("fluid", 10)] * 2
    measured_on(clean, monkeypatch)
    nodes = int(clean["rigid"].scene.ptr("node")[2])
    position = clean["rigid"].position.clone()
    position[:, nodes:] = torch.nan
    rest = clean | {"rigid": dataclasses.replace(clean["rigid"], position=position)}
    assert same(trained("jepa-few_rigid", tmp_path / "rest", rest, shots=2), few)
    scratch = trained("jepa-scratch_rigid", tmp_path / "scratch", clean, shots=2)
    assert not same(scratch, few)


def test_shown_few_it_begins_where_learning_the_others_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []
    before = jepa.both_stages

    def noting(model: Jepa, lesson: Any, *more: Any) -> Any:
        found.append({k: v.clone() for k, v in model.state_dict().items()})
        return before(model, lesson, *more)

    monkeypatch.setattr(jepa, "both_stages", noting)
    trained("jepa-few_cloth", tmp_path / "few", shots=2)
    without = trained("jepa-without_cloth", tmp_path / "without")
    assert len(found) == 3
    assert all(torch.equal(found[1][name], value) for name, value in without.state_dict().items())


@pytest.mark.parametrize("stop", [5, 15])
def test_interrupted_in_either_lesson_and_resumed_is_the_same(
    stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained("jepa-few_fluid", tmp_path / "whole", shots=2, effort=3.0)
    before, calls = ReadingStage.loss, 0

    def tripping(self: Any, *args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == stop:
            raise TrainingFailed("tripped")
        return before(self, *args)

    monkeypatch.setattr(ReadingStage, "loss", tripping)
    with pytest.raises(TrainingFailed, match="tripped"):
        trained("jepa-few_fluid", tmp_path / "parts", shots=2, effort=3.0)
    held = {p.parent.name for p in (tmp_path / "parts").rglob("checkpoint.safetensors")}
    assert held == ({"first"} if stop == 5 else {"first", "readout", "few-first"})
    monkeypatch.setattr(ReadingStage, "loss", before)
    assert same(trained("jepa-few_fluid", tmp_path / "parts", shots=2, effort=3.0), whole)


@pytest.mark.parametrize(
    ("name", "settings", "wrong"),
    [
        ("jepa-only_rigid", {}, "jepa-only_rigid learns rigid; the data are of cloth, fluid alone"),
        ("jepa-few_cloth", {}, "learns rigid; the data are of cloth, fluid alone"),
        ("jepa-scratch_fluid", {"shots": 9}, "9 trajectories of fluid are to be shown; its split train has 4"),
        ("jepa", {"few": ("fluid",)}, r"few is \('fluid',\) and shots 0; both or neither"),
        ("jepa", {"learn": ("fluid",), "few": ("fluid",), "shots": 1}, "fluid is in learn and in few"),
    ],
)
def test_what_cannot_be_learned_is_refused_in_a_line(
    name: str, settings: dict[str, Any], wrong: str, tmp_path: Path
) -> None:
    two = {k: f for k, f in films().items() if k != "rigid"}
    with pytest.raises(MisuseError, match=wrong):
        trained(name, tmp_path, two, **settings)


# Sizes


def test_sizes_of_a_model_say_of_what_and_what_is_equal() -> None:
    for name in ("jepa", "particle_gnn", "mesh_gnn", "rigid_gnn"):
        domain = {"particle_gnn": "fluid", "mesh_gnn": "cloth", "rigid_gnn": "rigid"}.get(name, "cloth+fluid+rigid")
        every = [
            surrogates.create(full, domain)
            for full in (name, *surrogates.variants(name))
            if "width" in full or full == name
        ]
        numbers = sorted({m.card.parameters for m in every})
        assert numbers[-1] >= (20 if name == "jepa" else 10) * numbers[0]
        assert {(m.card.size_of, m.card.equal) for m in every[1:]} == {(name, "data"), (name, "compute")}
        assert (every[0].card.size_of, every[0].card.equal) == ("", "")
        assert surrogates.create("jepa-random", domain).card.size_of == ""


def test_effort_makes_more_steps_or_fewer(tmp_path: Path) -> None:
    plain, more = (trained("jepa", tmp_path / str(e), effort=e).card for e in (1.0, 2.5))
    assert (plain.training_steps, more.training_steps) == (2, 5)
    for effort, steps in ((1.0, 14), (0.5, 7), (0.01, 1)):
        run = dataclasses.replace(
            run_of("particle_gnn", tmp_path / f"gnn-{effort}", {"fluid": films()["fluid"]}), settings={"effort": effort}
        )
        assert _store.learn(run).card.training_steps == steps
