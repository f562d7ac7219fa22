"""Timing on a clock that does not run: warm-up, interleaving, synchronisation, medians; then one real rollout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from hedgefox.bench.contestants import Contestant
from hedgefox.bench.timing import clock
from hedgefox.bench.timing.clock import Clocks, Effort, time_interleaved, turns, warm_up
from hedgefox.bench.timing.fresh import CALLS, new_starts, remembering
from hedgefox.bench.timing.memory import peak_memory
from hedgefox.bench.timing.phases import phase_seconds
from hedgefox.bench.timing.speed import batch_scenes, speed_case, timing_threads, try_batches
from hedgefox.bench.timing.timing import Timing
from hedgefox.contracts import Domain, Model, ModelCard, Recipe, Trajectory


class Fake:
    """A clock moved by the tasks themselves. Work is queued, as on a device, and done when one waits for it."""

    def __init__(self) -> None:
        self.now, self.queued, self.log = 0.0, 0.0, list[str]()
        self.clocks = Clocks(wall=lambda: self.now, cpu=lambda: 2 * self.now, synchronise=self.wait)

    def wait(self) -> None:
        self.now, self.queued = self.now + self.queued, 0.0

    def task(self, name: str, seconds: float | Callable[[int], float]) -> Callable[[], None]:
        calls = [0]

        def work() -> None:
            self.log.append(name)
            self.queued += seconds(calls[0]) if callable(seconds) else seconds
            calls[0] += 1

        return work


def test_queued_work_is_waited_for() -> None:
    fake = Fake()
    timings, failures = time_interleaved({"a": fake.task("a", 0.25)}, Effort(4, 0.0), clocks=fake.clocks)
    assert not failures
    assert timings["a"].samples == [0.25] * 4
    assert timings["a"].cpu_samples == [0.5] * 4, "core-seconds come from their own clock"


def test_compilation_is_kept_apart() -> None:
    fake = Fake()
    task = fake.task("a", lambda k: 60.0 if k == 0 else 0.1)
    timing = time_interleaved({"a": task}, Effort(3, 0.0), clocks=fake.clocks)[0]["a"]
    assert timing.first_call == 60.0
    assert timing.median == pytest.approx(0.1)


def test_warm_up_goes_on_until_two_calls_agree() -> None:
    fake = Fake()
    settling = warm_up(fake.task("a", lambda k: 0.001 + 0.1 / 2**k), Effort(3, 0.0), fake.clocks)
    assert settling.steady or settling.warmup_calls == clock.WARMUP_CALLS
    assert settling.warmup_calls > 3
    flat = warm_up(fake.task("b", 0.1), Effort(3, 0.0), fake.clocks)
    assert (flat.steady, flat.warmup_calls) == (True, 2)
    never = warm_up(fake.task("c", lambda k: 0.01 * (1 + k % 2)), Effort(3, 0.0), fake.clocks)
    assert (never.steady, never.warmup_calls) == (False, clock.WARMUP_CALLS)
    slow = warm_up(fake.task("d", lambda k: 10.0 * (1 + k % 2)), Effort(3, 0.1), fake.clocks)
    assert (slow.steady, slow.warmup_calls) == (False, 1), "patience is spent: a slow task is not warmed up for minutes"


def test_short_tasks_are_repeated_and_slow_ones_sampled_less_but_never_under_three() -> None:
    fake = Fake()
    short = warm_up(fake.task("a", 1 / 64), Effort(30, 10 / 64), fake.clocks)
    assert (short.repeats, short.wanted) == (10, 30)
    slow = warm_up(fake.task("b", 40.0), Effort(30, 0.1), fake.clocks)
    assert (slow.repeats, slow.wanted) == (1, 3)
    timing = time_interleaved({"a": fake.task("a", 0.01)}, Effort(5, 0.1), clocks=fake.clocks)[0]["a"]
    assert timing.samples == pytest.approx([0.01] * 5), "a sample is divided by its repeats"


def test_a_drifting_machine_hits_all_alike() -> None:
    """Every call is slower than the one before; turns back and forth must give equal medians all the same."""
    fake = Fake()
    tasks = {n: fake.task(n, lambda k: 1.0) for n in "ab"}
    drift = [0]

    def slowed(task: Callable[[], None]) -> Callable[[], None]:
        def work() -> None:
            task()
            drift[0] += 1
            fake.queued += 0.01 * drift[0]

        return work

    timings, _ = time_interleaved({n: slowed(t) for n, t in tasks.items()}, Effort(20, 0.0), clocks=fake.clocks)
    # Ceiling: a 1 s task gets at least 3 samples, here 3.
    a, b = (sum(t.samples[:2]) for t in timings.values())
    assert a == pytest.approx(b), "in each block of two turns every contestant has the same mean time"


def test_turns_are_shuffled_blocks_and_their_mirror_images() -> None:
    order = list(turns(["a", "b", "c", "d"], 6, seed=1))
    blocks = [order[k : k + 4] for k in range(0, 24, 4)]
    for k in (0, 2, 4):
        assert blocks[k + 1] == blocks[k][::-1]
    assert len({tuple(blocks[k]) for k in (0, 2, 4)}) > 1


def test_a_task_that_raises_stops_nobody() -> None:
    fake = Fake()

    def broken() -> None:
        raise RuntimeError("no")

    timings, failures = time_interleaved({"x": broken, "a": fake.task("a", 0.1)}, Effort(3, 0.0), clocks=fake.clocks)
    assert failures == {"x": "RuntimeError: no"}
    assert len(timings["a"].samples) == 3


def test_timings_hold_their_raw_samples_and_quartiles() -> None:
    held = Timing(1.0, 2, True, 1, 5, [1.0, 2.0, 3.0, 4.0, 10.0], [1.0] * 5).to_dict()
    assert (held["median_s"], held["q25_s"], held["q75_s"]) == (3.0, 2.0, 4.0)
    assert held["samples_s"] == [1.0, 2.0, 3.0, 4.0, 10.0]


class Costly(Model):
    """A model whose rollout takes a fixed time and a time a node, on a fake clock."""

    def __init__(self, fake: Fake, name: str, kind: str, fixed: float, per_node: float, limit: int = 10**9) -> None:
        self.fake, self.fixed, self.per_node, self.limit = fake, fixed, per_node, limit
        self._card = ModelCard(name, kind, "none", "none", "none", ("*",))

    @property
    def card(self) -> ModelCard:
        return self._card

    def rollout(self, past: Trajectory, n_frames: int) -> Trajectory:
        if past.scene.n_scenes > self.limit:
            raise MemoryError
        self.fake.queued += self.fixed + self.per_node * past.scene.n_nodes
        return past


def test_each_contestant_is_timed_at_its_own_best_batch(film: Trajectory) -> None:
    fake = Fake()
    launch = Costly(fake, "launch-bound", "reference", 1.0, 0.0)
    dense = Costly(fake, "compute-bound", "ladder", 0.0, 0.1)
    small = Costly(fake, "small-memory", "specialist", 1.0, 0.0, limit=4)
    who = [Contestant(m) for m in (launch, dense, small)]
    entries, failures = speed_case(film.frames(0, 4), 8, who, Effort(3, 0.0), batches=(1, 4, 16), clocks=fake.clocks)
    assert not failures
    by_name = {e["model"]: e for e in entries}
    assert by_name["launch-bound"]["throughput"]["batch"] == 16
    assert by_name["compute-bound"]["throughput"]["batch"] == 1
    assert by_name["small-memory"]["throughput"]["batch"] == 4
    best = by_name["launch-bound"]["throughput"]
    assert best["nodes_per_s"] == pytest.approx(best["nodes"] * 8 / 1.0)
    assert all(e["latency"]["batch"] == 1 for e in entries)
    nodes = by_name["compute-bound"]["latency"]["nodes"]
    ratio = by_name["compute-bound"]["speedup_reference"]
    assert ratio["value"] == pytest.approx(1.0 / (0.1 * nodes))
    assert by_name["launch-bound"]["speedup_reference"]["value"] == 1.0
    assert all(e["speedup_equal_accuracy"] is None for e in entries)


def test_a_slow_batch_is_not_run_twice_to_be_chosen(film: Trajectory) -> None:
    fake = Fake()
    pasts = {b: film.frames(0, 4).select(batch_scenes(film, b)) for b in (1, 4)}
    calls: list[int] = []

    class Counting(Costly):
        def rollout(self, past: Trajectory, n_frames: int) -> Trajectory:
            calls.append(past.scene.n_scenes)
            return super().rollout(past, n_frames)

    try_batches(Counting(fake, "m", "ladder", 5.0, 0.0), pasts, 8, fake.clocks, start=5.0)
    try_batches(Counting(fake, "m", "ladder", 0.5, 0.0), pasts, 8, fake.clocks, start=0.5)
    assert calls == [4, 4, 4]


def test_what_is_compiled_for_a_new_batch_is_not_taken_for_its_speed(film: Trajectory) -> None:
    """A step captured for each number of scenes: 60 s once, then 1.5 s a call."""
    fake = Fake()
    pasts = {b: film.frames(0, 4).select(batch_scenes(film, b)) for b in (1, 4)}

    class Capturing(Costly):
        seen: ClassVar[set[int]] = set()

        def rollout(self, past: Trajectory, n_frames: int) -> Trajectory:
            self.fake.queued += 0.0 if past.scene.n_scenes in self.seen else 60.0
            self.seen.add(past.scene.n_scenes)
            return super().rollout(past, n_frames)

    tried = try_batches(Capturing(fake, "m", "ladder", 1.5, 0.0), pasts, 8, fake.clocks, start=1.5)
    assert (tried[1]["first_call_s"], tried[1]["seconds"]) == (61.5, 1.5)
    entries, _ = speed_case(
        film.frames(0, 4), 8, [Contestant(Capturing(fake, "n", "reference", 1.5, 0.0))], Effort(3, 0.0),
        batches=(1, 4), clocks=fake.clocks,
    )  # fmt: skip
    assert entries[0]["throughput"]["batch"] == 4
    assert entries[0]["throughput"]["median_s"] == entries[0]["latency"]["median_s"] == 1.5


def test_uploading_is_part_of_the_time(ballistic: Domain, recipe: Recipe, film: Trajectory) -> None:
    """A solver uploads in `encode`, which every timed call goes through."""
    fake = Fake()
    solver = ballistic.reference(recipe)
    encode = solver.encode

    def uploading(past: Trajectory) -> Any:
        fake.queued += 0.25
        return encode(past)

    solver.encode = uploading  # type: ignore[method-assign]
    entries, _ = speed_case(film.frames(0, 4), 4, [Contestant(solver)], Effort(3, 0.0), clocks=fake.clocks)
    assert entries[0]["latency"]["median_s"] == pytest.approx(0.25, abs=1e-6)


def test_trying_batches_stops_where_nothing_is_gained(film: Trajectory) -> None:
    fake = Fake()
    pasts = {b: film.frames(0, 4).select(batch_scenes(film, b)) for b in (1, 2, 4, 8)}
    model = Costly(fake, "m", "ladder", 0.0, 0.1)
    tried = try_batches(model, pasts, 8, fake.clocks, start=0.1 * pasts[1].scene.n_nodes)
    assert [t["batch"] for t in tried] == [1, 2]


def test_the_same_scenes_for_all_of_middle_size_first(film: Trajectory) -> None:
    sizes = (film.scene.scene_ptr[1:] - film.scene.scene_ptr[:-1]).tolist()
    assert sizes[batch_scenes(film, 1)[0]] == sorted(sizes)[1]
    assert batch_scenes(film, 5)[:3] == batch_scenes(film, 3)
    assert len(batch_scenes(film, 5)) == 5


def test_a_real_stepper_is_timed_in_its_phases(ballistic: Domain, recipe: Recipe, film: Trajectory) -> None:
    model = ballistic.reference(recipe)
    entries, failures = speed_case(film.frames(0, 4), 8, [Contestant(model)], Effort(2, 0.0), batches=(1, 2))
    assert not failures
    entry = entries[0]
    assert set(entry["phases"]) == {"encode_s", "advance_s", "decode_s"}
    assert all(v > 0 for v in entry["phases"].values())
    assert entry["energy_j"] is None, "no counter is read on a CPU"
    assert entry["first_frame_s"] > 0
    assert entry["latency"]["core_median_s"] > 0
    fake = Fake()
    assert phase_seconds(Costly(fake, "m", "ladder", 0, 0), film.frames(0, 4), 8, fake.clocks) is None


def test_torch_runs_on_one_thread_while_a_cpu_is_timed() -> None:
    before = torch.get_num_threads()
    with timing_threads(torch.device("cpu")):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_peak_memory_is_what_the_driver_saw_in_between() -> None:
    level = [100]

    def work() -> None:
        import time

        level[0] = 900
        time.sleep(0.1)
        level[0] = 200

    got = peak_memory(work, torch.device("cuda"), used=lambda _: level[0], interval=0.005)
    assert got == 900
    assert peak_memory(work, torch.device("cpu")) is None


def test_synchronising_imports_nothing_and_asks_what_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    import types

    asked = []
    fake = types.SimpleNamespace(synchronize=lambda: asked.append("warp"))
    for name in ("taichi", "warp"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    clock.synchronise_all()
    assert "taichi" not in sys.modules
    monkeypatch.setitem(sys.modules, "warp", fake)
    runtime = types.SimpleNamespace(prog=object())
    impl = types.SimpleNamespace(get_runtime=lambda: runtime)
    taichi = types.SimpleNamespace(lang=types.SimpleNamespace(impl=impl), sync=lambda: asked.append("taichi"))
    monkeypatch.setitem(sys.modules, "taichi", taichi)
    clock.synchronise_all()
    assert sorted(asked) == ["taichi", "warp"]


class Remembering(Costly):
    """Takes its time for a start it has not seen, and none for one that it has."""

    def __init__(self, fake: Fake, name: str) -> None:
        super().__init__(fake, name, "specialist", 1.0, 0.0)
        self.seen: set[bytes] = set()

    def rollout(self, past: Trajectory, n_frames: int) -> Trajectory:
        start = past.position.numpy().tobytes()
        self.fake.queued += 0.01 if start in self.seen else 1.0
        self.seen.add(start)
        return past


def test_remembered_answers_get_no_time(film: Trajectory) -> None:
    fake = Fake()
    honest = Costly(fake, "honest", "specialist", 1.0, 0.0)
    everyone = [Contestant(honest), Contestant(Remembering(fake, "remembers"), 0)]
    entries, failed = speed_case(film, 3, everyone, Effort(3, 0.1), clocks=fake.clocks)
    assert [e["model"] for e in entries] == ["honest"]
    assert list(failed) == ["remembers#0"]
    assert "remembered" in failed["remembers#0"]


def test_a_burst_of_other_work_makes_nobody_one_that_remembers(film: Trajectory) -> None:
    fake = Fake()
    calls = iter([1.0] * 4 + [5.0] * 7 + [1.0, 1.0, 9.9])
    model = Costly(fake, "a", "specialist", 1.0, 0.0)
    timing = Timing(1.0, 2, True, 1, 4, [1.0] * 4, [1.0] * 4)
    bursting = Costly(fake, "b", "specialist", 0.0, 0.0)
    bursting.rollout = lambda past, n: fake.task("b", next(calls))()  # type: ignore[method-assign,assignment,return-value]
    for _ in range(4):
        bursting.rollout(film, 3)
    fake.wait()
    assert remembering({"a": model, "b": bursting}, film, 3, {"a": timing, "b": timing}, fake.clocks) == {}


def test_new_starts_differ_by_far_less_than_a_spacing(film: Trajectory) -> None:
    moved = [start.position - film.position for start in new_starts(film)]
    assert len({float(m.amax()) for m in moved}) == CALLS
    assert all(0 < float(m.amax()) < 1e-3 for m in moved)
