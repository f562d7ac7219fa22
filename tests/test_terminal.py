"""The terminal: progress while somebody watches and only then, tables that fit, JSON of failures, help and misuse of every verb."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hedgefox import cli
from hedgefox.commands import _progress
from hedgefox.commands._arguments import Parser
from hedgefox.commands._progress import Line, Pace, Screen, clock_text
from rich.console import Console

from .shown import screen


def parsers() -> dict[str, Parser]:
    """The parser of every verb there is: a new verb is held to all of this by itself."""
    (verbs,) = (a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(verbs.choices)


def given(parser: Parser) -> list[str]:
    """Words that a verb can be read with, and that mean nothing."""
    words: list[str] = []
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        value = str(next(iter(action.choices))) if action.choices else "nonsense"
        value = value if action.type in (None, Path) else "1"
        if not action.option_strings:
            words.append(value)
        elif action.required:
            words += [action.option_strings[0], value]
    return words


VERBS = sorted(parsers())


class Terminal:
    """Runs command lines in a pseudo-terminal (tests/watched.py)."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def __call__(self, *words: str | Path, **how: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"words": [str(w) for w in words], **how}) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    command = [sys.executable, "-m", "hedgefox.tests.watched", str(tmp_path_factory.mktemp("simulators"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Terminal(process)
        process.kill()


# -- every verb --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_help_is_a_sentence_options_with_defaults_and_an_example(verb: str) -> None:
    parser = parsers()[verb]
    assert parser.description is not None
    assert parser.description.endswith(".")
    assert parser.description[0].isupper()
    assert "\n  hedgefox " + verb in (parser.epilog or "")
    for action in parser._actions:
        assert action.help, f"{verb} {action.dest} has no help"
        if action.option_strings and action.default not in (None, False, [], "", argparse.SUPPRESS):
            assert "default" in str(action.help), f"{verb} {action.option_strings} hides its default"
    width = max(len(line) for line in parser.format_help().splitlines() if not line.startswith("  hedgefox"))
    assert width <= 132


@pytest.mark.parametrize("verb", VERBS)
def test_a_misspelled_flag_is_one_line_with_the_right_one_and_json_says_it_too(
    verb: str, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [verb, *given(parsers()[verb]), "--json", "--debgu"]
    assert cli.main(words) == 2
    out, err = capfd.readouterr()
    assert err.count("\n") == 1
    assert "did you mean --debug?" in err
    assert f"hedgefox {verb} --help" in err
    assert json.loads(out)["error"] == {"kind": "misuse", "message": err.rstrip("\n"), "exit": 2}


@pytest.mark.parametrize("verb", [v for v in VERBS if "nonsense" in given(parsers()[v])])
def test_nonsense_is_one_line_and_json_alone_on_stdout(
    verb: str, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = cli.main([verb, *given(parsers()[verb]), "--json"])
    out, err = capfd.readouterr()
    assert code in (1, 2), err
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    error = json.loads(out)["error"]
    assert error["exit"] == code
    assert error["message"] == err.rstrip("\n")
    assert error["kind"] != "fault", "what a user gets wrong is not a fault of ours"
    assert list(tmp_path.iterdir()) == [], "nothing is written when nothing can be done"


def test_a_misspelled_verb_is_answered_with_the_nearest(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["leaderbord", "x"]) == 2
    assert "did you mean 'leaderboard'?" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("line", "meant"),
    [("generate flud --track smoke --out x", "'fluid'"), ("generate fluid --track smoek --out x", "'smoke'")],
)
def test_misspelled_names_are_answered_with_the_nearest(
    line: str, meant: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(line.split()) == 2
    assert f"did you mean {meant}?" in capfd.readouterr().err


def test_json_of_a_fault_of_ours(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hedgefox.bench.environment.doctor", lambda: 1 / 0)
    assert cli.main(["doctor", "--json"]) == 1
    out, err = capfd.readouterr()
    assert json.loads(out)["error"]["kind"] == "fault"
    assert "ZeroDivisionError" in err
    assert "Traceback" not in err
    assert cli.main(["doctor", "--debug"]) == 1
    assert "Traceback" in capfd.readouterr().err


def test_json_of_an_interruption(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hedgefox.bench.environment.doctor", interrupt)
    assert cli.main(["doctor", "--json"]) == 130
    assert json.loads(capfd.readouterr().out)["error"] == {
        "kind": "interrupted",
        "message": f"hedgefox doctor: {cli.STOPPED}",
        "exit": 130,
    }


# -- somebody watches --------------------------------------------------------------------------------------------------


def test_progress_is_drawn_on_a_terminal_and_gone_when_the_work_is_done(terminal: Terminal, tmp_path: Path) -> None:
    said = terminal("generate", "ballistic", "--track", "smoke", "--out", tmp_path)
    assert said["code"] == 0
    assert re.search(r"generate ballistic.*\d/9", said["shown"]), said["shown"]
    assert "left" in said["shown"]
    assert screen(said["shown"], 80)[0].startswith("/"), "only the result is left"
    assert not any("generate" in line for line in screen(said["shown"], 80))
    assert said["shown"].count("\x1b[?25l") == said["shown"].count("\x1b[?25h"), "the cursor is there again"


def test_json_goes_into_a_pipe_while_progress_is_drawn(terminal: Terminal, tmp_path: Path) -> None:
    said = terminal("generate", "ballistic", "--track", "smoke", "--out", tmp_path, "--json", piped=True)
    assert json.loads(said["out"])["folder"] == str(tmp_path / "ballistic")
    assert "generate ballistic" in said["shown"]


def test_no_color_draws_without_colours(terminal: Terminal, tmp_path: Path) -> None:
    said = terminal("generate", "ballistic", "--track", "smoke", "--out", tmp_path, env={"NO_COLOR": "1"})
    assert "generate ballistic" in said["shown"]
    assert not re.search(r"\x1b\[[0-9;]*(3[0-9]|9[0-7])[0-9;]*m", said["shown"])


def test_a_dumb_terminal_gets_plain_lines_and_no_control_characters(terminal: Terminal, tmp_path: Path) -> None:
    said = terminal("generate", "ballistic", "--track", "smoke", "--out", tmp_path, env={"TERM": "dumb"})
    assert said["code"] == 0
    assert "\x1b" not in said["shown"]
    assert "generate ballistic: 9/9" in said["shown"]


def test_ctrl_c_ends_at_once_with_one_line(terminal: Terminal, tmp_path: Path) -> None:
    words = ("generate", "ballistic", "--track", "smoke", "--out", tmp_path)
    said = terminal(*words, signal=["INT", "/9"])
    assert said["code"] == 130
    assert [line for line in screen(said["shown"], 80) if line] == [f"hedgefox generate: {cli.STOPPED}"]
    assert said["left"] == 0
    assert terminal(*words)["code"] == 0, "the same command goes on"


@pytest.mark.long
def test_ctrl_c_takes_the_workers_with_it(terminal: Terminal, tmp_path: Path) -> None:
    words = ("generate", "ballistic", "--track", "quick", "--out", tmp_path, "--workers", "2")
    said = terminal(*words, signal=["INT", "/120"])
    assert said["code"] == 130
    assert "Traceback" not in said["shown"]
    assert said["left"] == 0


# -- progress ----------------------------------------------------------------------------------------------------------


def told(*tellings: tuple[float, int]) -> Pace:
    pace = Pace()
    for now, done in tellings:
        pace.tell(now, done)
    return pace


def test_time_left_is_the_rate_of_late_times_what_is_left() -> None:
    assert told((0, 0), (10, 5)).left(10, 15) == pytest.approx(20)
    assert told((0, 0), (10, 5)).left(14, 15) == pytest.approx(16), "time goes by between tellings"
    assert told((0, 0)).left(10, 15) is None


def test_a_resumed_training_does_not_count_what_was_done_before() -> None:
    assert told((100, 900), (110, 910)).left(110, 1000) == pytest.approx(90)


def test_the_rate_is_that_of_the_recent_past() -> None:
    slow = [(float(t), t) for t in range(0, 100, 10)]
    fast = [(90 + float(t), 90 + 10 * t) for t in range(10, 200, 10)]
    assert told(*slow, *fast).left(280, 2990) == pytest.approx(100, rel=0.01)


def test_a_silence_makes_the_time_left_grow() -> None:
    pace = told((0, 0), (10, 10))
    assert pace.left(100, 20) is not None
    assert pace.left(100, 20) > pace.left(20, 20)  # type: ignore[operator]


def test_a_count_that_falls_begins_anew() -> None:
    assert told((0, 0), (10, 50), (20, 0), (30, 5)).left(30, 15) == pytest.approx(20)


def test_seconds_read_as_a_clock() -> None:
    assert [clock_text(s) for s in (0.4, 7, 751, 3751)] == ["0:00", "0:07", "12:31", "1:02:31"]


@pytest.mark.parametrize("width", [30, 40, 60, 80, 140])
def test_lines_never_leave_the_terminal(width: int) -> None:
    console = Console(width=width, force_terminal=True, color_system=None)
    drawn = Screen("run")
    for what in ("all of run quick", "train jepa-supervised_specialist on cloth+fluid+rigid seed 0", "time fluid"):
        drawn.lines[what] = line = Line(what, time.monotonic() - 4000)
        line.tell(time.monotonic() - 10, 1200, 4000)
        line.tell(time.monotonic(), 1300, 4000)
    with console.capture() as text:
        console.print(drawn.drawn(console))
    lines = text.get().rstrip("\n").split("\n")
    assert len(lines) == 3, "one line each"
    assert all(len(line) <= width for line in lines)
    assert "1300/4000" in lines[1]
    assert ("left" in lines[1]) == (width >= 50)


def test_a_finished_line_goes_and_clocks_stop_the_drawing() -> None:
    drawn = Screen("run")
    drawn.tell("score fluid test", 1, 2)
    drawn.tell("time fluid", 0, 3)
    assert drawn.still
    drawn.tell("score fluid test", 2, 2)
    drawn.tell("time fluid", 3, 3)
    assert not drawn.lines
    assert not drawn.still


def test_the_whole_of_a_run_has_no_time_left() -> None:
    """Its parts differ in length, so that a count of them says nothing of time."""
    line = Line("all of run quick", 0)
    line.tell(0, 0, 50)
    line.tell(100, 25, 50)
    assert line.left(100) == ""


def test_nothing_is_drawn_where_nobody_watches(capfd: pytest.CaptureFixture[str]) -> None:
    with _progress.progress("run") as tell:
        tell("generate fluid", 1, 2)
    assert capfd.readouterr() == ("", "")


# -- tables ------------------------------------------------------------------------------------------------------------

LONG = "jepa-supervised_specialist"
BOARD = Path(__file__).resolve().parent / "records" / "quick-of-version-1"


def printed(width: int, show: Callable[[Any], None]) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as text:
        show(console)
    return text.get().splitlines()


@pytest.fixture(scope="module")
def entries() -> list[Any]:
    from hedgefox.bench.leaderboard import board

    return [e for e in board(BOARD) if e.row["split"] == "test"]


@pytest.mark.parametrize("width", [60, 80, 140, 400])
def test_the_board_fits_and_names_what_it_leaves_out(width: int, entries: list[Any]) -> None:
    from hedgefox.bench.board_terminal import print_board

    lines = printed(width, lambda console: print_board(entries, console))
    assert max(map(len, lines)) <= width
    told = " ".join(" ".join(lines).split())
    for name in {e.row["model"] for e in entries}:
        assert name in told, "no model's name is cut"
    heads = [line for line in lines if line.split()[:2] == ["rank", "model"]]
    assert len(heads) == 3
    assert len(set(heads)) == len({len(h) for h in heads}), "a table's columns are those of the others"
    left_out = told.partition("Left out at this width: ")[2]
    shown_here = heads[0] + left_out
    for heading in ("RMSE 20 [m]", "RMSE last [m]", "latency [ms]", "kind", "× equal accuracy", "parameters"):
        assert heading in shown_here, heading
    assert ("Left out" in told) == (width < 400)


@pytest.mark.parametrize("width", [40, 80, 140])
def test_other_tables_fold_or_become_lines_a_row(width: int) -> None:
    from hedgefox._terminal import show_table

    rows = [
        {
            "name": LONG,
            "kind": "generalist",
            "domains": ["cloth", "fluid"],
            "trainable": True,
            "scope": "each",
            "note": note,
        }
        for note in ("state loss, one domain at a time, in several words more than fit beside the others", "")
    ]
    lines = printed(width, lambda console: show_table(console, rows))
    assert max(map(len, lines)) <= width
    told = " ".join(" ".join(lines).split())
    assert told.count(LONG) == 2
    assert "cloth, fluid" in told
    assert ("kind generalist" in told) == (width < 140), "lines a row name their fields"


def test_what_is_piped_is_as_wide_as_columns_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hedgefox._terminal import console_on

    monkeypatch.delenv("COLUMNS", raising=False)
    assert console_on(sys.stdout).width == 200
    monkeypatch.setenv("COLUMNS", "77")
    assert console_on(sys.stdout).width == 77


def test_an_error_of_the_system_names_the_file_that_was_asked_for_and_what_to_do() -> None:
    from hedgefox._terminal import said

    error = OSError(21, "Is a directory", "out/page.html.tmp-0123abcd", None, "out/page.html")
    assert said(error) == "out/page.html: Is a directory; a file is right here"
    assert said(OSError(28, "No space left on device", "x.tmp-0123abcd")).startswith(
        "x: No space left on device; make room"
    )
    assert said(OSError("no number")) == "OSError: no number (--debug shows where)"
