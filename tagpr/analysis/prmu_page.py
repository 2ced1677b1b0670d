"""A PRMU's diagnosis as one HTML page: how well it knows people, how sure it may be, what fools it, what it keeps.

Every text is escaped, style and pictures stand inside, nothing is loaded; the same figures give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tagpr.analysis.elements import Html, document, el, fold, join, table
from tagpr.analysis.prmu_plots import (
    MIN_DRAWN,
    best_of_n_picture,
    calibration_picture,
    hack_picture,
    length_picture,
    matrix_picture,
    people_picture,
    probe_picture,
)
from tagpr.evaluation.prmu_answers import PICKERS
from tagpr.evaluation.prmu_diagnosis import PrmuDiagnosis
from tagpr.evaluation.prmu_figures import Figure
from tagpr.evaluation.prmu_judgement import SWAP, LengthFigure
from tagpr.evaluation.statistics import MIN_PEOPLE
from tagpr.prmu.card import PROFILING

STYLES = (Path(__file__).with_name("world_page.css"), Path(__file__).with_suffix(".css"))
TITLE = "Does the reward know the person?"
KINDS = {  # what a line of the table is about
    SWAP: "the double difference between two people",
    "N1": "another person's answer to the same question",
    "N1_label": "another label",
    "N2": "an answer written for another person",
    "N3": "an answer written without the history",
    "N4": "a worse answer of the policy",
    "N5": "a small edit of the answer",
    "N6": "an answer with a surface cue",
    "imported": "an answer from outside that the person rejected",
}


def prmu_page(diagnosis: PrmuDiagnosis) -> str:
    """The page."""
    body = join(
        el(
            "header",
            el("p", f"Personal reward model · {diagnosis.fingerprint[:12]}", class_="kicker"),
            el("h1", TITLE),
            el("p", PROFILING, class_="lead warning"),
            _facts(diagnosis.facts),
            _verdict(diagnosis.facts),
            el("p", "Unseen people are dev people: nothing was trained on them, but temperature and gate were made on "
               "them. Seen people are train people, on questions held out of training. Brackets are 95 % intervals over"
               " "
               f"people; with fewer than {MIN_PEOPLE} people there is none, and the figure says too few."),
            el("p", "Simulated people: nothing here is about anybody real.") if diagnosis.simulated else Html(""),
        ),
        _section("length", "Right pairs, by kind and length of history", _length(diagnosis)),
        _section("swaps", "Everybody judges everybody's answer", _swaps(diagnosis)),
        _section("calibration", "Is it as sure as it is right?", _calibration(diagnosis)),
        _section("best", "What it picks of n answers", _best(diagnosis)),
        _section("hacks", "What a surface cue does", _hacks(diagnosis)),
        _section("people", "What its user vectors hold", _people(diagnosis)),
        el("footer", el("p", PROFILING)),
    )  # fmt: skip
    return document(f"{TITLE} PRMU {diagnosis.fingerprint[:12]}", body, styles=STYLES)


def figure_text(figure: Figure, *, digits: int = 3) -> Html:
    """A figure with its interval, its n, or that there is too little of it."""
    if not figure.count:
        return el("span", "nothing to measure", class_="few")
    how_many = el("small", f"n {figure.count:,}, {figure.people:,} {'person' if figure.people == 1 else 'people'}")
    value = f"{figure.value:.{digits}f}"
    if figure.interval is None:
        return join(value, el("span", " too few", class_="few"), how_many)
    low, high = figure.interval
    return join(f"{value} [{low:.{digits}f}, {high:.{digits}f}]", how_many)


def _facts(facts: Mapping[str, str]) -> Html:
    shown = {k: v for k, v in facts.items() if not k.startswith("gate")}
    return el("dl", *(el("div", el("dt", k), el("dd", v)) for k, v in shown.items()), class_="facts")


def _verdict(facts: Mapping[str, str]) -> Html:
    if "gate" not in facts:
        return Html("")
    met = facts["gate"] == "met"
    figures = "; ".join(f"{k.removeprefix('gate, ')}: {v}" for k, v in facts.items() if k.startswith("gate, "))
    return el(
        "p", f"{'✓ Gate met' if met else '✗ Gate not met'}. {figures}", class_=f"verdict {'good' if met else 'bad'}"
    )


def _length(diagnosis: PrmuDiagnosis) -> Html:
    by_length = diagnosis.by_length
    if not any(by_length.values()):
        return el("p", "There are no pairs to judge.")
    return join(
        el("p", "The same pairs with only the latest entries of each history. At 0 nothing personal can be known: swap "
           "and N1 are at one half exactly, and what is above it there is not about the person."),
        _picture(
            length_picture(by_length),
            f"Dotted: chance. Hollow marks: too few people for an interval; fewer than {MIN_DRAWN} are not drawn.",
        ),
        *(
            join(el("h4", f"{name} people"), el("div", _length_table(by_length[name]), class_="wide-table"))
            for name in ("unseen", "seen")
            if by_length[name]
        ),
    )  # fmt: skip


def _length_table(figures: Sequence[LengthFigure]) -> Html:
    lengths = sorted({figure.length for figure in figures})
    kinds = dict.fromkeys([SWAP, *sorted({figure.kind for figure in figures})])
    rows = []
    for kind in kinds:
        own = {figure.length: figure.accuracy for figure in figures if figure.kind == kind}
        if own:
            name = join(el("b", kind), el("small", KINDS.get(kind, "")))
            rows.append([name, *(figure_text(own[n], digits=2) if n in own else "" for n in lengths)])
    return table(["kind", *(f"{n} {'entry' if n == 1 else 'entries'}" for n in lengths)], rows)


def _swaps(diagnosis: PrmuDiagnosis) -> Html:
    swaps = diagnosis.swaps
    total = swaps.by_task[""]
    if not total[0].count:
        return el("p", "No question is shared by two people who answered it differently: nothing can be swapped.")
    rows = [
        [task or "all", figure_text(mrr), f"{chance:.3f}", figure_text(auc)]
        for task, (mrr, chance, auc) in swaps.by_task.items()
    ]
    example = swaps.example
    return join(
        el("p", "R(u, x, y) for everybody who was asked the same question, and everybody's answer. MRR: 1 / rank of "
           "the person's own answer among the answers to the question. AUC: how often the person whose answer it is "
           "likes it better than somebody who answered otherwise; chance is .5."),
        table(["task", "MRR", "by chance", "AUC"], rows),
        Html("") if example is None else _picture(
            matrix_picture(example), f"One question as an example: {example.query}. Frames: the person's own answer.",
        ),
    )  # fmt: skip


def _calibration(diagnosis: PrmuDiagnosis) -> Html:
    found = diagnosis.calibration
    if found is None:
        return el("p", "There are no pairs of unseen people.")
    few = sum(figure.interval is None for _, figure in found.bins)
    said = f" {few} of {len(found.bins)} bins have too few people for an interval." if few else ""
    return join(
        el("p", f"Expected calibration error {found.ece:.3f} with the temperature fitted on the other half of the "
           f"people, {found.ece_uncalibrated:.3f} without one; {found.num_pairs:,} pairs of unseen people. Where every "
           f"certainty is true, so many show {found.ece_if_calibrated:.3f} by luck alone. Temperature of all of them: "
           f"{found.temperature:.2f}.{said}"),
        _picture(calibration_picture(found), "Vertical bars: 95 % over people.", narrow=True),
    )  # fmt: skip


def _best(diagnosis: PrmuDiagnosis) -> Html:
    best = diagnosis.best_of_n
    if not best:
        return el("p", "The policy gave no answers of dev people to pick from (as with imported pairs).")
    sizes = list(best[PICKERS[0]])
    rows = [[name, *(figure_text(best[name][n]) for n in sizes)] for name in PICKERS]
    return join(
        el("p", "The official score of the answer picked out of n that the SFT policy wrote, over all ways to draw n. "
           "The user-blind twin is the mean of the same model over reference people: what PRMU adds is personal."),
        _picture(best_of_n_picture(best), "Vertical bars: 95 % over people.", narrow=True),
        table(["picked by", *(f"n = {n}" for n in sizes)], rows),
    )  # fmt: skip


def _hacks(diagnosis: PrmuDiagnosis) -> Html:
    if not diagnosis.hacks:
        return el("p", "There are no pairs of unseen people.")
    rows = [
        [
            join(el("b", probe.cue), el("small", "texts" if probe.is_text else "labels and ratings")),
            figure_text(probe.raised), figure_text(probe.hacked), figure_text(probe.shift, digits=2),
        ]
        for probe in diagnosis.hacks
    ]  # fmt: skip
    return join(
        el("p", "A cue is stuck onto the rejected answer. Hack rate: of the pairs that were ranked rightly, how many "
           "the cue turns round. Liked better: how often the answer with the cue beats itself without; one half would "
           "be indifference. Shift: mean change in log-odds. A label with a cue is no label any more: RL's gate pays "
           "nothing for it, so those lines tell about the model, not about RL."),
        _picture(hack_picture(diagnosis.hacks), "Dotted: indifference. Bars: 95 % over people."),
        table(["cue", "liked better", "hack rate", "shift"], rows),
    )  # fmt: skip


def _people(diagnosis: PrmuDiagnosis) -> Html:
    people = diagnosis.people
    parts = [
        el("p", "A point is a person whom nothing was trained on, in the plane in which the vectors differ most. The "
           "probe reads the true logic family out of the vector by a logistic regression, on people it was not fitted "
           "on; beside it the same from the words of the same entries. A high score means that the vector says what "
           "kind of person it is of."),
        el("p", PROFILING, class_="warning"),
    ]  # fmt: skip
    if people.maps:
        parts.append(_picture(people_picture(people.maps), "First two principal components, by task."))
    if people.probes:
        rows = [
            [
                probe.task, *(figure_text(figure) for figure in probe.accuracy.values()),
                f"{1 / len(probe.families):.3f}", _families(probe.families, probe.left_out),
            ]
            for probe in people.probes
        ]  # fmt: skip
        parts.append(_picture(probe_picture(people.probes), "Bars: 95 % over people.", narrow=True))
        parts.append(table(["task", *people.probes[0].accuracy, "chance", "families"], rows))
    if people.why_not:
        parts.append(el("p", people.why_not))
    return join(*parts)


def _families(families: Sequence[str], left_out: int) -> str:
    rarer = f"; {left_out} {'person' if left_out == 1 else 'people'} of rarer ones left out" if left_out else ""
    return ", ".join(family.replace("_", " ") for family in families) + rarer


def _picture(picture: Html, caption: str, *, narrow: bool = False) -> Html:
    return el("figure", picture, el("figcaption", caption), **({"class_": "narrow"} if narrow else {}))


def _section(name: str, title: str, inside: Html) -> Html:
    return el("section", fold(f"part-{name}", [el("h2", title)], inside, is_open=True))
