"""Films that a run keeps: packing loses what it says and no more, they are the models' own answers, and the report plays them."""

from __future__ import annotations

import base64
import dataclasses
import json
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hedgefox import simulators
from hedgefox.bench import record as records
from hedgefox.bench.play import packing, pick, stored
from hedgefox.bench.play.film import Shown, player_data, positions, unpacked
from hedgefox.bench.play.run import of_run
from hedgefox.bench.report import report
from hedgefox.bench.run import run
from hedgefox.contracts import MisuseError, track

# Under their package's name, since that is where a file that names them finds them.
from hedgefox.tests.ballistic import BALLISTIC
from hedgefox.tests.tumbling import TUMBLING

from . import particles, sheets, solids

FILMS = {"fluid": particles, "cloth": sheets, "rigid": solids}
TINY = dataclasses.replace(
    track("smoke"),
    trajectories={"train": 4, "valid": 2, "test": 4, "long": 1},
    only=("persistence", "constant_velocity", "linear"),
    films=True,
)
HOSTILE = "</script><script>alert(1)</script>\"\\'"


def data_of(domain: str, levels: int = 4094) -> dict[str, Any]:
    film = FILMS[domain].film(1, 6)
    late = dataclasses.replace(film, position=film.position.clone())
    late.position[3:] = torch.nan
    return player_data(HOSTILE, [Shown("truth", "truth", film), Shown("late", "baseline", late)], levels=levels)


@pytest.mark.parametrize("domain", FILMS)
@pytest.mark.parametrize("levels", [4094, 65534])
def test_packing_keeps_everything_but_the_last_bits_of_poses(domain: str, levels: int) -> None:
    data = data_of(domain, levels)
    kept = packing.unpack(packing.pack(data))
    for before, after in zip(data["films"], kept["films"], strict=True):
        assert after["position"] == before["position"]
        assert ("pose" in after) == ("pose" in before)
        if "pose" in before:
            was, now = (unpacked(f.pop("pose"), "<f4").reshape(-1, 7) for f in (before, after))
            extent = np.append(np.nanmax(was[:, :3], 0) - np.nanmin(was[:, :3], 0), [2.0] * 4)
            assert (np.isfinite(was) == np.isfinite(now)).all()
            assert np.nanmax(np.abs(was - now) / np.maximum(extent, 1e-6)) <= 0.5 / 65534 + 1e-6
    assert kept == data
    assert packing.header_of(packing.pack(data))["title"] == HOSTILE


def test_smooth_films_pack_well() -> None:
    """A wave on ten thousand nodes: a second difference of it is a few steps, so a byte a coordinate is more than it takes."""
    time, place = torch.arange(30).view(-1, 1, 1) / 30, torch.linspace(0, 1, 10_000).view(1, -1, 1)
    wave = (place + 0.2 * torch.sin(6 * place + 4 * time)).expand(-1, -1, 2)
    levels = np.rint(wave.double().numpy() / float(wave.max()) * 4094).astype("<u2")
    plain = zlib.compress(levels.tobytes(), 9)
    assert len(zlib.compress(packing._folded(levels), 9)) < 0.6 * len(plain) < 0.2 * levels.nbytes


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"nothing of the kind", "not a packed film"),
        (zlib.compress(b"HFF9" + b"\0" * 9), "begin with HFF1"),
        (zlib.compress(b"HFF1\x02\0\0\0{"), "header"),
        (zlib.compress(b"HFF1\x02\0\0\0[]"), "object"),
        (zlib.compress(b"HFF1\x02\0\0\0{}"), "does not hold"),
    ],
)
def test_what_is_no_film_is_refused_in_one_line(content: bytes, words: str) -> None:
    with pytest.raises(MisuseError, match=words):
        packing.unpack(content)


def test_a_film_that_ends_early_is_refused() -> None:
    whole = zlib.decompress(packing.pack(data_of("fluid")))
    with pytest.raises(MisuseError, match="ends early"):
        packing.unpack(zlib.compress(whole[:-7]))


def forged(change: Callable[[dict[str, Any]], object], blocks: bytes = b"") -> bytes:
    """A small film whose header says something else, its numbers followed by others."""
    whole = zlib.decompress(packing.pack(data_of("rigid")))
    (length,) = struct.unpack_from("<I", whole, 4)
    header = json.loads(whole[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return zlib.compress(whole[:4] + struct.pack("<I", len(text)) + text + whole[8 + length :] + blocks)


def peak(content: bytes) -> int:
    """Bytes that reading a forged film took at most; it must be refused in one line."""
    tracemalloc.start()
    try:
        with pytest.raises(MisuseError, match=r"\Aa packed film does not hold what it says: [^\n]*\Z"):
            packing.unpack(content)
        with pytest.raises(MisuseError):
            packing.header_of(content)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h.update(films=h["films"] * 40),
        lambda h: h.update(films=h["films"][:1] * 6),
        lambda h: h.update(films=[]),
        lambda h: h.update(nodes=10**9),
        lambda h: h.update(frames=0),
        lambda h: h.update(axes=True),
        lambda h: h["films"][0]["position"].update(bytes=2**40),
        lambda h: h["films"][0]["position"].update(at=0),
        lambda h: h["films"][0]["pose"].update(bytes=h["films"][0]["pose"]["bytes"] + 2),
        lambda h: h["mass"].update(bytes=2**31),
        lambda h: h["films"][1]["pose"].update(bytes=2**31 // 14 // h["frames"] * 14 * h["frames"]),
    ],
)
def test_what_a_forged_film_may_take_is_settled_before_it_is_unfolded(
    change: Callable[[dict[str, Any]], object],
) -> None:
    """A hundred MiB of zeros lie behind the header, as a tenth of a MiB; none of them are unfolded but those beside the header."""
    content = forged(change, b"\0" * (100 << 20))
    assert len(content) < 1 << 18
    assert peak(content) < 24 << 20


def test_the_largest_film_takes_a_dozen_times_its_numbers_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """Zeros pack a thousandfold; the poses that are read are two bytes each, and eleven as text of single precision."""
    monkeypatch.setattr(packing, "MAX_BYTES", 8 << 20)

    def large(header: dict[str, Any]) -> None:
        header["films"] = [header["films"][0] | {"position": dict(header["films"][0]["position"])}]
        film = header["films"][0]
        film.pop("pose")
        film["position"]["bytes"] = 2 * header["frames"] * header["nodes"] * header["axes"]
        film["pose"] = {"at": film["position"]["at"] + film["position"]["bytes"], "low": [0.0] * 7, "step": [1.0] * 7}
        film["pose"]["bytes"] = (
            (packing.MAX_BYTES - film["pose"]["at"]) // (14 * header["frames"]) * 14 * header["frames"]
        )

    content = forged(large, b"\0" * packing.MAX_BYTES)
    assert len(content) < packing.MAX_BYTES / 500
    tracemalloc.start()
    film = packing.unpack(content)["films"][0]
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(film["pose"]) > packing.MAX_BYTES
    assert most < 12 * packing.MAX_BYTES


def test_more_than_a_player_shows_is_not_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "MAX_BYTES", 1024)
    with pytest.raises(MisuseError, match="a player shows at most"):
        packing.pack(data_of("fluid"))


# -- a run ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plugged_in(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The closed-form domains, by their names."""
    folder = tmp_path_factory.mktemp("simulators")
    for name in ("ballistic", "tumbling"):
        (folder / f"{name}.py").write_text(f"from hedgefox.tests.{name} import {name.upper()} as DOMAIN\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulators, "__path__", [*simulators.__path__, str(folder)])
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(TINY, tmp_path_factory.mktemp("run"), [BALLISTIC, TUMBLING], timed=False)


def kept(folder: Path, domain: str, split: str, rule: str) -> dict[str, Any]:
    return packing.unpack((folder / "films" / stored.file_name(domain, split, rule)).read_bytes())


def test_a_run_keeps_three_scenes_of_every_split(finished: Path) -> None:
    assert records.read(finished)["failures"] == []
    assert "films" in {s["name"] for s in records.read(finished)["stages"]}
    names = {f.name for f in (finished / "films").iterdir()}
    assert names == {
        stored.file_name(d, s, r) for d in ("ballistic", "tumbling") for s in ("test", "long") for r in pick.RULES
    }
    assert not list(finished.rglob("films/*.tmp-*"))
    assert len({kept(finished, "ballistic", "test", rule)["picked"]["scene"] for rule in pick.RULES}) == 3


@pytest.mark.usefixtures("plugged_in")
@pytest.mark.parametrize("domain", ["ballistic", "tumbling"])
@pytest.mark.parametrize("split", ["test", "long"])
@pytest.mark.parametrize("rule", pick.RULES)
def test_a_kept_film_is_the_models_own_answer(finished: Path, domain: str, split: str, rule: str) -> None:
    data = kept(finished, domain, split, rule)
    names, scene = [f["name"] for f in data["films"][1:]], data["picked"]["scene"]
    fresh = of_run(finished, domain, split, names, str(scene))
    assert [f["kind"] for f in data["films"]] == ["truth", "ladder"]
    for held, shown in zip(data["films"], fresh.shown, strict=True):
        true = shown.film.position.double().numpy()
        apart = np.abs(positions(held, data["nodes"], data["axes"]) - true)
        assert (apart <= 0.5 * np.asarray(held["step"]) + 1e-6).all()
        assert np.allclose(held["step"], (true.max((0, 1)) - true.min((0, 1))) / stored.LEVELS, atol=1e-9)
    errors = pick.scene_errors(finished, domain, split, data["picked"]["by"])
    assert scene == pick.pick(errors, rule)
    assert data["picked"]["error"] == pytest.approx(errors[scene])
    assert data["note"] == pick.reason(errors, scene, rule, split, data["picked"]["by"])


def test_a_second_run_makes_only_what_was_lost(finished: Path) -> None:
    lost = finished / "films" / stored.file_name("tumbling", "long", "worst")
    before = {p: p.stat().st_mtime_ns for p in (finished / "films").iterdir()}
    content = lost.read_bytes()
    lost.unlink()
    run(TINY, finished, [BALLISTIC, TUMBLING], timed=False)
    assert lost.read_bytes() == content
    after = {p: p.stat().st_mtime_ns for p in (finished / "films").iterdir()}
    assert {p for p in before if before[p] != after[p]} == {p for p in before if "tumbling-long" in p.name}


def test_films_that_cannot_be_made_are_a_noted_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no light in here")

    monkeypatch.setattr(stored, "player_data", broken)
    made = run(TINY, tmp_path, [BALLISTIC], timed=False)
    failures = records.read(made)["failures"]
    assert {(f["stage"], f["split"]) for f in failures} == {("films", "test"), ("films", "long")}
    assert all("no light in here" in f["error"] for f in failures)
    assert "keep no films" in (made / "report" / "index.html").read_text()


def test_tracks_where_people_look_keep_films() -> None:
    assert {name for name in ("smoke", "quick", "hour", "sizes", "ablate-tokens") if track(name).films} == {
        "quick",
        "hour",
    }


# -- the report ------------------------------------------------------------------------------------------------------------


def played(report_page: Path) -> list[dict[str, Any]]:
    text = report_page.read_text()
    start = text.index('id="players-data">') + len('id="players-data">')
    found: list[dict[str, Any]] = json.loads(text[start : text.index("</script>", start)])["records"]
    return found


def test_a_report_has_every_kept_film_beside_it(finished: Path) -> None:
    made = finished / "report" / "index.html"
    (entry,) = played(made)
    assert [(f["domain"], f["split"], f["rule"]) for f in entry["films"]] == [
        (d, s, r) for d in ("ballistic", "tumbling") for s in ("test", "long") for r in pick.RULES
    ]
    for film in entry["films"]:
        text = (made.parent / "assets" / f"{film['script']}.js").read_text()
        name, packed, _ = (
            text.removeprefix("HedgefoxPacked(").replace('","', '"\n"').replace('")', '"\n').split("\n", 2)
        )
        assert json.loads(name) == film["script"]
        held = packing.unpack(base64.b85decode(json.loads(packed)))
        assert held == kept(finished, film["domain"], film["split"], film["rule"])


def test_records_stand_newest_first_and_those_without_films_are_left_out(finished: Path, tmp_path: Path) -> None:
    held = records.read(finished)
    for k, name in enumerate(("old", "new", "bare")):
        folder = tmp_path / name
        folder.mkdir()
        created = f"2026-01-0{k + 1}T00:00:00+00:00"
        (folder / "record.json").write_text(json.dumps(held | {"created": created, "curves": "gone.parquet"}))
        if name != "bare":
            (folder / "films").mkdir()
            for file in (finished / "films").glob("ballistic-test-*"):
                (folder / "films" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "new" / "films" / "torn.film").write_bytes(b"torn")
    made = report(tmp_path, tmp_path / "out")
    assert [e["title"][:22] for e in played(made)] == ["smoke, 2026-01-02T00:0", "smoke, 2026-01-01T00:0"]
    assert [len(e["films"]) for e in played(made)] == [3, 3]
    assert len(list((made.parent / "assets" / "films").iterdir())) == 6


def test_a_report_of_old_records_says_how_to_make_films(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(json.dumps(records.read(finished) | {"curves": "gone.parquet"}))
    made = report(tmp_path)
    assert "hedgefox play RUN" in made.read_text()
    assert not (made.parent / "assets" / "player.js").exists()
