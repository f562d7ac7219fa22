"""What samples say of themselves: every flag raised by what it is for and by nothing else, on clocks that do not run."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from hedgefox.bench import record
from hedgefox.bench.contestants import Contestant
from hedgefox.bench.reduce import ratio_of_medians
from hedgefox.bench.timing.clock import Clocks, Effort, ask_busy, clocks_of, time_interleaved
from hedgefox.bench.timing.device_clocks import covered, nvml_throttled
from hedgefox.bench.timing.speed import speed_case
from hedgefox.bench.timing.timing import Timing
from hedgefox.contracts import Model, ModelCard, Trajectory

from .fake_device import FakeDevice, FakeEvents

FULL = Effort(30, 0.1)


def timed(
    device: FakeDevice, task: Callable[[], object], effort: Effort = FULL, clocks: Clocks | None = None
) -> Timing:
    clocks = clocks or device.clocks
    timings, failures = time_interleaved({"a": task}, effort, clocks=clocks)
    assert not failures
    ask_busy({"a": task}, timings, clocks)
    return timings["a"]


def samples(values: np.ndarray | list[float], **about: object) -> Timing:
    """A timing with such samples, enough of them and long enough unless said otherwise."""
    held = [float(x) for x in values]
    return dataclasses.replace(Timing(1.0, 2, True, 1, len(held), held, list(held), len(held)), **about)  # type: ignore[arg-type]


def noisy(n: int, share: float, seed: int = 0) -> np.ndarray:
    return np.asarray(np.exp(np.random.default_rng(seed).normal(0, share, n)))


# -- events ------------------------------------------------------------------------------------------------------------


def test_a_device_that_works_all_the_time_gets_no_flag() -> None:
    device = FakeDevice()
    timing = timed(device, lambda: device.launch(20, host=0.0001, device=0.01))
    assert timing.flags == []
    assert timing.event_samples == pytest.approx(timing.samples, rel=0.01)
    assert timing.after_events == [0.0] * 30
    assert timing.busy == pytest.approx(0.2)


def test_a_device_that_waits_for_launches_is_host_bound() -> None:
    """Events span the gaps between kernels and see nothing of it; the busy time does."""
    device = FakeDevice()
    timing = timed(device, lambda: device.launch(20, host=0.01, device=0.001))
    assert timing.event_samples == pytest.approx(timing.samples, rel=0.01)
    assert timing.flags == ["host_bound"]
    assert (
        timed(
            device, lambda: device.launch(20, 0.01, 0.001), clocks=dataclasses.replace(device.clocks, busy=None)
        ).flags
        == []
    )


def test_a_wall_clock_beyond_the_events_is_host_bound() -> None:
    device = FakeDevice()

    def wait() -> None:
        """A synchronisation of all takes 20 ms, though nothing is left to do."""
        device.wait_for_all()
        device.now += 0.02

    clocks = dataclasses.replace(device.clocks, busy=None, synchronise=wait)
    late = timed(device, lambda: device.launch(20, 0.0001, 0.01), clocks=clocks)
    assert late.flags == ["foreign_stream"], "time after the end event is not launching"

    class Slow(FakeEvents):
        """A wait for the event returns 20 ms late."""

        def wait(self) -> None:
            super().wait()
            device.now += 0.02

    clocks = dataclasses.replace(device.clocks, busy=None, events=lambda: Slow(device))
    assert timed(device, lambda: device.launch(20, 0.0001, 0.01), clocks=clocks).flags == ["host_bound"]


def test_work_on_another_stream_is_seen() -> None:
    device = FakeDevice()
    timing = timed(device, lambda: device.launch(20, host=0.0001, device=0.01, stream="foreign"))
    assert timing.median == pytest.approx(0.2, rel=0.01), "the time of record counts all streams"
    assert float(np.median(timing.event_samples)) < 0.01
    assert timing.flags == ["foreign_stream"]


def test_work_on_another_stream_that_the_task_waits_for_is_not_missed() -> None:
    device = FakeDevice()

    def task() -> None:
        device.launch(20, 0.0001, 0.01, stream="foreign")
        device.wait_for_all()

    timing = timed(device, task)
    assert timing.flags == []
    assert timing.event_samples == pytest.approx(timing.samples)


def test_a_few_percent_are_no_flag() -> None:
    device = FakeDevice()

    def task() -> None:
        device.launch(20, 0.0001, 0.0098)
        device.launch(1, 0.0, 0.2, stream="foreign")

    assert "foreign_stream" not in timed(device, task).flags


def test_without_a_device_there_are_no_events() -> None:
    device = FakeDevice()
    plain = Clocks(wall=lambda: device.now, cpu=lambda: device.now, synchronise=device.wait_for_all)
    held = timed(device, lambda: device.sleep(0.2), clocks=plain).to_dict()
    assert (held["event_samples_s"], held["after_events_s"], held["busy_s"]) == (None, None, None)
    assert held["flags"] == []
    assert clocks_of(torch.device("cpu")).events is None


def test_a_cross_check_that_fails_takes_no_timing_away() -> None:
    device = FakeDevice()

    def broken(task: Callable[[], object]) -> float:
        raise RuntimeError("no permission")

    timing = timed(
        device, lambda: device.launch(20, 0.0001, 0.01), clocks=dataclasses.replace(device.clocks, busy=broken)
    )
    assert timing.busy is None
    assert timing.flags == []


def test_overlapping_kernels_count_once() -> None:
    assert covered([(0, 2), (1, 3), (1.5, 1.75), (5, 6)]) == 4.0
    assert covered([(5, 6), (0, 2)]) == 3.0
    assert covered([]) == 0.0


@pytest.mark.gpu
def test_real_events_agree_with_the_wall_clock() -> None:
    device = torch.device("cuda")
    x = torch.randn(4096, 4096, device=device)

    def task() -> None:
        for _ in range(20):
            torch.mm(x, x)

    clocks = clocks_of(device)
    timings, _ = time_interleaved({"mm": task}, Effort(10, 0.1), clocks=clocks)
    ask_busy({"mm": task}, timings, clocks)
    assert timings["mm"].event_samples == pytest.approx(timings["mm"].samples, rel=0.05)
    assert not {"host_bound", "foreign_stream"} & set(timings["mm"].flags)


@pytest.mark.gpu
def test_real_small_kernels_are_host_bound() -> None:
    device = torch.device("cuda")
    x = torch.ones(8, device=device)

    def task() -> None:
        for _ in range(500):
            x.add_(1)
            time.sleep(1e-5)

    clocks = clocks_of(device)
    timings, _ = time_interleaved({"add": task}, Effort(5, 0.1), clocks=clocks)
    ask_busy({"add": task}, timings, clocks)
    assert timings["add"].busy is None or timings["add"].host_bound


# -- an entry of a record -----------------------------------------------------------------------------------------------


class Launching(Model):
    """A model that launches some kernels a frame, 10 ms of the host each and 1 ms of the device."""

    def __init__(self, device: FakeDevice, kind: str, kernels: int, shortest: int = 1) -> None:
        self.device, self.kernels, self.shortest = device, kernels, shortest
        self._card = ModelCard(f"{kind}-{kernels}", kind, "none", "none", "none", ("*",))

    @property
    def card(self) -> ModelCard:
        return self._card

    def rollout(self, past: Trajectory, n_frames: int) -> Trajectory:
        if n_frames < self.shortest:
            raise RuntimeError("too short")
        self.device.launch(self.kernels * n_frames, host=0.01, device=0.001)
        return past


def test_an_entry_holds_what_the_device_says(film: Trajectory) -> None:
    device = FakeDevice()
    who = [Contestant(Launching(device, "reference", 4)), Contestant(Launching(device, "ladder", 2, shortest=8))]
    entries, failures = speed_case(film.frames(0, 4), 8, who, Effort(3, 0.0), batches=(1, 2), clocks=device.clocks)
    assert not failures
    one, two = entries
    for part in ("latency", "throughput"):
        assert one[part]["busy_s"] == pytest.approx(4 * 8 * 0.001)
        assert "host_bound" in one[part]["flags"]
        assert len(one[part]["event_samples_s"]) == len(one[part]["samples_s"])
    assert one["first_frame_s"] == pytest.approx(4 * 0.01 + 0.001), "launches, and the last kernel"
    assert two["first_frame_s"] is None, "a model that cannot do one frame is timed all the same"
    assert two["latency"]["median_s"] == pytest.approx(2 * 8 * 0.01 + 0.001)
    assert one["energy_j"] is None
    schema = json.loads(Path(record.__file__).with_name("record.schema.json").read_text(encoding="utf-8"))
    form = {"$defs": schema["$defs"], **schema["properties"]["speed"]["items"]}
    for entry in entries:
        jsonschema.validate({"domain": "ballistic", **entry}, form)
    odd = {"domain": "ballistic", **one, "latency": {**one["latency"], "flags": ["fine"]}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(odd, form)


# -- noise -------------------------------------------------------------------------------------------------------------


def test_quiet_samples_have_no_flag() -> None:
    held = samples(noisy(30, 0.01))
    assert held.flags == []
    assert 0 < held.noise < 0.03


def test_noise_is_the_distance_of_the_quartiles_over_the_median() -> None:
    assert samples([1.0, 2.0, 3.0, 4.0, 5.0]).noise == pytest.approx(2 / 3)
    assert "noisy" in samples(noisy(30, 0.1)).flags
    assert "noisy" not in samples([*noisy(29, 0.01), 50.0]).flags, "one outlier is in p95 and in no quartile"


def test_few_or_short_samples_say_so() -> None:
    assert samples(np.ones(29)).flags == ["few_samples"]
    assert samples(np.ones(30)).flags == []
    assert samples(np.full(30, 0.01)).flags == ["few_samples"]
    assert samples(np.full(30, 0.01), repeats=10).flags == []
    assert samples(np.ones(40), asked=50).flags == ["few_samples"], "fewer than the track asked for"


def test_a_task_too_slow_for_what_was_asked_says_so() -> None:
    device = FakeDevice()
    slow = timed(device, lambda: device.launch(50, 0.0001, 0.01))
    assert (len(slow.samples), slow.asked, slow.flags) == (23, 30, ["few_samples"])
    assert timed(device, lambda: device.launch(39, 0.0001, 0.01)).flags == []


def test_a_drift_is_told_from_noise() -> None:
    rising = np.linspace(1.0, 1.2, 30)
    assert samples(rising).flags == ["drift"]
    assert samples(rising).drift == pytest.approx(0.1 / 1.1, rel=0.05)
    assert samples(rising[::-1]).flags == ["drift"]
    assert samples(rising[::-1]).drift == pytest.approx(-0.1 / 1.1, rel=0.05)
    assert "drift" not in samples(np.linspace(1.0, 1.04, 30)).flags
    assert sum("drift" in samples(noisy(30, 0.1, seed)).flags for seed in range(200)) <= 4
    few = samples([1.0, 1.0, 2.0, 2.0])
    assert few.drift is None
    assert "drift" not in few.flags


def test_a_task_that_sleeps_or_loses_its_core_waits() -> None:
    assert samples(np.ones(30), cpu_samples=[0.7] * 30).flags == ["waiting"]
    assert samples(np.ones(30), cpu_samples=[0.9] * 30).flags == []
    on_device = samples(np.ones(30), cpu_samples=[0.1] * 30, event_samples=[1.0] * 30, after_events=[0.0] * 30)
    assert on_device.flags == [], "a host that waits for its device is as it should be"


def test_a_warm_up_that_never_settled_is_flagged() -> None:
    alternating = [1.0 + 0.08 * (k % 2) for k in range(30)]
    assert samples(alternating, steady=False).flags == ["not_steady"]
    assert samples(alternating, steady=True).flags == []
    assert samples(np.ones(30), steady=False).flags == [], "one call to warm up can agree with nothing; its samples can"
    assert "not_steady" in samples([1.0], steady=False).flags


def test_a_clock_that_is_held_down_is_flagged() -> None:
    device = FakeDevice()
    hot = iter([False] * 29 + [True])
    device.held_down = lambda: next(hot)
    assert timed(device, lambda: device.launch(20, 0.0001, 0.01)).flags == ["throttled"]
    assert nvml_throttled(torch.device("cpu")) is None


def test_compilation_and_the_slowest_calls_stand_beside_the_median() -> None:
    held = samples([1.0] * 28 + [2.0, 3.0], first_call=61.0).to_dict()
    assert held["compile_s"] == 60.0
    assert held["p95_s"] == pytest.approx(np.percentile([1.0] * 28 + [2.0, 3.0], 95))
    assert samples([1.0] * 3, first_call=0.9).to_dict()["compile_s"] == 0.0, "never less than nothing"


# -- injected slowness -------------------------------------------------------------------------------------------------


def slowed(factor: float, seed: int) -> tuple[float, float]:
    """The interval of the ratio of two tasks of one length with 3 % of noise, one slower by a factor."""
    device = FakeDevice()
    rng = np.random.default_rng(seed)

    def task(seconds: float) -> Callable[[], None]:
        return lambda: device.sleep(seconds * float(np.exp(rng.normal(0, 0.03))))

    timings, _ = time_interleaved({"plain": task(0.2), "other": task(0.2 * factor)}, FULL, clocks=device.clocks)
    found = ratio_of_medians(np.array(timings["other"].samples), np.array(timings["plain"].samples))
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def test_injected_slowness_is_seen_and_none_is_imagined() -> None:
    hits = [low <= 1.0 <= high for low, high in (slowed(1.0, seed) for seed in range(20))]
    assert sum(hits) >= 17, "a 95 % interval holds the truth nearly always"
    for seed in range(20):
        low, high = slowed(1.2, seed)
        assert low > 1.0
        assert low <= 1.25
        assert high >= 1.15


def test_a_real_sleep_of_a_fifth_is_seen() -> None:
    """Sleeps end late on a busy machine and never early, for both alike."""
    tasks = {n: (lambda s=s: time.sleep(s)) for n, s in {"plain": 0.02, "twin": 0.02, "slow": 0.024}.items()}
    timings, failures = time_interleaved(tasks, Effort(20, 0.02))
    assert not failures
    plain, twin, slow = (np.array(timings[n].samples) for n in tasks)
    seen = ratio_of_medians(slow, plain)
    assert seen.low is not None
    assert seen.low > 1.0
    same = ratio_of_medians(twin, plain)
    assert same.low is not None
    assert same.high is not None
    assert same.low < 1.05
    assert same.high > 1 / 1.05
    assert all("waiting" in t.flags for t in timings.values())
