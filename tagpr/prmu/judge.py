"""How well PRMU tells people apart, on pairs it was not trained on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tagpr.markup import escape
from tagpr.prmu.loss import personal_contrast, win_share
from tagpr.prmu.model import PrmuModel
from tagpr.prmu.pairs import N1, PolicySample
from tagpr.prmu.text_encoder import FrozenEncoder
from tagpr.prmu.texts import History, query_context, user_history
from tagpr.types import PreferencePair, Record


@dataclass(frozen=True, kw_only=True)
class JudgedPairs:
    """Pairs with what PRMU thinks of them. Filled by `judge_pairs`."""

    pairs: list[PreferencePair]
    margins: Tensor  # (P,) R(u, x, chosen) - R(u, x, rejected)
    other_margins: Tensor  # (P,) the same answers judged for the other user of an N1 pair; NaN for the other types


def judge_pairs(
    model: PrmuModel,
    pairs: Sequence[PreferencePair],
    histories: Mapping[str, History],
    contexts: Mapping[str, str],
    *,
    chunk: int,
    encode: FrozenEncoder,
) -> JudgedPairs:
    """Score pairs in chunks of `chunk`; a text that comes again is not read again."""
    margins, other_margins = [], []
    for start in range(0, len(pairs), chunk):
        part = pairs[start : start + chunk]
        rows = {
            i: n for n, i in enumerate(dict.fromkeys(j for p in part for j in (p.record_id, p.other_record_id) if j))
        }
        sides = [(contexts[p.record_id], escape(a)) for p in part for a in (p.chosen, p.rejected)]
        columns = {side: n for n, side in enumerate(dict.fromkeys(sides))}
        needed = torch.zeros(len(rows), len(columns), dtype=torch.bool)
        for n, pair in enumerate(part):
            judges = [rows[i] for i in (pair.record_id, pair.other_record_id) if i]
            for side in sides[2 * n : 2 * n + 2]:
                needed[judges, columns[side]] = True
        rewards = model.score(
            [histories[i] for i in rows],
            [context for context, _ in columns],
            [answer for _, answer in columns],
            encode=encode,
            needed=needed,
        ).cpu()
        for n, pair in enumerate(part):
            chosen, rejected = columns[sides[2 * n]], columns[sides[2 * n + 1]]
            own = rewards[rows[pair.record_id]]
            margins.append(own[chosen] - own[rejected])
            if pair.other_record_id:
                other = rewards[rows[pair.other_record_id]]
                other_margins.append(other[chosen] - other[rejected])
            else:
                other_margins.append(torch.tensor(float("nan")))
    empty = torch.zeros(0)
    return JudgedPairs(
        pairs=list(pairs),
        margins=torch.stack(margins) if margins else empty,
        other_margins=torch.stack(other_margins) if other_margins else empty,
    )


def pair_metrics(judged: JudgedPairs, *, prefix: str) -> dict[str, float]:
    """`<prefix>/accuracy/<type>` and `<prefix>/swap_accuracy`, each also per task as `.../<task>`."""
    metrics: dict[str, float] = {}
    wins = win_share(judged.margins)
    for name, indices in _groups([(pair.negative_type, pair.task) for pair in judged.pairs]).items():
        metrics[f"{prefix}/accuracy/{name}"] = float(wins[indices].mean())
    couples = couple_indices(judged)
    swaps, _, _ = swap_wins(judged)
    for name, indices in _groups([("swap_accuracy", judged.pairs[i].task) for i in couples]).items():
        metrics[f"{prefix}/{name}"] = float(swaps[indices].mean())
    return metrics


def couple_indices(judged: JudgedPairs) -> list[int]:
    """One pair of each N1 couple: its two directions have the same D and count once."""
    couples: dict[tuple[str, ...], int] = {}
    for i, pair in enumerate(judged.pairs):
        if pair.negative_type == N1:
            couples.setdefault(tuple(sorted((pair.record_id, pair.other_record_id))), i)
    return list(couples.values())


def swap_wins(judged: JudgedPairs) -> tuple[Tensor, list[str], list[str]]:
    """Per N1 couple: win share of D > 0, and the two people."""
    indices = couple_indices(judged)
    user_of = {pair.record_id: pair.user_id for pair in judged.pairs}
    wins = win_share(personal_contrast(judged.margins[indices], judged.other_margins[indices]))
    own = [judged.pairs[i].user_id for i in indices]
    other = [user_of[judged.pairs[i].other_record_id] for i in indices]
    return wins, own, other


def _groups(keys: Sequence[tuple[str, str]]) -> dict[str, list[int]]:
    """Positions per `<first>` and per `<first>/<second>`."""
    groups: dict[str, list[int]] = defaultdict(list)
    for i, (first, second) in enumerate(keys):
        groups[first].append(i)
        groups[f"{first}/{second}"].append(i)
    return dict(sorted(groups.items()))


def bootstrap_lower_bound(
    values: Tensor, people: Sequence[Sequence[str]], *, num_resamples: int, generator: np.random.Generator
) -> float:
    """Lower end of the 95 % interval (2.5th percentile) of a mean, resampling people.

    A value that belongs to two people counts as often as the product of their draws (the pigeonhole bootstrap, Owen
    2007, Annals of Applied Statistics 1(2): conservative), one of one person as often as that person was drawn.

    Args:
        values: (N,).
        people: one or two lists of N person keys.
    """
    index = {person: i for i, person in enumerate(dict.fromkeys(p for column in people for p in column))}
    columns = [np.array([index[person] for person in column]) for column in people]
    numbers = values.double().numpy()
    means = []
    for _ in range(num_resamples):
        draws = np.bincount(generator.integers(len(index), size=len(index)), minlength=len(index))
        weights = np.prod([draws[column] for column in columns], axis=0)
        if weights.sum():
            means.append(float(weights @ numbers / weights.sum()))
    return float(np.percentile(means, 2.5)) if means else float("nan")


@dataclass(frozen=True, kw_only=True)
class BestOfN:
    """Official scores per record of the answer that PRMU likes best and its rivals. Filled by `best_of_n`."""

    users: list[str]
    picked: Tensor  # (N,)
    blind: Tensor  # (N,) what the user-blind twin likes best
    random: Tensor  # (N,) mean over the samples


def best_of_n(
    model: PrmuModel,
    samples: Sequence[PolicySample],
    records: Mapping[str, Record],
    references: Mapping[str, Sequence[History]],
    *,
    encode: FrozenEncoder,
) -> BestOfN:
    """Choose among each record's samples by R(u,.), and by the mean of R(v,.) over reference users v, the blind twin.

    Unparsed answers cannot be chosen, but are in the random pick. Ties share: the mean score of the answers tied for
    best.

    Args:
        records: of the samples, by id.
        references: task -> histories of reference people.
    """
    by_record: dict[str, list[PolicySample]] = defaultdict(list)
    for sample in samples:
        if sample.with_history:
            by_record[sample.record_id].append(sample)
    users, picked, blind, random = [], [], [], []
    for record_id, group in by_record.items():
        scores = torch.tensor([sample.score for sample in group])
        readable = [i for i, sample in enumerate(group) if sample.parsed]
        random.append(scores.mean())
        users.append(group[0].user_id)
        if not readable:
            picked.append(scores.mean())
            blind.append(scores.mean())
            continue
        record = records[record_id]
        answers = [escape(group[i].answer) for i in readable]
        people = [user_history(record), *references[record.task]]
        rewards = model.score(people, [query_context(record)] * len(answers), answers, encode=encode).cpu()
        picked.append(_at_best(rewards[0], scores[readable]))
        blind.append(_at_best(rewards[1:].mean(dim=0), scores[readable]))
    return BestOfN(users=users, picked=torch.tensor(picked), blind=torch.tensor(blind), random=torch.tensor(random))


def pick_metrics(best: BestOfN, *, prefix: str) -> dict[str, float]:
    """`<prefix>/{picked,blind,random}`: mean official score of what each picks; nothing where there are no samples."""
    if not best.users:
        return {}
    values = {"picked": best.picked, "blind": best.blind, "random": best.random}
    return {f"{prefix}/{name}": float(value.mean()) for name, value in values.items()}


def _at_best(rewards: Tensor, scores: Tensor) -> Tensor:
    best = rewards >= rewards.max() - 1e-6 * rewards.abs().max().clamp(min=1.0)
    return scores[best].mean()
