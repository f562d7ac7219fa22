"""`hedgefox VERB`: parses, calls, prints. Results go to stdout and all else to stderr; heavy imports happen inside the verbs."""

from __future__ import annotations

import os

# Before torch is imported: OpenMP threads that spin while idle starve a shared machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("ENABLE_TAICHI_HEADER_PRINT", "0")

import argparse
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ._terminal import Answer, as_pairs, print_answer, progress_bar, show_lines, show_table, stdout_kept_clean

OK, DID_NOT_HOLD, MISUSE, INTERRUPTED = 0, 1, 2, 130

EXAMPLES = """\
examples:
  hedgefox run --track quick --out runs/quick
  hedgefox leaderboard runs/quick
  hedgefox compare persistence linear runs/quick
"""


class _Parser(argparse.ArgumentParser):
    """argparse, but misuse is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(MISUSE, f"{self.prog}: {message} (see {self.prog} --help)\n")


# -- parsing -----------------------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = _Parser(
        prog="hedgefox",
        description="Benchmark suite for neural physics surrogates: accuracy, speed-up and size under one measure.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="store_true", help="print the version and exit")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", parser_class=_Parser)
    for add in (
        _list,
        _doctor,
        _generate,
        _verify,
        _train,
        _score,
        _speed,
        _run,
        _round,
        _leaderboard,
        _compare,
        _report,
        _explain,
        _claims,
        _validate,
    ):
        add(verbs)
    return top


def _verb(verbs: Any, name: str, what: str, example: str, work: Callable[[argparse.Namespace], Answer]) -> _Parser:
    made: _Parser = verbs.add_parser(
        name,
        help=what,
        description=what[0].upper() + what[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--json", action="store_true", help="strict JSON on stdout, all else on stderr")
    made.add_argument("--debug", action="store_true", help="show the traceback of an error")
    made.set_defaults(work=work)
    return made


def _device(made: _Parser) -> None:
    made.add_argument("--device", default="cpu", metavar="DEVICE", help="cpu or cuda (default: cpu)")


def _folder(made: _Parser, flag: str, what: str) -> None:
    made.add_argument(flag, required=True, type=Path, metavar="DIR", help=what)


def _count(text: str) -> int:
    """A number of at least 1."""
    return _at_least(text, 1)


def _seed(text: str) -> int:
    """A number of at least 0."""
    return _at_least(text, 0)


def _at_least(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if number < least:
        raise argparse.ArgumentTypeError(f"{number} is too small; {least} or more is right")
    return number


# -- the verbs ---------------------------------------------------------------------------------------------------------


def _list(verbs: Any) -> None:
    made = _verb(verbs, "list", "what there is: domains, models, metrics or tracks", "hedgefox list models", do_list)
    made.add_argument("what", choices=("domains", "models", "metrics", "tracks"))


def do_list(args: argparse.Namespace) -> Answer:
    """Names and the few facts that tell them apart."""
    rows = {"domains": _domains, "models": _models, "metrics": _metrics, "tracks": _tracks}[args.what]()
    return Answer({args.what: rows}, lambda console: show_table(console, rows))


def _domains() -> list[dict[str, Any]]:
    from .contracts import registry

    found = [registry.domain(name) for name in registry.names("simulators")]
    names = ("name", "version", "frame_interval", "trust_threshold", "observable_name", "families")
    return [{n: getattr(d, n) for n in names} for d in found]


def _models() -> list[dict[str, Any]]:
    from . import surrogates
    from .contracts import registry

    found = [full for name in surrogates.names() for full in (name, *surrogates.variants(name))]
    files = {name: registry.model(name) for name in found}
    return [
        {"name": n, "kind": f.KIND, "domains": list(f.DOMAINS), "trainable": surrogates.trainable(n)}
        | {"scope": surrogates.scope(n), "note": surrogates.note(n)}
        for n, f in files.items()
    ]


def _metrics() -> list[dict[str, Any]]:
    from .bench._metric import every_metric

    return [{"id": m.id, "unit": m.unit, "better": m.better, "domains": list(m.domains)} for m in every_metric()]


def _tracks() -> list[dict[str, Any]]:
    from .contracts.track import TRACKS

    found = [make() for make in TRACKS.values()]
    names = ("name", "machine", "size", "training_steps", "trajectories", "stage_budget")
    return [{n: getattr(t, n) for n in names} for t in found]


def _doctor(verbs: Any) -> None:
    _verb(verbs, "doctor", "what this machine can do and what is missing", "hedgefox doctor", do_doctor)


def do_doctor(args: argparse.Namespace) -> Answer:
    """Devices, versions, memory; does not hold when a needed library is missing."""
    from .bench.environment import doctor

    found = doctor()
    flat = {**found, **found["environment"], **found["versions"]}
    rows = [{"what": k, "found": v} for k, v in flat.items() if not isinstance(v, dict)]
    return Answer(found, lambda console: show_table(console, rows), holds=not found["missing"])


def _generate(verbs: Any) -> None:
    example = "hedgefox generate fluid --track quick --out data"
    made = _verb(
        verbs, "generate", "simulate a domain's data for a track; the same command resumes", example, do_generate
    )
    made.add_argument("domain", metavar="DOMAIN")
    made.add_argument("--track", required=True, metavar="T")
    _folder(made, "--out", "data go to DIR/DOMAIN")
    what = "trajectories of one start that differ in one parameter or in the script (default: 1)"
    made.add_argument("--siblings", type=_count, default=1, metavar="K", help=what)
    made.add_argument("--workers", type=_count, default=1, metavar="N", help="processes that simulate (default: 1)")
    _device(made)


def do_generate(args: argparse.Namespace) -> Answer:
    """Simulate into shards."""
    from .contracts import track
    from .datasets import generate, manifest_hash

    with progress_bar(args.watched) as tell:
        folder = generate(
            args.domain, track(args.track), args.out, siblings=args.siblings, workers=args.workers, device=args.device,
            progress=lambda done, total: tell(f"generate {args.domain}", done, total),
        )  # fmt: skip
    data = {"folder": str(folder), "manifest": manifest_hash(folder)}
    return Answer(data, lambda console: show_lines(console, f"{folder}", f"manifest {data['manifest']}"))


def _verify(verbs: Any) -> None:
    what = "prove data sound: hashes, schema, finiteness, physics"
    _verb(verbs, "verify", what, "hedgefox verify data/fluid", do_verify).add_argument(
        "folder", type=Path, metavar="DIR"
    )


def do_verify(args: argparse.Namespace) -> Answer:
    """Every problem found; holds when there is none."""
    from .datasets import verify

    problems = [{"path": str(p.path), "what": p.what} for p in verify(args.folder)]
    lines = [f"{p['path']}: {p['what']}" for p in problems] or [f"{args.folder} is sound"]
    return Answer({"problems": problems}, lambda console: show_lines(console, *lines), holds=not problems)


def _train(verbs: Any) -> None:
    example = "hedgefox train linear --track quick --seed 0 --data data/fluid --out weights/linear"
    made = _verb(
        verbs,
        "train",
        "train a model on the data of a domain, or of several; the same command resumes",
        example,
        do_train,
    )
    made.add_argument("model", metavar="MODEL")
    made.add_argument("--domain", metavar="D", help="which of several in DIR; default: all of them")
    made.add_argument("--track", required=True, metavar="T")
    made.add_argument("--seed", type=_seed, default=0, metavar="S")
    _folder(
        made, "--data", "the folder DIR/DOMAIN that generate wrote, or DIR for a model that learns all domains at once"
    )
    _folder(made, "--out", "weights, log and card go here")
    _device(made)


def do_train(args: argparse.Namespace) -> Answer:
    """Train and save."""
    from .bench.environment import require_device
    from .bench.verbs import training_data
    from .contracts import track
    from .surrogates import train

    data = training_data(args.model, args.data, args.domain)
    device = require_device(args.device)
    with progress_bar(args.watched) as tell:
        model = train(
            args.model, data, track(args.track), seed=args.seed, out=args.out, device=device,
            progress=lambda done, total, *_: tell(f"train {args.model}", done, total),
        )  # fmt: skip
    card = model.card.to_dict()
    return Answer({"folder": str(args.out), "card": card}, lambda console: show_table(console, as_pairs(card)))


def _score(verbs: Any) -> None:
    example = "hedgefox score linear persistence weights/linear --data data/fluid --out scores"
    made = _verb(verbs, "score", "accuracy, per trajectory and frame", example, do_score)
    made.add_argument(
        "models",
        nargs="+",
        metavar="MODEL|WEIGHTS|FILE",
        help="a name, 'reference', a rung, a folder of weights or of predictions, or a Python file of your own",
    )
    _folder(made, "--data", "the folder DIR/DOMAIN that generate wrote")
    _folder(made, "--out", "record.json and curves.parquet go here")
    made.add_argument("--track", metavar="T", help="default: that of the data")
    made.add_argument(
        "--split", action="append", metavar="SPLIT", help="may be repeated; default: test and out of distribution"
    )
    _device(made)


def do_score(args: argparse.Namespace) -> Answer:
    """Score and show the board of just these models."""
    from .bench.verbs import score

    with progress_bar(args.watched) as tell:
        record = score(
            args.models, args.data, args.out, track=args.track, splits=args.split, device=args.device,
            progress=lambda done, total: tell("score", done, total),
        )  # fmt: skip
    return _record_answer(record)


def _speed(verbs: Any) -> None:
    example = "hedgefox speed persistence linear --domain fluid --out speed"
    made = _verb(verbs, "speed", "latency, throughput and memory, beside the reference simulator", example, do_speed)
    what = "a name, a rung, a folder of weights, or a Python file of your own"
    made.add_argument("models", nargs="+", metavar="MODEL|WEIGHTS|FILE", help=what)
    made.add_argument("--domain", metavar="D", help="default: that of the weights, if it is one")
    made.add_argument("--track", default="quick", metavar="T", help="sets sizes and timing effort (default: quick)")
    _folder(made, "--out", "record.json goes here")
    _device(made)


def do_speed(args: argparse.Namespace) -> Answer:
    """Time, and show what was measured."""
    from .bench.verbs import speed

    with progress_bar(args.watched) as tell:
        record = speed(
            args.models, args.out, domain=args.domain, track=args.track, device=args.device,
            progress=lambda done, total: tell("speed", done, total),
        )  # fmt: skip
    return _record_answer(record)


def _record_answer(record: dict[str, Any]) -> Answer:
    """A record, shown as a board and a table of timings; does not hold when a contestant failed."""

    def show(console: Any) -> None:
        from .bench.leaderboard import board_of, print_board

        print_board(board_of([record]), console)
        if not record["scores"]:
            show_table(console, [_speed_row(s) for s in record["speed"]])
        _failures(console, record)

    return Answer(record, show, holds=not record["failures"])


def _speed_row(entry: dict[str, Any]) -> dict[str, Any]:
    best = entry["throughput"]
    return {
        "model": entry["model"],
        "latency [ms]": 1e3 * entry["latency"]["median_s"],
        "core time [ms]": 1e3 * entry["latency"]["core_median_s"],
        "best batch": best["batch"],
        "nodes/s": best["nodes_per_s"],
        "× reference": entry["speedup_reference"],
        "peak memory [bytes]": entry["peak_memory_bytes"],
    }


def _failures(console: Any, record: dict[str, Any]) -> None:
    show_lines(console, *(f"failed: {f['stage']} {f['domain']} {f['model']}: {f['error']}" for f in record["failures"]))


def _run(verbs: Any) -> None:
    example = "hedgefox run --track quick --out runs/quick"
    made = _verb(
        verbs, "run", "the whole track: data, training, scores, timing, board, report; resumable", example, do_run
    )
    made.add_argument("--track", required=True, metavar="T")
    _folder(made, "--out", "everything goes here")
    made.add_argument("--domain", action="append", metavar="D", help="may be repeated; default: all")
    made.add_argument(
        "--seed", action="append", type=_seed, metavar="S", help="training seed, may be repeated; default: the track's"
    )
    made.add_argument("--no-speed", action="store_true", help="measure accuracy alone; other work may go on beside it")
    _device(made)


def do_run(args: argparse.Namespace) -> Answer:
    """Run everything; shows the board, the time of each stage beside its budget, and where the report is."""
    from .bench.run import run

    with progress_bar(args.watched) as tell:
        folder = run(
            args.track, args.out, domains=args.domain, device=args.device, progress=tell,
            seeds=args.seed, timed=not args.no_speed,
        )  # fmt: skip
    return _finished(folder)


def _finished(folder: Path) -> Answer:
    """What a run or a round left: its board, the time of each stage, failures, the report."""
    from .bench import leaderboard
    from .bench import record as records

    made = records.read(folder)
    page = folder / "report" / "index.html"

    def show(console: Any) -> None:
        leaderboard.print_board(leaderboard.board(folder), console)
        show_table(
            console, [{"stage": s["name"], "seconds": s["seconds"], "budget": s["budget"]} for s in made["stages"]]
        )
        _failures(console, made)
        show_lines(console, f"report: {page}")

    data = {"out": str(folder), "report": str(page), "stages": made["stages"], "failures": made["failures"]}
    return Answer(data | {"rows": leaderboard.rows(folder)}, show, holds=not made["failures"])


def _round(verbs: Any) -> None:
    what = (
        "a sealed round: what runs trained, and models of your own, on states made from the hashes of all that entered"
    )
    example = (
        "hedgefox round runs/seed-0 runs/seed-1 ./my_model.py --out runs/round\n  hedgefox round --check runs/round"
    )
    made = _verb(verbs, "round", what, example, do_round)
    made.add_argument("entries", nargs="*", metavar="RUN|FILE", help="folders of runs with their weights; Python files")
    made.add_argument("--out", type=Path, metavar="DIR", help="data, record, board and report go here")
    made.add_argument("--domain", action="append", metavar="D", help="may be repeated; default: those of the runs")
    made.add_argument("--no-speed", action="store_true", help="measure accuracy alone; other work may go on beside it")
    made.add_argument("--check", type=Path, metavar="DIR", help="derive the seal of a finished round again; no entries")
    _device(made)


def do_round(args: argparse.Namespace) -> Answer:
    """Play a round and show its board; or derive a seal again, which holds when it is the record's."""
    from .bench import record as records
    from .bench.round import play_round
    from .bench.seal import checked
    from .contracts import MisuseError

    if args.check is not None:
        found = checked(records.read(args.check))
        return Answer(found, lambda console: show_table(console, as_pairs(found)), holds=found["holds"])
    if args.out is None:
        raise MisuseError("a round needs a folder of its own; give one with --out DIR")
    with progress_bar(args.watched) as tell:
        folder = play_round(
            args.entries, args.out, domains=args.domain, device=args.device, progress=tell, timed=not args.no_speed
        )
    return _finished(folder)


def _leaderboard(verbs: Any) -> None:
    what = "the board of all records under a folder"
    _verb(verbs, "leaderboard", what, "hedgefox leaderboard runs/quick", do_leaderboard).add_argument(
        "folder", type=Path, metavar="DIR"
    )


def do_leaderboard(args: argparse.Namespace) -> Answer:
    """Rows, sorted and ranked."""
    from .bench import leaderboard

    entries = leaderboard.board(args.folder)
    return Answer({"rows": [e.row for e in entries]}, lambda console: leaderboard.print_board(entries, console))


def _compare(verbs: Any) -> None:
    what = (
        "two contestants, the factors in which they differ first; every generalist against the specialists; or two records of one "
        "track: what got better or worse, faster or slower, beyond its interval (exit 1 when something got worse, slower or fails)"
    )
    example = "hedgefox compare persistence linear runs/quick\n  hedgefox compare runs/quick\n  hedgefox compare runs/old runs/new"
    made = _verb(verbs, "compare", what, example, do_compare)
    made.usage = "hedgefox compare [-h] [--json] [--debug] [A B] DIR | OLD NEW"
    made.add_argument(
        "what",
        nargs="+",
        metavar="[A B] DIR | OLD NEW",
        help="two models and a folder of records, a folder alone, or the folders of two records",
    )


def do_compare(args: argparse.Namespace) -> Answer:
    """Two models and a folder, a folder alone, or two records; those hold when nothing got worse or slower, nor fails anew."""
    from ._terminal import show_titled
    from .bench.compare import compared
    from .bench.compare_tables import tables
    from .bench.regression import holds

    found = compared(args.what)
    return Answer(found, lambda console: show_titled(console, tables(found)), "verdicts" not in found or holds(found))


def _report(verbs: Any) -> None:
    made = _verb(
        verbs, "report", "a page that opens from disk, made from records", "hedgefox report runs/quick", do_report
    )
    made.add_argument("folder", type=Path, metavar="DIR")
    made.add_argument("--out", type=Path, metavar="DIR", help="default: DIR/report")


def do_report(args: argparse.Namespace) -> Answer:
    """Write the page."""
    from .bench.report import report

    page = report(args.folder, args.out)
    return Answer({"report": str(page)}, lambda console: show_lines(console, str(page)))


def _explain(verbs: Any) -> None:
    what = "a figure of the board traced back: its formula, records and samples, and the figure made again from them"
    made = _verb(verbs, "explain", what, "hedgefox explain fluid/test/jepa/position_rmse_20 results", do_explain)
    cell = "[TRACK/]DOMAIN/SPLIT/MODEL/COLUMN; a column of `leaderboard --json`, rank, or metrics/NAME@V"
    made.add_argument("cell", metavar="BOARD_CELL", help=cell)
    made.add_argument("folder", type=Path, metavar="DIR", help="a folder of records")


def do_explain(args: argparse.Namespace) -> Answer:
    """All that is behind a cell; does not hold when the samples give another figure."""
    from ._terminal import show_titled
    from .bench.explain import explain, tables, verdict

    found = explain(args.cell, args.folder)

    def show(console: Any) -> None:
        show_titled(console, tables(found))
        show_lines(console, *found["notes"], verdict(found))

    return Answer(found, show, holds=found["agrees"] is not False)


def _claims(verbs: Any) -> None:
    what = (
        "what the records say of claims that people make: supported, refuted, undecided or untested, with the figures"
    )
    made = _verb(verbs, "claims", what, "hedgefox claims results --out results/claims.md", do_claims)
    made.add_argument("folder", type=Path, metavar="DIR", help="a folder of records")
    made.add_argument("--out", type=Path, metavar="FILE", help="write the page there; default: show the verdicts")


def do_claims(args: argparse.Namespace) -> Answer:
    """Judge, and show or write."""
    from .bench import claims
    from .bench import record as records

    found = claims.judged(args.folder)
    if args.out is not None:
        records.write_text(args.out, claims.markdown(found, claims.command_of(args.folder, args.out)))

    def show(console: Any) -> None:
        show_table(console, claims.table(found))
        if args.out is not None:
            show_lines(console, f"page: {args.out}")

    return Answer({"claims": found}, show)


def _validate(verbs: Any) -> None:
    made = _verb(verbs, "validate", "simulators against physics", "hedgefox validate fluid", do_validate)
    made.add_argument("domain", nargs="?", metavar="DOMAIN", help="default: all")
    made.add_argument("--full", action="store_true", help="also what takes minutes")


def do_validate(args: argparse.Namespace) -> Answer:
    """Measured against expected; holds when every domain has rows and every row does."""
    from .bench.verbs import validate
    from .contracts import registry

    names = registry.names("simulators") if args.domain is None else [args.domain]
    found = {name: validate(name, full=args.full) for name in names}
    rows = [
        {"domain": name, "check": c.name, "measured": c.measured, "low": c.low, "high": c.high, "unit": c.unit,
         "expected": c.expected, "source": c.source, "holds": c.holds}
        for name, checks in found.items() for c in checks
    ]  # fmt: skip
    holds = all(checks and all(c.holds for c in checks) for checks in found.values())
    return Answer({"domains": names, "checks": rows}, lambda console: show_table(console, rows), holds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code."""
    top = parser()
    try:
        args = top.parse_args(arguments)
    except SystemExit as done:
        return int(done.code or 0)
    if args.version:
        from importlib.metadata import version

        print(f"hedgefox {version('hedgefox')}")
        return OK
    if args.verb is None:
        top.print_usage(sys.stderr)
        print("hedgefox: which verb? (see hedgefox --help)", file=sys.stderr)
        return MISUSE
    return _carry_out(args)


def _carry_out(args: argparse.Namespace) -> int:
    from .contracts.errors import CheckFailed, MisuseError

    args.watched = sys.stdout.isatty()  # asked now: while a verb works, file 1 is stderr
    try:
        with stdout_kept_clean():
            answer = args.work(args)
        # Of the processes that torchrun starts, one answers.
        if os.environ.get("RANK", "0") == "0":
            print_answer(answer, args.json)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return OK
    except (MisuseError, OSError) as error:
        return _complain(args, error, MISUSE)
    except CheckFailed as error:
        return _complain(args, error, DID_NOT_HOLD)
    except Exception as error:  # ours to fix; the traceback is for us
        return _complain(args, error, DID_NOT_HOLD)
    return OK if answer.holds else DID_NOT_HOLD


def _complain(args: argparse.Namespace, error: Exception, code: int) -> int:
    from .contracts.errors import HedgefoxError

    if args.debug:
        traceback.print_exc()
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename or 'the output'}: {error.strerror}"
    elif not isinstance(error, HedgefoxError):
        text = f"{type(error).__name__}: {text} (--debug shows where)"
    print(f"hedgefox {args.verb}: {text}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
