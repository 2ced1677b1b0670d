"""What a step of a chain does for the answer: edits of finished chains, as pure functions on text.

Ours (O). A policy's own chain is edited at one tag's spans and forced as the beginning of its
completion; what comes behind is written by the policy, greedily. Two ways, because they ask different questions:

- *fixed*: all later spans stand as they were and the policy writes the answer alone. That is the step's direct use by
  the answer. Later spans may already hold the conclusion ("so : music"), so a step that the whole chain was built on
  can show nothing here.
- *rewritten*: the chain is cut behind the tag's last span and the policy writes the rest of it anew, answer included.
  That is the step's whole effect, what later steps took from it included.

Dropping with rewriting needs a rule, or the policy would simply write the step again: behind the cut stands the
opening tag of the step that followed, so the policy goes on as if the step had been skipped. Nothing forbids it to
write the tag later; how often it does is counted (`written_again`) and not hidden. Forbidding the tag's tokens was not
chosen: where a tag is made of ordinary tokens that would forbid words too.

`paraphrase` keeps the content and changes the wording: what it moves is noise, and the floor of the other edits of its
way. Early answers have no floor, they change no wording.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tagpr.chains.tags import ParsedCompletion, Span, open_tag
from tagpr.evaluation.paraphrase import paraphrase
from tagpr.markup import THINK_CLOSE

UNEDITED = "unedited"  # the chain as it was, forced: what the answers to edited chains are compared with
NO_CHAIN = ""  # the tag of the early answer before any step
EDITS: Mapping[str, str] = {
    "drop": "the step's spans are gone, the other spans stand",
    "drop_rewrite": "the same, and the policy writes anew what followed, from the next step's tag on",
    "swap": "another person's spans of the same tag stand in their place (same task, another question)",
    "swap_rewrite": "the same, and the policy writes anew what followed",
    "paraphrase": "the spans say the same in other words or another order: the noise floor",
    "paraphrase_rewrite": "the same, and the policy writes anew what followed: the floor of rewriting",
    "early_answer": "the chain ends behind the step's last span",
}
REWRITING = frozenset(edit for edit in EDITS if edit.endswith("_rewrite"))
FLOORS: Mapping[str, str] = {
    "drop": "paraphrase", "swap": "paraphrase", "drop_rewrite": "paraphrase_rewrite",
    "swap_rewrite": "paraphrase_rewrite",
}  # fmt: skip
WHY_NOT: Mapping[str, str] = {
    "nothing_follows": "no step follows that could be written anew",
    "no_donor": "no other person has as many spans of the tag, with other words",
    "no_paraphrase": "no rule rewords the spans",
    "whole_chain": "the chain ends there anyway",
    "too_long": "prompt, edited chain and answer do not fit the model's context",
}
WHY_LEFT_OUT: Mapping[str, str] = {
    "no_thinking_block": "no thinking block that is opened and closed",
    "no_spans": "no closed span of a known tag",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """A finished chain. Filled by `read_chain`."""

    head: str  # the completion up to the end of </think>
    spans: tuple[Span, ...]

    @property
    def tags(self) -> tuple[str, ...]:
        """In order of first use, each once."""
        return tuple(dict.fromkeys(span.tag for span in self.spans))

    def texts(self, tag: str) -> tuple[str, ...]:
        """What the tag's spans say."""
        return tuple(span.text for span in self.spans if span.tag == tag)


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """One edited chain. Filled by `edits_of`."""

    tag: str  # NO_CHAIN: none
    edit: str  # a key of EDITS, or UNEDITED
    prefix: str  # what is forced; "" where the edit does not apply
    why_not: str  # a key of WHY_NOT; "" where it applies


@dataclass(frozen=True, kw_only=True, slots=True)
class AttributedAnswer:
    """The answer behind one edited chain, or why there is none: a row of attribution.parquet. Filled by the stage."""

    record_id: str
    user_id: str
    task: str
    tag: str  # NO_CHAIN: none
    edit: str  # a key of EDITS, or UNEDITED
    why_not: str  # a key of WHY_NOT; "" where the edit applies
    completion: str  # the forced prefix with what the policy wrote
    answer: str  # strict: what stands outside the thinking block
    parsed: bool  # the answer is one that the task knows
    changed: bool  # the answer is another than behind the unedited chain; for UNEDITED than the policy's own
    score_change: float  # score minus that behind the unedited chain (for UNEDITED: the policy's own); NaN without gold
    written_again: bool  # the policy wrote a span of the tag behind the edit


def read_chain(completion: str, parsed: ParsedCompletion) -> Chain | None:
    """The part of a completion that edits work on; None where no thinking block is closed or no span is in it."""
    closed = completion.find(THINK_CLOSE)
    if closed < 0 or not parsed.spans or parsed.spans[-1].outer_end > closed:
        return None
    return Chain(head=completion[: closed + len(THINK_CLOSE)], spans=parsed.spans)


class Donors:
    """Everybody's spans, to swap one person's for another's.

    Args:
        chains: (task, user_id, record_id, chain) of every question.
    """

    def __init__(self, chains: Iterable[tuple[str, str, str, Chain]]) -> None:
        self.spans: dict[tuple[str, str, int], list[tuple[str, tuple[str, ...]]]] = defaultdict(list)
        for task, user_id, _, chain in sorted(chains, key=lambda one: one[:3]):
            for tag in chain.tags:
                texts = chain.texts(tag)
                self.spans[task, tag, len(texts)].append((user_id, texts))

    def draw(self, task: str, user_id: str, texts: Sequence[str], *, tag: str, seed: str) -> tuple[str, ...] | None:
        """Spans of another person for the same tag and task, as many, not the same; None where nobody has such.

        The choice depends on `seed` and on who is there, on nothing else.
        """
        pool = self.spans.get((task, tag, len(texts)), [])
        fitting = [spans for user, spans in pool if user != user_id and spans != tuple(texts)]
        return random.Random(seed).choice(fitting) if fitting else None


def edits_of(chain: Chain, *, task: str, user_id: str, donors: Donors, seed: str) -> list[Edit]:
    """The unedited chain, the early answer before any step, and every edit of every tag that the chain has.

    Args:
        seed: of this question's draws.
    """
    start = chain.spans[0].outer_start
    edits = [
        Edit(tag=NO_CHAIN, edit=UNEDITED, prefix=chain.head, why_not=""),
        Edit(tag=NO_CHAIN, edit="early_answer", prefix=chain.head[:start] + THINK_CLOSE, why_not=""),
    ]
    for tag in chain.tags:
        texts = chain.texts(tag)
        reworded = [paraphrase(task, tag, text) for text in texts]
        new: dict[str, Sequence[str | None] | str] = {
            "drop": [None] * len(texts),
            "swap": donors.draw(task, user_id, texts, tag=tag, seed=f"{seed}/{tag}") or "no_donor",
            "paraphrase": [other or text for other, text in zip(reworded, texts, strict=True)]
            if any(reworded)
            else "no_paraphrase",
        }
        for edit, replaced in new.items():
            if isinstance(replaced, str):
                edits += [Edit(tag=tag, edit=name, prefix="", why_not=replaced) for name in (edit, f"{edit}_rewrite")]
            else:
                edits.append(Edit(tag=tag, edit=edit, prefix=with_spans(chain, tag, replaced), why_not=""))
                edits.append(_rewritten(chain, tag, edit, replaced))
        edits.append(_early(chain, tag))
    return edits


def with_spans(chain: Chain, tag: str, new: Sequence[str | None], *, end: int | None = None) -> str:
    """The chain up to character `end` of its head with other texts in the tag's spans; None takes a span out."""
    pieces: list[str] = []
    place, own = 0, iter(new)
    for span in chain.spans:
        if span.tag != tag:
            continue
        text = next(own)
        if text is None:
            pieces.append(chain.head[place : span.outer_start])
            place = span.outer_end
        else:
            pieces += [chain.head[place : span.start], text]
            place = span.end
    return "".join(pieces) + chain.head[place:end]


def _rewritten(chain: Chain, tag: str, edit: str, new: Sequence[str | None]) -> Edit:
    name = f"{edit}_rewrite"
    last = max(position for position, span in enumerate(chain.spans) if span.tag == tag)
    if last + 1 == len(chain.spans):
        return Edit(tag=tag, edit=name, prefix="", why_not="nothing_follows")
    if edit != "drop":
        return Edit(tag=tag, edit=name, prefix=with_spans(chain, tag, new, end=chain.spans[last].outer_end), why_not="")
    follower = chain.spans[last + 1]
    before = with_spans(chain, tag, new, end=follower.outer_start)
    return Edit(tag=tag, edit=name, prefix=before + open_tag(follower.tag), why_not="")


def _early(chain: Chain, tag: str) -> Edit:
    last = max(position for position, span in enumerate(chain.spans) if span.tag == tag)
    if last + 1 == len(chain.spans):
        return Edit(tag=tag, edit="early_answer", prefix="", why_not="whole_chain")
    prefix = chain.head[: chain.spans[last].outer_end] + THINK_CLOSE
    return Edit(tag=tag, edit="early_answer", prefix=prefix, why_not="")
