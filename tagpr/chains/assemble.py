"""From labelled steps to the completion that the policy is taught."""

from __future__ import annotations

from collections.abc import Sequence

from tagpr.chains.tags import TagVocabulary, render_chain


def fit_to_vocabulary(
    steps: Sequence[str], tags: Sequence[str], vocabulary: TagVocabulary
) -> tuple[list[str], list[str]]:
    """Steps and tags as the vocabulary can hold them.

    A step whose tag is not in use goes on in the span before it (the first ones in the span after), and neighbours of
    one tag are one span. Nothing is left out: with fewer tags a chain says the same.
    """
    spans: list[tuple[list[str], str]] = []
    waiting: list[str] = []
    for step, tag in zip(steps, tags, strict=True):
        if spans and (tag not in vocabulary or tag == spans[-1][1]):
            spans[-1][0].append(step)
        elif tag in vocabulary:
            spans.append(([*waiting, step], tag))
            waiting = []
        else:
            waiting.append(step)
    return [" ".join(texts) for texts, _ in spans], [tag for _, tag in spans]


def write_completion(steps: Sequence[str], tags: Sequence[str], answer: str, vocabulary: TagVocabulary) -> str:
    """The chain with its tags, or with a step a line where no tags are in use."""
    if not len(vocabulary):
        return render_chain(steps, None, answer)
    return render_chain(*fit_to_vocabulary(steps, tags, vocabulary), answer)
