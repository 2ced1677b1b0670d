"""PRMU as a reward in [0, 1] for RL: centred, freed of what it would say to anybody, put on a frozen scale."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tagpr.errors import BadInputError
from tagpr.markup import escape
from tagpr.prmu.imported_pairs import brought_people
from tagpr.prmu.model import PrmuModel
from tagpr.prmu.text_encoder import FrozenEncoder
from tagpr.prmu.texts import History, query_context, user_history
from tagpr.storage import read_json, write_json
from tagpr.tasks import ALL_TASKS
from tagpr.types import Record

People = Mapping[str, Sequence[tuple[str, History]]]  # task -> (user_id, history) of its reference people


@dataclass(frozen=True, kw_only=True)
class PrmuScores:
    """Rewards of one call. Filled by PrmuReward."""

    rewards: Tensor  # (B, G) in [0, 1]
    own: Tensor  # (B, G) centred R(u, .)
    blind: Tensor  # (B, G) mean over reference people of centred R(v, .)
    saturated_share: float  # of rewards that the clip cut


@dataclass(frozen=True, kw_only=True, slots=True)
class ScaleSample:
    """One dev answer's two parts of S. Filled by the prmu stage; mu and s of any blind_share follow from them."""

    task: str
    own: float
    blind: float


@dataclass(frozen=True, kw_only=True)
class RewardReferences:
    """What turns R into a reward, frozen at the end of the prmu stage; reward.json beside the model.

    Args:
        people: records whose histories are the reference people v.
        num_answers: reference answers per query, where the task has labels.
        samples: answers of dev people that fix mu and s.
    """

    people: tuple[str, ...]
    num_answers: int
    samples: tuple[ScaleSample, ...]

    def save(self, folder: Path) -> None:
        columns = {
            name: [getattr(s, name) for s in self.samples] for name in ("task", "own", "blind")
        }  # compact on disk
        write_json(
            folder / "reward.json",
            {"people": list(self.people), "num_answers": self.num_answers, "samples": columns},
        )

    @classmethod
    def load(cls, folder: Path) -> RewardReferences:
        raw = read_json(folder / "reward.json")
        columns = raw["samples"]
        return cls(
            people=tuple(raw["people"]),
            num_answers=raw["num_answers"],
            samples=tuple(
                ScaleSample(task=task, own=own, blind=blind)
                for task, own, blind in zip(columns["task"], columns["own"], columns["blind"], strict=True)
            ),
        )

    def scale(self, *, blind_share: float) -> dict[str, tuple[float, float]]:
        """(mu, s) of S = own - blind_share * blind per task, and under "" over all tasks; s > 0."""
        by_task: dict[str, list[float]] = {"": []}
        for sample in self.samples:
            value = sample.own - blind_share * sample.blind
            by_task[""].append(value)
            by_task.setdefault(sample.task, []).append(value)
        scales = {}
        for task, values in by_task.items():
            tensor = torch.tensor(values or [0.0], dtype=torch.float64)
            # Where S does not vary (a user-blind model with blind_share 1) every reward is sigma(0), not amplified
            # noise.
            spread = float(tensor.std(correction=0))
            scales[task] = (float(tensor.mean()), spread if spread > 1e-6 else 1.0)
        return scales


class PrmuReward:
    """r = sigma(clip((S - mu) / s)), S = R_c(u, x, y) - lambda * mean_v R_c(v, x, y) (O).

    R_c(u, x, y) = R(u, x, y) - mean_j R(u, x, y_j): without reference answers y_j a query's own offset would saturate
    the squash. For label and rating tasks they are other valid labels, a few fixed by a hash of the query; for text
    tasks the group's own distinct answers: other people's golds would be gold that RL is not meant to have. lambda
    takes out that share of what the answer would earn from anybody, which is where surface hacks live, and of what u
    shares with everyone.
    A reference person never judges their own answers.

    Args:
        references: frozen people, answers and scale.
        people: `reference_people` of `references.people`: a person judges the tasks that they have a history in.
        blind_share: lambda >= 0.
        clip: the largest |(S - mu) / s|; rewards beyond it are counted as saturated.
        max_records: prompts scored in one go.
        cache_texts: encoded texts that are remembered within a call, histories above all.
    """

    def __init__(
        self,
        *,
        model: PrmuModel,
        references: RewardReferences,
        people: People,
        blind_share: float,
        clip: float,
        max_records: int,
        cache_texts: int,
    ) -> None:
        if blind_share < 0 or clip <= 0:
            raise ValueError(f"blind_share={blind_share}, clip={clip}: expected blind_share >= 0 and clip > 0.")
        self.model = model.eval()
        self.references = references
        self.people = [(task, *person) for task, several in people.items() for person in several]
        self.blind_share = blind_share
        self.clip = clip
        self.max_records = max_records
        self.cache_texts = cache_texts
        self.encode = FrozenEncoder(model.encoder, capacity=cache_texts)
        self.scales = references.scale(blind_share=blind_share)

    @classmethod
    def from_stage(
        cls,
        folder: Path,
        records: Sequence[Record],
        *,
        blind_share: float,
        clip: float,
        max_records: int,
        cache_texts: int,
        device: str,
    ) -> PrmuReward:
        """From a prmu stage's folder; `records` must hold the reference people's records (train people).

        Raises:
            BadInputError: they do not.
        """
        references = RewardReferences.load(folder / "model")
        return cls(
            model=PrmuModel.from_pretrained(folder / "model", device=device),
            references=references,
            people=reference_people(references.people, [*records, *brought_people(folder)]),
            blind_share=blind_share,
            clip=clip,
            max_records=max_records,
            cache_texts=cache_texts,
        )

    def prmu_scores(self, records: Sequence[Record], answers: Sequence[Sequence[str]]) -> PrmuScores:
        """Rewards of B prompts' answers, G each: a function of the arguments alone, to the last bit.

        Texts are remembered within a call. From call to call they would change which texts go through the model
        together, hence the rounding, and a resumed run, which remembers nothing, would part from the one before.
        """
        self.encode = FrozenEncoder(self.model.encoder, capacity=self.cache_texts)
        own, blind = self.parts(records, answers)
        scales = [self.scales.get(record.task, self.scales[""]) for record in records]
        mean = torch.tensor([mu for mu, _ in scales])[:, None]
        spread = torch.tensor([s for _, s in scales])[:, None]
        standard = (own - self.blind_share * blind - mean) / spread
        return PrmuScores(
            rewards=torch.sigmoid(standard.clamp(-self.clip, self.clip)),
            own=own,
            blind=blind,
            saturated_share=float((standard.abs() >= self.clip).float().mean()) if standard.numel() else 0.0,
        )

    def parts(self, records: Sequence[Record], answers: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor]:
        """R_c(u, .) and mean_v R_c(v, .), both (B, G) on CPU."""
        own, blind = [], []
        for start in range(0, len(records), self.max_records):
            part = records[start : start + self.max_records]
            texts = [[escape(answer) for answer in group] for group in answers[start : start + self.max_records]]
            extra = [
                reference_answers(record, group, number=self.references.num_answers)
                for record, group in zip(part, texts, strict=True)
            ]
            columns: dict[tuple[str, str], int] = {}
            for record, group, reference in zip(part, texts, extra, strict=True):
                for answer in (*group, *reference):
                    columns.setdefault((query_context(record), answer), len(columns))
            asked = [
                (
                    [columns[query_context(record), answer] for answer in group],
                    [columns[query_context(record), answer] for answer in reference],
                    [len(part) + v for v in self._others(record)],
                )
                for record, group, reference in zip(part, texts, extra, strict=True)
            ]
            needed = torch.zeros(len(part) + len(self.people), len(columns), dtype=torch.bool)
            for row, (at, centre, others) in enumerate(asked):
                needed[torch.tensor([row, *others])[:, None], torch.tensor([*at, *centre], dtype=torch.long)] = True
            rewards = self.model.score(
                [*(user_history(record) for record in part), *(history for _, _, history in self.people)],
                [context for context, _ in columns],
                [answer for _, answer in columns],
                encode=self.encode,
                needed=needed,
            ).cpu()
            for row, (at, centre, others) in enumerate(asked):
                centred = rewards[:, at] - rewards[:, centre].mean(dim=1, keepdim=True)
                own.append(centred[row])
                blind.append(centred[others].mean(dim=0) if others else torch.zeros_like(centred[row]))
        return torch.stack(own), torch.stack(blind)

    def _others(self, record: Record) -> list[int]:
        """Which reference people judge a record's answers."""
        return [
            v for v, (task, user_id, _) in enumerate(self.people) if task == record.task and user_id != record.user_id
        ]


def reference_answers(record: Record, answers: Sequence[str], *, number: int) -> list[str]:
    """The y_j of a query: `number` valid labels chosen by a hash of the query, or the group's own distinct answers."""
    labels = ALL_TASKS[record.task].labels
    if not labels:
        return list(dict.fromkeys(answers))

    def order(label: str) -> bytes:
        return hashlib.sha256(f"{record.task}\x00{escape(record.query)}\x00{label}".encode()).digest()

    return [escape(label) for label in sorted(labels, key=order)[:number]]


def reference_people(record_ids: Sequence[str], records: Sequence[Record]) -> People:
    """Who the named records are. Raises BadInputError where one is missing."""
    known: Mapping[str, Record] = {record.record_id: record for record in records}
    missing = [record_id for record_id in record_ids if record_id not in known]
    if missing:
        raise BadInputError(
            f"PRMU's reference people {missing[:3]} are not among the {len(records)} records given: pass the train "
            "people's records of the run that trained it."
        )
    people: dict[str, list[tuple[str, History]]] = {}
    for record_id in record_ids:
        record = known[record_id]
        people.setdefault(record.task, []).append((record.user_id, user_history(record)))
    return people
