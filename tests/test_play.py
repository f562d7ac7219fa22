"""Players: what goes into their data comes out again, pages are safe, pictures are whole, scenes are picked by rule."""

from __future__ import annotations

import base64
import dataclasses
import json
import stat
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import hedgefox as hf
import numpy as np
import pytest
import torch
from hedgefox import cli, simulators
from hedgefox.bench import record
from hedgefox.bench.play import images, page, pick
from hedgefox.bench.play._solids import solid_mesh, turned
from hedgefox.bench.play.film import GONE, LEVELS, MAX_FILMS, Shown, player_data, positions, unpacked
from hedgefox.bench.play.run import default_models, of_run
from hedgefox.contracts import Domain, MisuseError, Trajectory, bodies
from PIL import Image, ImageSequence

from . import particles, sheets, solids

FILMS = {"fluid": particles, "cloth": sheets, "rigid": solids}
FRAMES = 6
HOSTILE = "</script><script>alert(1)</script><!--"


def truth_and_shifted(domain: str) -> tuple[Trajectory, Trajectory]:
    """A film of two scenes, and the same one a tenth of a metre along the first axis."""
    truth = FILMS[domain].film(2, FRAMES)
    step = torch.zeros(truth.scene.dim)
    step[0] = 0.1
    return truth, dataclasses.replace(truth, position=truth.position + step, pose=None)


def data_of(domain: str, **asked: Any) -> dict[str, Any]:
    truth, other = truth_and_shifted(domain)
    return player_data("a film", [Shown("truth", "truth", truth), Shown("shifted", "baseline", other)], **asked)


@pytest.mark.parametrize("domain", FILMS)
@pytest.mark.parametrize("scene", [0, 1])
def test_positions_come_back_within_half_the_stated_step(domain: str, scene: int) -> None:
    data = data_of(domain, scene=scene)
    for film, kept in zip(truth_and_shifted(domain), data["films"], strict=True):
        expected = film.select([scene]).position.double().numpy()
        error = np.abs(positions(kept, data["nodes"], data["axes"]) - expected)
        step = np.asarray(kept["step"])
        assert (error <= 0.5 * step + 1e-12).all()
        assert np.allclose(step, (expected.max((0, 1)) - expected.min((0, 1))) / LEVELS)
    assert data["frames"] == FRAMES


@pytest.mark.parametrize("domain", FILMS)
def test_data_are_strict_json_of_what_a_scene_holds(domain: str) -> None:
    data = data_of(domain)
    scene = truth_and_shifted(domain)[0].scene.select([0])
    json.dumps(data, allow_nan=False)
    assert (data["faces"] is not None) == bool(scene.faces.numel())
    if data["faces"] is not None:
        assert (unpacked(data["faces"], "<u4").reshape(-1, 3) == scene.faces.numpy()).all()
    assert [s["shape"] for s in data["solids"]] == [
        s.lower() for s in ("BALL", "BOX", "CAPSULE")[: scene.shape_kind.numel()]
    ]
    driven = (~scene.free).numpy()
    assert (data["driven"] is not None) == driven.any()
    if driven.any():
        assert (unpacked(data["driven"], "u1") == driven).all()


def test_the_scale_of_errors_is_the_distance_to_the_truth() -> None:
    data = data_of("fluid")
    assert data["scales"]["error"][1] == pytest.approx(0.1, rel=1e-3)
    where = [np.pad(positions(f, data["nodes"], 2), ((0, 0), (0, 0), (0, 1))) for f in data["films"]]
    assert np.allclose(images.node_values({**data, "colour": "error"}, where, 1), 0.1, atol=1e-4)


def test_bodies_without_poses_are_laid_on_their_nodes() -> None:
    truth, _ = truth_and_shifted("rigid")
    kept = data_of("rigid")["films"]
    own, fitted = (unpacked(f["pose"], "<f4").reshape(FRAMES, -1, 7) for f in kept)
    assert np.allclose(own, np.asarray(truth.select([0]).pose), atol=1e-6)
    assert np.allclose(fitted[..., :3] - own[..., :3], [0.1, 0, 0], atol=1e-4)


def test_without_a_truth_no_errors_are_shown() -> None:
    film = particles.film(1, FRAMES)
    data = player_data("two", [Shown("a", "film", film), Shown("b", "film", film)], colour="error")
    assert data["truth"] is None
    assert data["colour"] == "speed"
    assert "error" not in data["scales"]


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_film_that_is_not_finite_is_gone_from_there_on(value: float, tmp_path: Path) -> None:
    film = particles.film(1, FRAMES)
    broken = dataclasses.replace(film, position=film.position.clone())
    broken.position[3, 2, 0] = value
    data = player_data("late", [Shown("truth", "truth", film), Shown("late", "baseline", broken)])
    kept = data["films"][1]
    assert kept["diverged_at"] == 3
    where = positions(kept, data["nodes"], data["axes"])
    assert np.isnan(where[3:]).all()
    assert np.isfinite(where[:3]).all()
    assert (unpacked(kept["position"], "<u2").reshape(FRAMES, -1)[3:] == GONE).all()
    assert all(np.isfinite(data["scales"][name]).all() for name in data["scales"])
    images.png(data, tmp_path / "gone.png", 4)


def test_a_film_that_never_was_finite_can_be_shown(tmp_path: Path) -> None:
    film = sheets.film(1, FRAMES)
    nothing = dataclasses.replace(film, position=torch.full_like(film.position, torch.nan))
    data = player_data("none", [Shown("truth", "truth", film), Shown("none", "baseline", nothing)], colour="error")
    assert data["films"][1]["diverged_at"] == 0
    assert page.write(tmp_path / "none.html", [data]).is_file()


def test_what_cannot_be_shown_is_misuse() -> None:
    film, other = particles.film(1, FRAMES), particles.film(1, FRAMES, nodes=30)
    one = Shown("a", "truth", film)
    for shown, asked, words in [
        ([], {}, "0 films"),
        ([one] * (MAX_FILMS + 1), {}, f"1 to {MAX_FILMS}"),
        ([one], {"scene": 1}, "no scene 1"),
        ([one], {"colour": "hue"}, "colour 'hue'"),
        ([one, Shown("b", "film", other)], {}, "n_nodes"),
        ([one, Shown("b", "film", sheets.film(1, FRAMES))], {}, "domain"),
    ]:
        with pytest.raises(MisuseError, match=words):
            player_data("x", shown, **asked)  # type: ignore[arg-type]


class Read(HTMLParser):
    """Tags of a page, what its scripts hold, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.held: dict[str, list[str]] = {}
        self.inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        self.held.setdefault(self.inside, []).append(data)


def test_a_page_is_one_file_and_hostile_words_stay_text(tmp_path: Path) -> None:
    film = particles.film(1, FRAMES)
    data = player_data(HOSTILE, [Shown(HOSTILE, "truth", film)], note=HOSTILE)
    found = Read(page.write(tmp_path / "x.html", [data, data]).read_text(encoding="utf-8"))
    assert [tag for tag, _ in found.tags].count("script") == 3  # two films' data, and the player
    assert not [a for _, a in found.tags if "src" in a]
    assert [a["href"] for tag, a in found.tags if tag == "link"] == ["data:,"]
    assert found.held["title"] == [HOSTILE]
    held = json.loads(next(t for t in found.held["script"] if t.startswith('{"title"')))
    assert held["title"] == held["note"] == held["films"][0]["name"] == HOSTILE
    assert len({a["id"] for _, a in found.tags if a.get("type") == "application/json"}) == 2


def test_the_vendored_library_can_stand_in_a_script_element() -> None:
    text = page.script().lower()
    assert "</script" not in text
    assert "<!--" not in text


@pytest.mark.parametrize("domain", FILMS)
@pytest.mark.parametrize("colour", ["speed", "error", "material"])
def test_a_gif_has_every_frame(domain: str, colour: str, tmp_path: Path) -> None:
    data = data_of(domain, colour=colour)
    with Image.open(images.gif(data, tmp_path / "new" / "film.gif")) as film:
        assert sum(1 for _ in ImageSequence.Iterator(film)) == FRAMES
        film.seek(0)
        first = film.convert("RGB")
        film.seek(FRAMES - 1)
        assert film.convert("RGB").tobytes() != first.tobytes()


def test_a_png_shows_the_frame_asked_for(tmp_path: Path) -> None:
    data = data_of("rigid")
    with (
        Image.open(images.png(data, tmp_path / "a.png", 0)) as a,
        Image.open(images.png(data, tmp_path / "b.png", 5)) as b,
    ):
        assert a.size == b.size
        assert a.width % 2 == a.height % 2 == 0
        assert a.tobytes() != b.tobytes()
    with pytest.raises(MisuseError, match=f"frames 0 to {FRAMES - 1}"):
        images.png(data, tmp_path / "c.png", FRAMES)


def test_mp4_names_what_is_missing_and_hands_every_frame_to_ffmpeg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = data_of("fluid")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MisuseError, match="needs ffmpeg"):
        images.mp4(data, tmp_path / "film.mp4")
    program = tmp_path / "ffmpeg"  # counts what it is given, into the last of its arguments
    program.write_text(
        f"#!{sys.executable}\nimport sys\nopen(sys.argv[-1], 'w').write(str(len(sys.stdin.buffer.read())))\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with Image.open(images.png(data, tmp_path / "one.png", 0)) as one:
        expected = 3 * one.width * one.height * FRAMES
    assert int(images.mp4(data, tmp_path / "film.mp4").read_text()) == expected
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('no such encoder')\n")
    with pytest.raises(MisuseError, match="no such encoder"):
        images.mp4(data, tmp_path / "film.mp4")


@pytest.mark.parametrize("shape", ["ball", "box", "capsule"])
def test_solids_are_drawn_on_their_surface(shape: str) -> None:
    size = torch.tensor([0.3, 0.2, 0.1])
    corner, faces = solid_mesh(shape, size.tolist())
    q = torch.tensor([0.1, -0.5, 0.3, 0.8])
    q = q / q.norm()
    pose = torch.cat([torch.zeros(3), q]).expand(len(corner), 7)
    kind = torch.full((len(corner),), ["ball", "box", "capsule"].index(shape))
    points = torch.tensor(turned(q.double().numpy(), corner))
    distance, _ = bodies.distance_to_shape(points, pose.double(), kind, size.double().expand(len(corner), 3))
    assert distance.abs().max() < 1e-6
    assert set(faces.ravel()) == set(range(len(corner)))


def test_scenes_are_picked_by_rule() -> None:
    errors = np.array([3.0, 1.0, np.nan, 2.0, 1.0, 3.0])  # in order: 1, 4, 3, 0, 5
    assert [pick.pick(errors, which) for which in ("best", "median", "worst")] == [1, 3, 5]
    assert pick.pick(np.array([2.0, 1.0]), "median") == 1
    with pytest.raises(MisuseError, match="no scene"):
        pick.pick(np.array([np.nan]), "best")
    with pytest.raises(MisuseError, match="worst, median, best"):
        pick.pick(errors, "nicest")


# -- the verb ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def plugged_in(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The closed-form domain, by its name."""
    folder = tmp_path_factory.mktemp("simulators")
    (folder / "ballistic.py").write_text("from hedgefox.tests.ballistic import BALLISTIC as DOMAIN\n")
    monkeypatch.setattr(simulators, "__path__", [*simulators.__path__, str(folder)])
    monkeypatch.delitem(sys.modules, "hedgefox.simulators.ballistic", raising=False)


def shown_in(path: Path) -> dict[str, Any]:
    held: dict[str, Any] = json.loads(
        next(t for t in Read(path.read_text()).held["script"] if t.startswith('{"title"'))
    )
    return held


def test_play_shows_files(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    truth, other = truth_and_shifted("cloth")
    hf.save(truth, tmp_path / "a.h5")
    hf.save(other, tmp_path / "b.h5")
    assert cli.main(["play", str(tmp_path / "a.h5"), str(tmp_path / "b.h5"), "--scene", "1", "--colour", "error"]) == 0
    assert capfd.readouterr().out.strip() == str(tmp_path / "a.html")
    held = shown_in(tmp_path / "a.html")
    assert [f["kind"] for f in held["films"]] == ["truth", "film"]
    page_at = ["--out", str(tmp_path / "c.html"), "--png", str(tmp_path / "c.png"), "--frame", "2"]
    assert cli.main(["play", str(tmp_path / "a.h5"), str(tmp_path / "b.h5"), "--no-truth", *page_at]) == 0
    assert shown_in(tmp_path / "c.html")["truth"] is None
    assert (tmp_path / "c.png").is_file()


@pytest.mark.usefixtures("plugged_in")
def test_play_shows_the_scene_of_a_run_that_the_curves_say(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.html"
    asked = [
        "play",
        str(finished),
        "--split",
        "test",
        "--model",
        "linear",
        "persistence",
        "--scene",
        "worst",
        "--out",
        str(out),
    ]
    assert cli.main(asked) == 0
    held, errors = shown_in(out), pick.scene_errors(finished, "ballistic", "test", "linear")
    worst = pick.pick(errors, "worst")
    assert f"Scene {worst}: the worst of {len(errors)} in test for linear" in held["note"]
    assert [f["name"] for f in held["films"]] == ["ballistic", "linear", "persistence"]
    assert held["first_frame"] == 5
    shown = of_run(finished, "ballistic", "test", ["linear"], str(worst)).shown
    truth, answer = (s.film for s in shown)
    apart = (answer.position - truth.position)[:, truth.scene.free].norm(dim=-1)
    assert float(apart.square().mean(1).sqrt().mean()) == pytest.approx(errors[worst], rel=1e-4)


@pytest.mark.usefixtures("plugged_in")
def test_play_shows_a_data_set_and_by_itself_the_coarsest_rung(
    finished: Path, tmp_path: Path, ballistic: Domain
) -> None:
    out = str(tmp_path / "data.html")
    assert cli.main(["play", str(finished / "data" / "ballistic"), "--scene", "1", "--out", out]) == 0
    assert [f["kind"] for f in shown_in(Path(out))["films"]] == ["truth"]
    held = record.read(finished)
    assert default_models(held, "ballistic", "test") == list(ballistic.ladder(ballistic.recipe("xs")))[-1:]


@pytest.mark.usefixtures("plugged_in")
@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["RUN", "--model", "nobody"], "no model 'nobody'"),
        (["RUN", "--domain", "fluid"], "no domain 'fluid'"),
        (["RUN", "--scene", "nicest"], "'nicest'"),
        (["RUN", "--scene", "999"], "no scene 999"),
        (["RUN", "--split", "nowhere"], "nowhere"),
        (["RUN", "RUN"], "stands alone"),
        (["RUN", "--no-truth"], "belongs to files"),
        (["DATA", "--scene", "worst"], "no number"),
        (["DATA", "--model", "linear"], "belong to a run"),
        (["DATA/train-0.h5", "--domain", "fluid"], "not there"),
        (["FOREIGN", "--domain", "fluid"], "belongs to a run"),
        (["nothing.h5"], "nothing.h5"),
        (["FOREIGN"], "FOREIGN"),
        (["EMPTY"], "not a data set"),
    ],
)
def test_misuse_is_one_line(
    asked: list[str], words: str, finished: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "FOREIGN").write_bytes(base64.b64encode(b"no film at all"))
    (tmp_path / "EMPTY").mkdir()
    places = {"RUN": finished, "DATA": finished / "data" / "ballistic", "EMPTY": tmp_path / "EMPTY"}
    given = [str(places.get(a, tmp_path / a if a == "FOREIGN" else a)) for a in asked]
    capfd.readouterr()
    assert cli.main(["play", *given, "--out", str(tmp_path / "page.html")]) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert words in said.err
    assert not (tmp_path / "page.html").exists()
