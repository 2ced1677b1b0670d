"""How well PRMU tells people apart: by length of history, over all pairs of people and answers, and how sure it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tagpr.evaluation.prmu_figures import Figure, mean_figure
from tagpr.markup import escape
from tagpr.prmu.calibration import calibrate, cross_fitted, halves
from tagpr.prmu.judge import JudgedPairs, judge_pairs, swap_wins
from tagpr.prmu.loss import win_share
from tagpr.prmu.model import PrmuModel
from tagpr.prmu.text_encoder import FrozenEncoder
from tagpr.prmu.texts import History, query_context, user_history
from tagpr.types import PreferencePair, Record

LENGTHS = (0, 1, 2, 4, 8, 16, 32)
SWAP = "swap"  # kind of the figure D > 0, beside the negative types
MAX_IN_MATRIX = 12  # people of one question


@dataclass(frozen=True, kw_only=True, slots=True)
class LengthFigure:
    """Pair accuracy where so many latest entries of a history are read."""

    kind: str  # negative type, or SWAP
    length: int
    accuracy: Figure


def accuracy_by_length(
    model: PrmuModel,
    pairs: Sequence[PreferencePair],
    histories: Mapping[str, History],
    contexts: Mapping[str, str],
    *,
    encode: FrozenEncoder,
) -> list[LengthFigure]:
    """Accuracy by negative type with 0, 1, 2, 4 ... entries; a pair counts where its people have that many.

    The longest history that the model reads is a length too. At 0 nothing personal can be known: N1 and swap are at .5
    exactly, or the pairs have lost their mirrors.
    """
    longest = min(model.max_entries, max((len(history) for history in histories.values()), default=0))
    figures = []
    for length in sorted({*(n for n in LENGTHS if n <= longest), longest}):
        known = [p for p in pairs if all(len(histories[i]) >= length for i in (p.record_id, p.other_record_id) if i)]
        cut = {i: history[len(history) - length :] for i, history in histories.items() if len(history) >= length}
        judged = judge_pairs(model, known, cut, contexts, chunk=64, encode=encode)
        wins = win_share(judged.margins).tolist()
        for kind in sorted({pair.negative_type for pair in known}):
            own = [i for i, pair in enumerate(known) if pair.negative_type == kind]
            accuracy = mean_figure([wins[i] for i in own], [[known[i].user_id for i in own]])
            figures.append(LengthFigure(kind=kind, length=length, accuracy=accuracy))
        swaps, one, other = swap_wins(judged)
        if len(swaps):
            figures.append(LengthFigure(kind=SWAP, length=length, accuracy=mean_figure(swaps.tolist(), [one, other])))
    return figures


@dataclass(frozen=True, kw_only=True)
class SwapMatrix:
    """R(u, x, y_v) for the people of one question, centred by row; kept to be looked at."""

    query: str
    people: tuple[str, ...]
    answers: tuple[str, ...]  # distinct
    own: tuple[int, ...]  # each person's own answer, a column
    rewards: Tensor  # (people, answers)


@dataclass(frozen=True, kw_only=True)
class Swaps:
    """What the matrices say. Filled by `swap_matrices`."""

    by_task: Mapping[str, tuple[Figure, float, Figure]]  # (MRR, its chance level, AUC); "" over all tasks
    example: SwapMatrix | None  # of the question with the most people


def swap_matrices(model: PrmuModel, records: Sequence[Record], *, encode: FrozenEncoder) -> Swaps:
    """Every person judges everybody's answer to the same question.

    MRR: mean over people of 1 / rank of the own answer among the question's distinct answers (ties: middle rank);
    chance is the mean of 1/rank over all ranks, H_K / K for K answers. AUC: how often the person whose answer it is
    likes it better than somebody who answered otherwise, each person's rewards centred on their mean over the answers
    (a person who likes everything more is not a better judge); chance is 1/2.
    """
    by_question: dict[tuple[str, str], dict[str, Record]] = defaultdict(dict)
    for record in records:
        if record.gold is not None:
            by_question[record.task, escape(record.query)].setdefault(record.user_id, record)
    reciprocal: list[tuple[str, str, float, float]] = []  # task, person, 1/rank, chance
    wins: list[tuple[str, str, str, float]] = []  # task, own person, other person, win
    example: SwapMatrix | None = None
    for (task, query), several in by_question.items():
        people = list(several.values())[:MAX_IN_MATRIX]
        answers = list(dict.fromkeys(escape(record.gold or "") for record in people))
        if len(answers) < 2:
            continue
        own = [answers.index(escape(record.gold or "")) for record in people]
        rewards = model.score(
            [user_history(record) for record in people], [query_context(people[0])] * len(answers), answers,
            encode=encode,
        ).cpu()  # fmt: skip
        centred = rewards - rewards.mean(dim=1, keepdim=True)
        chance = sum(1 / rank for rank in range(1, len(answers) + 1)) / len(answers)
        for u, record in enumerate(people):
            mine = centred[u, own[u]]
            rank = 0.5 + float((centred[u] > mine).sum()) + 0.5 * float((centred[u] == mine).sum())
            reciprocal.append((task, record.user_id, 1 / rank, chance))
            for v, other in enumerate(people):
                if own[u] != own[v]:
                    win = float(win_share((mine - centred[v, own[u]])[None])[0])
                    wins.append((task, record.user_id, other.user_id, win))
        if example is None or len(people) > len(example.people):
            example = SwapMatrix(
                query=query, people=tuple(r.user_id for r in people), answers=tuple(answers), own=tuple(own),
                rewards=centred,
            )  # fmt: skip
    by_task = {}
    for task in ("", *sorted({task for task, *_ in reciprocal})):
        ranks = [row for row in reciprocal if task in ("", row[0])]
        won = [row for row in wins if task in ("", row[0])]
        by_task[task] = (
            mean_figure([row[2] for row in ranks], [[row[1] for row in ranks]]),
            float(np.mean([row[3] for row in ranks])) if ranks else float("nan"),
            mean_figure([row[3] for row in won], [[row[1] for row in won], [row[2] for row in won]]),
        )
    return Swaps(by_task=by_task, example=example)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Stated certainty against how often it was right."""

    bins: tuple[tuple[float, Figure], ...]  # (mean confidence, accuracy), bins without pairs left out
    ece: float
    ece_if_calibrated: float  # what so many pairs show by luck alone
    ece_uncalibrated: float
    temperature: float
    num_pairs: int


def calibration_curve(judged: JudgedPairs, *, num_bins: int) -> Calibration | None:
    """Bins of the confidence max(p, 1 - p), p = sigma(margin / T), T fitted on the other half of the people.

    None without pairs.
    """
    if not judged.pairs:
        return None
    folds = halves(judged.pairs)
    confidence = torch.sigmoid(cross_fitted(judged.margins, folds).abs())
    right = win_share(judged.margins)
    place = ((confidence - 0.5) * 2 * num_bins).long().clamp(max=num_bins - 1)
    bins = []
    for b in range(num_bins):
        inside = torch.nonzero(place == b).flatten().tolist()
        if inside:
            accuracy = mean_figure(right[inside].tolist(), [[judged.pairs[i].user_id for i in inside]])
            bins.append((float(confidence[inside].mean()), accuracy))
    said = calibrate(judged.margins, folds, num_bins=num_bins)
    return Calibration(
        bins=tuple(bins), ece=said["ece"], ece_if_calibrated=said["ece_if_calibrated"],
        ece_uncalibrated=said["ece_uncalibrated"], temperature=said["temperature"], num_pairs=len(judged.pairs),
    )  # fmt: skip
