"""Simulated people for the eye: history with its slips, a question, what an observer believes, a chain."""

from __future__ import annotations

from collections.abc import Sequence

from tagpr.analysis.chain_view import COLOURS
from tagpr.analysis.elements import Html, bars, chip, el, fold, join, table
from tagpr.analysis.world_examples import own_answers
from tagpr.chains.taggers.rules import RulesTagger
from tagpr.chains.tags import TAGS
from tagpr.data.simulated.clauses import rule_text
from tagpr.data.simulated.logic import LOGIC_TASKS
from tagpr.data.simulated.reasoning import manner, reference_chain, rule_of
from tagpr.data.simulated.style import STYLE_WORDS, style_parts
from tagpr.markup import entry_marker
from tagpr.types import Prompt, Record

EXAMPLES = 4  # entries that a chain cites, as the scripted teacher's do
TASK_WORDS = {"S1": "choice", "S2": "tag", "S3": "score", "S4": "headline", "S5": "title", "S7": "paraphrase"}


def people_html(people: Sequence[Record]) -> Html:
    return join(
        el("p", "Test people, none shown twice where there are enough. Of each kind it is the first one whose history "
           "brings Bayes from another answer to the one without slips, if possible with a slip in the history: clearer "
           "cases than most. How clear the world is on the whole is said above."),
        _legend(),
        *(_person(number, record) for number, record in enumerate(people, start=1)),
    )  # fmt: skip


def _person(number: int, record: Record) -> Html:
    truth, task = record.truth or {}, record.task
    is_logic = task in LOGIC_TASKS
    own = rule_text(task, rule_of(truth["rule"])) if is_logic else manner(task, truth["style"])
    kind = f"{family_name(truth['family'])} · " if is_logic else "a manner · "
    heading = [el("b", f"{kind}{task} {TASK_WORDS[task]}"), " ", el("code", own), " ", el("small", record.user_id)]
    inside = el(
        "div",
        el("div", el("h4", "History"), _history(record)),
        el("div", el("h4", "Question"), _question(record), el("h4", "What the history tells"), _posterior(record)),
        el("div", el("h4", "A chain of somebody who knows the person"), _chain(record), class_="wide"),
        class_="person",
    )
    return fold(f"person-{number}", heading, inside, is_open=number == 1)


def _history(record: Record) -> Html:
    truth = record.truth or {}
    items = []
    for number, (entry, own) in enumerate(zip(record.profile, own_answers(record), strict=True), start=1):
        follows = number - 1 in truth["evidence"]
        if follows:
            note = el("span", f"✓\u00a0{own.clause}".strip(), class_="why")
        else:
            note = join(chip("slip", "bad"), el("span", f" the rule says {own.answer}" if own.answer else ""))
        shown = join(entry.input, " ") if entry.input else Html("")
        marker = el("span", entry_marker(number), class_="number")
        items.append(
            el("li", marker, el("span", shown, el("b", f"→ {entry.response}"), " ", note),
               class_="follows" if follows else "slip")
        )  # fmt: skip
    return el("ol", *items, class_="history")


def _question(record: Record) -> Html:
    truth = record.truth or {}
    slip = "" if record.gold == truth["preferred"] else chip(f"slip: the rule says {truth['preferred']}", "bad")
    rows: list[list[str]] = [["gold", join(el("b", record.gold or ""), " ", slip), ""]]
    sides = {"blind": "blind", "bayes_unaware": "Bayes, family unknown", "bayes": "Bayes"}
    for side, label in sides.items():
        if side in truth:
            said = truth[side]
            mark = el("span", "✓" if said["answer"] == record.gold else "✗", class_="mark")
            rows.append([label, join(said["answer"], " ", mark), f"{said['expected']:.2f}"])
    return join(el("p", record.query, class_="query"), table(["", "answer", "expected score"], rows))


def _posterior(record: Record) -> Html:
    truth, task = record.truth or {}, record.task
    belief = truth["posterior"]
    if task not in LOGIC_TASKS:
        rows = []
        for part in style_parts(task):
            words, chances = STYLE_WORDS[task][part], belief["parts"][part]
            best = max(range(len(words)), key=lambda place: chances[place])
            rows.append((f"{part}: {words[best] or 'no word'}", chances[best], best == truth["style"][part]))
        return join(el("p", "Each part of the manner, likeliest value.", class_="note"), bars(rows))
    top = [
        (rule_text(task, rule_of(one["rule"])), one["chance"], rule_of(one["rule"]) == rule_of(truth["rule"]))
        for one in belief["top"]
    ]
    rest = max(0.0, 1.0 - sum(one["chance"] for one in belief["top"]))
    families = [(family_name(name), belief["families"][name], name == truth["family"]) for name in truth["families"]]
    return join(
        el("p", "Rules, the likeliest first; the person's own is marked.", class_="note"),
        bars([*top, ("all other rules", rest, False)]),
        el("p", "Families.", class_="note"),
        bars(sorted(families, key=lambda row: -row[1])),
    )


def _chain(record: Record) -> Html:
    chain = reference_chain(record, list(enumerate(record.profile)), examples=EXAMPLES)
    prompt = Prompt(record=record, text="", history=record.profile, thinking=True, num_cut=0, num_dropped=0)
    steps = [
        el(
            "li",
            el("span", tag, class_="tag"),
            " ",
            el("span", step),
            class_="step",
            style=f"background:{COLOURS[tag]}",
        )
        for tag, step in zip(RulesTagger().tag(prompt, chain.steps), chain.steps, strict=True)
    ]
    return join(el("ol", *steps, class_="chain"), el("p", "answer: ", el("b", chain.answer)))


def _legend() -> Html:
    rows = [
        el("li", el("span", name, class_="tag step", style=f"background:{COLOURS[name]}"), f" {TAGS[name].function}")
        for name in TAGS
    ]
    return fold("legend", ["What the colours of a chain mean"], el("ul", *rows, class_="legend"), is_open=False)


def family_name(family: str) -> str:
    return family.replace("_", " ")
