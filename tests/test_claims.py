"""Claims judged on records made by hand: what is supported, refuted, undecided and untested, and the page of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hedgefox import cli
from hedgefox.bench import curves
from hedgefox.bench import record as records
from hedgefox.bench._metric import every_metric
from hedgefox.bench.claims import page as claims
from hedgefox.bench.claims.evidence import Difference, relative
from hedgefox.bench.claims.speed import surely
from hedgefox.bench.equal_accuracy import with_equal_accuracy
from hedgefox.bench.reduce import Estimate
from hedgefox.bench.score import Score
from hedgefox.bench.summary import summarise
from hedgefox.contracts import ModelCard

SCENES, FRAMES = 24, 22
KINDS = {"solver": "reference", "coarse": "ladder", "linear": "baseline", "special": "specialist"}


def curve(error: float, seed: int, spread: float) -> np.ndarray:
    """A curve (T, B): scenes differ alike for all contestants, and by a little of their own."""
    shared = np.random.default_rng(0).uniform(0.8, 1.2, SCENES)
    own = 1 + spread * np.random.default_rng(seed).standard_normal(SCENES)
    return np.broadcast_to(error * shared * np.abs(own), (FRAMES, SCENES)).copy()


def made(
    folder: Path,
    errors: Mapping[str, float],
    *,
    seeds: Sequence[int] = (0, 1, 2),
    times: Mapping[str, float] | None = None,
    spread: float = 0.02,
    floors: Mapping[str, float] | None = None,
    track: str = "hour",
    probes: Sequence[Mapping[str, Any]] = (),
    device: str = "cpu",
) -> Path:
    """A record of one domain: contestants by mean error, timed ones by seconds a rollout."""
    scores, cards = list[Score](), list[dict[str, Any]]()
    for number, (name, error) in enumerate(errors.items()):
        kind = KINDS.get(name, "generalist")
        trained: list[int | None] = [None] if kind in ("reference", "ladder") else list(seeds)
        for seed in trained:
            drawn = curve(error, 100 * number + (seed or 0), spread)
            held = {"position_rmse@1": drawn, "observable_error@1": drawn}
            if floors and name in floors:
                held["decode_floor@1"] = curve(floors[name], 100 * number + (seed or 0), spread)
            scores.append(Score("fluid", "test", name, seed, held, np.full(SCENES, -1)))
            card = ModelCard(name, kind, "state", "Adam", "graph", ("fluid",), parameters=10, training_data="0" * 64)
            cards.append({"domain": "fluid", "seed": seed, "card": card.to_dict()})
    kinds = {c["card"]["name"]: c["card"]["kind"] for c in cards}
    speed = with_equal_accuracy([timing(n, kinds[n], s, times or {}) for n, s in (times or {}).items()], scores)
    record = records.new(
        track={"name": track, "size": "s", "machine": "cpu", "root_seed": 0, "training_seeds": list(seeds), "training_steps": 9},
        command=[], device=device, versions={}, stages=[], failures=[], contestants=cards, speed=speed, probes=list(probes),
        environment={"cpu_model": "c", "cores": 2, "system": "s"},
        metrics=[{"id": m.id, "unit": m.unit, "better": m.better, "domains": list(m.domains)} for m in every_metric()],
        domains=[
            {"name": "fluid", "generator_version": 1, "data_manifest": "0" * 64, "frame_interval": 0.01,
             "trust_threshold": 0.1, "observable": "o", "recipe": {}}
        ],
        scores=summarise(scores, kinds, every_metric(), 0.1),
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    curves.write(folder / "curves.parquet", scores)
    records.write(folder, record)
    return folder


def timing(name: str, kind: str, seconds: float, times: Mapping[str, float]) -> dict[str, Any]:
    samples = [seconds * f for f in (0.99, 1.0, 1.01)]
    entry = {
        "batch": 1, "nodes": 10, "first_call_s": seconds, "warmup_calls": 1, "steady": True, "repeats": 1,
        "samples_s": samples, "core_samples_s": samples, "median_s": seconds, "q25_s": seconds, "q75_s": seconds,
        "core_median_s": seconds,
    }  # fmt: skip
    ratio = times["solver"] / seconds
    never = {"value": None, "low": None, "high": None, "flag": "never"}
    return {
        "domain": "fluid", "model": name, "kind": kind, "seed": 0, "frames": FRAMES, "latency": entry,
        "throughput": {**entry, "nodes_per_s": 1.0, "tried": []}, "phases": None, "peak_memory_bytes": None,
        "speedup_reference": {"value": ratio, "low": 0.98 * ratio, "high": 1.02 * ratio}, "speedup_equal_accuracy": None,
        "break_even": {"full": never, "share": None, "costs": {}},
    }  # fmt: skip


def verdict(folder: Path, name: str) -> dict[str, Any]:
    return next(c for c in claims.judged(folder) if c["id"] == name)


# -- accuracy ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("special", "general", "spread", "said"),
    [(0.1, 0.2, 0.02, "supported"), (0.2, 0.1, 0.02, "refuted"), (0.1, 0.1, 0.3, "undecided")],
)
def test_specialists_against_a_generalist(
    tmp_path: Path, special: float, general: float, spread: float, said: str
) -> None:
    found = verdict(made(tmp_path, {"special": special, "gns": general}, spread=spread), "specialists-win")
    assert (found["verdict"], found["by_domain"]) == (said, {"fluid": said})
    assert found["figures"][0]["records"] == ["."]


def test_what_one_training_seed_says_must_clear_what_trainings_differ_by(tmp_path: Path) -> None:
    close = {"special": 0.1, "gns": 0.105}
    assert verdict(made(tmp_path / "three", close), "specialists-win")["verdict"] == "supported"
    assert verdict(made(tmp_path / "one", close, seeds=[0]), "specialists-win")["verdict"] == "undecided"
    far = {"special": 0.1, "gns": 0.2}
    assert verdict(made(tmp_path / "far", far, seeds=[0]), "specialists-win")["verdict"] == "supported"


def test_without_curves_nothing_is_paired(tmp_path: Path) -> None:
    folder = made(tmp_path, {"special": 0.1, "gns": 0.2})
    (folder / "curves.parquet").unlink()
    assert verdict(folder, "specialists-win")["verdict"] == "untested"


@pytest.mark.parametrize(
    ("without", "spread", "said"),
    [(0.2, 0.02, "supported"), (0.103, 0.02, "refuted"), (0.09, 0.02, "refuted"), (0.11, 0.3, "undecided")],
)
def test_what_is_needed_is_worth_more_than_a_tenth(tmp_path: Path, without: float, spread: float, said: str) -> None:
    folder = made(tmp_path, {"jepa": 0.1, "jepa-random": without}, spread=spread)
    assert verdict(folder, "encoder-needs-training")["verdict"] == said


def test_a_fraction_that_may_or_may_not_matter_is_undecided() -> None:
    wide = Difference(Estimate(0.08, -0.05, 0.2), (3, 3))
    assert (wide.decided(), wide.decided(0.1)) == (0, 0)
    few = Difference(Estimate(0.08, 0.05, 0.09), (1, 3))
    assert few.decided() == 0
    assert Difference(Estimate(0.08, 0.05, 0.09), (3, 3)).decided() == 1
    assert Difference(Estimate(0.08, None, None), (3, 3)).decided() == 0


def test_a_share_of_error_never_falls_below_minus_one() -> None:
    a, b = np.full((1, 8), 1e-3), np.random.default_rng(0).exponential(1.0, (3, 8))
    found = relative(a, b)
    assert found.low is not None
    assert -1 < found.low <= found.value < 0


def test_attention_is_decided_on_its_own_track(tmp_path: Path) -> None:
    made(tmp_path / "hour", {"jepa": 0.1, "special": 0.1})
    assert verdict(tmp_path, "jepa-needs-attention")["verdict"] == "untested"
    variants = {"jepa": 0.1, "jepa-mean_pooling": 0.2, "jepa-message_passing": 0.09}
    made(tmp_path / "ablation", variants, track="ablate-attention")
    found = verdict(tmp_path, "jepa-needs-attention")
    assert (found["verdict"], found["tracks"]) == ("refuted", ["ablate-attention"])


def test_baselines_may_win(tmp_path: Path) -> None:
    assert verdict(made(tmp_path / "a", {"gns": 0.2, "linear": 0.1}), "networks-beat-baselines")["verdict"] == "refuted"
    assert (
        verdict(made(tmp_path / "b", {"gns": 0.1, "linear": 0.2}), "networks-beat-baselines")["verdict"] == "supported"
    )


@pytest.mark.parametrize(("floor", "said"), [(0.09, "supported"), (0.02, "refuted"), (0.05, "undecided")])
def test_the_share_of_a_read_out(tmp_path: Path, floor: float, said: str) -> None:
    folder = made(tmp_path, {"jepa": 0.1}, floors={"jepa": floor}, spread=0.1)
    assert verdict(folder, "read-out-limits")["verdict"] == said


# -- time --------------------------------------------------------------------------------------------------------------

ERRORS = {"solver": 0.0, "coarse": 0.1, "special": 0.1}


def test_speed_at_equal_accuracy(tmp_path: Path) -> None:
    slow = made(tmp_path / "slow", {**ERRORS, "special": 0.11}, times={"solver": 10.0, "coarse": 1.0, "special": 5.0})
    assert verdict(slow, "faster-at-all")["verdict"] == "refuted"
    assert verdict(slow, "pays-back")["verdict"] == "refuted"
    assert verdict(slow, "coarse-is-better")["verdict"] == "supported"
    assert verdict(slow, "plain-ratios-overstate")["verdict"] == "supported"
    fast = made(tmp_path / "fast", {**ERRORS, "special": 0.09}, times={"solver": 10.0, "coarse": 1.0, "special": 0.1})
    assert verdict(fast, "faster-at-all")["verdict"] == "supported"
    assert verdict(fast, "coarse-is-better")["verdict"] == "refuted"


def test_a_network_that_was_not_timed_leaves_open_what_it_might_decide(tmp_path: Path) -> None:
    """The other one is too slow and dominated; of this one nobody knows."""
    times = {"solver": 10.0, "coarse": 1.0, "special": 5.0}
    held = made(tmp_path / "held", {**ERRORS, "special": 0.11, "untried": 0.2}, times=times)
    for claim in ("faster-at-all", "pays-back", "coarse-is-better", "plain-ratios-overstate"):
        assert verdict(held, claim)["verdict"] == "undecided"
        assert "Scored and not timed, so open: untried in fluid." in verdict(held, claim)["why"]
    quick = made(tmp_path / "q", {**ERRORS, "special": 0.09, "untried": 0.2}, times={**times, "special": 0.1})
    assert verdict(quick, "faster-at-all")["verdict"] == "supported", "one is enough"
    assert verdict(quick, "coarse-is-better")["verdict"] == "refuted"


def test_a_hundredfold_is_decided_on_cuda_alone(tmp_path: Path) -> None:
    times = {"solver": 10.0, "coarse": 1.0, "special": 0.001}
    on_cpu = verdict(made(tmp_path / "cpu", {**ERRORS, "special": 0.09}, times=times), "hundred-times-faster")
    assert on_cpu["verdict"] == "untested"
    assert "supported in fluid" in on_cpu["why"]
    on_cuda = made(tmp_path / "cuda", {**ERRORS, "special": 0.09}, times=times, device="cuda")
    assert verdict(on_cuda, "hundred-times-faster")["verdict"] == "supported"
    assert verdict(on_cuda, "hundred-times-faster")["device"] == "cuda"


def test_a_bound_says_something_of_its_own_side_alone() -> None:
    at_most = {"value": 3.0, "low": 2.0, "high": 4.0, "flag": "<", "low_flag": "<", "high_flag": "<"}
    assert (surely(at_most, 1.0), surely(at_most, 5.0)) == (0, -1)
    at_least = {**at_most, "flag": ">", "low_flag": ">", "high_flag": ">"}
    assert (surely(at_least, 1.0), surely(at_least, 5.0)) == (1, 0)


# -- probes, pages -----------------------------------------------------------------------------------------------------


def probe(features: str, value: float, quantity: str = "viscosity") -> dict[str, Any]:
    r2 = {"value": value, "low": value - 0.05, "high": value + 0.05}
    return {"domain": "fluid", "model": "jepa", "seed": 0, "quantity": quantity, "features": features, "r2": r2}


@pytest.mark.parametrize(
    ("latent", "random", "said"), [(0.9, 0.1, "supported"), (0.1, 0.1, "refuted"), (0.9, 0.9, "undecided")]
)
def test_latents_know_what_controls_do_not(tmp_path: Path, latent: float, random: float, said: str) -> None:
    # What any frame shows is no hidden parameter.
    seen = [probe("latent", 0.99, "kinetic energy"), probe("latent", 0.99, "event: spills")]
    rows = [probe("latent", latent), probe("random encoder", random), probe("raw state", 0.0), *seen]
    assert verdict(made(tmp_path, {"jepa": 0.1}, probes=rows), "latents-know-parameters")["verdict"] == said


def test_the_page_is_the_same_for_the_same_records(tmp_path: Path) -> None:
    folder = made(tmp_path / "results", {"special": 0.1, "gns": 0.2, "linear": 0.3})
    first, second = tmp_path / "a.md", tmp_path / "b.md"
    for page in (first, second):
        assert cli.main(["claims", str(folder), "--out", str(page)]) == cli.OK
    assert first.read_text().replace("a.md", "b.md") == second.read_text()
    text = first.read_text()
    assert "Made from records by `hedgefox claims results --out a.md`" in text
    assert str(tmp_path) not in text, "no path of one machine"
    assert all(f"## {c.id}\n" in text for c in claims.CLAIMS)


def test_claims_say_their_test_and_have_names_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len({c.id for c in claims.CLAIMS}) == len(claims.CLAIMS) >= 15
    assert all(c.says.endswith(".") and c.test for c in claims.CLAIMS)
    assert cli.main(["claims", str(made(tmp_path, {"gns": 0.2})), "--json"]) == cli.OK
    found = json.loads(capsys.readouterr().out)["claims"]
    assert {c["verdict"] for c in found} == {"untested"}


def test_a_hostile_name_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    evil = "<img src=x>|[a](http://x)`\n# h"
    folder = made(tmp_path, {"special": 0.1, evil: 0.2})
    text = claims.markdown(claims.judged(folder), "hedgefox claims `x`")
    row = next(line for line in text.splitlines() if "&lt;img" in line)
    assert "<img" not in text
    assert row.replace("\\|", "").count("|") == 6, "the row keeps its five cells"
    assert "\\[a\\](http://x)\\` # h" in row
