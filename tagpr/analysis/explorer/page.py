"""An exhibit as one HTML page: questions with the history that was shown, the chains, and what they earned.

Every text is escaped, the style stands inside, nothing is run or loaded; filters are style sheets alone, and without
them every question is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tagpr.analysis.chain_view import COLOURS
from tagpr.analysis.elements import Html, document, el, fold, join, table
from tagpr.analysis.explorer.card import card_html
from tagpr.analysis.explorer.choice import RULE, Candidate
from tagpr.analysis.explorer.exhibit import Exhibit
from tagpr.chains.tags import TAGS
from tagpr.evaluation.references import NAMES
from tagpr.rl.rewards.tag import BODY, COVERAGE, GROUNDING, ORDER

STYLES = (Path(__file__).parent.parent / "world_page.css", Path(__file__).with_suffix(".css"))


def explorer_page(exhibit: Exhibit) -> str:
    """The page."""
    tasks = sorted({card.chosen.task for card in exhibit.cards})
    body = join(
        el(
            "header",
            el("p", exhibit.kicker, class_="kicker"),
            el("h1", exhibit.title),
            el("p", "Simulated people: a program drew them, and nothing here is about anybody real.", class_="lead")
            if exhibit.simulated
            else el("p", "Real people's texts: hand this page on only where their data may go.", class_="lead"),
            el("dl", *(el("div", el("dt", k), el("dd", v)) for k, v in exhibit.facts.items()), class_="facts"),
            *(el("p", warning, class_="warning") for warning in exhibit.warnings),
        ),
        el("section", el("h2", f"{len(exhibit.cards)} {exhibit.unit}"), _choice(exhibit, tasks)),
        el(
            "section",
            _legend(exhibit),
            *(
                card_html(number, card, kinds=_kinds(card.chosen, tasks))
                for number, card in enumerate(exhibit.cards, start=1)
            ),
            el(
                "p",
                f"None of the {exhibit.unit} on this page is of this kind. To draw such: ",
                el("code", "tagpr-explore ... --only KIND --task TASK"),
                class_="none",
            ),
        ),
        el("footer", *(el("p", f"{said}: ", el("code", typed)) for said, typed in exhibit.hints)),
    )
    return document(f"{exhibit.title} {exhibit.kicker}", body, styles=STYLES, rules=_filter_rules(exhibit, tasks))


def _choice(exhibit: Exhibit, tasks: Sequence[str]) -> Html:
    known = len(exhibit.candidates)
    rows = [[_radio("show", "all", "all"), "", str(len(exhibit.cards)), f"{known:,}"]]
    for flag, meaning in exhibit.filters.items():
        here = sum(flag in card.chosen.flags for card in exhibit.cards)
        everywhere = sum(flag in one.flags for one in exhibit.candidates)
        rows.append([_radio("show", flag, flag.replace("_", " ")), meaning, str(here),
                     f"{everywhere:,} ({everywhere / known:.0%})"])  # fmt: skip
    radios = [_radio("task", "all", "all tasks"), *(_radio("task", str(n), name) for n, name in enumerate(tasks))]
    counts = table(["show", "meaning", "here", f"of all {exhibit.unit}"], rows)
    return join(
        el(
            "p",
            f"Not picked by hand: {RULE} Chosen with ",
            el("code", exhibit.asked),
            f", of {exhibit.num_fitting:,} that fit.",
        ),
        el("div", counts, class_="choice"),
        el("p", *radios, class_="radios") if len(tasks) > 1 else Html(""),
    )


def _radio(group: str, value: str, label: str) -> Html:
    checked = {"checked": ""} if value == "all" else {}
    return el("label", el("input", type="radio", name=group, id=f"{group}-{value}", **checked), f" {label}")


def _kinds(one: Candidate, tasks: Sequence[str]) -> list[str]:
    return [f"task-{tasks.index(one.task)}", *(f"is-{flag}" for flag in sorted(one.flags))]


def _filter_rules(exhibit: Exhibit, tasks: Sequence[str]) -> str:
    """Hides what the chosen radios do not ask for, and says so where nothing is left."""
    hidden = [f"main:has(#show-{flag}:checked) .question:not(.is-{flag})" for flag in exhibit.filters]
    hidden += [f"main:has(#task-{number}:checked) .question:not(.task-{number})" for number in range(len(tasks))]
    left = [(flag, task) for card in exhibit.cards for flag in card.chosen.flags for task in (card.chosen.task, "all")]
    places = {"all": "all", **{task: str(number) for number, task in enumerate(tasks)}}
    # With one task there are no radios of tasks.
    empty = [
        f"main:has(#show-{flag}:checked){f':has(#task-{place}:checked)' if len(tasks) > 1 else ''} .none"
        for flag in exhibit.filters
        for task, place in places.items()
        if (flag, task) not in left
    ]
    rules = {", ".join(hidden): "none", ", ".join(empty): "block"}
    return "".join(f"{selector} {{ display: {shown}; }}\n" for selector, shown in rules.items() if selector)


def _legend(exhibit: Exhibit) -> Html:
    rows = [
        el("li", el("span", name, class_="tag step", style=f"background:{COLOURS[name]}"), f" {TAGS[name].function}")
        for name in exhibit.tags
    ]
    parts = [el("ul", *rows, class_="legend") if rows else el("p", "These chains have no tags.")]
    if rows:
        parts.append(
            el("p", f"Tag reward = {COVERAGE:g} coverage (tags that the task requires) + {ORDER:g} order + {BODY:g} "
               f"body (length, no loops, content) + {GROUNDING:g} grounding (what is said of an entry stands in it) - "
               "penalties; 0 where the markup is not in order.")
        )  # fmt: skip
    references = dict.fromkeys(name for card in exhibit.cards for scene in card.scenes for name, _ in scene.beside)
    if references:
        said = "; ".join(f"{name.replace('_', ' ')}: {NAMES[name]}" for name in references)
        parts.append(el("p", f"Beside stand, of the same history, {said}."))
    replies = [reply for card in exhibit.cards for scene in card.scenes for reply in scene.replies]
    if any(reply.pay for reply in replies):
        parts.append(
            el("p", "Of each rollout stand the raw values of the reward's terms; the heading has their weights at that "
               "step. The reward is the sum of value × weight, and of what the gate adds or takes where it has a "
               "column. The advantage is against the group.")
        )  # fmt: skip
    if any(reward is not None for reply in replies for reward in reply.span_rewards):
        parts.append(el("p", "A signed figure at a step is what that span earned by itself: it is no part of the "
                        "reward, but decides which tokens are credited."))  # fmt: skip
    if exhibit.simulated:
        parts.append(
            el("p", "A step is true where the world bears it out: entries are as described, the pattern holds in all "
               "entries cited, the rule is the person's, the query is read as it is, the conclusion follows from the "
               "rule stated. An entry's ✓ names the clause of the person's rule that decides it.")
        )  # fmt: skip
    return fold("legend", ["What colours, marks and figures mean"], join(*parts), is_open=True)
