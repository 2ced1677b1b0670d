"""The simulated world as one HTML page: what it is, who lives in it, what an observer can know, and its gates.

Every text is escaped, the style stands inside, nothing is loaded; the same records give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tagpr.analysis.chain_view import COLOURS
from tagpr.analysis.elements import Html, el, join
from tagpr.analysis.world_examples import choose_people, own_answers
from tagpr.chains.taggers.rules import RulesTagger
from tagpr.chains.tags import TAGS
from tagpr.data.simulated.clauses import rule_text
from tagpr.data.simulated.gates import Gate, gate_figures
from tagpr.data.simulated.logic import FAMILIES, FAMILY_PRIOR, LOGIC_TASKS, RULES, typical_rule
from tagpr.data.simulated.reasoning import manner, reference_chain, rule_of
from tagpr.data.simulated.style import STYLE_WORDS, style_parts
from tagpr.markup import entry_marker
from tagpr.types import SPLITS, Prompt, Record

EXAMPLES = 4  # entries that a chain cites, as the scripted teacher's do
STYLE = Path(__file__).with_suffix(".css")
TITLE = "Simulated people, not people"
TASKS = {"S1": "choice", "S2": "tag", "S3": "score", "S4": "headline", "S5": "title", "S7": "paraphrase"}
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
        _section("people", f"{len(people)} people, looked at closely", _people(people)),
        _section("gates", "The gates of this copy", _gates(gates)),
        el("footer", el("p", "The whole card, with licence, dials, held-out parts and scores of reference: "
                        "tagpr/data/simulated/CARD.md.")),
    )  # fmt: skip
    # The policy forbids the browser to load anything, whatever a text says.
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
    )
    style = STYLE.read_text(encoding="utf-8")
    title = el("title", f"{TITLE}: {world}, {size}, seed {seed}")
    return f"{head}{title}\n<style>\n{style}</style>\n</head>\n<body>\n{el('main', body)}\n</body>\n</html>\n"


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
        bars = el("div", _bar(blind, "blind"), _bar(bayes, "bayes"), class_="pair")
        rows.append([f"{task} {TASKS[task]}", f"{blind:.3f}", f"{bayes:.3f}", bars])
    return join(
        el("p", "The score that the best answer may expect, dev and test people: by the population alone (blind), and "
           "by the whole history (Bayes). Accuracy for S1 and S2, 1 − |error| / 4 for S3, ROUGE for texts."),
        _table(["task", "blind", "Bayes", ""], rows),
    )  # fmt: skip


def _families(families: Sequence[str], records: Sequence[Record]) -> Html:
    tasks = [task for task in LOGIC_TASKS if any(record.task == task for record in records)]
    whole = sum(FAMILY_PRIOR[family] for family in families)
    cards = []
    for family in families:
        rules = [join(el("dt", f"{task} {TASKS[task]}"), el("dd", _rule(task, family))) for task in tasks]
        share = el("span", f"{FAMILY_PRIOR[family] / whole:.0%}", class_="share")
        cards.append(
            el("div", el("h3", _name(family), " ", share), el("p", IN_WORDS[family]), el("dl", *rules), class_="card")
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
            [gate.name, f"{gate.value:.3f}", f"{gate.bound:.3f}", _chip("met", "good") if gate.is_met else
             _chip("missed", "bad")]
            for gate in own
        ]  # fmt: skip
        met = sum(gate.is_met for gate in own)
        chip = _chip(f"{met} of {len(own)} met", "good" if met == len(own) else "bad")
        table = _table(["gate", "figure", "at most", ""], rows)
        parts.append(_fold(f"gates-{task}", [f"{task} {TASKS[task]} ", chip], table, is_open=met < len(own)))
    return join(*parts)


# --- its people ------------------------------------------------------------------------------------------------------


def _people(people: Sequence[Record]) -> Html:
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
    kind = f"{_name(truth['family'])} · " if is_logic else "a manner · "
    heading = [el("b", f"{kind}{task} {TASKS[task]}"), " ", el("code", own), " ", el("small", record.user_id)]
    inside = el(
        "div",
        el("div", el("h4", "History"), _history(record)),
        el("div", el("h4", "Question"), _question(record), el("h4", "What the history tells"), _posterior(record)),
        el("div", el("h4", "A chain of somebody who knows the person"), _chain(record), class_="wide"),
        class_="person",
    )
    return _fold(f"person-{number}", heading, inside, is_open=number == 1)


def _history(record: Record) -> Html:
    truth = record.truth or {}
    items = []
    for number, (entry, own) in enumerate(zip(record.profile, own_answers(record), strict=True), start=1):
        follows = number - 1 in truth["evidence"]
        if follows:
            note = el("span", f"✓\u00a0{own.clause}".strip(), class_="why")
        else:
            note = join(_chip("slip", "bad"), el("span", f" the rule says {own.answer}" if own.answer else ""))
        shown = join(entry.input, " ") if entry.input else Html("")
        marker = el("span", entry_marker(number), class_="number")
        items.append(
            el("li", marker, el("span", shown, el("b", f"→ {entry.response}"), " ", note),
               class_="follows" if follows else "slip")
        )  # fmt: skip
    return el("ol", *items, class_="history")


def _question(record: Record) -> Html:
    truth = record.truth or {}
    slip = "" if record.gold == truth["preferred"] else _chip(f"slip: the rule says {truth['preferred']}", "bad")
    rows: list[list[str]] = [["gold", join(el("b", record.gold or ""), " ", slip), ""]]
    sides = {"blind": "blind", "bayes_unaware": "Bayes, family unknown", "bayes": "Bayes"}
    for side, label in sides.items():
        if side in truth:
            said = truth[side]
            mark = el("span", "✓" if said["answer"] == record.gold else "✗", class_="mark")
            rows.append([label, join(said["answer"], " ", mark), f"{said['expected']:.2f}"])
    return join(el("p", record.query, class_="query"), _table(["", "answer", "expected score"], rows))


def _posterior(record: Record) -> Html:
    truth, task = record.truth or {}, record.task
    belief = truth["posterior"]
    if task not in LOGIC_TASKS:
        rows = []
        for part in style_parts(task):
            words, chances = STYLE_WORDS[task][part], belief["parts"][part]
            best = max(range(len(words)), key=lambda place: chances[place])
            rows.append((f"{part}: {words[best] or 'no word'}", chances[best], best == truth["style"][part]))
        return join(el("p", "Each part of the manner, likeliest value.", class_="note"), _bars(rows))
    top = [
        (rule_text(task, rule_of(one["rule"])), one["chance"], rule_of(one["rule"]) == rule_of(truth["rule"]))
        for one in belief["top"]
    ]
    rest = max(0.0, 1.0 - sum(one["chance"] for one in belief["top"]))
    families = [(_name(name), belief["families"][name], name == truth["family"]) for name in truth["families"]]
    return join(
        el("p", "Rules, the likeliest first; the person's own is marked.", class_="note"),
        _bars([*top, ("all other rules", rest, False)]),
        el("p", "Families.", class_="note"),
        _bars(sorted(families, key=lambda row: -row[1])),
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
    return _fold("legend", ["What the colours of a chain mean"], el("ul", *rows, class_="legend"), is_open=False)


# --- parts of a page -------------------------------------------------------------------------------------------------


def _section(name: str, title: str, inside: Html) -> Html:
    return el("section", _fold(name, [el("h2", title)], inside, is_open=True))


def _fold(name: str, summary: Iterable[str], inside: Html, *, is_open: bool) -> Html:
    opened = {"open": ""} if is_open else {}
    return el("details", el("summary", *summary), inside, id=name, **opened)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    cells = [el("tr", *(el("td", cell) for cell in row)) for row in rows]
    return el("table", el("thead", el("tr", *(el("th", name) for name in head))), el("tbody", *cells))


def _bars(rows: Iterable[tuple[str, float, bool]]) -> Html:
    """(label, chance, whether it is the truth) as horizontal bars."""
    return el(
        "div",
        *(
            el("div", el("span", label, "\u00a0✓" if is_true else ""), _bar(chance, "own" if is_true else ""),
               el("span", f"{chance:.2f}", class_="figure"), class_="row")
            for label, chance, is_true in rows
        ),
        class_="bars",
    )  # fmt: skip


def _bar(share: float, kind: str) -> Html:
    fill = el("span", style=f"width:{100 * share:.1f}%", class_=f"fill {kind}".strip())
    return el("span", fill, class_="bar", aria_hidden="true")


def _chip(text: str, kind: str) -> Html:
    return el("span", text, class_=f"chip {kind}")


def _name(family: str) -> str:
    return family.replace("_", " ")
