"""Is the world fit for purpose? Checked whenever it is built; a world that misses a gate is not handed over."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from tagpr.data.simulated.grammar import split_words
from tagpr.data.simulated.observer import reference_answers
from tagpr.data.simulated.people import RULE_PARTS
from tagpr.tasks import ALL_TASKS
from tagpr.types import Record

PROBE_SLACK = 0.02  # a trained blind model may be this much above the blind optimum
PROBE_ERRORS = 3.0  # and as many standard errors of a share, people being the unit


class WorldGateError(ValueError):
    """The world misses a gate."""


def check_gates(records: Sequence[Record], *, min_gap: float) -> dict[str, float]:
    """Gates per task on dev and test people, whole profile shown; the figures behind them.

    1. The best history-blind answer expects at most Bayes - min_gap.
    2. So does the one answer that is best for all train golds together.
    3. Nothing in a question tells the asker's rule: naive Bayes over the question's words, fitted on train people,
       finds no part of the rule more often than the commonest value does (+ 2 points and sampling error).
    4. No text holds a person's id.

    Raises:
        WorldGateError: naming the gate, the figure and the bound.
    """
    figures: dict[str, float] = {}
    for task in sorted({record.task for record in records}):
        train = [record for record in records if record.task == task and record.split == "train"]
        unseen = [record for record in records if record.task == task and record.split != "train"]
        references = [reference_answers(record, record.profile) for record in unseen]
        bayes = float(np.mean([reference.bayes_expected for reference in references]))
        blind = float(np.mean([reference.blind_expected for reference in references]))
        majority = _majority_score(task, train, unseen)
        figures |= {f"{task}/bayes": bayes, f"{task}/blind": blind, f"{task}/majority": majority}
        for name, score in (("blind optimum", blind), ("majority answer", majority)):
            if score > bayes - min_gap:
                raise WorldGateError(
                    f"{task}: the {name} scores {score:.3f}, expected at most Bayes {bayes:.3f} - {min_gap:.2f}: "
                    "the task rewards no knowledge of the person. Make the prior in lexicon.py more even, or lower "
                    "data.noise."
                )
        figures |= _check_probe(task, train, unseen)
        _check_ids(task, [*train, *unseen])
    return figures


def _majority_score(task: str, train: Sequence[Record], unseen: Sequence[Record]) -> float:
    counts = Counter(record.gold or "" for record in train)
    score = ALL_TASKS[task].score
    candidates = [answer for answer, _ in counts.most_common(len(ALL_TASKS[task].labels) or 1)]
    best = max(candidates, key=lambda a: sum(n * score(a, gold) for gold, n in counts.items()))
    return float(np.mean([score(best, record.gold or "") for record in unseen]))


def _check_probe(task: str, train: Sequence[Record], unseen: Sequence[Record]) -> dict[str, float]:
    figures = {}
    num_people = len({record.user_id for record in unseen})
    for part in RULE_PARTS[task]:
        found = _probe_accuracy(part, train, unseen)
        wanted = [_rule(record)[part] for record in unseen]
        commonest = Counter(wanted).most_common(1)[0][1] / len(wanted)
        bound = commonest + PROBE_SLACK + PROBE_ERRORS * math.sqrt(commonest * (1 - commonest) / num_people)
        figures |= {f"{task}/probe_{part}": found, f"{task}/typical_{part}": commonest}
        if found > bound:
            raise WorldGateError(
                f"{task}: the words of a question give away the asker's {part} in {found:.3f} of cases, expected at "
                f"most {bound:.3f} (the commonest value alone: {commonest:.3f}): the generator leaks the rule."
            )
    return figures


def _rule(record: Record) -> dict[str, str]:
    assert record.truth is not None, "only simulated records come here"
    return record.truth["rule"]


def _probe_accuracy(part: str, train: Sequence[Record], unseen: Sequence[Record]) -> float:
    """Share of unseen people's questions whose asker's rule naive Bayes (add-one smoothing) reads off the question."""
    labels = Counter(_rule(record)[part] for record in train)
    word_counts: dict[str, Counter[str]] = defaultdict(Counter)
    for record in train:
        word_counts[_rule(record)[part]].update(set(split_words(record.question)))
    hits = 0
    for record in unseen:
        words = set(split_words(record.question))
        log_chances = {
            label: math.log(n) + sum(math.log((word_counts[label][word] + 1) / (n + 2)) for word in words)
            for label, n in labels.items()
        }
        hits += max(log_chances, key=log_chances.__getitem__) == _rule(record)[part]
    return hits / len(unseen)


def _check_ids(task: str, records: Sequence[Record]) -> None:
    for record in records:
        texts = [record.question, *(text for entry in record.profile for text in (entry.input, entry.response))]
        if any(record.user_id in text for text in texts):
            raise WorldGateError(f"{task}: a text of record {record.record_id} holds the person's id {record.user_id}.")
