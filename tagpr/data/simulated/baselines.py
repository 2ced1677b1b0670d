"""What simpler readers than Bayes answer: the rows that say whether a task asks for knowledge of the person.

Every baseline maps records to answers; those that learn, learn from train people's golds. None looks at a truth.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tagpr.data.retrieval import bm25_scores
from tagpr.data.simulated.grammar import read_facts, read_keywords, read_mentions, split_words
from tagpr.data.simulated.lexicon import ASPECTS
from tagpr.data.simulated.logic import LOGIC_TASKS, read_answer, write_answer
from tagpr.data.simulated.style import STYLE_WORDS, read_style, style_parts, write_style
from tagpr.tasks import ALL_TASKS
from tagpr.types import Record

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

NEIGHBOURS = 5
MAX_TRAIN = 20_000  # questions that a learner reads
RIDGE = 1.0
PSEUDO_ANSWERS = 1.0  # what the population is worth beside a person's own answers

Baseline = Callable[[Sequence[Record], Sequence[Record]], list[str]]  # (train, asked) -> answers


def blind_majority(train: Sequence[Record], asked: Sequence[Record]) -> list[str]:
    """One answer for all: the one that scores best on train golds. Texts: the commonest value of each part, with the
    query's keywords."""
    task = asked[0].task
    if task not in LOGIC_TASKS:
        style = _commonest_style(task, [record.gold or "" for record in train])
        return [write_style(task, style, read_keywords(record.query)) for record in asked]
    counts = Counter(record.gold or "" for record in train)
    score = ALL_TASKS[task].score
    best = max(sorted(counts), key=lambda answer: sum(n * score(answer, gold) for gold, n in counts.items()))
    return [best] * len(asked)


def population_majority(train: Sequence[Record], asked: Sequence[Record]) -> list[str]:
    """What the other people who were asked the same answered: of their answers the one that scores best on all of them;
    where nobody else was asked, the blind majority."""
    score = ALL_TASKS[asked[0].task].score
    others: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for record in asked:
        others[record.query].append((record.user_id, record.gold or ""))
    constant = blind_majority(train, asked)
    found = []
    for record, fallback in zip(asked, constant, strict=True):
        golds = [gold for user, gold in others[record.query] if user != record.user_id]
        best = max(sorted(set(golds)), key=lambda a: sum(score(a, gold) for gold in golds)) if golds else fallback
        found.append(best)
    return found


def nearest_entry(train: Sequence[Record], asked: Sequence[Record]) -> list[str]:
    """The response of the profile entry that BM25 finds nearest to the query, word for word."""
    return [_neighbours(record)[0] if record.profile else "" for record in asked]


def bm25_vote(train: Sequence[Record], asked: Sequence[Record]) -> list[str]:
    """Of the five nearest entries' responses the one that scores best on all five: vote, median, or middle text."""
    score = ALL_TASKS[asked[0].task].score
    found = []
    for record in asked:
        near = _neighbours(record)[:NEIGHBOURS]
        found.append(max(near, key=lambda a: sum(score(a, other) for other in near)) if near else "")
    return found


def trained_blind(train: Sequence[Record], asked: Sequence[Record]) -> list[str]:
    """Logistic regression on the question alone: its words, what they mean, and which aspect comes first."""
    return _learnt(train, asked, lambda record: _question_features(record.task, record.query))


def bag_of_words(train: Sequence[Record], asked: Sequence[Record]) -> list[str]:
    """The same with counts of the words and responses of the profile beside the question."""

    def features(record: Record) -> dict[str, float]:
        found = _question_features(record.task, record.query)
        for entry in record.profile:
            for word in (*split_words(entry.input), *(f"said {part}" for part in split_words(entry.response))):
                found[f"profile {word}"] = found.get(f"profile {word}", 0.0) + 1.0 / len(record.profile)
        return found

    return _learnt(train, asked, features)


def symbolic(train: Sequence[Record], asked: Sequence[Record]) -> list[str]:
    """A learner that reads the true attributes, but knows no families.

    S2: the aspect that the person's answers followed most often, train people's shares counting as one answer.
    S1, S3: ridge regression of the person's answers on level differences or levels, drawn towards that of train people.
    Texts: the person's commonest value of each part; of equals train people's commonest.
    """
    task = asked[0].task
    if task == "S2":
        return _symbolic_tags(train, asked)
    if task in LOGIC_TASKS:
        return _symbolic_levels(task, train, asked)
    common = _part_counts(task, [record.gold or "" for record in train])
    found = []
    for record in asked:
        own = _part_counts(task, [entry.response for entry in record.profile])
        style = {
            part: max(range(len(words)), key=lambda value, part=part: (own[part][value], common[part][value]))
            for part, words in STYLE_WORDS[task].items()
        }
        found.append(write_style(task, style, read_keywords(record.query)))
    return found


BASELINES: Mapping[str, Baseline] = {
    "blind majority": blind_majority,
    "trained blind": trained_blind,
    "population majority": population_majority,
    "nearest entry": nearest_entry,
    "BM25 vote": bm25_vote,
    "bag of words": bag_of_words,
    "symbolic": symbolic,
}


# --- parts -----------------------------------------------------------------------------------------------------------


def _neighbours(record: Record) -> list[str]:
    """Responses of the profile, nearest first; of equals the newer first."""
    documents = [split_words(entry.input or entry.response) for entry in record.profile]
    scores = bm25_scores(split_words(record.query), documents)
    order = sorted(range(len(scores)), key=lambda place: (-scores[place], -place))
    return [record.profile[place].response for place in order]


def _part_counts(task: str, texts: Sequence[str]) -> dict[str, Counter[int]]:
    counts: dict[str, Counter[int]] = {part: Counter() for part in style_parts(task)}
    for style in (read_style(task, text) for text in texts):
        for part, value in (style or {}).items():
            counts[part][value] += 1
    return counts


def _commonest_style(task: str, texts: Sequence[str]) -> dict[str, int]:
    return {part: max(sorted(counts), key=counts.__getitem__) for part, counts in _part_counts(task, texts).items()}


@lru_cache(maxsize=1 << 16)
def _feature_names(task: str, query: str) -> tuple[str, ...]:
    names = [f"word {word}" for word in split_words(query)]
    if task in LOGIC_TASKS:
        mentions = read_mentions(task, query)
        names += [f"{m.option} {m.aspect} {m.label}" for m in mentions]
        names += [f"first {m.aspect} {m.label}" for m in [m for m in mentions if m.aspect in ASPECTS[task]][:1]]
    return tuple(names)


def _question_features(task: str, query: str) -> dict[str, float]:
    return dict.fromkeys(_feature_names(task, query), 1.0)


def _learnt(
    train: Sequence[Record], asked: Sequence[Record], features: Callable[[Record], dict[str, float]]
) -> list[str]:
    from sklearn.feature_extraction import DictVectorizer

    task = asked[0].task
    train = train[:: max(1, len(train) // MAX_TRAIN)]
    vectorizer = DictVectorizer()
    known = vectorizer.fit_transform([features(record) for record in train])
    new = vectorizer.transform([features(record) for record in asked])
    if task == "S2":  # which aspect's label it is: three classes instead of fifteen
        golds = [read_answer("S2", record.gold or "", read_facts("S2", record.query)) for record in train]
        chances, classes = _fit(known, golds, new)
        facts = [read_facts("S2", record.query) for record in asked]
        mentioned = [[tuple(ASPECTS["S2"])[code] in found.aspects[0] for code in classes] for found in facts]
        best = np.where(mentioned, chances, -1.0).argmax(axis=1)
        return [write_answer("S2", classes[column], found) for column, found in zip(best, facts, strict=True)]
    if task in LOGIC_TASKS:
        chances, classes = _fit(known, [record.gold or "" for record in train], new)
        score = ALL_TASKS[task].score
        worth = np.array([[score(answer, gold) for gold in classes] for answer in classes])
        return [classes[best] for best in (chances @ worth.T).argmax(axis=1)]
    styles = [read_style(task, record.gold or "") or {} for record in train]
    likeliest: dict[str, list[int]] = {}
    for part in style_parts(task):
        chances, classes = _fit(known, [style[part] for style in styles], new)
        likeliest[part] = [classes[column] for column in chances.argmax(axis=1)]
    return [
        write_style(task, {part: values[row] for part, values in likeliest.items()}, read_keywords(record.query))
        for row, record in enumerate(asked)
    ]


def _fit(known: Any, golds: Sequence[Any], new: Any) -> tuple[np.ndarray, list[Any]]:
    """((N, C) chances of each class, classes) of a logistic regression."""
    from sklearn.linear_model import LogisticRegression

    if len(set(golds)) == 1:
        return np.ones((new.shape[0], 1)), [golds[0]]
    model: LogisticRegression = LogisticRegression(C=0.3, max_iter=150, tol=1e-3)
    model.fit(known, golds)
    return np.asarray(model.predict_proba(new)), list(model.classes_)


def _symbolic_tags(train: Sequence[Record], asked: Sequence[Record]) -> list[str]:
    aspects = tuple(ASPECTS["S2"])
    shares = np.bincount(
        [read_answer("S2", record.gold or "", read_facts("S2", record.query)) for record in train],
        minlength=len(aspects),
    ) / max(len(train), 1)
    found = []
    for record in asked:
        counts = PSEUDO_ANSWERS * shares
        for entry in record.profile:
            code = read_answer("S2", entry.response, read_facts("S2", entry.input))
            if code >= 0:
                counts = counts + np.eye(len(aspects))[code]
        facts = read_facts("S2", record.query)
        mentioned = [code for code, aspect in enumerate(aspects) if aspect in facts.aspects[0]]
        found.append(write_answer("S2", max(mentioned, key=counts.__getitem__), facts))
    return found


def _levels(task: str, text: str) -> list[float]:
    options = read_facts(task, text).aspects
    rows = np.array([[float(option[aspect]) for aspect in ASPECTS[task]] for option in options])
    return [1.0, *((rows[0] - rows[1]) if task == "S1" else rows[0] - 3.0)]


def _target(task: str, answer: str) -> float:
    return {"[1]": 1.0, "[2]": -1.0}[answer] if task == "S1" else float(answer)


def _symbolic_levels(task: str, train: Sequence[Record], asked: Sequence[Record]) -> list[str]:
    inputs = np.array([_levels(task, record.query) for record in train])
    targets = np.array([_target(task, record.gold or "") for record in train])
    population, *_ = np.linalg.lstsq(inputs, targets, rcond=None)
    own: dict[str, np.ndarray] = {}
    found = []
    for record in asked:
        if record.user_id not in own:
            x = np.array([_levels(task, entry.input) for entry in record.profile]).reshape(-1, len(population))
            y = np.array([_target(task, entry.response) for entry in record.profile])
            # Ridge towards the population: minimise |y - x w|^2 + RIDGE |w - population|^2.
            left = x.T @ x + RIDGE * np.eye(len(population))
            own[record.user_id] = np.linalg.solve(left, x.T @ y + RIDGE * population)
        value = float(np.array(_levels(task, record.query)) @ own[record.user_id])
        if task == "S1":
            found.append("[1]" if value > 0 else "[2]")
        else:
            found.append(str(int(np.clip(np.floor(value + 0.5), 1, 5))))
    return found
