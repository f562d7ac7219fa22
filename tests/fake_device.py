"""A host and a device on a clock that does not run: launching takes the host's time, kernels the device's, in two streams."""

from __future__ import annotations

from collections.abc import Callable

from hedgefox.bench.timing.clock import Clocks


class FakeDevice:
    """Time moves when the host launches, sleeps or waits. Torch's stream and a foreign one work side by side."""

    def __init__(self) -> None:
        self.now = 0.0
        self.free_at = {"torch": 0.0, "foreign": 0.0}
        self.worked = 0.0
        self.held_down: Callable[[], bool] = lambda: False
        self.clocks = Clocks(
            wall=lambda: self.now,
            cpu=lambda: self.now,
            synchronise=self.wait_for_all,
            events=lambda: FakeEvents(self),
            busy=self.busy,
            throttled=lambda: self.held_down(),
        )

    def launch(self, kernels: int, host: float, device: float, stream: str = "torch") -> None:
        """Some kernels, each `host` seconds to launch and `device` seconds to run."""
        for _ in range(kernels):
            self.now += host
            self.free_at[stream] = max(self.free_at[stream], self.now) + device
            self.worked += device

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def wait_for_all(self) -> None:
        self.now = max(self.now, *self.free_at.values())

    def busy(self, task: Callable[[], object]) -> float:
        before = self.worked
        task()
        self.wait_for_all()
        return self.worked - before


class FakeEvents:
    """Marks in torch's stream alone."""

    def __init__(self, device: FakeDevice) -> None:
        self.device, self.first, self.second = device, 0.0, 0.0

    def _mark(self) -> float:
        return max(self.device.now, self.device.free_at["torch"])

    def start(self) -> None:
        self.first = self._mark()

    def end(self) -> None:
        self.second = self._mark()

    def wait(self) -> None:
        self.device.now = max(self.device.now, self.second)

    def seconds(self) -> float:
        return self.second - self.first
