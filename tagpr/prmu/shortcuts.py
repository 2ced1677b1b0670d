"""What could be won on a set of pairs without knowing anybody's taste: five models, fitted on train, judged on dev.

Each gives an answer features f(x, y), and is a logistic regression on f(chosen) - f(rejected) without intercept, every
pair standing in the fit in both orders: it is antisymmetric, so that exchanging the sides turns the verdict round, no
difference is a tie (1/2), and on pairs with their mirrors what sees no user is at .5 exactly.
    length           letters, words
    history_overlap  words shared with the person's past answers and questions, and how often they answered the same;
                     it does see the person, by plain overlap: on N1 and N2 it may be high where taste is a matter of
                     words, and says how far plain repetition gets
    query_overlap    words shared with the query
    is_model_text    log odds that the policy wrote it rather than a person, by a text classifier
    user_agnostic    words, word pairs and last mark per task; how often others answer so
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from tagpr.data.retrieval import is_own_entry
from tagpr.markup import escape
from tagpr.prmu.pairs import N1, N2, PolicySample
from tagpr.prmu.pairs.base import hash_share
from tagpr.types import PreferencePair, Record

Features = Callable[[PreferencePair, str], dict[str, float]]

JUDGED = (N1, N2)  # types that are about the person alone: a shortcut on them is a fault of the pairs
SEES_THE_PERSON = "history_overlap"
NUM_FOLDS = 4  # of train queries, for the popularity of answers

_TOKEN = re.compile(r"\w+|[^\w\s]+")
_WORD = re.compile(r"\w+")


def shortcut_report(
    train: Sequence[PreferencePair],
    dev: Sequence[PreferencePair],
    *,
    records: Mapping[str, Record],
    samples: Sequence[PolicySample],
    limit: float,
    judged: Sequence[str] = JUDGED,
) -> dict[str, Any]:
    """Accuracy of each model by negative type.

    `exceeded` lists models above `limit` on N1 and N2 whose 95 % interval (Wilson, one trial per question) excludes .5;
    `too_few_to_tell` those above it by numbers that chance would give as well. Other types are about answers, not
    people: their figures say what PRMU can learn there, and are no fault.

    Args:
        records: of the pairs, by id.
        samples: what model-written text looks like; of train people alone.
        judged: types on which a shortcut is a fault of the pairs.
    """
    golds = {pair.record_id: escape(records[pair.record_id].gold or "") for pair in train}
    models: dict[str, Features] = {
        "length": _length,
        SEES_THE_PERSON: _history_overlap(records),
        "query_overlap": _query_overlap,
        "is_model_text": _is_model_text(
            [(records[i].task, escape(records[i].query), gold) for i, gold in golds.items()],
            [
                (sample.task, escape(records[sample.record_id].query), escape(sample.answer))
                for sample in samples
                if sample.parsed and sample.split == "train"
            ],
        ),
        "user_agnostic": _user_agnostic(train, golds),
    }
    kinds = sorted({pair.negative_type for pair in dev})
    questions = {kind: len({pair.record_id for pair in dev if pair.negative_type == kind}) for kind in kinds}
    report: dict[str, Any] = {
        "limit": limit, "accuracy": {}, "questions": questions, "exceeded": [], "too_few_to_tell": [],
    }  # fmt: skip
    for name, features in models.items():
        report["accuracy"][name] = {
            kind: accuracy(
                features,
                [pair for pair in train if pair.negative_type == kind],
                [pair for pair in dev if pair.negative_type == kind],
            )
            for kind in kinds
        }
        for kind in (kind for kind in judged if kind in questions):
            share, n = report["accuracy"][name][kind], questions[kind]
            if share > limit:
                where = "exceeded" if lower_bound(share, n) > 0.5 else "too_few_to_tell"
                report[where].append(f"{name} on {kind}: {share:.3f} of {n} questions")
    return report


def accuracy(features: Features, train: Sequence[PreferencePair], dev: Sequence[PreferencePair]) -> float:
    """Share of dev pairs whose chosen side a model of these features prefers, fitted on train; ties count 1/2."""
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import MaxAbsScaler

    fitted = [_difference(features, pair) for pair in train]
    if not any(fitted):
        return 0.5
    from scipy.sparse import vstack

    vectorizer, scaler = DictVectorizer(), MaxAbsScaler()
    x = scaler.fit_transform(vectorizer.fit_transform(fitted))
    model = LogisticRegression(fit_intercept=False, max_iter=1000)
    model.fit(vstack([x, -x]), [1] * len(fitted) + [0] * len(fitted))
    leads = scaler.transform(vectorizer.transform([_difference(features, pair) for pair in dev])) @ model.coef_[0]
    return sum(0.5 if abs(lead) < 1e-9 else float(lead > 0) for lead in leads) / len(leads)


def _difference(features: Features, pair: PreferencePair) -> dict[str, float]:
    chosen, rejected = features(pair, escape(pair.chosen)), features(pair, escape(pair.rejected))
    names = chosen.keys() | rejected.keys()
    return {name: d for name in sorted(names) if (d := chosen.get(name, 0.0) - rejected.get(name, 0.0))}


def lower_bound(share: float, n: int) -> float:
    """Lower end of the 95 % Wilson interval of a share of n trials."""
    z = 1.959964
    centre, spread = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (centre - spread) / (1 + z * z / n)


# --- features of an answer to a pair's query, for a pair's user -------------------------------------------------------


def _length(pair: PreferencePair, answer: str) -> dict[str, float]:
    return {"letters": len(answer), "words": len(answer.split()), "log": math.log1p(len(answer))}


def _query_overlap(pair: PreferencePair, answer: str) -> dict[str, float]:
    return _overlap("query", _words(answer), Counter(_words(escape(pair.query))))


def _history_overlap(records: Mapping[str, Record]) -> Features:
    past: dict[str, tuple[Counter[str], Counter[str], Counter[str]]] = {}

    def read(record: Record) -> tuple[Counter[str], Counter[str], Counter[str]]:
        entries = [entry for entry in record.profile if not is_own_entry(entry, record)]
        answers = [escape(entry.response) for entry in entries]
        said = Counter(word for answer in answers for word in _words(answer))
        given = Counter(word for entry in entries for word in _words(escape(entry.input)))
        return said, given, Counter(answer.casefold() for answer in answers)

    def features(pair: PreferencePair, answer: str) -> dict[str, float]:
        if pair.record_id not in past:
            past[pair.record_id] = read(records[pair.record_id])
        said, given, answers = past[pair.record_id]
        words = _words(answer)
        same = answers[answer.casefold()] / max(1, answers.total())
        return {**_overlap("said", words, said), **_overlap("given", words, given), "same": same}

    return features


def _overlap(name: str, words: Sequence[str], others: Mapping[str, int]) -> dict[str, float]:
    """Share of the words that stand among the others, and their mean share there."""
    total, number = max(1, sum(others.values())), max(1, len(words))
    return {
        f"{name}_share": sum(word in others for word in words) / number,
        f"{name}_weight": sum(others.get(word, 0) for word in words) / number / total,
    }


def _is_model_text(golds: Sequence[tuple[str, str, str]], written: Sequence[tuple[str, str, str]]) -> Features:
    """Classifiers of the policy's train answers against train people's golds, each (task, query, text).

    A train query's answers are judged by one that saw none of them.
    """
    queries = {(task, query) for task, query, _ in (*golds, *written)}
    weights: dict[int | None, dict[str, float]] = {}

    def fitted(without: int | None) -> dict[str, float]:
        from sklearn.feature_extraction import DictVectorizer
        from sklearn.linear_model import LogisticRegression

        # A text counts once per side.
        people, policy = (
            sorted({(task, text) for task, query, text in side if _fold(task, query) != without})
            for side in (golds, written)
        )
        if not people or not policy:
            return {}
        vectorizer = DictVectorizer()
        x = vectorizer.fit_transform([_tokens(task, text) for task, text in (*people, *policy)])
        classifier = LogisticRegression(class_weight="balanced", max_iter=1000)
        classifier.fit(x, [0] * len(people) + [1] * len(policy))
        return dict(zip(vectorizer.get_feature_names_out(), classifier.coef_[0].tolist(), strict=True))

    def features(pair: PreferencePair, answer: str) -> dict[str, float]:
        query = escape(pair.query)
        fold = _fold(pair.task, query) if (pair.task, query) in queries else None
        if fold not in weights:
            weights[fold] = fitted(fold)
        # The intercept is the same for both sides.
        log_odds = sum(weights[fold].get(name, 0.0) * n for name, n in _tokens(pair.task, answer).items())
        # The bounded form keeps a few long texts from deciding the direction for all.
        return {"log_odds": log_odds, "bounded": math.tanh(log_odds)}

    return features


def _user_agnostic(train: Sequence[PreferencePair], golds: Mapping[str, str]) -> Features:
    counts: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    queries = {(pair.task, escape(pair.query)) for pair in train}
    # A record counts once, however many pairs it is in.
    for task, query, record_id in {(pair.task, escape(pair.query), pair.record_id) for pair in train}:
        counts[task, _fold(task, query)][golds[record_id].casefold()] += 1

    def features(pair: PreferencePair, answer: str) -> dict[str, float]:
        query = escape(pair.query)
        # Own golds would make every train answer popular: a train query's own fold does not count for it.
        without = _fold(pair.task, query) if (pair.task, query) in queries else None
        given = sum(counts[pair.task, fold][answer.casefold()] for fold in range(NUM_FOLDS) if fold != without)
        return {**_tokens(pair.task, answer), "popularity": math.log1p(given)}

    return features


def _fold(task: str, query: str) -> int:
    return int(hash_share("shortcut fold", task, query) * NUM_FOLDS)


def _tokens(task: str, answer: str) -> dict[str, float]:
    """Words, word pairs, the last mark, and the answer as a whole, per task."""
    tokens = _TOKEN.findall(answer)
    words = [token.casefold() for token in tokens]
    names = [*words, *map(" ".join, pairwise(words)), f"= {answer}", f"last {tokens[-1:]}"]
    return {f"{task} {name}": float(n) for name, n in Counter(names).items()}


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
