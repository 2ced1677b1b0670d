"""Cheap imitations of a good chain, made from live ones: what the tag reward would pay a policy that cheated.

Each takes a chain that the policy has written and keeps its tags, but not its thinking. A probe whose score comes near
the chains' own says that the reward can be had for nothing *now*, on the policy's own chains.

Most score low. `untrue` and `script` do not: R_tag asks whether an examined entry shares a word with what is said of
it, not whether that is so, and whether nearly all of a chain stands in another user's. A policy trained on R_tag alone
finds both (experiments/tag_reward); they are measured so that a reader of a run sees how much room they leave.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from tagpr.chains.overlap import content_words
from tagpr.chains.tags import ParsedCompletion, TagVocabulary, parse, render_chain
from tagpr.rl.rewards.tag import boilerplate_flags, entry_texts, tag_reward
from tagpr.rl.rollouts import RlPrompt

_CITATION = re.compile(r"<([0-9]{1,4})>")
MANY = 20  # spans of the probe that only repeats a tag
SCRIPT = (
    "the same thing decides again and again",
    "habits rule here whatever somebody says",
    "nothing in this request changes that",
    "hence their habit picks what follows",
    "what was picked obeys those habits",
)

Probe = Callable[[Sequence[str], Sequence[str], RlPrompt], tuple[list[str], list[str]]]  # texts, tags -> texts, tags


def _hollow(texts: Sequence[str], tags: Sequence[str], prompt: RlPrompt) -> tuple[list[str], list[str]]:
    """All tags, nothing in them."""
    return ["the user prefers what the examples show"] * len(tags), list(tags)


def _many(texts: Sequence[str], tags: Sequence[str], prompt: RlPrompt) -> tuple[list[str], list[str]]:
    """One tag, many times."""
    return [f"{texts[0]} {number}" for number in range(MANY)], [tags[0]] * MANY


def _pasted(texts: Sequence[str], tags: Sequence[str], prompt: RlPrompt) -> tuple[list[str], list[str]]:
    """The history instead of thoughts about it."""
    entries = entry_texts(prompt.prompt, prompt.task) or ("",)
    chosen = [position % len(entries) for position in range(len(tags))]
    return [f"<{position + 1}> {entries[position]}" for position in chosen], list(tags)


def _invented(texts: Sequence[str], tags: Sequence[str], prompt: RlPrompt) -> tuple[list[str], list[str]]:
    """The same said of entries that do not exist."""
    beyond = len(prompt.prompt.history)
    return [_CITATION.sub(lambda found: f"<{int(found[1]) + beyond}>", text) for text in texts], list(tags)


def _injected(texts: Sequence[str], tags: Sequence[str], prompt: RlPrompt) -> tuple[list[str], list[str]]:
    """A tag in the middle of a thought, as somebody's review might hold one."""
    return [f"{texts[0]} </{tags[0]}><{tags[-1]}> so", *texts[1:]], list(tags)


def _untrue(texts: Sequence[str], tags: Sequence[str], prompt: RlPrompt) -> tuple[list[str], list[str]]:
    """Of every cited entry what was said of the next one, behind a single word of its own."""
    entries = entry_texts(prompt.prompt, prompt.task)
    return [_exchanged(text, entries) for text in texts], list(tags)


def _exchanged(text: str, entries: Sequence[str]) -> str:
    before, *rest = _CITATION.split(text)  # text, number, text, number, text ...
    said = rest[1::2]
    lines = [
        f"<{number}> {_own_word(int(number), entries)} {other.strip()}"
        for number, other in zip(rest[::2], [*said[1:], *said[:1]], strict=True)
    ]
    return " ".join(part.strip() for part in (before, *lines) if part.strip())


def _own_word(number: int, entries: Sequence[str]) -> str:
    return min(content_words(entries[number - 1]), default="") if 1 <= number <= len(entries) else ""


def _script(texts: Sequence[str], tags: Sequence[str], prompt: RlPrompt) -> tuple[list[str], list[str]]:
    """The first span that cites entries, then the same thoughts about everybody."""
    kept = next((place for place, text in enumerate(texts) if _CITATION.search(text)), 0)
    return [text if place == kept else SCRIPT[place % len(SCRIPT)] for place, text in enumerate(texts)], list(tags)


REWRITTEN: Mapping[str, Probe] = {
    "hollow": _hollow, "many": _many, "pasted": _pasted, "invented": _invented, "injected": _injected,
    "untrue": _untrue, "script": _script,
}  # fmt: skip
PROBES = (*REWRITTEN, "another_user", "boilerplate")
UNSEEN = ("untrue", "script")  # R_tag pays these as it pays thinking


def probe_scores(
    parsed: Sequence[ParsedCompletion],
    prompts: Sequence[RlPrompt],
    *,
    vocabulary: TagVocabulary,
    most: int,
    min_words: int,
    max_words: int,
) -> dict[str, float]:
    """Mean R_tag of each probe over the first chains with open gates, theirs under `own`; empty where there are none.

    `another_user`: the chain as an answer about the next other person of the batch. `boilerplate`: the chain given to
    both of them; both are left out where the batch has one person.

    Args:
        parsed, prompts: one each per completion.
        most: chains that are probed.
    """
    chosen = [index for index, one in enumerate(parsed) if one.g_tags and one.spans][:most]
    scores: dict[str, list[float]] = {}

    def score(name: str, one: ParsedCompletion, prompt: RlPrompt, *, boilerplate: bool = False) -> None:
        reward = tag_reward(
            one,
            prompt.prompt,
            task=prompt.task,
            vocabulary=vocabulary,
            min_words=min_words,
            max_words=max_words,
            boilerplate=boilerplate,
        )
        scores.setdefault(name, []).append(reward.total)

    for index in chosen:
        one, prompt = parsed[index], prompts[index]
        score("own", one, prompt)
        texts, tags = [span.text for span in one.spans], [span.tag for span in one.spans]
        for name, probe in REWRITTEN.items():
            score(name, parse(render_chain(*probe(texts, tags, prompt), one.answer), vocabulary, True), prompt)
        user = prompt.prompt.record.user_id
        other = next((another for another in prompts if another.prompt.record.user_id != user), None)
        if other is not None:
            score("another_user", one, other)
            pair = [prompt, other]
            flags = boilerplate_flags([one, one], [p.prompt for p in pair], [p.task for p in pair])
            score("boilerplate", one, other, boilerplate=flags[1])
    return {name: sum(values) / len(values) for name, values in scores.items()}
