"""Energy by a counter that refreshes rarely, on a clock that does not run; and None wherever nobody can tell."""

from __future__ import annotations

import math
import sys
import types
from collections.abc import Callable

import pytest
import torch
from hedgefox.bench.timing.clock import Clocks
from hedgefox.bench.timing.energy import Meter, NvmlCounter, measure_energy, nvml_counter

IDLE, LOAD = 50.0, 250.0


class FakeCounter:
    """A device that draws 50 W at rest and 250 W at work; its counter is refreshed every so many seconds."""

    def __init__(self, refresh: float, processes: int = 1) -> None:
        self.now, self.refresh, self.processes = 0.0, refresh, processes
        self.history = [(0.0, 0.0)]
        self.clocks = Clocks(wall=lambda: self.now, cpu=lambda: self.now, synchronise=lambda: None)

    def spend(self, seconds: float, watts: float) -> None:
        self.now += seconds
        self.history.append((self.now, self.history[-1][1] + watts * seconds))

    def joules(self) -> float:
        """Linear between events, read at the last refresh."""
        at = math.floor(self.now / self.refresh + 1e-9) * self.refresh
        for (t0, e0), (t1, e1) in zip(self.history, self.history[1:], strict=False):
            if t0 <= at <= t1 and t1 > t0:
                return e0 + (e1 - e0) * (at - t0) / (t1 - t0)
        return self.history[-1][1]

    def shared(self) -> bool:
        return self.processes > 1

    def work(self, seconds: float) -> Callable[[], None]:
        return lambda: self.spend(seconds, LOAD)

    def meter(self, seconds: float = 10.0) -> Meter:
        return Meter(self, self.clocks, seconds, sleep=lambda s: self.spend(s, IDLE))


@pytest.mark.parametrize("refresh", [0.02, 0.1])
@pytest.mark.parametrize("seconds", [0.037, 0.5, 14.0])
def test_a_rare_refresh_does_not_change_the_energy(refresh: float, seconds: float) -> None:
    counter = FakeCounter(refresh)
    found = measure_energy({"a": counter.work(seconds)}, counter.meter())["a"]
    assert found is not None
    assert found["idle_w"] == pytest.approx(IDLE, rel=0.005)
    assert found["gross"] == pytest.approx(LOAD * seconds, rel=0.005)
    assert found["net"] == pytest.approx((LOAD - IDLE) * seconds, rel=0.005)
    assert found["rollouts"] == math.ceil(10.0 / seconds - 1e-9)
    assert found["seconds"] == pytest.approx(found["rollouts"] * seconds)


def test_a_short_window_between_refreshes_would_read_nothing() -> None:
    """What the window is for: read around one call, the counter has not moved."""
    counter = FakeCounter(0.1)
    counter.spend(0.101, IDLE)
    before = counter.joules()
    counter.work(0.03)()
    assert counter.joules() == before
    found = counter.meter(0.0).of(counter.work(0.03), IDLE)
    assert found["gross"] == pytest.approx(LOAD * 0.03, rel=0.05)


def test_others_on_the_device_make_it_unknown() -> None:
    counter = FakeCounter(0.1, processes=2)
    assert measure_energy({"a": counter.work(1.0)}, counter.meter()) == {"a": None}
    counter = FakeCounter(0.1)
    once = counter.work(1.0)

    def joined() -> None:
        """Another process comes while this one is measured."""
        counter.processes = 2
        once()

    found = measure_energy({"a": joined, "b": once}, counter.meter())
    assert found == {"a": None, "b": None}


def test_a_counter_that_stands_still_is_none() -> None:
    counter = FakeCounter(1e9)
    assert measure_energy({"a": counter.work(1.0)}, counter.meter()) == {"a": None}
    with pytest.raises(TimeoutError, match="stands still"):
        counter.meter().refresh()


def test_no_counter_no_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measure_energy({"a": lambda: None}, None) == {"a": None}
    assert nvml_counter(torch.device("cpu")) is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert nvml_counter(torch.device("cuda")) is None, "the library is optional"


def test_the_library_is_asked_for_the_device_by_its_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def handle(uuid: str) -> str:
        asked.append(uuid)
        return "handle"

    library = types.SimpleNamespace(
        NVMLError=RuntimeError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=handle,
        nvmlDeviceGetTotalEnergyConsumption=lambda h: 1500,
        nvmlDeviceGetComputeRunningProcesses=lambda h: [object()],
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    about = types.SimpleNamespace(uuid="12345678-1234")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: about)
    counter = nvml_counter(torch.device("cuda"))
    assert isinstance(counter, NvmlCounter)
    assert asked == ["GPU-12345678-1234"]
    assert counter.joules() == 1.5
    assert not counter.shared()

    def too_old(handle: str) -> int:
        raise RuntimeError("not supported")

    library.nvmlDeviceGetTotalEnergyConsumption = too_old
    assert nvml_counter(torch.device("cuda")) is None


@pytest.mark.gpu
def test_a_real_device_draws_more_at_work_than_at_rest() -> None:
    from hedgefox.bench.timing.clock import clocks_of

    device = torch.device("cuda")
    counter = nvml_counter(device)
    if counter is None:
        pytest.skip("no energy counter: nvidia-ml-py or the driver is missing")
    x = torch.randn(4096, 4096, device=device)
    found = measure_energy({"mm": lambda: x @ x}, Meter(counter, clocks_of(device), 2.0))["mm"]
    assert found is None or 0 < found["net"] < found["gross"]
