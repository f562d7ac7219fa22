"""Contestants side by side, on records made by hand: who wins and by how much, what costs what, what is equal, and the tables."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hedgefox import cli
from hedgefox.bench import record as records
from hedgefox.bench.compare import compare, compared, survey
from hedgefox.bench.compare_tables import Table, tables
from hedgefox.bench.summary import REDUCTIONS
from hedgefox.contracts import MisuseError, ModelCard
from hedgefox.surrogates._base import manifest_of

DOMAINS = ("cloth", "fluid", "rigid")
MANIFESTS = {d: d[0] * 64 for d in DOMAINS}
ALL = manifest_of(MANIFESTS)
METRICS = ("position_rmse@1", "decode_floor@1")
TRACK = {"name": "t", "size": "s", "machine": "cpu", "root_seed": 0, "training_seeds": [0], "training_steps": 100}
SCRIPTED: dict[str, Any] = {
    "first_call_s": 1.0,
    "warmup_calls": 1,
    "steady": True,
    "repeats": 1,
    "q25_s": 1.0,
    "q75_s": 1.0,
}


def estimate(value: float | None, spread: float | None = 0.1) -> Any:
    """A value with an interval of so large a share of it on both sides."""
    if value is None:
        return None
    if spread is None:
        return {"value": value, "low": None, "high": None}
    return {"value": value, "low": value * (1 - spread), "high": value * (1 + spread)}


class Made:
    """A record in the making."""

    def __init__(self) -> None:
        self.parts: dict[str, list[Any]] = {n: [] for n in ("contestants", "scores", "speed", "probes")}

    def add(
        self,
        name: str,
        kind: str,
        domains: Iterable[str],
        error: float,
        *,
        seconds: float = 10.0,
        parameters: int = 100,
        objective: str = "next-step acceleration",
        architecture: str = "graph network",
        floor: float | None = None,
        joined: bool = False,
        star: bool = False,
        spread: float | None = 0.1,
        split: str = "test",
    ) -> Made:
        """One contestant in some domains; `joined` when one training was on all of them."""
        domains = tuple(domains)
        for k, domain in enumerate(domains):
            known = ("*",) if star else domains if joined else (domain,)
            card = ModelCard(
                name, kind, objective, "Adam", architecture, known, parameters=parameters, bytes=4 * parameters,
                training_data=manifest_of({d: MANIFESTS[d] for d in (domains if joined else [domain])}),
                training_steps=100, training_device_seconds=seconds + (0 if joined else k),
            )  # fmt: skip
            self.parts["contestants"].append({"domain": domain, "seed": 0, "card": card.to_dict()})
            self.parts["scores"].append(self.score(name, kind, domain, error, floor, spread, split))
            self.parts["speed"].append(self.speed(name, kind, domain, seconds / 1000))
        return self

    @staticmethod
    def score(
        name: str, kind: str, domain: str, error: float, floor: float | None, spread: float | None, split: str
    ) -> Any:
        shown = {"1": error / 10, "5": error / 2, "20": error, "50": None, "last": 2 * error, "mean": error}
        floors = {r: None if floor is None or shown[r] is None else floor for r in REDUCTIONS}
        values = {
            m: {r: estimate(v, spread) for r, v in of.items()} for m, of in zip(METRICS, (shown, floors), strict=True)
        }
        return {
            "domain": domain, "split": split, "model": name, "kind": kind, "seeds": [0], "scenes": 8, "frames": 40,
            "diverged_share": 0.0, "trust_horizon": None, "values": values,
        }  # fmt: skip

    @staticmethod
    def speed(name: str, kind: str, domain: str, latency: float) -> Any:
        timing = {**SCRIPTED, "batch": 1, "nodes": 10, "samples_s": [latency], "core_samples_s": [latency]}
        timing |= {"median_s": latency, "core_median_s": latency}
        return {
            "domain": domain, "model": name, "kind": kind, "seed": 0, "frames": 40, "latency": timing,
            "throughput": {**timing, "nodes_per_s": 10 / latency, "tried": []}, "peak_memory_bytes": None,
            "phases": {"encode_s": 0.1 * latency, "advance_s": 0.7 * latency, "decode_s": 0.2 * latency},
            "speedup_reference": None, "speedup_equal_accuracy": None,
        }  # fmt: skip

    def to(self, folder: Path, **more: Any) -> Path:
        made = records.new(
            **self.parts, track=TRACK, command=[], device="cpu", versions={}, stages=[], failures=[],
            environment={"cpu_model": "c", "cores": 2, "system": "s"},
            metrics=[{"id": m, "unit": "m", "better": "lower", "domains": ["*"]} for m in METRICS],
            domains=[
                {"name": d, "generator_version": 1, "data_manifest": MANIFESTS[d], "frame_interval": 0.01,
                 "trust_threshold": 0.1, "observable": "o", "recipe": {}} for d in DOMAINS
            ],
        )  # fmt: skip
        records.write(folder, made | more)
        return folder


def world() -> Made:
    """A generalist, its three siblings of the two-by-two, a specialist in each domain and a second one in the fluid."""
    made, token = Made(), "token transformer"
    made.add(
        "jepa",
        "generalist",
        DOMAINS,
        0.2,
        seconds=60,
        parameters=1000,
        objective="latent: smooth",
        architecture=token,
        floor=0.05,
        joined=True,
    )
    made.add("jepa-state", "generalist", DOMAINS, 0.4, objective="state and latent", architecture=token, joined=True)
    made.add("jepa-one", "specialist", DOMAINS, 0.5, objective="latent", architecture=token)
    made.add("jepa-one-state", "specialist", DOMAINS, 0.6, objective="state", architecture=token)
    made.add("cloth_net", "specialist", ["cloth"], 0.1, seconds=10)
    made.add("fluid_net", "specialist", ["fluid"], 0.21, seconds=20)
    made.add("rigid_net", "specialist", ["rigid"], 0.8, seconds=30)
    return made.add("linear", "baseline", DOMAINS, 0.9, star=True, parameters=7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world().to(tmp_path_factory.mktemp("records"))


def titled(found: list[Table], word: str) -> list[dict[str, Any]]:
    return next(rows for title, rows in found if word in title)


# -- two by name -------------------------------------------------------------------------------------------------------


def test_it_opens_with_the_factors(folder: Path) -> None:
    found = compare("jepa", "linear", folder)
    assert list(found["differ"])[:2] == ["objective", "architecture"], "both learn by Adam"
    assert next(iter(tables(found)))[1][0] == {
        "factor": "objective",
        "jepa": "latent: smooth",
        "linear": "next-step acceleration",
    }


def test_a_field_that_an_older_card_lacks_is_its_default(tmp_path: Path) -> None:
    made = world()
    for c in made.parts["contestants"]:
        if c["card"]["name"] == "linear":
            del c["card"]["health"], c["card"]["baseline"], c["card"]["collapsed"]
    differ = compare("jepa", "linear", made.to(tmp_path))["differ"]
    assert not {"health", "baseline", "collapsed"} & set(differ)


def test_every_shown_frame_has_both_errors_and_a_verdict(folder: Path) -> None:
    found = compare("jepa", "fluid_net", folder)
    assert [(p["a"]["domain"], p["a"]["split"], p["comparable"]) for p in found["rows"]] == [("fluid", "test", True)]
    frames = found["rows"][0]["frames"]
    assert list(frames) == ["1", "5", "20", "last"], "the horizon is shorter than 50 frames"
    said = frames["20"]
    assert said["a"] == {
        "position_rmse": estimate(0.2),
        "decode_floor": estimate(0.05),
        "excess_error": pytest.approx(0.15),
    }
    assert said["b"] == {"position_rmse": estimate(0.21), "decode_floor": None, "excess_error": None}
    assert (said["winner"], said["factor"]) == ("tie", pytest.approx(1.05))
    said = compare("jepa", "rigid_net", folder)["rows"][0]["frames"]["20"]
    assert (said["winner"], said["factor"]) == ("jepa", pytest.approx(4.0))


def test_one_scene_alone_has_no_winner(tmp_path: Path) -> None:
    made = Made().add("x", "baseline", ["cloth"], 0.1, spread=None).add("y", "baseline", ["cloth"], 0.4, spread=None)
    said = compare("x", "y", made.to(tmp_path))["rows"][0]["frames"]["20"]
    assert (said["winner"], said["factor"]) == (None, pytest.approx(4.0))


def test_costs_stand_apart_by_phase(folder: Path) -> None:
    held = compare("jepa", "cloth_net", folder)["costs"]
    assert [c["domain"] for c in held] == ["cloth"]
    assert held[0]["a"]["latency_ms"] == pytest.approx(60)
    assert held[0]["a"]["advance_ms"] == pytest.approx(42)
    assert held[0]["a"]["encode_decode_ms"] == pytest.approx(18)
    assert held[0]["ratio"]["parameters"] == 10
    assert held[0]["ratio"]["latency_ms"] == pytest.approx(6)
    assert held[0]["ratio"]["training_device_seconds"] == pytest.approx(6)


def test_times_of_two_machines_are_not_set_in_ratio(tmp_path: Path) -> None:
    Made().add("x", "baseline", ["cloth"], 0.1).to(tmp_path / "a")
    Made().add("y", "baseline", ["cloth"], 0.2).to(
        tmp_path / "b", environment={"cpu_model": "z", "cores": 1, "system": "s"}
    )
    held = compare("x", "y", tmp_path)["costs"][0]
    assert not held["timed_alike"]
    assert held["ratio"]["latency_ms"] is None
    assert held["ratio"]["parameters"] == 1


def test_equal_data_are_told_from_equal_data_here(folder: Path) -> None:
    alike = compare("jepa", "jepa-state", folder)["costs"][0]["data"]
    assert (alike["equal"], alike["a"]) == (True, list(DOMAINS))
    wider = compare("jepa", "linear", folder)["costs"][0]["data"]
    assert wider == {"a": list(DOMAINS), "b": ["cloth"], "equal": False, "equal_in_domain": True}
    rows = titled(tables(compare("jepa", "linear", folder)), "equal or not")
    assert rows[0]["data"] == "equal here; jepa also of fluid, rigid"
    assert titled(tables(compare("jepa-one", "linear", folder)), "equal or not")[0]["data"] == "equal"


def test_other_data_are_not_comparable(tmp_path: Path) -> None:
    Made().add("x", "baseline", ["cloth"], 0.1).to(tmp_path / "a")
    about = records.read(tmp_path / "a")["domains"]
    about[0]["data_manifest"] = "0" * 64
    Made().add("y", "baseline", ["cloth"], 0.2).to(tmp_path / "b", domains=about)
    found = compare("x", "y", tmp_path)
    assert not found["rows"][0]["comparable"]
    assert "not comparable" in " ".join(title for title, _ in tables(found))


def test_one_training_is_held_against_the_sum(folder: Path) -> None:
    whole = compare("jepa", "linear", folder)["training"]
    assert len(whole) == 1
    assert (whole[0]["a"]["trainings"], whole[0]["b"]["trainings"]) == (1, 3)
    assert (whole[0]["a"]["training_device_seconds"], whole[0]["b"]["training_device_seconds"]) == (60, 10 + 11 + 12)
    assert whole[0]["ratio"]["training_steps"] == pytest.approx(100 / 300)
    one, completed = compare("jepa", "fluid_net", folder)["training"]
    assert one["ratio"]["training_device_seconds"] == pytest.approx(3)
    assert completed["b"]["models"] == {"fluid": "fluid_net", "cloth": "cloth_net", "rigid": "jepa-one"}
    assert completed["b"]["training_device_seconds"] == 20 + 10 + 12
    mirrored = compare("fluid_net", "jepa", folder)["training"][1]
    assert (mirrored["a"], mirrored["b"]) == (completed["b"], completed["a"])


def test_the_newest_record_counts(tmp_path: Path) -> None:
    old = "2020-01-01T00:00:00+00:00"
    Made().add("x", "baseline", ["cloth"], 0.9).add("y", "baseline", ["cloth"], 0.2).to(tmp_path / "old", created=old)
    Made().add("x", "baseline", ["cloth"], 0.1).to(tmp_path / "new")
    found = compare("x", "y", tmp_path)["rows"]
    assert [p["a"]["position_rmse_20"]["value"] for p in found] == [0.1]


def test_a_model_beside_itself_and_one_that_is_not_there(folder: Path) -> None:
    assert compare("jepa", "jepa", folder)["differ"] == {}
    assert tables(compare("jepa", "jepa", folder))
    with pytest.raises(MisuseError, match=r"'nobody'.*cloth_net"):
        compare("nobody", "jepa", folder)


# -- every generalist --------------------------------------------------------------------------------------------------


def test_every_generalist_meets_every_specialist_the_best_first(folder: Path) -> None:
    found = survey(folder)["generalists"]
    assert [g["model"] for g in found] == ["jepa", "jepa-state"]
    met = [(x["domain"], x["model"], x["best"]) for x in found[0]["against"]]
    assert met == [
        ("cloth", "cloth_net", True), ("cloth", "jepa-one", False), ("cloth", "jepa-one-state", False),
        ("fluid", "fluid_net", True), ("fluid", "jepa-one", False), ("fluid", "jepa-one-state", False),
        ("rigid", "jepa-one", True), ("rigid", "jepa-one-state", False), ("rigid", "rigid_net", False),
    ]  # fmt: skip
    said = {x["domain"]: x["frames"]["20"]["winner"] for x in found[0]["against"] if x["best"]}
    assert said == {"cloth": "cloth_net", "fluid": "tie", "rigid": "jepa"}
    assert found[0]["training"]["b"]["models"] == {"cloth": "cloth_net", "fluid": "fluid_net", "rigid": "jepa-one"}
    assert found[0]["training"]["ratio"]["training_device_seconds"] == pytest.approx(60 / (10 + 20 + 12))
    assert {(c["domain"], c["model"]) for c in found[0]["costs"]} == {(d, m) for d, m, _ in met}


def test_two_by_two_is_found_by_the_cards(folder: Path, tmp_path: Path) -> None:
    found = survey(folder)["two_by_two"]
    assert [t["domain"] for t in found] == list(DOMAINS)
    cells = {
        (s, o): [m["model"] for m in found[0]["cells"][s][o]] for s in ("one", "several") for o in ("latent", "state")
    }
    assert cells == {
        ("one", "latent"): ["jepa-one"], ("one", "state"): ["jepa-one-state"],
        ("several", "latent"): ["jepa"], ("several", "state"): ["jepa-state"],
    }  # fmt: skip
    rows = titled(tables(survey(folder)), "two by two")
    assert rows[0]["latent"] == "0.5 [0.45, 0.55] jepa-one"
    made = Made().add("jepa", "generalist", DOMAINS, 0.2, objective="latent", joined=True)
    assert survey(made.to(tmp_path))["two_by_two"] == [], "three cells are empty"


def test_probes_are_set_side_by_side(tmp_path: Path) -> None:
    made = world()
    for kind, value in (("latent", 0.9), ("random encoder", 0.5), ("raw state", 0.3)):
        about = {"domain": "fluid", "model": "jepa", "seed": 0, "features": kind}
        made.parts["probes"] += [
            about | {"quantity": "viscosity", "r2": estimate(value)},
            about | {"quantity": "tilt", "r2": None},
        ]
    found = survey(made.to(tmp_path))
    assert len(found["probes"]) == 2
    rows = titled(tables(found), "probes")
    assert [list(row) for row in rows] == [
        ["domain", "model", "seed", "quantity", "latent", "random encoder", "raw state"]
    ]


def test_without_a_generalist_two_names_are_asked_for(tmp_path: Path) -> None:
    Made().add("x", "baseline", ["cloth"], 0.1).to(tmp_path)
    with pytest.raises(MisuseError, match=r"no generalist .* compare A B"):
        survey(tmp_path)


def test_a_domain_without_a_specialist_is_left_out_of_the_sum(tmp_path: Path) -> None:
    made = Made().add("all", "generalist", DOMAINS, 0.2, joined=True).add("net", "specialist", ["cloth"], 0.1)
    found = survey(made.to(tmp_path))["generalists"][0]
    assert found["domains"] == list(DOMAINS)
    assert found["training"]["domains"] == ["cloth"]
    alone = survey(Made().add("all", "generalist", DOMAINS, 0.2, joined=True).to(tmp_path))
    assert alone["generalists"][0]["training"] is None
    assert tables(alone)


# -- the command line --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 4])
def test_one_to_three_arguments(number: int) -> None:
    with pytest.raises(MisuseError, match=f"{number} arguments; DIR alone, A B DIR, or OLD NEW"):
        compared(["x"] * number)


def test_the_verb_takes_a_folder_or_two_models_and_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str) -> str:
        assert cli.main(["compare", *arguments, str(folder)]) == 0
        return capsys.readouterr().out

    text = said("jepa", "linear")
    assert text.index("objective") < text.index("architecture") < text.index("position RMSE") < text.index("costs")
    for word in ("floor jepa", "excess jepa", "encode + decode", "equal here", "trainings together"):
        assert word in text
    text = said()
    for word in ("fluid_net (best)", "tie", "jepa ×", "two by two", "specialists together"):
        assert word in text
    assert "probes" not in text, "there are none"
    assert json.loads(said("--json"))["generalists"]
    assert json.loads(said("--json", "jepa", "linear"))["rows"]


def test_a_model_and_a_folder_are_one_line_of_misuse(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", "jepa", str(folder)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "A B DIR" in said.err
