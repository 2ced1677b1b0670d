"""R_tag: whether a tagged chain does what its tags say, judged from the chain and the prompt alone. Ours throughout.

R_tag = g_tags * clip(.30 C_cov + .25 C_ord + .20 C_body + .25 C_ground - P, 0, 1)

| term | value | where nothing applies |
|---|---|---|
| C_cov | share of the task's required tags that the chain has | 1: none is required |
| C_ord | 1 - violated / applicable order rules | 1 |
| C_body | mean over required tags of the share of the tag's spans with a good body; 0 for a missing tag | 1 |
| C_ground | share of cited entries that are grounded * min(1, their number / min(2, entries)) | 1: none to cite |
| P | .1 per span over its tag's maximum | 0 |
| | + .3 share of spans that nearly repeat an earlier one | 0 |
| | + .5 max(0, copied share - .3) | 0 |
| | + .2 if the chain is boilerplate | 0 |

An order rule applies where its later tag is there (and, where the rule says so, the earlier one too).
Good body: a sane length, >= 60 % distinct word 3-grams, a word with content.
Grounded: the entry exists and shares content with what is said beside its number, at one mention at least.
Copied: words in verbatim runs of >= 12 words of history or query; shorter quotations are evidence.
Boilerplate: nearly all bodies stand in another user's chain too, though the two cite entries of other content.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tagpr.chains.overlap import content_words, copied_share, jaccard, ngrams, shingles, tokens, words
from tagpr.chains.tags import ParsedCompletion, Span, TagVocabulary, split_at_citations
from tagpr.markup import escape
from tagpr.tasks.base import Task
from tagpr.types import Prompt

COVERAGE, ORDER, BODY, GROUNDING = 0.30, 0.25, 0.20, 0.25
PER_EXTRA_SPAN, DUPLICATES, COPYING, BOILERPLATE = 0.1, 0.3, 0.5, 0.2
MIN_DISTINCT_3GRAMS = 0.6
COPY_RUN = 12  # words
FREE_COPIED_SHARE = 0.3
SAME_TEXT = 0.8  # share of word 3-grams that two near-duplicates have in common
SAME_BODIES = 0.9  # share of a chain's bodies that stand in another user's chain
SAME_EVIDENCE = 0.5  # content words that two sets of cited entries have in common


@dataclass(frozen=True, kw_only=True, slots=True)
class TagReward:
    """R_tag of one completion, and what it is made of."""

    total: float  # in [0, 1]; 0 where g_tags is shut or does not exist
    coverage: float  # C_cov .. C_ground, each in [0, 1]
    order: float
    body: float
    grounding: float
    penalty: float  # P >= 0, with its four parts below
    extra_spans: float
    duplicates: float
    copying: float
    boilerplate: float


def tag_reward(
    parsed: ParsedCompletion,
    prompt: Prompt,
    *,
    task: Task,
    vocabulary: TagVocabulary,
    min_words: int,
    max_words: int,
    boilerplate: bool,
) -> TagReward:
    """R_tag of one completion; the module's table says what each part is.

    Args:
        parsed: the completion, read with the same vocabulary.
        prompt: what it answers; entry number k is `prompt.history[k - 1]`.
        task: of the prompt's record; says which tags are required and how entries are shown.
        min_words, max_words: a sane length of a required span, in words and marks.
        boilerplate: this completion's flag out of `boilerplate_flags`.
    """
    entries = entry_texts(prompt, task)
    coverage = tag_coverage(parsed.spans, vocabulary, kind=task.kind)
    order = tag_order(parsed.spans, vocabulary)
    body = body_quality(parsed.spans, vocabulary, kind=task.kind, min_words=min_words, max_words=max_words)
    grounding = citation_grounding(parsed.spans, entries)
    counts = Counter(span.tag for span in parsed.spans)
    extra = PER_EXTRA_SPAN * sum(max(0, count - vocabulary.max_uses(tag)) for tag, count in counts.items())
    duplicates = DUPLICATES * repeated_share(parsed.spans)
    copied = copied_share(
        " ".join(span.text for span in parsed.spans), [*entries, escape(prompt.record.query)], run_length=COPY_RUN
    )
    copying = COPYING * max(0.0, copied - FREE_COPIED_SHARE)
    penalty = extra + duplicates + copying + BOILERPLATE * boilerplate
    quality = COVERAGE * coverage + ORDER * order + BODY * body + GROUNDING * grounding - penalty
    return TagReward(
        total=min(1.0, max(0.0, quality)) if parsed.g_tags else 0.0,
        coverage=coverage,
        order=order,
        body=body,
        grounding=grounding,
        penalty=penalty,
        extra_spans=extra,
        duplicates=duplicates,
        copying=copying,
        boilerplate=BOILERPLATE * boilerplate,
    )


def entry_texts(prompt: Prompt, task: Task) -> tuple[str, ...]:
    """The shown entries as a reader of the prompt sees them: input and response, escaped."""
    return tuple(escape(f"{task.shown_input(entry)} {entry.response}") for entry in prompt.history)


def tag_coverage(spans: Sequence[Span], vocabulary: TagVocabulary, *, kind: str) -> float:
    """C_cov."""
    required = vocabulary.required(kind)
    present = {span.tag for span in spans}
    return sum(tag in present for tag in required) / len(required) if required else 1.0


def tag_order(spans: Sequence[Span], vocabulary: TagVocabulary) -> float:
    """C_ord. A tag's first span stands for all of them: if it has its forerunner, so have the others."""
    first: dict[str, int] = {}
    for position, span in enumerate(spans):
        first.setdefault(span.tag, position)
    applicable = [
        rule for rule in vocabulary.rules if rule.later in first and (not rule.only_if_present or rule.earlier in first)
    ]
    violated = sum(
        first[rule.later] > 0 if rule.earlier is None else first.get(rule.earlier, len(spans)) > first[rule.later]
        for rule in applicable
    )
    return 1.0 - violated / len(applicable) if applicable else 1.0


def body_quality(
    spans: Sequence[Span], vocabulary: TagVocabulary, *, kind: str, min_words: int, max_words: int
) -> float:
    """C_body."""
    required = vocabulary.required(kind)
    if not required:
        return 1.0
    shares = []
    for tag in required:
        good = [_is_good_body(span.text, min_words=min_words, max_words=max_words) for span in spans if span.tag == tag]
        shares.append(sum(good) / len(good) if good else 0.0)
    return sum(shares) / len(shares)


def _is_good_body(text: str, *, min_words: int, max_words: int) -> bool:
    triples = ngrams(tokens(text), 3)  # citations too: entries that say the same are no repetition
    distinct = len(set(triples)) / len(triples) if triples else 1.0
    return min_words <= len(words(text)) <= max_words and distinct >= MIN_DISTINCT_3GRAMS and bool(content_words(text))


def citation_grounding(spans: Sequence[Span], entries: Sequence[str]) -> float:
    """C_ground. An entry that was examined with its content may be named again by its number alone."""
    citations = [citation for span in spans for citation in split_at_citations(span.text)]
    if not entries or not citations:
        return 0.0 if entries or citations else 1.0
    grounded = {
        number
        for number, beside in citations
        if 1 <= number <= len(entries) and content_words(entries[number - 1]) & content_words(beside)
    }
    share = len(grounded) / len({number for number, _ in citations})
    return share * min(1.0, len(grounded) / min(2, len(entries)))


def repeated_share(spans: Sequence[Span]) -> float:
    """Share of spans whose body nearly repeats that of an earlier span; 0 without spans."""
    bodies = [shingles(span.text) for span in spans]
    repeated = sum(
        any(jaccard(body, earlier) >= SAME_TEXT for earlier in bodies[:position])
        for position, body in enumerate(bodies)
    )
    return repeated / len(bodies) if bodies else 0.0


def boilerplate_flags(
    parsed: Sequence[ParsedCompletion], prompts: Sequence[Prompt], tasks: Sequence[Task]
) -> list[bool]:
    """Which completions reuse another user's chain: `SAME_BODIES` of their bodies, other evidence.

    Bodies are compared as words, without the numbers they cite; evidence as the content words of the cited entries, or
    of the whole history where nothing that exists is cited. Two users who did the same things may be reasoned about in
    the same words.

    Args:
        parsed, prompts, tasks: one each per completion of the batch.
    """
    bodies = [[words(span.text) for span in one.spans] for one in parsed]
    evidence = [_evidence(*one) for one in zip(parsed, prompts, tasks, strict=True)]
    holders: defaultdict[tuple[str, ...], set[int]] = defaultdict(set)
    for index, texts in enumerate(bodies):
        for text in texts:
            holders[text].add(index)
    flags = []
    for index, texts in enumerate(bodies):
        shared = Counter(other for text in texts for other in holders[text])
        flags.append(
            any(
                count >= SAME_BODIES * len(texts)
                and prompts[other].record.user_id != prompts[index].record.user_id
                and jaccard(evidence[other], evidence[index]) < SAME_EVIDENCE
                for other, count in shared.items()
            )
        )
    return flags


def _evidence(parsed: ParsedCompletion, prompt: Prompt, task: Task) -> frozenset[str]:
    entries = entry_texts(prompt, task)
    cited = {number for span in parsed.spans for number, _ in split_at_citations(span.text) if number <= len(entries)}
    chosen = [entries[number - 1] for number in cited if number >= 1] or entries
    return frozenset().union(*(content_words(text) for text in chosen))
