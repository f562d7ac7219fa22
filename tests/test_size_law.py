"""The size law and the size ratio, on errors made after a law: exponents found again, scale-free, never extrapolated."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hedgefox.bench import curves
from hedgefox.bench import record as records
from hedgefox.bench._metric import every_metric
from hedgefox.bench.equal_accuracy import Bounded
from hedgefox.bench.scaling import size_law
from hedgefox.bench.scaling.by_scene import Scenes, read
from hedgefox.bench.scaling.size_law import fit, laws, ratios, smallest
from hedgefox.bench.score import Score
from hedgefox.bench.summary import summarise
from hedgefox.contracts import ModelCard, track

SIZES = (1e4, 4e4, 2e5, 1e6)
WIDE = np.array(SIZES)


def card(name: str, kind: str, parameters: float, learned: tuple[str, ...], equal: str = "") -> ModelCard:
    size_of = name.partition("-")[0] if equal else ""
    return ModelCard(
        name, kind, "o", "Adam", "a", learned, parameters=int(parameters), learned=learned, size_of=size_of, equal=equal
    )


def errors(mean: float, seeds: int = 3, scenes: int = 24, noise: float = 0.05, seed: int = 0) -> np.ndarray:
    """Errors around a mean; what is hard in a scene is hard for all, which pairing takes away."""
    hard = np.exp(np.random.default_rng(7).normal(0, 0.5, scenes))
    rng = np.random.default_rng(seed)
    made: np.ndarray = mean * hard / hard.mean() * np.exp(rng.normal(0, noise, (seeds, scenes)))
    return made


def world(
    exponent: float = 0.4, rival: Mapping[str, float] | None = None, scale: float = 1.0, times: float = 1.0
) -> Scenes:
    """A generalist of four sizes, at equal data and compute, in two domains, and a specialist in each with a given error."""
    made = Scenes("synthetic")
    both = ("cloth", "fluid")
    for d, domain in enumerate(both):
        for k, size in enumerate(SIZES):
            for equal in ("data", "compute"):
                name = "fox" if k == 1 else f"fox-{k}_{equal}"
                made.cards[domain, name] = card(name, "generalist", times * size, both, "" if k == 1 else equal)
                made.errors[domain, name] = errors(scale * 5 * size**-exponent, seed=100 + 10 * d + k)
        found = (rival or {"cloth": 0.05, "fluid": 0.05})[domain]
        made.cards[domain, f"{domain}_net"] = card(f"{domain}_net", "specialist", times * 2e4, (domain,))
        made.errors[domain, f"{domain}_net"] = errors(scale * found, noise=0.01, seed=99)
    return made


@pytest.mark.parametrize("exponent", [0.1, 0.4, 0.9])
def test_a_known_exponent_lies_in_its_interval(exponent: float) -> None:
    found = laws(world(exponent))
    assert {(r["domain"], r["family"], r["equal"]) for r in found} == {
        (d, "fox", e) for d in ("cloth", "fluid") for e in ("data", "compute")
    }
    for row in found:
        b = row["exponent"]
        assert b["low"] <= exponent <= b["high"]
        assert b["high"] - b["low"] < 0.1
        assert row["residual"] < 0.05
        assert [s["parameters"] for s in row["sizes"]] == list(SIZES)
        assert (row["seeds"], row["scenes"]) == (3, 24)


def test_an_exact_law_is_found_exactly_with_and_without_a_floor() -> None:
    plain = fit(SIZES, 3 * WIDE**-0.35)
    assert [plain.scale, plain.exponent] == pytest.approx([3, 0.35])
    assert plain.floor == 0
    floored = fit([*SIZES, 5e6], 30 * np.array([*SIZES, 5e6]) ** -0.6 + 0.02)
    assert floored.floor == pytest.approx(0.02, rel=0.05)
    assert floored.exponent == pytest.approx(0.6, rel=0.05)
    assert floored.residual < 0.01
    assert floored.at(1e4) == pytest.approx(30 * 1e4**-0.6 + 0.02, rel=0.02)


def test_three_sizes_get_no_floor() -> None:
    assert fit(SIZES[:3], 30 * WIDE[:3] ** -0.6 + 0.02).floor == 0


def test_intervals_of_the_exponent_cover_it_about_as_often_as_they_say() -> None:
    hits, trials, rng = 0, 60, np.random.default_rng(0)
    for _ in range(trials):
        made = Scenes("t")
        for k, size in enumerate(SIZES[:3]):
            made.cards["cloth", f"fox-{k}"] = card(f"fox-{k}", "generalist", size, ("cloth", "fluid"), "data")
            hard = np.exp(rng.normal(0, 0.3, (1, 30)))
            made.errors["cloth", f"fox-{k}"] = 5 * size**-0.3 * hard * np.exp(rng.normal(0, 0.2, (1, 30)))
        interval = laws(made)[0]["exponent"]
        hits += interval["low"] <= 0.3 <= interval["high"]
    assert hits / trials >= 0.83


def test_the_law_does_not_depend_on_units() -> None:
    plain, other = laws(world()), laws(world(scale=1e-3, times=10))
    for a, b in zip(plain, other, strict=True):
        assert b["exponent"]["value"] == pytest.approx(a["exponent"]["value"])
        assert b["exponent"]["low"] == pytest.approx(a["exponent"]["low"])
        assert b["residual"] == pytest.approx(a["residual"])
    for a, b in zip(ratios(world()), ratios(world(scale=1e-3, times=10)), strict=True):
        assert b["ratio"]["value"] == pytest.approx(a["ratio"]["value"])
        assert b["ratio"]["flag"] == a["ratio"]["flag"]


def test_the_smallest_that_matches_lies_between_measured_sizes_or_is_a_bound() -> None:
    wrong = 5 * WIDE**-0.4
    for target in np.geomspace(wrong[-1], wrong[0], 20)[1:-1]:
        found = smallest(SIZES, wrong, float(target))
        assert found.flag == ""
        assert found.value == pytest.approx((target / 5) ** (-1 / 0.4))
    assert smallest(SIZES, wrong, 2 * wrong[0]) == Bounded(1e4, "<")
    assert smallest(SIZES, wrong, float(wrong[0])) == Bounded(1e4, "")
    assert smallest(SIZES, wrong, 0.5 * wrong[-1]) == Bounded(1e6, ">")
    # A larger size that is worse answers nothing; but that it does not match is known as well.
    assert smallest([1e4, 1e5, 1e6], [0.3, 0.1, 0.2], 0.15).value < 1e5
    assert smallest([1e4, 1e5, 1e6], [0.3, 0.1, 0.2], 0.05) == Bounded(1e6, ">")


def test_the_ratio_is_the_size_that_is_enough_everywhere_over_all_specialists() -> None:
    at = {size: 5 * size**-0.4 for size in (5e4, 3e5)}
    rows = {(r["equal"], r["domain"]): r for r in ratios(world(rival={"cloth": at[5e4], "fluid": at[3e5]}))}
    assert set(rows) == {(e, d) for e in ("data", "compute") for d in ("cloth", "fluid", "all")}
    for (_, domain), size, over in zip(
        [("data", "cloth"), ("data", "fluid"), ("data", "all")], (5e4, 3e5, 3e5), (2e4, 2e4, 4e4), strict=True
    ):
        row = rows["data", domain]
        assert row["parameters"] == over
        assert row["ratio"]["low"] <= size / over <= row["ratio"]["high"]
        assert row["ratio"]["value"] == pytest.approx(size / over, rel=0.25)
        assert row["ratio"]["flag"] == ""
    assert rows["data", "all"]["specialists"] == {"cloth": "cloth_net", "fluid": "fluid_net"}


@pytest.mark.parametrize(("rival", "flag", "size"), [(1e-4, ">", 1e6), (10.0, "<", 1e4)])
def test_nothing_is_extrapolated(rival: float, flag: str, size: float) -> None:
    for row in ratios(world(rival={"cloth": rival, "fluid": rival})):
        found = row["size"]
        assert (found["flag"], found["low_flag"], found["high_flag"]) == (flag, flag, flag)
        assert found["value"] == found["low"] == found["high"] == size


def test_one_domain_without_a_match_bounds_them_all() -> None:
    rows = {r["domain"]: r["size"] for r in ratios(world(rival={"cloth": 10.0, "fluid": 1e-4}))}
    assert (rows["cloth"]["flag"], rows["fluid"]["flag"], rows["all"]["flag"]) == ("<", ">", ">")


def test_a_model_in_another_size_is_no_rival_and_a_single_size_no_family() -> None:
    made = world()
    made.cards["cloth", "cloth_net-9"] = card("cloth_net-9", "specialist", 9, ("cloth",), "data")
    made.errors["cloth", "cloth_net-9"] = errors(1e-6)
    assert size_law.specialists(made, "cloth") == ["cloth_net"]
    assert ("cloth", "cloth_net", "data") in size_law.families(made)
    only = dataclasses.replace(
        made,
        cards={w: c for w, c in made.cards.items() if not c.size_of},
        errors={w: e for w, e in made.errors.items() if not made.cards[w].size_of},
    )
    assert laws(only) == ratios(only) == []
    # A domain without a specialist leaves no sum to divide by.
    alone = dataclasses.replace(made, errors={w: e for w, e in made.errors.items() if w != ("fluid", "fluid_net")})
    assert {r["domain"] for r in ratios(alone)} == {"cloth"}


def test_sizes_that_are_the_same_are_one() -> None:
    """On the smallest tracks a model's own size is one of its others."""
    made = world()
    for who, its in made.cards.items():
        if who[1].startswith("fox"):
            made.cards[who] = dataclasses.replace(its, parameters=1000)
    assert laws(made) == ratios(made) == []
    twice = fit([*SIZES[:3], SIZES[2]], 30 * np.array([*SIZES[:3], SIZES[2]]) ** -0.6 + 0.02)
    assert twice.floor == 0


def test_the_same_seed_gives_the_same_intervals() -> None:
    assert laws(world()) == laws(world())
    assert laws(world(), seed=1)[0]["exponent"] != laws(world())[0]["exponent"]


# -- from records ------------------------------------------------------------------------------------------------------


def summarised(made: Scenes, domain: str, held: list[Score]) -> list[dict[str, Any]]:
    kinds = {m: c.kind for (d, m), c in made.cards.items() if d == domain}
    mine = [s for s in held if s.domain == domain]
    return [{**row, "diverged_share": 0.0} for row in summarise(mine, kinds, every_metric(), 0.1)]


def to_records(folder: Path, made: Scenes, seeds: tuple[int, ...], created: str, commit: str = "1") -> None:
    """A record a folder, of some training seeds."""
    chosen = dataclasses.replace(track("smoke"), name=made.track, training_seeds=seeds)
    contestants = [
        {"domain": d, "seed": s, "card": dataclasses.replace(c, seed=s).to_dict()}
        for (d, _), c in made.cards.items()
        for s in seeds
    ]
    held = [
        Score(d, "test", m, s, curves={"position_rmse@1": np.tile(e[k], (25, 1))})
        for (d, m), e in made.errors.items()
        for k, s in enumerate(seeds)
    ]
    record = records.new(
        track=dataclasses.asdict(chosen),
        command=[],
        device="cpu",
        versions={"code": commit},
        stages=[],
        failures=[],
        scores=[row for d in made.domains() for row in summarised(made, d, held)],
        speed=[],
        contestants=contestants,
        environment={"cpu_model": "c", "cores": 2, "system": "s"},
        metrics=[{"id": "position_rmse@1", "unit": "m", "better": "lower", "domains": ["*"]}],
        domains=[
            {"name": d, "generator_version": 1, "data_manifest": "d" * 64, "frame_interval": 0.01, "trust_threshold": 0.1,
             "observable": "o", "recipe": {}}
            for d in made.domains()
        ],
    )  # fmt: skip
    records.write(folder, record | {"created": created})
    curves.write(folder / "curves.parquet", held)


def test_seeds_of_several_records_stand_together(tmp_path: Path) -> None:
    made = world()
    for k in range(3):
        one = dataclasses.replace(made, errors={w: e[k : k + 1] for w, e in made.errors.items()})
        to_records(tmp_path / str(k), one, (k,), f"2026-01-0{k + 1}T00:00:00+00:00")
    (found,) = read(tmp_path)
    assert {w: e.shape for w, e in found.errors.items()} == dict.fromkeys(made.errors, (3, 24))
    assert np.array_equal(found.errors["cloth", "fox"], made.errors["cloth", "fox"])
    assert laws(found)[0]["exponent"]["value"] == pytest.approx(laws(made)[0]["exponent"]["value"])
    survey = size_law.survey(tmp_path)
    assert len(survey["laws"]) == 4
    assert len(survey["ratios"]) == 6
