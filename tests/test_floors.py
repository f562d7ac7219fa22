"""Floors of hot paths: counted as their formulas say, measured on a clock that can be injected, kept one table a device."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hedgefox.bench.floors import FILES, floors, message_passing, page, row
from hedgefox.bench.floors._path import Asked, HotPath, Rates, counted
from hedgefox.bench.floors.fluid import _path, cases, pair_operations, particle_bytes
from hedgefox.bench.timing.clock import Effort
from hedgefox.bench.timing.timing import Timing
from hedgefox.contracts import MisuseError

RATES = Rates(((1 << 20, 40e9), (1 << 23, 20e9), (1 << 26, 10e9)), 50e9)


def path(moved: float, operations: float) -> HotPath:
    return HotPath("path", "one", "things", 10, moved, operations, lambda: None, 30, "pairs")


def test_a_floor_is_the_slower_of_moving_and_reckoning() -> None:
    assert RATES.floor(path(1e9, 1e9)) == (0.1, "bytes")
    assert RATES.floor(path(1e9, 50e9)) == (1.0, "operations")


def test_what_may_lie_in_a_cache_has_the_floor_of_a_cache() -> None:
    assert [RATES.bandwidth(b) for b in (1e6, 1e7, 1e8, 1e12)] == [40e9, 20e9, 10e9, 10e9]


def test_a_row_says_floor_median_and_rates() -> None:
    found = row(path(1e9, 0.0), RATES, Timing(1.0, 1, True, 1, 3, [0.4, 0.2, 0.3], [0.2] * 3, asked=3))
    assert (found["floor_s"], found["measured_s"]) == (0.1, 0.3)
    assert found["ratio"] == pytest.approx(3.0)
    assert found["per_second"] == pytest.approx(10 / 0.3)
    assert found["beside_per_second"] == pytest.approx(100)


def test_counts_of_the_fluid() -> None:
    assert (particle_bytes(2), particle_bytes(3)) == (76, 100)
    assert pair_operations(2) == 63


def test_each_back_end_of_the_fluid_has_its_rows_on_cuda() -> None:
    assert cases(Asked("cpu", quick=True)) == [(None, 1000, 1)]
    on_cuda = cases(Asked("cuda"))
    assert {backend for backend, _, _ in on_cuda} == {"warp", "taichi"}
    assert {k for _, _, k in on_cuda} == {1, 18}
    one, frame = (_path("cpu", "warp", 100, k) for k in (1, 3))
    assert frame.bytes == 3 * one.bytes
    assert frame.operations == 3 * one.operations
    assert frame.size == "100 particles, 2D, 3 substeps, warp"
    frame.task()


def test_operations_of_the_network_are_those_of_its_matrix_products() -> None:
    model, once = message_passing.stepping(200, "cpu", "xs")
    formula = message_passing.operations(model, 200, once.n_edges())
    assert counted(once) == formula


def test_operations_of_a_product_are_two_for_every_multiplication() -> None:
    a, b = torch.randn(3, 5, requires_grad=True), torch.randn(5, 7)
    assert counted(lambda: a @ b) == 2 * 3 * 5 * 7
    assert counted(lambda: (a @ b).sum().backward()) == 2 * 2 * 3 * 5 * 7  # type: ignore[no-untyped-call]


def test_every_hot_path_has_a_file() -> None:
    folder = Path(message_passing.__file__).parent
    assert {p.stem for p in folder.glob("*.py")} == {*FILES, "__init__", "_path", "_rates", "clouds", "page"}


def test_floors_are_measured_and_every_ratio_is_of_its_own_row() -> None:
    found = floors(quick=True, only=["neighbours", "windows", "training"], effort=Effort(2, 0.0))
    assert [r["path"] for r in found["rows"]] == ["neighbour search"] * 2 + ["window loading", "training step"]
    for r in found["rows"]:
        assert r["ratio"] == pytest.approx(r["measured_s"] / r["floor_s"])
        assert r["measured_s"] > 0 < r["floor_s"]
    assert found["kind"] == "cpu"
    assert found["failures"] == []


def test_an_unknown_hot_path_is_misuse() -> None:
    with pytest.raises(MisuseError, match=r"unknown hot path 'neighbors'.*neighbours"):
        floors(only=["neighbors"])


def test_a_hot_path_that_cannot_be_made_is_a_failure_beside_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(asked: Asked) -> list[HotPath]:
        raise ImportError("no such library")

    monkeypatch.setattr("hedgefox.bench.floors.windows.paths", missing)
    found = floors(quick=True, only=["windows", "neighbours"], effort=Effort(1, 0.0))
    assert found["failures"] == [{"path": "windows", "error": "ImportError: no such library"}]
    assert len(found["rows"]) == 2


def test_the_table_of_one_device_leaves_that_of_the_other(tmp_path: Path) -> None:
    found = {
        "device": "a chip", "kind": "cuda", "quick": False, "rates": RATES.to_dict(),
        "rows": [row(path(1e9, 0.0), RATES, Timing(1.0, 1, True, 1, 1, [0.3], [0.3], asked=1))],
    }  # fmt: skip
    at = tmp_path / "performance.md"
    at.write_text(
        "".join(f"before {kind}\n{a}\nold {kind}\n{b}\n" for kind in page.MADE_BY for a, b in [page.marks(kind)])
    )
    page.write_into(at, found, "Beside other work.")
    text = at.read_text()
    assert "old cpu" in text
    assert "old cuda" not in text
    assert "**a chip**" in text
    assert "Beside other work." in text
    assert "| path | one | 1 GB | – | 100 ms | bytes | 300 ms | 3 | 33.3 things/s, 100 pairs/s |" in text
    page.write_into(at, {**found, "device": "another"})
    assert at.read_text().count("| path |") == 1
    (tmp_path / "other.md").write_text("no marks")
    with pytest.raises(MisuseError, match="lacks the marks"):
        page.write_into(tmp_path / "other.md", found)
