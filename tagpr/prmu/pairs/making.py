"""All types of pairs from the records of one split, in the shares of the mix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from tagpr.prmu.pairs.account import Account, account
from tagpr.prmu.pairs.answering import Answering, Lending
from tagpr.prmu.pairs.base import MIX_KEYS, N1, N1_LABEL, N2, N3, N4, N5, N6, Made, PolicySample, nothing
from tagpr.prmu.pairs.cues import cued_pairs
from tagpr.prmu.pairs.duplicates import without_duplicates
from tagpr.prmu.pairs.edits import collect_edits, edited_pairs
from tagpr.prmu.pairs.generated import no_history_pairs, on_policy_pairs, other_history_pairs, shares_query
from tagpr.prmu.pairs.labels import BlindLabels, label_frequencies, label_pairs, plausible_label_pairs
from tagpr.prmu.pairs.mix import quotas, take_blocks
from tagpr.prmu.pairs.shared_query import disagreements, people_per_shared_query
from tagpr.tasks import ALL_TASKS
from tagpr.types import PreferencePair, Prompt, Record


@dataclass(frozen=True, kw_only=True)
class PairSettings:
    """Built from the group `pairs`."""

    mix: Mapping[str, float]  # share of each type, relative to their sum; 0 leaves a type out
    max_pairs: int  # upper bound on the training pairs
    people_per_query: int  # N1: people of one block; they share texts in training
    labels_per_record: int  # N1_label: draws per record
    label_margin: float  # N1_label where queries are not shared: nats by which a user-blind model may prefer one side
    samples: int  # N4, N2: answers per train prompt
    dev_samples: int  # answers per dev prompt; best-of-n figures choose among them
    no_history_samples: int  # N3: answers to choose the length match from
    other_history_samples: int  # N2: answers under the lent history
    lender_candidates: int  # N2: people whose histories are compared in size
    length_band: float  # N2: share by which the histories' characters may differ
    max_prompts: int  # train records the policy answers, per type
    dev_prompts: int  # dev records it answers, per type
    min_gap: float  # N2, N4: official score by which the chosen answer leads
    max_length_ratio: float  # N2, N3, N4 in text tasks: longer over shorter side, in tokens
    negatives_per_record: int  # N4
    dev_query_share: float  # of the queries that train and dev people share
    shortcut_limit: float  # accuracy of a shortcut model on N1 and N2 above which the pairs are at fault
    temperature: float  # of all sampling here
    max_new_tokens: int


@dataclass(frozen=True, kw_only=True)
class SplitPairs:
    """All that one split gives. Filled by `PairMaker.make`."""

    pairs: list[PreferencePair]
    samples: list[PolicySample]
    accounts: dict[str, Account]  # by type
    kinds: dict[str, int]  # edits of N5 and cues of N6, before the quota
    prompts: dict[str, int]  # questions that the policy answered, by the history shown


class PairMaker:
    """Makes the pairs of either split; what is drawn from the population is drawn from train people.

    Args:
        train: train people's questions, with gold.
        length: tokens of an answer.
    """

    def __init__(
        self,
        *,
        settings: PairSettings,
        answering: Answering,
        train: Sequence[Record],
        length: Callable[[str], int],
        generator: np.random.Generator,
    ) -> None:
        self._settings = settings
        self._answering = answering
        self._length = length
        self._generator = generator
        self._frequencies = label_frequencies(train)
        self._blind = BlindLabels(train)
        self._edits = collect_edits(train)

    def make(self, records: Sequence[Record], lending: Lending, *, prompts: int, samples: int) -> SplitPairs:
        """Pairs of one split.

        Args:
            records: of the split, with gold.
            lending: among its people.
            prompts: most records that the policy answers, per kind of history.
            samples: answers under the own history; dev records get them whatever the mix, for best-of-n figures.
        """
        settings = self._settings
        groups = people_per_shared_query(records, people_per_query=settings.people_per_query, generator=self._generator)
        blocks = [block for group in groups if (block := disagreements(group))]
        sharing = {pair.record_id for block in blocks for pair in block}
        made = {N1: nothing(), N5: nothing(), N1_LABEL: self._labels(records, sharing)}
        if settings.mix[N1] > 0:
            agreeing = sum(len(g) * (len(g) - 1) for g in groups) - sum(map(len, blocks))
            made[N1] = Made(blocks=blocks, dropped=Counter(agreement=agreeing))
        if settings.mix[N5] > 0:
            made[N5] = edited_pairs(records, self._edits)
        possible = min(prompts, len(records))
        quota = quotas(
            settings.mix,
            {kind: one.num_pairs for kind, one in made.items()}
            | {N2: possible, N3: possible, N4: possible * settings.negatives_per_record, N6: len(records)},
            max_pairs=settings.max_pairs,
        )
        # Records in N1 first: the same histories then serve the other types in training.
        order = some(records, prompts, first=sharing, generator=self._generator)
        is_dev = bool(records) and records[0].split == "dev"
        own = order if is_dev else order[: max(quota[N2], quota[N4])]
        bare = order[: quota[N3]]
        lent = self._lent(order, lending, quota[N2])
        drawn = [
            *self._answering.with_history(own, number=samples),
            *self._answering.without_history(bare, number=settings.no_history_samples),
            *self._answering.under_lent(order, lent, number=settings.other_history_samples),
        ]
        asked = {N2: [record for record in order if record.record_id in lent], N3: bare, N4: own}
        made |= self._from_samples(quota, drawn, lent, asked=asked)
        made = without_duplicates({kind: made.get(kind, nothing()) for kind in MIX_KEYS})
        if settings.mix[N6] > 0:
            wrong = [pair for one in made.values() for block in one.blocks for pair in block]
            made = without_duplicates(made | {N6: cued_pairs(records, wrong)})
        taken = {kind: take_blocks(one.blocks, quota[kind], generator=self._generator) for kind, one in made.items()}
        return SplitPairs(
            pairs=[pair for of_kind in taken.values() for pair in of_kind],
            samples=drawn,
            accounts={kind: account(quota[kind], made[kind], taken[kind]) for kind in MIX_KEYS},
            kinds=dict(sorted((made[N5].kinds + made[N6].kinds).items())),
            prompts={"own": len(own), "none": len(bare), "other": len(lent)},
        )

    def _labels(self, records: Sequence[Record], sharing: set[str]) -> Made:
        settings = self._settings
        if settings.mix[N1_LABEL] == 0:
            return nothing()
        alone = plausible_label_pairs(
            [record for record in records if record.record_id not in sharing],
            self._blind,
            per_record=settings.labels_per_record,
            margin=settings.label_margin,
            generator=self._generator,
        )
        shared = label_pairs(
            [record for record in records if record.record_id in sharing],
            self._frequencies,
            per_record=settings.labels_per_record,
            generator=self._generator,
        )
        return Made(blocks=[*alone.blocks, *([pair] for pair in shared)], dropped=alone.dropped)

    def _lent(self, records: Iterable[Record], lending: Lending, number: int) -> dict[str, tuple[Prompt, Record]]:
        """Up to `number` questions under another's history, by record."""
        found: dict[str, tuple[Prompt, Record]] = {}
        for record in records:
            if len(found) >= number:
                break
            lent = lending.prompt(record)
            if lent is None:
                continue
            # Of two people who were asked the same, the right labels are N1's pair already.
            if self._settings.mix[N1] > 0 and ALL_TASKS[record.task].kind == "label" and shares_query(record, lent[1]):
                continue
            found[record.record_id] = lent
        return found

    def _from_samples(
        self,
        quota: Mapping[str, int],
        samples: Sequence[PolicySample],
        lent: Mapping[str, tuple[Prompt, Record]],
        *,
        asked: Mapping[str, Sequence[Record]],
    ) -> dict[str, Made]:
        settings = self._settings
        made = {}
        sizes = {"length": self._length, "max_ratio": settings.max_length_ratio}
        if quota[N2]:
            made[N2] = other_history_pairs(
                asked[N2], samples, {i: lender for i, (_, lender) in lent.items()}, min_gap=settings.min_gap, **sizes
            )
        if quota[N3]:
            made[N3] = no_history_pairs(asked[N3], samples, **sizes)
        if quota[N4]:
            made[N4] = on_policy_pairs(
                asked[N4], samples, min_gap=settings.min_gap, per_record=settings.negatives_per_record, **sizes
            )
        return made


def some(
    records: Sequence[Record], number: int, *, first: Collection[str], generator: np.random.Generator
) -> list[Record]:
    """`number` records, those in `first` before others; tasks in turn, and within a task people in turn, at random."""
    shuffled = [records[i] for i in generator.permutation(len(records))]
    turns: Counter[tuple[str, str]] = Counter()
    keyed = []
    for record in shuffled:
        key = (record.task, record.user_id)
        keyed.append(((record.record_id not in first, turns[key]), record))
        turns[key] += 1
    by_task: dict[str, list[Record]] = {}
    for _, record in sorted(keyed, key=lambda item: item[0]):
        by_task.setdefault(record.task, []).append(record)
    in_turn = [record for row in zip_longest(*by_task.values()) for record in row if record is not None]
    return sorted(in_turn, key=lambda record: record.record_id not in first)[:number]
