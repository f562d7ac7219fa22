"""Claims that people make about learned simulators, each with the test that decides it and what the records say.

The test is fixed here before any figure is looked at; the page is made from records alone and never edited by hand. A verdict is
"supported", "refuted", "undecided" (measured, and the interval holds both answers), "untested" (no record), or "mixed" where
domains differ. It is decided on one track: of those that measured what it asks, the one with the most training steps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..board_text import text_of
from . import accuracy, latent, speed
from .evidence import FEW_SEEDS, SEED_SPREAD, Evidence, Verdict, told


@dataclass(frozen=True)
class Claim:
    """A claim in plain words, the test that decides it, and what carries the test out."""

    id: str
    says: str
    test: str
    judge: Callable[[Evidence], Verdict]


def decided(
    judge: Callable[[Evidence, str], Verdict | None], prefer: str | None = None
) -> Callable[[Evidence], Verdict]:
    """A judge of one track turned into one of all: the preferred track, else the one with most training steps, decides.

    What other tracks say is told beside it.
    """

    def over_tracks(evidence: Evidence) -> Verdict:
        tracks = sorted(evidence.tracks, key=lambda name: name != prefer)
        found = [v for track in tracks if (v := judge(evidence, track)) is not None]
        if not found:
            return latent.no_record(evidence)
        first, *others = found
        beside = "; ".join(f"{', '.join(v.tracks)}: {_status(v)}" for v in others)
        why = f"{first.why} Other tracks say: {beside}." if beside else first.why
        return Verdict(first.status, why.strip(), first.by_domain, first.figures, first.tracks, first.device)

    return over_tracks


def _own(how: str, less: str) -> Callable[[str], Sequence[tuple[str, str]]]:
    """Pairs of the variants of jepa that are named by domain."""
    return lambda domain: [(f"jepa-{how}_{domain}" if how else "jepa", f"jepa-{less}_{domain}")]


GENERAL_COSTS = (("jepa-specialist", "jepa"), ("jepa-supervised_specialist", "jepa-supervised"))
LATENT_WINS = (("jepa", "jepa-supervised"), ("jepa-specialist", "jepa-supervised_specialist"))

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "hundred-times-faster",
        "A learned surrogate is 100 times faster than the simulator.",
        "In a domain, S_acc (time of the cheapest simulator setting that errs no more, over the network's) of"
        " some network is at least 100 with its whole interval; refuted where that of every network is below."
        " Decided on CUDA alone.",
        decided(speed.faster_than(speed.HUNDRED, headline=True)),
    ),
    Claim(
        "faster-at-all",
        "A learned surrogate is faster than a simulator that is as accurate.",
        "S_acc of some network is above 1 with its whole interval; refuted where that of every network is below.",
        decided(speed.faster_than(1.0, headline=False)),
    ),
    Claim(
        "plain-ratios-overstate",
        "Speed-ups over the reference simulator overstate what a network gains.",
        "The plain ratio to the reference is above S_acc, interval against interval, for every network; refuted where for none.",
        decided(speed.overstated),
    ),
    Claim(
        "pays-back",
        "A surrogate pays back what its data and training cost.",
        "Some network breaks even after finitely many rollouts, S_acc above 1 with its whole interval; "
        "refuted where none does and none may.",
        decided(speed.pays_back),
    ),
    Claim(
        "coarse-is-better",
        "A coarse setting of the simulator is both faster and better than the network.",
        "Every network of a domain is dominated: some timed setting takes no more time and errs no more, and "
        "betters one of them. Refuted where a network is not.",
        decided(speed.dominated),
    ),
    Claim(
        "specialists-win",
        "Specialists are more accurate than a generalist.",
        "The best specialist errs less than the best generalist of the domain, paired by scene; refuted where it errs more.",
        decided(accuracy.specialists_win),
    ),
    Claim(
        "generalist-must-be-massive",
        "A generalist must be massive.",
        "The smallest generalist that errs no more than the best specialist of every domain has more "
        "parameters than they have in sum, with its whole interval; refuted where it has no more. Without a "
        "sweep of sizes it can be refuted alone, by a generalist on the board that is no larger and errs at "
        "most 10 % more.",
        decided(accuracy.massive, prefer="sizes"),
    ),
    Claim(
        "generality-costs",
        "Training on all domains at once costs accuracy in each.",
        "One backbone, same windows of each domain: trained on one domain it errs less than trained on all, "
        "with latent loss or with state loss, and more with neither; refuted the other way about.",
        decided(accuracy.errs_less(accuracy.fixed(*GENERAL_COSTS))),
    ),
    Claim(
        "latent-beats-state",
        "A loss in latent space gives better predictions than a loss on the state.",
        "One backbone: with latent loss it errs less than with state loss, trained on one domain or on all, "
        "and more in neither case; refuted the other way about.",
        decided(accuracy.errs_less(accuracy.fixed(*LATENT_WINS))),
    ),
    Claim(
        "jepa-needs-attention",
        "JEPA needs attention too.",
        "With mean pooling and with message passing in place of attention in its predictor jepa errs over 10 % more; refuted where "
        "with one of them it errs at most 10 % more.",
        decided(accuracy.needs("jepa", "jepa-mean_pooling", "jepa-message_passing"), prefer="ablate-attention"),
    ),
    Claim(
        "encoder-needs-training",
        "The encoder must be trained.",
        "With its encoder as it was drawn, predictor and read-out trained alike, jepa errs over 10 % more; refuted where at "
        "most 10 % more.",
        decided(accuracy.needs("jepa", "jepa-random")),
    ),
    Claim(
        "latents-know-parameters",
        "JEPA's latents know the hidden parameters of a scene.",
        "Of some parameter a linear probe reads off jepa's latents more than half the variance (R² > 0.5), "
        "and more than off an encoder as drawn and off the raw state, interval against interval; refuted "
        "where R² of every parameter is below 0.5.",
        decided(latent.knows_parameters),
    ),
    Claim(
        "latent-loss-drops-nuisance",
        "A latent loss drops what does not matter.",
        "With unpredictable distractors added, the error on what is asked grows less with their number under "
        "latent loss than under state loss, at one size.",
        latent.no_record,
    ),
    Claim(
        "networks-beat-baselines",
        "Networks beat dumb baselines, out of distribution too.",
        "On every split of a domain the best network errs less than the best of persistence, constant "
        "velocity and linear; refuted where on some split that baseline errs less.",
        decided(accuracy.beat_baselines),
    ),
    Claim(
        "breadth-helps",
        "Learning other kinds of physics helps with this one.",
        "Trained on all domains jepa errs less in a domain than trained on that one alone; refuted where it errs more.",
        decided(accuracy.errs_less(_own("", "only")), prefer="transfer"),
    ),
    Claim(
        "generalist-transfers",
        "A generalist learns a new kind of physics from few examples.",
        "Shown a few trajectories of a domain that it was not trained on, jepa errs less there than shown "
        "those few alone; refuted where more.",
        decided(accuracy.errs_less(_own("few", "scratch")), prefer="transfer"),
    ),
    Claim(
        "read-out-limits",
        "Most of a generalist's error is its read-out's.",
        "What it errs when it decodes its own encoding of the true frames is more than half of what its "
        "rollout errs, for every generalist that has a read-out, with the whole interval; refuted where less "
        "than half.",
        decided(accuracy.read_out),
    ),
)


def judged(folder: Path, progress: Callable[[int, int], None] | None = None) -> list[dict[str, Any]]:
    """Every claim with its verdict, as plain data; `progress(done, total)` is told the claims that were judged.

    Raises MisuseError for a folder without records.
    """
    evidence, verdicts = Evidence(folder), list[dict[str, Any]]()
    for claim in CLAIMS:
        if progress is not None:
            progress(len(verdicts), len(CLAIMS))
        verdicts.append(_plain(claim, claim.judge(evidence)))
    return verdicts


def _plain(claim: Claim, verdict: Verdict) -> dict[str, Any]:
    return {
        "id": claim.id,
        "says": claim.says,
        "test": claim.test,
        "verdict": verdict.status,
        "by_domain": dict(verdict.by_domain),
        "device": verdict.device,
        "tracks": list(verdict.tracks),
        "why": verdict.why,
        "figures": [{**vars(f), "records": list(f.records)} for f in verdict.figures],
    }


def _status(verdict: Verdict) -> str:
    return status({"verdict": verdict.status, "by_domain": verdict.by_domain, "device": verdict.device})


def status(claim: Mapping[str, Any]) -> str:
    """A verdict in words: of several domains what holds where, and what was timed on."""
    said = told(claim["by_domain"]) if claim["by_domain"] else str(claim["verdict"])
    return f"{said}, on {claim['device']}" if claim["device"] else said


# -- the page ----------------------------------------------------------------------------------------------------------

RULES = (
    "Errors are position RMSE at the frame that the board ranks by (20, if nothing forbids), differences are paired by scene, "
    "intervals are 95 % bootstraps over training seeds and scenes; how often they hold is in docs/measure.md (of 3 seeds, in 80 to "
    f"92 of 100 cases). Where a trained network has fewer than {FEW_SEEDS} training seeds, an interval says nothing of how "
    f"trainings differ, so it must also clear {100 * SEED_SPREAD:.0f} % of the error: two equal trainings have differed by 9 % "
    "(LOG.md). Nothing is corrected for the number of comparisons. Each claim is decided on one track: of those that measured it, "
    "that with the most training steps, unless the claim has a track of its own. *undecided*: measured, and the interval holds "
    "both answers. *untested*: no record."
)


def markdown(found: Sequence[Mapping[str, Any]], command: str) -> str:
    """The page of claims; the same for the same records."""
    lines = ["# Claims", "", f"Made from records by `{_code(command)}`; not edited by hand.", "", RULES, ""]
    lines += ["| claim | verdict | track |", "|---|---|---|"]
    for c in found:
        verdict = escaped(status(c))
        lines.append(f"| [{escaped(c['says'])}](#{c['id']}) | {verdict} | {escaped(', '.join(c['tracks']))} |")
    for c in found:
        lines += ["", f"## {c['id']}", "", f"**{escaped(c['says'])}**", "", f"*Test:* {escaped(c['test'])}", ""]
        lines += [f"*Verdict:* **{escaped(status(c))}**. {escaped(c['why'])}".rstrip()]
        lines += _figures(c["figures"])
    return "\n".join(lines) + "\n"


def _figures(figures: Sequence[Mapping[str, Any]]) -> list[str]:
    if not figures:
        return []
    lines = ["", "| domain | split | figure | value | seeds |", "|---|---|---|---|---|"]
    for f in figures:
        cells = (f["domain"], f["split"], f["what"], text_of(f["value"]), f["seeds"])
        lines.append("| " + " | ".join(escaped(str(c)) for c in cells) + " |")
    records = sorted({r for f in figures for r in f["records"]})
    return [*lines, "", "Records: " + ", ".join(escaped(r) for r in records) + "."] if records else lines


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, in a table too: a model's name is anybody's."""
    plain = " ".join(text.split())
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*\[\]|~])", r"\\\1", plain)


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())


def command_of(folder: Path, out: Path | None) -> str:
    """The command that makes the page again, without what is of one machine."""
    said = "." if folder == Path() else folder.name if folder.is_absolute() else folder.as_posix()
    if out is None:
        return f"hedgefox claims {said}"
    kept = out.name if out.is_absolute() else out.as_posix()
    return f"hedgefox claims {said} --out {kept}"


def table(found: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The verdicts for a terminal."""
    return [{"claim": c["id"], "verdict": status(c), "track": ", ".join(c["tracks"]) or "–"} for c in found]
