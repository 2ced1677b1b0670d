"""The gate report in Markdown: every gate with its figure, every baseline per task and family with its interval, and
how many entries a reader needs."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tagpr.data.simulated.baselines import BASELINES
from tagpr.data.simulated.gates import Gate, gate_table, person_error, scores
from tagpr.data.simulated.logic import FAMILIES
from tagpr.data.simulated.observer import Seen, beliefs, seen_entries
from tagpr.data.simulated.truth import best_answers
from tagpr.types import Record

ENTRY_COUNTS = (0, 1, 2, 3, 6, 8, 16)
NORMAL_95 = 1.96
NEARLY_ALL = 0.8  # of the way from the blind to the whole profile's score: what "needs n entries" means
UNAWARE = "Bayes, not knowing the held-out family"
ORDER_OF_ROWS = (*BASELINES, "blind optimum", UNAWARE, "Bayes")


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """Mean task score of some answers; half width of its 95 % interval, people being the unit."""

    mean: float
    half_width: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.half_width:.3f}"


def unseen(records: Sequence[Record], task: str) -> list[Record]:
    return [record for record in records if record.task == task and record.split != "train"]


def score_of(records: Sequence[Record], values: Sequence[float]) -> Score:
    return Score(mean=float(np.mean(values)), half_width=NORMAL_95 * person_error(records, values))


def baseline_scores(records: Sequence[Record], task: str) -> dict[str, list[float]]:
    """Row -> the score of each dev and test question of a task, against the noisy golds."""
    train = [record for record in records if record.task == task and record.split == "train"]
    asked = unseen(records, task)
    found = {name: scores(asked, baseline(train, asked)) for name, baseline in BASELINES.items()}
    sides = {"blind optimum": "blind", "Bayes": "bayes"}
    if any("bayes_unaware" in (record.truth or {}) for record in asked):
        sides[UNAWARE] = "bayes_unaware"  # dev people have no such family: what they have is what is known
    for name, side in sides.items():
        truths = [record.truth or {} for record in asked]
        found[name] = scores(asked, [truth.get(side, truth["bayes"])["answer"] for truth in truths])
    return found


def scores_by_entries(records: Sequence[Record], counts: Sequence[int]) -> dict[int, list[float]]:
    """n -> the Bayes reader's score of each record, given n random entries of its profile in their order."""
    task, truth = records[0].task, records[0].truth
    assert truth is not None, "only simulated records come here"
    found = {}
    for count in counts:
        shown: list[list[Seen]] = []
        for record in records:
            rng = random.Random(f"{count}/{record.record_id}")
            places = sorted(rng.sample(range(len(record.profile)), count))
            shown.append(seen_entries(record, [record.profile[place] for place in places]))
        answers: list[str] = [""] * len(records)
        for families in {tuple((record.truth or {})["families"]) for record in records}:
            rows = [row for row, record in enumerate(records) if tuple((record.truth or {})["families"]) == families]
            belief = beliefs(task, [shown[row] for row in rows], families=families, noise=truth["noise"])
            best = best_answers(task, [records[row].query for row in rows], belief, noise=truth["noise"])
            for row, answer in zip(rows, best, strict=True):
                answers[row] = answer["answer"]
        found[count] = scores(records, answers)
    return found


# --- Markdown --------------------------------------------------------------------------------------------------------


def write_report(
    records: Sequence[Record], gates: Sequence[Gate], *, title: str, advance: Callable[[int], None]
) -> str:
    """The whole report; `advance` is told of each task done."""
    tasks = sorted({record.task for record in records})
    parts = [f"# Gate report: {title}", "Simulated people, not people. Never averaged with results on LaMP.", ""]
    parts += ["## Gates", "Dev and test people, whole profiles.", "", gate_table(gates), ""]
    for task in tasks:
        asked = unseen(records, task)
        found = baseline_scores(records, task)
        by_entries = scores_by_entries(asked, [n for n in ENTRY_COUNTS if n <= len(asked[0].profile)])
        parts += [f"## {task}", f"{len(asked)} questions, {len({r.user_id for r in asked})} people.", ""]
        parts += [*_score_table(asked, found), "", *_flag_table(asked, found), "", *_entry_table(asked, by_entries), ""]
        advance(1)
    return "\n".join(parts)


def _families(records: Sequence[Record]) -> list[str]:
    own = {(record.truth or {})["family"] for record in records}
    return [family for family in FAMILIES if family in own] if "rule" in (records[0].truth or {}) else []


def _mask(records: Sequence[Record], key: str, value: object) -> list[int]:
    return [row for row, record in enumerate(records) if (record.truth or {}).get(key) == value]


def _part(records: Sequence[Record], values: Sequence[float], rows: Sequence[int]) -> Score:
    return score_of([records[row] for row in rows], [values[row] for row in rows])


def _score_table(records: Sequence[Record], found: dict[str, list[float]]) -> list[str]:
    families = _families(records)
    lines = [f"| | all | {' | '.join(families)} |", "|---" * (len(families) + 2) + "|"]
    for name in [name for name in ORDER_OF_ROWS if name in found]:
        cells = [str(score_of(records, found[name]))]
        cells += [str(_part(records, found[name], _mask(records, "family", family))) for family in families]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _flag_table(records: Sequence[Record], found: dict[str, list[float]]) -> list[str]:
    """Test questions by what is held out in them: a reader of meanings should not care."""
    test = [row for row, record in enumerate(records) if record.split == "test"]
    groups = [
        ("decoys matched", "decoys", "matched"),
        ("decoys broken", "decoys", "broken"),
        ("known frame", "held_out_frame", False),
        ("held-out frame", "held_out_frame", True),
        ("held-out words", "held_out_words", True),
        ("held-out pair", "held_out_pair", True),
        ("held-out family", "held_out_family", True),
    ]
    rows_of = [name for name in ("bag of words", "symbolic", UNAWARE, "Bayes") if name in found]
    lines = [f"| test questions | number | {' | '.join(rows_of)} |", "|---" * (len(rows_of) + 2) + "|"]
    for label, key, value in groups:
        rows = [row for row in _mask(records, key, value) if row in set(test)]
        if rows:
            cells = [str(_part(records, found[name], rows)) for name in rows_of]
            lines.append(f"| {label} | {len(rows)} | {' | '.join(cells)} |")
    return lines


def entries_needed(means: dict[int, float], whole: float) -> str:
    """Fewest listed entries that go NEARLY_ALL of the way from none to the whole profile."""
    wanted = means[0] + NEARLY_ALL * (whole - means[0])
    return next((str(count) for count, mean in means.items() if mean >= wanted), "more")


def _entry_table(records: Sequence[Record], by_entries: dict[int, list[float]]) -> list[str]:
    counts = list(by_entries)
    lines = [f"| Bayes reader of | {' | '.join(map(str, counts))} entries | needs |", "|---" * (len(counts) + 2) + "|"]
    groups = [("all", list(range(len(records))))]
    groups += [(family, _mask(records, "family", family)) for family in _families(records)]
    for label, rows in groups:
        cells = {count: _part(records, by_entries[count], rows) for count in counts}
        means = {count: score.mean for count, score in cells.items()}
        needed = entries_needed(means, means[counts[-1]])
        lines.append(f"| {label} | {' | '.join(f'{mean:.3f}' for mean in means.values())} | {needed} |")
    return lines
