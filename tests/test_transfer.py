"""Transfer: matrix, breadth and few-shot gain, on errors that are known, and told apart by cards and not by names."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hedgefox.bench.scaling import size_law
from hedgefox.bench.scaling import transfer as transfer_module
from hedgefox.bench.scaling.by_scene import Scenes, read
from hedgefox.bench.scaling.transfer import networks, transfer
from hedgefox.contracts import ModelCard

DOMAINS = ("cloth", "fluid")
SCENES = 16


def errors(mean: float, seed: int, seeds: int = 2) -> np.ndarray:
    """Hard scenes are hard for everyone: only what differs between contestants is left in a ratio."""
    hard = np.exp(np.random.default_rng(0).normal(0, 1, SCENES))
    rows: np.ndarray = mean * hard * np.exp(np.random.default_rng(seed).normal(0, 0.02, (seeds, SCENES)))
    return rows


def card(name: str, learned: tuple[str, ...], shots: dict[str, int] | None = None, **more: str) -> ModelCard:
    kind = "generalist" if len(learned) > 1 else "specialist"
    said = {"objective": "latent", "architecture": "tokens"} | more
    return ModelCard(
        name, kind, said["objective"], "Adam", said["architecture"], DOMAINS, learned=learned, shots=shots or {}
    )


def world() -> Scenes:
    """One network after five lessons, with names that say nothing, and constant velocity, whose error is one."""
    made = Scenes("synthetic")
    lots = {
        "a": (card("a", DOMAINS), {"cloth": 0.4, "fluid": 0.5}),
        "b": (card("b", ("cloth",)), {"cloth": 0.3, "fluid": 3.0}),
        "c": (card("c", ("fluid",)), {"cloth": 4.0, "fluid": 0.6}),
        "d": (card("d", DOMAINS, {"fluid": 8}), {"cloth": 0.9, "fluid": 0.7}),
        "e": (card("e", ("fluid",), {"fluid": 8}), {"cloth": 5.0, "fluid": 1.4}),
        "other": (card("other", DOMAINS, objective="state"), {"cloth": 0.2, "fluid": 0.2}),
    }
    rival = ModelCard("constant_velocity", "baseline", "none", "none", "none", ("*",))
    lots["constant_velocity"] = rival, dict.fromkeys(DOMAINS, 1.0)
    for k, (name, (its, means)) in enumerate(lots.items()):
        for domain, mean in means.items():
            made.cards[domain, name], made.errors[domain, name] = its, errors(mean, 10 * k + len(domain))
    return made


def near(found: dict[str, float], value: float) -> bool:
    return found["low"] <= found["value"] <= found["high"] and found["value"] == pytest.approx(value, rel=0.02)


def test_the_matrix_says_what_each_training_set_does_in_each_domain() -> None:
    rows = transfer(world())["matrix"]
    assert [r["model"] for r in rows] == ["b", "c", "a", "e", "d"]
    by_name = {r["model"]: r for r in rows}
    assert by_name["b"]["learned"] == ["cloth"]
    assert by_name["d"]["shots"] == {"fluid": 8}
    for name, (cloth, fluid) in {"a": (0.4, 0.5), "b": (0.3, 3.0), "e": (5.0, 1.4)}.items():
        assert near(by_name[name]["errors"]["cloth"], cloth)
        assert near(by_name[name]["errors"]["fluid"], fluid)


def test_paired_scenes_make_narrow_intervals() -> None:
    """Scenes differ by a factor of ten; a ratio on the same scenes hardly varies."""
    for row in transfer(world())["matrix"]:
        for found in row["errors"].values():
            assert found["high"] / found["low"] < 1.05
    shuffled = world()
    rng = np.random.default_rng(1)
    for who, values in shuffled.errors.items():
        shuffled.errors[who] = rng.permuted(values, axis=1)
    assert any(f["high"] / f["low"] > 1.3 for r in transfer(shuffled)["matrix"] for f in r["errors"].values())


def test_breadth_counts_domains_and_leaves_out_what_was_not_learned() -> None:
    rows = {(r["domain"], r["breadth"]): r for r in transfer(world())["breadth"]}
    assert {k: r["models"] for k, r in rows.items()} == {
        ("cloth", 1): ["b"],
        ("cloth", 2): ["a"],
        ("fluid", 1): ["c"],
        ("fluid", 2): ["a"],
    }
    assert near(rows["cloth", 1]["error"], 0.3)
    assert near(rows["fluid", 2]["error"], 0.5)


def test_contestants_of_one_breadth_count_together() -> None:
    made = world()
    made.cards["cloth", "b2"], made.errors["cloth", "b2"] = card("b2", ("cloth",)), errors(0.5, 77)
    row = next(r for r in transfer(made)["breadth"] if (r["domain"], r["breadth"]) == ("cloth", 1))
    assert row["models"] == ["b", "b2"]
    assert near(row["error"], 0.4)


def test_the_gain_of_having_learned_others_is_few_over_scratch() -> None:
    (row,) = transfer(world())["few"]
    assert (row["domain"], row["shots"], row["few"]["model"], row["scratch"]) == ("fluid", 8, "d", "e")
    assert near(row["ratio"], 0.5)
    unlike = world()
    for who in [w for w in unlike.cards if w[1] == "e"]:
        unlike.cards[who] = dataclasses.replace(unlike.cards[who], shots={"fluid": 4})
    assert transfer(unlike)["few"] == []


def test_nothing_is_said_of_networks_that_learned_one_set_of_domains() -> None:
    made = world()
    kept = {w for w in made.cards if w[1] in ("a", "d", "other", "constant_velocity")}
    one = Scenes("t", {w: made.cards[w] for w in kept}, {w: made.errors[w] for w in kept})
    assert networks(one) == []
    assert transfer(one) == {"matrix": [], "breadth": [], "few": []}
    # A card of before `learned` was noted says nothing, and another size is another network.
    for change in ({"learned": ()}, {"size_of": "a"}):
        old = world()
        for who in [w for w in old.cards if w[1] in "bcde"]:
            old.cards[who] = dataclasses.replace(old.cards[who], **change)
        assert networks(old) == []


def test_baselines_are_no_network() -> None:
    made = world()
    for domain in DOMAINS:
        fitted = dataclasses.replace(card("linear", (domain,)), kind="baseline", architecture="linear")
        made.cards[domain, "linear"], made.errors[domain, "linear"] = fitted, errors(0.5, 5)
    assert transfer(made) == transfer(world())


def test_without_constant_velocity_there_is_no_unit() -> None:
    made = world()
    del made.errors["fluid", transfer_module.RIVAL]
    assert all(set(row["errors"]) == {"cloth"} for row in transfer(made)["matrix"])


def test_records_from_before_cards_said_what_was_learned_say_nothing_of_it() -> None:
    results = Path(__file__).parent / "records" / "quick-of-version-1"
    (scenes,) = read(results)
    assert {card.learned for card in scenes.cards.values()} == {()}
    assert {"jepa", "linear"} <= set(scenes.models())
    assert transfer_module.survey(results) == {"matrix": [], "breadth": [], "few": []}
    assert size_law.survey(results) == {"laws": [], "ratios": []}
