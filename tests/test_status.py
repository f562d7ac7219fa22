"""The status of a run, told from its folder alone: finished, at work, interrupted, killed, failed; and what is stale, and why."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hedgefox import cli
from hedgefox.bench import _marks, _watch, environment
from hedgefox.bench.run import run
from hedgefox.bench.status import STAGES, STATES, status
from hedgefox.commands import _progress, _status
from hedgefox.contracts import MisuseError, Recipe, Track, Trajectory, track
from hedgefox.tests.ballistic import BALLISTIC, Ballistic
from rich.console import Console

from . import test_terminal
from .shown import screen

terminal = test_terminal.terminal
TINY: Track = dataclasses.replace(
    track("smoke"), training_steps=4, only=("persistence", "linear"), floor_scenes=1, films=True, probed=False
)


def done(folder: Path) -> dict[str, Any]:
    """Rows by stage and job."""
    return {f"{row['stage']} {row['job']}".strip(): row for row in status(folder)["jobs"]}


LESS: Track = dataclasses.replace(TINY, floor_scenes=0, films=False)
"""Of which a run is a second or two."""
TOLD: dict[str, tuple[int, int]] = {}
"""What the finished run told last, by title."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    return run(TINY, out, [BALLISTIC], progress=lambda what, k, n: TOLD.update({what: (k, n)}))


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_a_finished_run_has_every_job_done_in_the_order_of_stages(finished: Path) -> None:
    found = status(finished)
    assert found["state"] == "finished"
    assert (found["what"], found["track"], found["pid"], found["error"]) == ("run", "smoke", None, None)
    assert [row["state"] for row in found["jobs"]] == ["done"] * len(found["jobs"])
    assert found["counts"] == dict.fromkeys(STATES, 0) | {"done": len(found["jobs"])}
    stages = list(dict.fromkeys(row["stage"] for row in found["jobs"]))
    assert stages == [s for s in STAGES if s != "probe"]
    assert {"score ballistic test", "score ballistic long", "train linear seed 0 on ballistic"} <= set(done(finished))
    assert all(row["seconds"] >= 0 and row["age"] >= 0 for row in found["jobs"])


def test_what_progress_calls_a_job_is_what_was_planned(finished: Path) -> None:
    """Else a line would never be counted as finished."""
    told, jobs = dict(TOLD), json.loads((finished / _watch.NOTE).read_text())["jobs"]
    assert told.pop("all of run smoke") == (len(jobs), len(jobs))
    assert set(told) == {job["title"] for job in jobs}
    assert all(k == n for k, n in told.values())


def test_the_screen_knows_the_titles_of_a_run() -> None:
    assert _progress.WHOLE == _watch.WHOLE


def test_changed_code_makes_stages_stale_and_says_so(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "source_hash", lambda: "other code")
    rows = done(copied)
    assert (rows["score ballistic test"]["state"], rows["score ballistic test"]["why"]) == ("stale", "code changed")
    assert rows["generate ballistic"]["state"] == "done", "data do not depend on who trains"
    assert rows["record"]["state"] == "stale"
    assert "score ballistic test is stale" in rows["record"]["why"]


def test_changed_weights_are_named(copied: Path) -> None:
    weights = copied / "weights" / "ballistic" / "linear" / "seed-0" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes() + b"x")
    rows = done(copied)
    assert (rows["train linear seed 0 on ballistic"]["state"]) == "stale"
    assert rows["score ballistic test"]["why"] == "linear#0 changed"


def test_a_lost_stage_is_missing_and_a_torn_one_too(copied: Path) -> None:
    (copied / "stages" / "score-ballistic-test.json").unlink()
    (copied / "stages" / "floor-ballistic.json").write_text('{"inputs": ')
    rows = done(copied)
    assert rows["score ballistic test"]["state"] == rows["floor ballistic"]["state"] == "missing"
    assert rows["report"]["state"] == "stale"


def test_a_contestant_that_fails_is_told_with_its_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any) -> float:
        raise RuntimeError("no gradient today")

    monkeypatch.setattr("hedgefox.bench.run.train_one", broken)
    row = done(run(LESS, tmp_path, [BALLISTIC], timed=False))["train linear seed 0 on ballistic"]
    assert (row["state"], row["why"]) == ("failed", "RuntimeError: no gradient today")


class Meddled(Ballistic):
    """Ballistic; what happens while it simulates is up to a test."""

    def __init__(self, meddle: Callable[[], None]) -> None:
        self.meddle = meddle

    def simulate(
        self, recipe: Recipe, split: str, indices: Sequence[int], root_seed: int, device: str = "cpu", siblings: int = 1
    ) -> Trajectory:
        self.meddle()
        return super().simulate(recipe, split, indices, root_seed, device, siblings)


def test_a_run_at_work_is_seen_from_outside_and_a_copy_of_it_is_interrupted(tmp_path: Path) -> None:
    """A copy is what a killed run leaves: the same files, and nobody who holds the lock."""
    out, seen = tmp_path / "run", list[dict[str, Any]]()

    def look() -> None:
        copy = tmp_path / f"copy-{len(seen)}"
        shutil.copytree(out, copy)
        seen.extend([status(out), status(copy)])
        if len(seen) == 2:
            with pytest.raises(MisuseError, match="a run is at work in"):
                run(LESS, out, [BALLISTIC])

    run(LESS, out, [Meddled(look)], timed=False)
    at_work, killed = seen[0], seen[1]
    assert at_work["state"] == "running"
    assert at_work["pid"] is not None
    assert at_work["jobs"][0]["state"] == "running"
    assert [s for s in seen if s["jobs"][0]["state"] == "running"][-1]["jobs"][0]["total"] == 9
    assert {row["state"] for row in at_work["jobs"][1:]} == {"waiting"}
    assert killed["state"] == "interrupted"
    assert killed["jobs"][0]["state"] == "interrupted"
    assert {row["state"] for row in killed["jobs"][1:]} == {"missing"}
    assert status(out)["state"] == "finished"


def test_an_interruption_and_a_failure_are_noted(tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    def fail() -> None:
        raise MisuseError("the disk is full of sand")

    with pytest.raises(KeyboardInterrupt):
        run(LESS, tmp_path, [Meddled(interrupt)], timed=False)
    assert (status(tmp_path)["state"], status(tmp_path)["error"]) == ("interrupted", None)
    assert done(tmp_path)["generate ballistic"]["state"] == "interrupted"
    with pytest.raises(MisuseError, match="sand"):
        run(LESS, tmp_path, [Meddled(fail)], timed=False)
    assert (status(tmp_path)["state"], status(tmp_path)["error"]) == ("failed", "the disk is full of sand")
    assert done(tmp_path)["generate ballistic"]["why"] == "MisuseError: the disk is full of sand"
    run(LESS, tmp_path, [BALLISTIC], timed=False)
    assert status(tmp_path)["state"] == "finished"


def test_a_run_that_is_killed_on_a_terminal(terminal: test_terminal.Terminal, tmp_path: Path) -> None:
    words = ("run", "--track", "smoke", "--domain", "ballistic", "--out", tmp_path)
    assert terminal(*words, signal=["KILL", "/9"])["code"] == -9
    found = status(tmp_path)
    assert found["state"] == "interrupted"
    assert found["jobs"][0]["state"] == "interrupted"
    said = terminal(*words, "--json", piped=True, signal=["INT", "/9"])
    assert said["code"] == 130
    assert any(line.split()[:3] == ["generate", "ballistic", "interrupted"] for line in screen(said["shown"], 80))
    told = json.loads(said["out"])
    assert told["error"]["kind"] == "interrupted"
    assert told["status"]["state"] == "interrupted"


def test_another_track_does_not_go_over_a_run(copied: Path) -> None:
    before = (copied / _watch.NOTE).read_bytes()
    with pytest.raises(MisuseError, match="holds a run of track 'smoke'; choose another folder for 'other'"):
        run(dataclasses.replace(TINY, name="other"), copied, [BALLISTIC])
    assert (copied / _watch.NOTE).read_bytes() == before


def test_a_record_alone_tells_its_stages(finished: Path, tmp_path: Path) -> None:
    shutil.copy(finished / "record.json", tmp_path)
    found = status(tmp_path)
    assert found["state"] == "finished"
    assert [row["stage"] for row in found["jobs"]][:3] == ["generate", "train", "score"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": "other"}'])
def test_a_broken_note_is_one_line(
    content: str, finished: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / _watch.NOTE).write_text(content)
    assert cli.main(["status", str(tmp_path)]) == 2
    assert capfd.readouterr().err.count("\n") == 1


def test_what_is_no_run_is_misuse(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", str(tmp_path)]) == 2
    assert "holds no run" in capfd.readouterr().err


# -- marks of jobs -----------------------------------------------------------------------------------------------------


def test_a_mark_is_followed_while_another_process_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by one who notes what it is told, as a run does: that must not keep the worker from noting more."""
    monkeypatch.setattr(_marks, "EVERY", 0.02)
    mark, told = _marks.Mark(tmp_path / "train"), list[tuple[int, int]]()

    def work() -> str:
        for k in range(0, 400, 50):
            mark(k, 400)
            time.sleep(0.1)
        return "weights"

    def tell(done: int, total: int) -> None:
        mark(done, total)
        told.append((done, total))

    with ThreadPoolExecutor(1) as worker:
        assert _marks.followed(worker.submit(work), mark, tell) == "weights"
    assert len(set(told)) > 4
    assert told == sorted(told)
    mark.clear()
    assert mark.read() is None


def test_a_mark_says_why_a_job_failed_and_stays_after_an_interruption(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), _marks.at_work(tmp_path / "a", "code changed"):
        raise ZeroDivisionError("nothing to share")
    failed = _marks.Mark(tmp_path / "a").read()
    assert failed is not None
    assert (failed["error"], failed["why"]) == ("ZeroDivisionError: nothing to share", "code changed")
    with pytest.raises(KeyboardInterrupt), _marks.at_work(tmp_path / "b"):
        raise KeyboardInterrupt
    begun = _marks.Mark(tmp_path / "b").read()
    assert begun is not None
    assert "error" not in begun
    with _marks.at_work(tmp_path / "b"):
        pass
    assert _marks.Mark(tmp_path / "b").read() is None


# -- shown -------------------------------------------------------------------------------------------------------------


def drawn(found: dict[str, Any], width: int, short: bool = False) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as text:
        _status.show_status(console, found, short)
    return text.get().splitlines()


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_table_fits_and_says_why(width: int, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "source_hash", lambda: "other code")
    lines = drawn(status(copied), width)
    assert all(len(line) <= width for line in lines[1:])
    text = " ".join(" ".join(lines).split())
    assert "code changed" in text
    assert "stale" in text
    assert lines[0].startswith("run smoke in ")


def test_in_short_what_is_done_is_a_line_a_stage(finished: Path) -> None:
    lines = drawn(status(finished), 100, short=True)
    assert sum(line.startswith("score") for line in lines) == 1
    assert any("2 jobs" in line for line in lines if line.startswith("score"))
    assert len(lines) < len(drawn(status(finished), 100))


def test_the_verb_prints_the_table_and_the_data(finished: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", str(finished)]) == 0
    assert "score" in capfd.readouterr().out
    assert cli.main(["status", str(finished), "--json"]) == 0
    data = json.loads(capfd.readouterr().out)
    assert data["state"] == "finished"
    assert {"stage", "job", "state", "seconds", "age", "done", "total", "why"} == set(data["jobs"][0])
