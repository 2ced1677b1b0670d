"""A question as elements: the history that was shown beside what was said to it, and what each completion was paid."""

from __future__ import annotations

from collections.abc import Sequence

from tagpr.analysis.elements import Html, chip, el, fold, join, table
from tagpr.analysis.explorer.chain import chain_html
from tagpr.analysis.explorer.exhibit import PLAIN, Card, Chip, Pay, Reply, Scene
from tagpr.chains.tags import cited_entries
from tagpr.markup import ARROW, entry_marker
from tagpr.rl.rewards.tag import TagReward

ROUNDING = 1e-5  # of sums of float32 terms
FOLD_FROM = 3  # replies to one question, from which on only the first stands open


def card_html(number: int, card: Card, *, kinds: Sequence[str]) -> Html:
    """A question that unfolds; the first one is open.

    Args:
        kinds: classes that filters look for.
    """
    one = card.chosen
    replies = [reply for scene in card.scenes for reply in scene.replies]
    heading = [
        el("b", f"{number} · {one.task}"), " ", el("span", card.query, class_="asked", dir="auto"), " ",
        el("span", *_outcome(replies), class_="outcome"),
    ]  # fmt: skip
    facts = {"gold": card.gold if card.gold is not None else "withheld", **card.truth}
    inside = [
        el("p", card.query, class_="query", dir="auto"),
        el("dl", *(el("div", el("dt", k), el("dd", v, dir="auto")) for k, v in facts.items()), class_="facts"),
        el("p", *(chip(flag.replace("_", " "), PLAIN) for flag in sorted(one.flags)), " ",
           el("small", ", ".join(filter(None, [one.user_id, one.record_id, card.said])))),
    ]  # fmt: skip
    inside += [_scene(f"q{number}-{turn}-", scene) for turn, scene in enumerate(card.scenes, start=1)]
    return el(
        "div", fold(f"q{number}", heading, join(*inside), is_open=number == 1), class_=" ".join(["question", *kinds])
    )


def _outcome(replies: Sequence[Reply]) -> list[Html]:
    """What a folded question shows: every row's score, or the range of what rollouts were paid."""
    totals = [reply.pay.total for reply in replies if reply.pay is not None]
    if totals:
        return [chip(f"{len(replies)} rollouts paid {min(totals):.2f} to {max(totals):.2f}", PLAIN)]
    return [chip(f"{reply.name} {said}", kind) for reply in replies for said, kind in reply.chips[:1]]


def _scene(name: str, scene: Scene) -> Html:
    entries = f"{name}e"
    cited = {reply.name: set(cited_entries(reply.parsed.chain)) for reply in scene.replies}
    several = len(scene.replies) > 1
    replies = [
        _reply(
            f"{name}r{turn}", reply, entries, len(scene.history), is_open=turn == 1 or len(scene.replies) <= FOLD_FROM
        )
        for turn, reply in enumerate(scene.replies, start=1)
    ]
    beside = [join(el("b", who.replace("_", " ")), ": ", el("bdi", said)) for who, said in scene.beside]
    return el(
        "div",
        el("div", el("h4", "History as shown"), _history(scene, entries, cited, several), class_="past"),
        el(
            "div",
            el("p", "Beside: ", *_between(beside, ", "), class_="note") if beside else Html(""),
            _pay_table(scene.replies),
            *replies,
        ),
        class_="scene",
    )


def _between(parts: Sequence[Html], mark: str) -> list[str]:
    return [piece for place, part in enumerate(parts) for piece in ([mark, part] if place else [part])]


def _history(scene: Scene, entries: str, cited: dict[str, set[int]], several: bool) -> Html:
    if not scene.history:
        why = "the person has none" if not scene.num_profile else f"none of {scene.num_profile}"
        return el("p", f"No entry is shown ({why}).", class_="note")
    items = []
    for number, entry in enumerate(scene.history, start=1):
        by = [name for name, own in cited.items() if number in own]
        notes = [chip(*scene.notes[number - 1])] if scene.notes else []
        if by:
            share = f"cited by {', '.join(by)}" if len(by) < min(len(cited), 4) else "cited by all"
            if len(cited) > 4:
                share = f"cited by {len(by)} of {len(cited)}"
            notes.append(chip(share if several else "cited", "cited"))
        items.append(
            el(
                "li",
                el("span", entry_marker(number), class_="number"),
                el("span", el("bdi", entry.input), f" {ARROW} " if entry.input else "", el("b", entry.response), " ",
                   *notes, dir="auto"),
                id=f"{entries}{number}", class_="cited" if by else "entry",
            )
        )  # fmt: skip
    left_out = [f"{len(scene.history)} of the person's {scene.num_profile}"]
    if scene.num_cut:
        left_out.append(f"{scene.num_cut} shortened")
    if scene.num_dropped:
        left_out.append(f"{scene.num_dropped} retrieved but too long for the prompt")
    return join(el("ol", *items, class_="history"), el("p", ", ".join(left_out), class_="note"))


def _reply(name: str, reply: Reply, entries: str, num_entries: int, *, is_open: bool) -> Html:
    heading: list[str] = [el("b", reply.name), " ", el("bdi", reply.parsed.answer), " ", *map(_chip, reply.chips)]
    if reply.pay is not None:
        heading.append(el("small", f" reward {reply.pay.total:.3f}, advantage {reply.pay.advantage:+.3f}"))
    inside = [chain_html(reply, entries=entries, num_entries=num_entries)]
    if reply.tag is not None:
        inside.append(_tag_parts(reply.tag, in_order=bool(reply.parsed.g_tags)))
    return fold(name, heading, join(*inside), is_open=is_open)


def _chip(one: Chip) -> Html:
    return chip(*one)


def _tag_parts(tag: TagReward, *, in_order: bool) -> Html:
    parts = {"coverage": tag.coverage, "order": tag.order, "body": tag.body, "grounding": tag.grounding}
    penalties = {
        "too many of a tag": tag.extra_spans, "repeats itself": tag.duplicates, "copies": tag.copying,
        "boilerplate": tag.boilerplate,
    }  # fmt: skip
    said = [f"{name} {value:.2f}" for name, value in parts.items()]
    said += [f"{name} -{value:.2f}" for name, value in penalties.items() if value]
    shut = "" if in_order else "; paid 0, for the markup is not in order"
    return el("p", el("b", f"tag reward {tag.total:.2f}"), f": {', '.join(said)}{shut}", class_="note")


def _pay_table(replies: Sequence[Reply]) -> Html:
    """Raw value of every term, the sum that was paid, and the advantage over the group."""
    pays: list[tuple[Reply, Pay]] = [(reply, reply.pay) for reply in replies if reply.pay is not None]
    if not pays:
        return Html("")
    weights = {name: weight for _, pay in pays for name, (_, weight) in pay.terms.items()}
    has_rest = any(abs(pay.rest) > ROUNDING for _, pay in pays)
    widest = max(abs(pay.advantage) for _, pay in pays)
    rows = []
    for reply, pay in pays:
        terms = [f"{pay.terms[name][0]:.3f}" if name in pay.terms else "-" for name in weights]
        rest = [f"{pay.rest:+.3f}" if abs(pay.rest) > ROUNDING else "0"] if has_rest else []
        share = abs(pay.advantage) / widest if widest else 0.0
        side = "up" if pay.advantage > 0 else "down"
        bar = el("span", el("span", style=f"width:{100 * share:.0f}%", class_=f"fill {side}"), class_="bar")
        answer = el("bdi", reply.parsed.answer or "no answer")
        rows.append([reply.name, f"{pay.total:.3f}", f"{pay.advantage:+.3f}", bar, *terms, *rest, answer])
    heads = ["", "reward", "advantage", "", *(f"{name} × {weight:.3g}" for name, weight in weights.items())]
    return el("div", table([*heads, *(["gate"] if has_rest else []), "answer"], rows), class_="pay")
