"""Is the world fit for purpose? Measured from the records whenever it is built; a world that misses a gate is not
handed over. Dev and test people are measured, their whole profiles shown.

Gates per task:
    blind optimum           the best answer that ignores the person <= Bayes - min_gap
    population majority     what other people answer to the same question <= Bayes - min_gap
    nearest entry           the response of the most similar entry <= Bayes - min_gap
    BM25 vote               the five most similar entries <= Bayes - vote_gap
    trained blind           a model trained on questions alone <= blind optimum + blind_slack, on the same golds
    latent                  naive Bayes on a question's words finds a part of the person no more often than the
                            commonest value of it does, + blind_slack
    calibration             what Bayes answers score - what they expect, either way <= calibration (train people too)
    weather                 how often the weather says what it goes with - what the dials state, either way <= weather
                            (train people; test people whose pairing is matched, and broken)
    length                  mean words of a question of people of one latent value - that of all, in standard
                            deviations, either way <= length
    position                S1: share of [1] - 1/2, either way <= position
    ids                     texts that hold their person's id: none
"Trained blind", "latent", "calibration", "weather", "length" and "position" compare a sample with its expectation:
their bounds widen by `sampling_errors` standard errors, people being the unit (0 where the preset has people enough).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tagpr.data.simulated.baselines import bm25_vote, nearest_entry, population_majority, trained_blind
from tagpr.data.simulated.grammar import read_facts, split_words
from tagpr.data.simulated.items import WEATHER, WEATHER_FOLLOWS
from tagpr.data.simulated.lexicon import ASPECTS
from tagpr.data.simulated.logic import LOGIC_TASKS
from tagpr.errors import BadInputError
from tagpr.tasks import ALL_TASKS
from tagpr.types import Record


class WorldGateError(BadInputError):
    """The world misses a gate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GateBounds:
    """The bounds of one preset, as frozen in conf/data/gates/. Scores in [0, 1]."""

    min_gap: float
    vote_gap: float
    blind_slack: float
    calibration: float
    weather: float
    length: float  # standard deviations
    position: float
    sampling_errors: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """One figure against its bound."""

    task: str
    name: str
    value: float
    bound: float  # value must not be above it

    @property
    def is_met(self) -> bool:
        return self.value <= self.bound


def require(gates: Sequence[Gate]) -> None:
    """Raises WorldGateError naming every gate that is missed, its figure and its bound."""
    missed = [gate for gate in gates if not gate.is_met]
    if missed:
        lines = [f"  {gate.task} {gate.name}: {gate.value:.3f}, expected at most {gate.bound:.3f}" for gate in missed]
        raise WorldGateError(
            "The simulated world misses its gates:\n" + "\n".join(lines) + "\nA blind reader too near to Bayes: lower "
            "data.noise, raise data.profile_entries or choose other data.families. A trained model or a probe above "
            "its bound: the generator leaks. Very small worlds miss gates by chance: raise the number of people."
        )


def gate_table(gates: Sequence[Gate]) -> str:
    rows = []
    for gate in gates:
        verdict = "met" if gate.is_met else "**missed**"
        rows.append(f"| {gate.task} | {gate.name} | {gate.value:.3f} | {gate.bound:.3f} | {verdict} |")
    return "\n".join(["| task | gate | figure | at most | |", "|---|---|---|---|---|", *rows])


def gate_figures(records: Sequence[Record], gates: Sequence[Gate]) -> dict[str, float]:
    """What the manifest keeps: Bayes and the blind optimum per task, and every gate's figure."""
    figures = {}
    for task in sorted({record.task for record in records}):
        unseen = [record for record in records if record.task == task and record.split != "train"]
        figures |= {f"{task}/{side}": _expected(unseen, side) for side in ("bayes", "blind")}
    return figures | {f"{gate.task}/gate {gate.name}": gate.value for gate in gates}


def measure_gates(records: Sequence[Record], *, bounds: GateBounds, weather_strength: float) -> list[Gate]:
    """Every gate of every task, met or not."""
    gates: list[Gate] = []
    for task in sorted({record.task for record in records}):
        own = [record for record in records if record.task == task]
        train = [record for record in own if record.split == "train"]
        unseen = [record for record in own if record.split != "train"]
        if not train or not unseen:
            raise WorldGateError(
                f"{task} has {len(train)} train and {len(unseen)} dev and test questions, expected both."
            )
        gates += _score_gates(task, train, unseen, bounds)
        gates += _latent_gates(task, train, unseen, bounds)
        gates += _length_gates(task, own, bounds)
        if task in LOGIC_TASKS:
            gates += _weather_gates(task, own, bounds, weather_strength)
        if task == "S1":
            shares = [float(record.gold == "[1]") for record in own]
            error = bounds.sampling_errors * 0.5 / math.sqrt(len(shares))
            gates.append(
                Gate(task=task, name="position", value=abs(_mean(shares) - 0.5), bound=bounds.position + error)
            )
        with_id = sum(_holds_id(record) for record in own)
        gates.append(Gate(task=task, name="ids", value=float(with_id), bound=0.0))
    return gates


# --- scores ----------------------------------------------------------------------------------------------------------


def _score_gates(task: str, train: Sequence[Record], unseen: Sequence[Record], bounds: GateBounds) -> list[Gate]:
    bayes, blind = (_expected(unseen, side) for side in ("bayes", "blind"))
    gates = [Gate(task=task, name="blind optimum", value=blind, bound=bayes - bounds.min_gap)]
    for name, baseline, gap in (
        ("population majority", population_majority, bounds.min_gap),
        ("nearest entry", nearest_entry, bounds.min_gap),
        ("BM25 vote", bm25_vote, bounds.vote_gap),
    ):
        gates.append(
            Gate(task=task, name=name, value=_mean(scores(unseen, baseline(train, unseen))), bound=bayes - gap)
        )
    best_blind = scores(unseen, [record.truth["blind"]["answer"] for record in unseen])  # type: ignore[index]
    lead = np.array(scores(unseen, trained_blind(train, unseen))) - np.array(best_blind)
    gates.append(_sampled(task, "trained blind", unseen, lead, bounds.blind_slack, bounds, two_sided=False))
    everybody = [*train, *unseen]
    bayes_scores = scores(everybody, [record.truth["bayes"]["answer"] for record in everybody])  # type: ignore[index]
    surplus = np.array(bayes_scores) - [record.truth["bayes"]["expected"] for record in everybody]  # type: ignore[index]
    gates.append(_sampled(task, "calibration", everybody, surplus, bounds.calibration, bounds, two_sided=True))
    return gates


def scores(records: Sequence[Record], answers: Sequence[str]) -> list[float]:
    """Task score of each answer against the gold."""
    score = ALL_TASKS[records[0].task].score
    return [score(answer, record.gold or "") for record, answer in zip(records, answers, strict=True)]


def person_error(records: Sequence[Record], values: Sequence[float] | np.ndarray) -> float:
    """Standard error of the mean of `values`, people being the unit: sd of people's means / root of their number."""
    by_person: dict[str, list[float]] = defaultdict(list)
    for record, value in zip(records, values, strict=True):
        by_person[record.user_id].append(float(value))
    means = [_mean(own) for own in by_person.values()]
    return float(np.std(means, ddof=1) / math.sqrt(len(means))) if len(means) > 1 else math.inf


def _sampled(
    task: str,
    name: str,
    records: Sequence[Record],
    values: np.ndarray,
    bound: float,
    bounds: GateBounds,
    *,
    two_sided: bool,
) -> Gate:
    mean = float(values.mean())
    error = person_error(records, values) if bounds.sampling_errors else 0.0
    return Gate(
        task=task, name=name, value=abs(mean) if two_sided else mean, bound=bound + bounds.sampling_errors * error
    )


def _expected(records: Sequence[Record], side: str) -> float:
    return _mean([record.truth[side]["expected"] for record in records])  # type: ignore[index]


# --- leaks -----------------------------------------------------------------------------------------------------------


def latent_parts(task: str, record: Record) -> dict[str, Any]:
    """What of the person a question must not tell: family and own aspect, or the parts of the manner."""
    truth: Mapping[str, Any] = record.truth or {}
    return {"family": truth["family"], "a": truth["rule"]["a"]} if task in LOGIC_TASKS else dict(truth["style"])


def _latent_gates(task: str, train: Sequence[Record], unseen: Sequence[Record], bounds: GateBounds) -> list[Gate]:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import BernoulliNB

    vectorizer = CountVectorizer(token_pattern="[A-Za-z]+|[0-9]+", lowercase=False, binary=True)
    known = vectorizer.fit_transform([record.question for record in train])
    new = vectorizer.transform([record.question for record in unseen])
    num_people = len({record.user_id for record in unseen})
    gates = []
    for part in latent_parts(task, train[0]):
        wanted = [latent_parts(task, record)[part] for record in unseen]
        model = BernoulliNB().fit(known, [str(latent_parts(task, record)[part]) for record in train])
        found = float(np.mean(model.predict(new) == np.array([str(value) for value in wanted])))
        commonest = Counter(wanted).most_common(1)[0][1] / len(wanted)
        error = math.sqrt(commonest * (1 - commonest) / num_people)
        gates.append(
            Gate(
                task=task,
                name=f"latent {part}",
                value=found,
                bound=commonest + bounds.blind_slack + bounds.sampling_errors * error,
            )
        )
    return gates


def _length_gates(task: str, records: Sequence[Record], bounds: GateBounds) -> list[Gate]:
    lengths = np.array([len(split_words(record.question)) for record in records], dtype=float)
    spread = float(lengths.std())
    gates = []
    for part in latent_parts(task, records[0]):
        groups: dict[Any, list[float]] = defaultdict(list)
        for record, length in zip(records, lengths, strict=True):
            groups[latent_parts(task, record)[part]].append(length)
        off = {value: abs(_mean(own) - float(lengths.mean())) / (spread or 1.0) for value, own in groups.items()}
        allowed = {v: bounds.length + bounds.sampling_errors / math.sqrt(len(own)) for v, own in groups.items()}
        worst = max(off, key=lambda value: off[value] - allowed[value])
        gates.append(Gate(task=task, name=f"length by {part}", value=off[worst], bound=allowed[worst]))
    return gates


def _holds_id(record: Record) -> bool:
    texts = [record.question, *(text for entry in record.profile for text in (entry.input, entry.response))]
    return any(record.user_id in text for text in texts)


# --- decoys ----------------------------------------------------------------------------------------------------------


def _weather_gates(task: str, records: Sequence[Record], bounds: GateBounds, strength: float) -> list[Gate]:
    gates = []
    last = len(WEATHER) - 1
    stated = strength + (1 - strength) / len(WEATHER)
    groups: dict[str, Callable[[Record], bool]] = {
        "train": lambda record: record.split == "train",
        "matched": lambda record: record.split == "test" and (record.truth or {})["decoys"] == "matched",
        "broken": lambda record: record.split == "test" and (record.truth or {})["decoys"] == "broken",
    }
    for name, belongs in groups.items():
        profiles = {record.user_id: record.profile for record in records if belongs(record)}
        hits = []
        for profile in profiles.values():
            for entry in profile:
                pair = weather_pair(task, entry.input)
                if pair is not None:
                    said, followed = pair
                    hits.append(said == (last - followed if name == "broken" else followed))
        if hits:
            off = abs(_mean(hits) - stated)
            error = bounds.sampling_errors * math.sqrt(stated * (1 - stated) / len(hits))
            gates.append(Gate(task=task, name=f"weather {name}", value=off, bound=bounds.weather + error))
    return gates


def weather_pair(task: str, text: str) -> tuple[int, int] | None:
    """(place of the weather, place of the value that it goes with) of an item text; None where one is not said."""
    facts = read_facts(task, text)
    followed = WEATHER_FOLLOWS[task]
    if "weather" not in facts.decoys[0] or followed not in facts.aspects[0]:
        return None
    return WEATHER.index(facts.decoys[0]["weather"]), list(ASPECTS[task][followed]).index(facts.aspects[0][followed])


def _mean(values: Sequence[float] | Sequence[bool]) -> float:
    return float(np.mean(values))
