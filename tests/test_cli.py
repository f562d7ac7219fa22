"""The command line: exit codes, one line for misuse, JSON alone on stdout, nothing written when nothing can be done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hedgefox import cli, simulators

VERBS = (
    "list", "doctor", "generate", "verify", "train", "tune", "score", "speed", "run", "leaderboard", "compare", "report",
    "validate", "play", "pictures",
)  # fmt: skip


@pytest.fixture(autouse=True)
def plugged_in(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more file under simulators/ is one more domain: the closed-form one, so that these tests are quick."""
    folder = tmp_path_factory.mktemp("simulators")
    (folder / "ballistic.py").write_text("from hedgefox.tests.ballistic import BALLISTIC as DOMAIN\n")
    monkeypatch.setattr(simulators, "__path__", [*simulators.__path__, str(folder)])
    monkeypatch.delitem(sys.modules, "hedgefox.simulators.ballistic", raising=False)


class Said:
    """What one command line gave."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def data(self) -> Any:
        def refuse(name: str) -> None:
            raise AssertionError(f"{name} is not JSON")

        return json.loads(self.out, parse_constant=refuse)

    def is_misuse(self, *words: str) -> bool:
        assert self.code == 2, self.err
        assert self.out == ""
        assert self.err.count("\n") == 1, f"not one line: {self.err!r}"
        assert "Traceback" not in self.err
        assert all(w in self.err for w in words), self.err
        return True


Say = Callable[..., Said]


@pytest.fixture
def say(capfd: pytest.CaptureFixture[str]) -> Say:
    def run(*arguments: str | Path) -> Said:
        capfd.readouterr()
        code = cli.main([str(a) for a in arguments])
        out, err = capfd.readouterr()
        return Said(code, out, err)

    return run


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, weights and a finished run of the closed-form domain."""
    from hedgefox.bench.run import run
    from hedgefox.tests.ballistic import BALLISTIC

    return run("smoke", tmp_path_factory.mktemp("world"), [BALLISTIC])


def test_the_same_ballistic_is_plugged_in(say: Say) -> None:
    assert "ballistic" in [d["name"] for d in say("list", "domains", "--json").data["domains"]]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb: str, say: Say) -> None:
    said = say(verb, "--help")
    assert said.code == 0
    assert "example" in said.out
    assert f"hedgefox {verb}" in said.out
    assert "--json" in said.out


def test_help_names_every_verb_and_version_is_said(say: Say) -> None:
    said = say("--help")
    assert all(v in said.out for v in VERBS)
    assert say("--version").out.startswith("hedgefox 0.")


@pytest.mark.parametrize("what", ["domains", "models", "metrics", "tracks"])
def test_list(what: str, say: Say) -> None:
    rows = say("list", what, "--json").data[what]
    assert rows
    text = say("list", what).out
    assert all(str(r.get("name", r.get("id"))) in text for r in rows)


def test_doctor_says_what_there_is(say: Say) -> None:
    said = say("doctor", "--json")
    assert said.data["versions"]["torch"]
    assert {"warp-lang", "newton", "mujoco", "taichi"} <= said.data["versions"].keys()
    assert "newton" in say("doctor").out
    assert said.code == (1 if said.data["missing"] else 0)


def test_a_session_from_data_to_board(say: Say, tmp_path: Path) -> None:
    data, weights = tmp_path / "data", tmp_path / "w"
    made = say("generate", "ballistic", "--track", "smoke", "--out", data, "--json").data
    assert Path(made["folder"]) == data / "ballistic"
    again = say("generate", "ballistic", "--track", "smoke", "--out", data, "--json").data
    assert again == made
    assert say("verify", data / "ballistic").code == 0
    command = ("train", "linear", "--track", "smoke", "--data", data / "ballistic", "--out", weights)
    trained = say(*command, "--json")
    assert trained.data["card"]["name"] == "linear"
    assert say(*command).code == 0
    other = say(*("quick" if word == "smoke" else word for word in command[:-1]), tmp_path / "other")
    assert other.code == 2
    assert "are of size 'xs'; track 'quick' is of 's': track 'smoke' is right for them" in other.err
    assert not (tmp_path / "other").exists()
    scored = say(
        "score", weights, "persistence", "reference", "--data", data / "ballistic", "--out", tmp_path / "s", "--json"
    )
    assert scored.code == 0
    assert {r["model"] for r in scored.data["scores"]} == {"linear", "persistence", "ballistic"}
    timed = say("speed", weights, "--track", "smoke", "--out", tmp_path / "t", "--json")
    assert {r["model"] for r in timed.data["speed"]} == {"linear", "ballistic"}
    rows = say("leaderboard", tmp_path, "--json").data["rows"]
    assert len(rows) == 6
    assert "linear" in say("leaderboard", tmp_path).out


def test_a_run_ends_with_board_stage_times_and_report(world: Path, say: Say) -> None:
    said = say("run", "--track", "smoke", "--domain", "ballistic", "--out", world)
    assert said.code == 0
    for word in ("persistence", "generate", "budget", "report", "index.html"):
        assert word in said.out
    assert say("run", "--track", "smoke", "--domain", "ballistic", "--out", world, "--json").data["rows"]


def test_compare_begins_with_the_factors(world: Path, say: Say) -> None:
    text = say("compare", "persistence", "linear", world).out
    assert text.index("objective") < text.index("architecture") < text.index("position RMSE")
    assert say("compare", "persistence", "linear", world, "--json").data["rows"]


def test_report_says_where_it_is(world: Path, say: Say, tmp_path: Path) -> None:
    said = say("report", world, "--out", tmp_path / "page", "--json")
    assert Path(said.data["report"]).is_file()


def test_validate_exits_1_when_a_row_does_not_hold(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    assert say("validate", "ballistic").code == 0
    from hedgefox.contracts import PhysicsCheck
    from hedgefox.tests.ballistic import Ballistic

    bad = PhysicsCheck("one", float("nan"), 0.9, 1.1, "", "1", "arithmetic")
    monkeypatch.setattr(Ballistic, "validate", lambda self, full=False: [bad])
    said = say("validate", "ballistic", "--json")
    assert said.code == 1
    assert said.data["checks"][0] | {"measured": None, "holds": False} == said.data["checks"][0]
    monkeypatch.setattr(Ballistic, "validate", lambda self, full=False: [])
    assert say("validate", "ballistic").code == 1, "no row at all proves nothing"


def test_validate_without_a_domain_runs_them_all(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    from hedgefox.contracts import PhysicsCheck, registry

    names = registry.names("simulators")
    assert {"ballistic", "fluid"} <= set(names)
    good = PhysicsCheck("one", 1.0, 0.9, 1.1, "", "1", "arithmetic")
    asked: list[tuple[str, bool]] = []

    def planted(wrong: str) -> Any:
        def validate(name: str, full: bool = False) -> list[PhysicsCheck]:
            asked.append((name, full))
            return [] if name == wrong else [good]

        return validate

    monkeypatch.setattr("hedgefox.bench.verbs.validate", planted(""))
    said = say("validate", "--full", "--json")
    assert said.code == 0
    assert asked == [(name, True) for name in names]
    assert [row["domain"] for row in said.data["checks"]] == names
    monkeypatch.setattr("hedgefox.bench.verbs.validate", planted("ballistic"))
    assert say("validate").code == 1, "a domain without a row proves nothing"


def test_verify_exits_1_for_a_flipped_byte(world: Path, say: Say, tmp_path: Path) -> None:
    import shutil

    data = shutil.copytree(world / "data" / "ballistic", tmp_path / "ballistic")
    shard = next(data.glob("test-*.h5"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    said = say("verify", data, "--json")
    assert said.code == 1
    assert shard.name in said.data["problems"][0]["path"]


# -- misuse ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("run --track nonsense --out {out}", ("nonsense", "smoke", "quick")),
        ("run --track smoke --domain aether --out {out}", ("aether", "ballistic")),
        ("run --track smoke --domain ballistic --device abacus --out {out}", ("abacus", "cpu")),
        ("run --track smoke", ("--out",)),
        ("generate aether --track smoke --out {out}", ("aether", "ballistic")),
        ("generate ballistic --track nonsense --out {out}", ("nonsense", "smoke")),
        ("generate ballistic --track smoke --workers 0 --out {out}", ("--workers", "0", "1 or more")),
        ("generate ballistic --track smoke --workers -3 --out {out}", ("--workers", "-3")),
        ("generate ballistic --track smoke --workers two --out {out}", ("--workers", "two", "whole number")),
        ("generate ballistic --track smoke --siblings 0 --out {out}", ("--siblings", "0", "1 or more")),
        ("generate ballistic --track smoke --siblings -1 --out {out}", ("--siblings", "-1")),
        ("generate ballistic --track smoke --siblings many --out {out}", ("--siblings", "many", "whole number")),
        ("train nonsense --track smoke --data {data} --out {out}", ("nonsense", "linear")),
        ("train linear --track smoke --seed -1 --data {data} --out {out}", ("--seed", "-1", "0 or more")),
        ("train linear --track smoke --data {missing} --out {out}", ("missing", "generate")),
        ("train linear --track smoke --domain fluid --data {data} --out {out}", ("fluid", "ballistic")),
        ("train persistence --track smoke --data {data} --out {out}", ("persistence", "nothing to learn")),
        ("score nonsense --data {data} --out {out}", ("nonsense", "persistence", "drag-1.4")),
        ("score linear --data {data} --out {out}", ("linear", "trained first")),
        ("score persistence --data {missing} --out {out}", ("missing", "generate")),
        ("score persistence --split shape --data {data} --out {out}", ("shape", "test")),
        ("score {data} --data {data} --out {out}", ("no saved model",)),
        ("speed persistence --out {out}", ("--domain",)),
        ("speed nonsense --domain ballistic --track smoke --out {out}", ("nonsense", "persistence")),
        ("leaderboard {missing}", ("missing",)),
        ("compare a b {missing}", ("missing",)),
        ("report {missing}", ("missing",)),
        ("verify {missing}", ("missing",)),
        ("validate aether", ("aether", "ballistic")),
        ("list nonsense", ("nonsense", "domains")),
        ("nonsense", ("nonsense", "run")),
        ("run --track smoke --out {out} --colour red", ("--colour",)),
    ],
)
def test_misuse_is_one_line_that_says_what_is_right_and_writes_nothing(
    line: str, words: tuple[str, ...], world: Path, say: Say, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    places = {"out": out, "data": world / "data" / "ballistic", "missing": tmp_path / "missing"}
    assert say(*(part.format(**places) for part in line.split())).is_misuse(*words)
    assert not out.exists()


def test_no_verb_is_misuse(say: Say) -> None:
    assert say().code == 2


@pytest.mark.parametrize("verb", ["generate ballistic --track smoke", "run --domain ballistic --track smoke"])
def test_a_file_in_the_way_is_one_line(verb: str, say: Say, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert say(*verb.split(), "--out", tmp_path / "file").is_misuse("file")
    assert say(*verb.split(), "--out", tmp_path / "file" / "below").is_misuse("file")
    assert (tmp_path / "file").read_text() == "x"


def test_a_folder_that_may_not_be_written_is_one_line(say: Say) -> None:
    """/proc refuses even root."""
    assert say("generate", "ballistic", "--track", "smoke", "--out", "/proc/hedgefox").is_misuse("/proc/hedgefox")


def test_a_full_disk_is_one_line(world: Path, say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "x"))

    monkeypatch.setattr("os.fsync", full)
    assert say("report", world, "--out", tmp_path / "page").is_misuse("No space left")


@pytest.mark.parametrize("content", [b"", b"{", b"\x89HDF not", b"[1, 2]"])
def test_truncated_and_foreign_files_are_one_line(content: bytes, world: Path, say: Say, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_bytes(content)
    (tmp_path / "dataset.json").write_bytes(content)
    (tmp_path / "model.json").write_bytes(content)
    out = tmp_path / "out"
    assert say("leaderboard", tmp_path).is_misuse("record.json")
    assert say("report", tmp_path).is_misuse("record.json")
    assert say("verify", tmp_path).code in (1, 2)
    assert say("score", "persistence", "--data", tmp_path, "--out", out).is_misuse("data set")
    assert say("score", tmp_path, "--data", world / "data" / "ballistic", "--out", out).is_misuse("saved model")
    assert say("speed", tmp_path, "--out", out).is_misuse("domain")
    assert not out.exists()


def test_debug_shows_the_traceback(say: Say, tmp_path: Path) -> None:
    said = say("leaderboard", tmp_path, "--debug")
    assert said.code == 2
    assert "Traceback" in said.err
    assert said.out == ""


# -- streams and signals -----------------------------------------------------------------------------------------------


def test_what_libraries_print_never_reaches_stdout(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    from hedgefox.tests.ballistic import Ballistic

    was = Ballistic.validate

    def noisy(self: Ballistic, full: bool = False) -> Any:
        print("[Taichi] from Python")
        os.write(1, b"[Taichi] from C\n")
        return was(self, full)

    monkeypatch.setattr(Ballistic, "validate", noisy)
    said = say("validate", "ballistic", "--json")
    assert said.data["checks"]
    assert "from Python" in said.err
    assert "from C" in said.err


def test_interruption_exits_130(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    from hedgefox.tests.ballistic import Ballistic

    def interrupt(self: Ballistic, full: bool = False) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Ballistic, "validate", interrupt)
    said = say("validate", "ballistic")
    assert said.code == 130
    assert said.err.count("\n") == 1


def test_an_error_of_ours_is_said_in_one_line_and_not_as_success(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    from hedgefox.tests.ballistic import Ballistic

    monkeypatch.setattr(Ballistic, "validate", lambda self, full=False: 1 / 0)
    said = say("validate", "ballistic")
    assert said.code == 1
    assert said.err.count("\n") == 1
    assert "ZeroDivisionError" in said.err


def test_no_progress_bar_off_a_terminal(say: Say, tmp_path: Path) -> None:
    said = say("generate", "ballistic", "--track", "smoke", "--out", tmp_path)
    assert said.err == ""


def test_the_module_runs_and_a_closed_pipe_is_no_error() -> None:
    """`hedgefox list metrics | head -0`."""
    command = f"{sys.executable} -m hedgefox list metrics | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
