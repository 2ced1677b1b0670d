"""The simulated world as one HTML page: what it is, who lives in it, what an observer can know, and its gates.

Every text is escaped, the style stands inside, nothing is loaded; the same records give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tagpr.analysis.elements import Html, bar, chip, document, el, fold, join, table
from tagpr.analysis.world_examples import choose_people
from tagpr.analysis.world_people import TASK_WORDS, family_name, people_html
from tagpr.data.simulated.clauses import rule_text
from tagpr.data.simulated.gates import Gate, gate_figures
from tagpr.data.simulated.logic import FAMILIES, FAMILY_PRIOR, LOGIC_TASKS, RULES, typical_rule
from tagpr.types import SPLITS, Record

STYLE = Path(__file__).with_suffix(".css")
TITLE = "Simulated people, not people"
# The table of logic.py in a sentence each; the exact rules stand beside it.
IN_WORDS = {
    "lexicographic": "goes by one thing; by another only where the first does not decide",
    "veto": "goes by one thing, unless another rules it out",
    "additive": "weighs two things, the first twice as much",
    "threshold": "knows only enough and not enough",
    "context_switch": "goes by one thing on weekdays, by another at weekends",
    "contrarian": "turns it round: low counts as high, the later word beats the earlier",
    "novelty": "minds whether a place is new or usual",
    "drifter": "changed in the middle of the history",
}
KEY = {  # words of clauses that do not speak for themselves
    "toward": "two parts to one",
    "flip": "6 minus the level, or the lower of two",
    "up": "so many levels up where new, down where usual",
    "later": "whichever the text names later",
    "close": "less than two levels apart",
    "things": "small circumstances named, such as the weather",
    "older": "first half of the history",
}


def world_page(
    records: Sequence[Record], gates: Sequence[Gate], *, version: Mapping[str, str], size: str, seed: int
) -> str:
    """The page.

    Args:
        records: of the whole world, with truth.
        gates: as measured on them, met or not.
        version: {name of the world: its hash}.
    """
    people = choose_people(records)
    families = [family for family in FAMILIES if any(family in (r.truth or {})["families"] for r in people)]
    world = ", ".join(version)
    body = join(
        el(
            "header",
            el("p", f"Data card · {world}", class_="kicker"),
            el("h1", TITLE),
            el("p", "Results on them are never averaged or compared with LaMP's.", class_="lead"),
            el("p", "A program drew these people, their tastes and their texts from tables of words and chances. A "
               "result on this data says how a method deals with known personal rules, and nothing about any person."),
            _facts(records, families, version, size, seed),
            _verdict(gates),
        ),
        _section("scores", "What knowing the person is worth", _scores(records, gates)),
        _section("families", f"How people judge: {len(families)} families", _families(families, records)),
        _section("people", f"{len(people)} people, looked at closely", people_html(people)),
        _section("gates", "The gates of this copy", _gates(gates)),
        el("footer", el("p", "The whole card, with licence, dials, held-out parts and scores of reference: "
                        "tagpr/data/simulated/CARD.md.")),
    )  # fmt: skip
    return document(f"{TITLE}: {world}, {size}, seed {seed}", body, styles=[STYLE])


# --- the world -------------------------------------------------------------------------------------------------------


def _facts(
    records: Sequence[Record], families: Sequence[str], version: Mapping[str, str], size: str, seed: int
) -> Html:
    split_of = {record.user_id: record.split for record in records}
    people = ", ".join(f"{list(split_of.values()).count(split):,} {split}" for split in SPLITS)
    truth = records[0].truth or {}
    facts = {
        "copy": f"{size}, seed {seed}",
        "people": people,
        "questions": f"{len(records):,}",
        "entries per history": str(len(records[0].profile)),
        "slips": f"{truth['noise']:.0%} of all answers",
    }
    hashes = el("div", el("dt", "hash"), el("dd", ", ".join(version.values()), class_="hash"))
    return el("dl", *(el("div", el("dt", k), el("dd", v)) for k, v in facts.items()), hashes, class_="facts")


def _verdict(gates: Sequence[Gate]) -> Html:
    missed = [gate for gate in gates if not gate.is_met]
    if not missed:
        return el("p", f"✓ All {len(gates)} gates of this copy are met.", class_="verdict good")
    named = ", ".join(f"{gate.task} {gate.name}" for gate in missed)
    text = f"✗ {len(missed)} of {len(gates)} gates are missed: {named}. This copy is not fit for training or testing."
    return el("p", text, class_="verdict bad")


def _scores(records: Sequence[Record], gates: Sequence[Gate]) -> Html:
    figures = gate_figures(records, gates)
    rows = []
    for task in sorted({record.task for record in records}):
        blind, bayes = figures[f"{task}/blind"], figures[f"{task}/bayes"]
        pair = el("div", bar(blind, "blind"), bar(bayes, "bayes"), class_="pair")
        rows.append([f"{task} {TASK_WORDS[task]}", f"{blind:.3f}", f"{bayes:.3f}", pair])
    return join(
        el("p", "The score that the best answer may expect, dev and test people: by the population alone (blind), and "
           "by the whole history (Bayes). Accuracy for S1 and S2, 1 − |error| / 4 for S3, ROUGE for texts."),
        table(["task", "blind", "Bayes", ""], rows),
    )  # fmt: skip


def _families(families: Sequence[str], records: Sequence[Record]) -> Html:
    tasks = [task for task in LOGIC_TASKS if any(record.task == task for record in records)]
    whole = sum(FAMILY_PRIOR[family] for family in families)
    cards = []
    for family in families:
        rules = [join(el("dt", f"{task} {TASK_WORDS[task]}"), el("dd", _rule(task, family))) for task in tasks]
        share = el("span", f"{FAMILY_PRIOR[family] / whole:.0%}", class_="share")
        cards.append(
            el(
                "div",
                el("h3", family_name(family), " ", share),
                el("p", IN_WORDS[family]),
                el("dl", *rules),
                class_="card",
            )
        )
    return join(
        el("p", "A person belongs to one family and has one rule of it per task; the commonest one is shown. The "
           "percentage is the family's share of the population. Read a clause as ", el("em", "what decides if when"),
           "; a later clause that applies overrides an earlier one."),
        el("p", *_key(families, tasks), class_="key"),
        el("div", *cards, class_="cards"),
    )  # fmt: skip


def _key(families: Sequence[str], tasks: Sequence[str]) -> list[Html]:
    """What words of clauses mean, those that some rule here uses."""
    used = {
        word
        for task in tasks
        for rule in RULES[task]
        if rule.family in families
        for word in rule_text(task, rule).split()
    }
    return [join(el("code", word), f" {said}. ") for word, said in KEY.items() if word in used]


def _rule(task: str, family: str) -> Html:
    return el("code", rule_text(task, typical_rule(task, (family,))))


def _gates(gates: Sequence[Gate]) -> Html:
    parts = [el("p", "A world is handed over only if every figure is at most its bound. The bounds are frozen; those "
                "of small copies allow for sampling.")]  # fmt: skip
    for task in sorted({gate.task for gate in gates}):
        own = [gate for gate in gates if gate.task == task]
        rows = [
            [gate.name, f"{gate.value:.3f}", f"{gate.bound:.3f}", chip("met", "good") if gate.is_met else
             chip("missed", "bad")]
            for gate in own
        ]  # fmt: skip
        met = sum(gate.is_met for gate in own)
        verdict = chip(f"{met} of {len(own)} met", "good" if met == len(own) else "bad")
        rows_of_task = table(["gate", "figure", "at most", ""], rows)
        parts.append(
            fold(f"gates-{task}", [f"{task} {TASK_WORDS[task]} ", verdict], rows_of_task, is_open=met < len(own))
        )
    return join(*parts)


def _section(name: str, title: str, inside: Html) -> Html:
    return el("section", fold(name, [el("h2", title)], inside, is_open=True))
