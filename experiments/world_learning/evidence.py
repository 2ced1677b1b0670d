"""Evidence F1 beside what citing says nothing: as many entries drawn at random, and all of them.

Most entries of a person follow the person's rule (all but the slips), so that whoever cites anything has a high F1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow.parquet as pq

from tagpr.analysis.comparison import ComparedRow, Comparison
from tagpr.analysis.panel import GREEDY
from tagpr.analysis.process import shown_of
from tagpr.analysis.runs import Question
from tagpr.chains import claims
from tagpr.chains.tags import TagVocabulary, parse
from tagpr.evaluation.partial import PartialMean, partial_means
from tagpr.evaluation.process_truth import judge
from tagpr.storage import read_records
from tagpr.types import Record

F1, AT_RANDOM, OVER, ALL, CITED = "evidence_f1", "at_random", "over", "all", "cited"


def f1_at_random(*, cited: int, evidence: int, shown: int) -> float:
    """Expected F1 of `cited` entries drawn from `shown`, of which `evidence` are right.

    The overlap is hypergeometric, with mean cited * evidence / shown; F1 = 2 overlap / (cited + evidence).
    """
    return 2 * cited * evidence / shown / (cited + evidence)


def judged(record: Record, shown: Sequence[int], completion: str, vocabulary: TagVocabulary) -> dict[str, float]:
    """Figures of one completion; {} where it has no tagged span, or no entry shown follows the person's rule."""
    figures = judge(record, shown, completion, vocabulary)
    if figures is None or F1 not in figures:
        return {}
    assert record.truth is not None, "judge has figures for simulated people alone"
    said = claims.read_claims(record.task, parse(completion, vocabulary, True).spans)
    num_evidence, num = len(set(shown) & set(record.truth["evidence"])), len(shown)
    drawn = f1_at_random(cited=min(len(said.cited), num), evidence=num_evidence, shown=num)
    return {
        F1: figures[F1], AT_RANDOM: drawn, OVER: figures[F1] - drawn,
        ALL: f1_at_random(cited=num, evidence=num_evidence, shown=num), CITED: float(len(said.cited)),
    }  # fmt: skip


def evidence_rows(comparison: Comparison) -> dict[str, Mapping[str, PartialMean]]:
    """Row -> its figures; rows without tagged chains are left out."""
    found = {}
    for row in comparison.rows:
        if GREEDY in row.decodings and (values := _of_row(row, comparison)):
            found[row.name] = partial_means(values, nested=True)
    return found


def _of_row(row: ComparedRow, comparison: Comparison) -> list[tuple[int, str, str, dict[str, float]]]:
    values = []
    for run in comparison.runs:
        if run.seed not in row.by_seed:
            continue
        evaluation = row.by_seed[run.seed].evaluations[GREEDY]
        config = evaluation.manifest["config"]
        shown = shown_of(evaluation)
        if not shown or not config["prompt"]["thinking"] or not config["tags"]["names"]:
            return []
        vocabulary = TagVocabulary(names=config["tags"]["names"])
        splits = config["evaluation"]["splits"]
        records: dict[Question, Record] = {
            (one.task, one.record_id): one for one in read_records(run.records.folder, splits)
        }
        columns = ["task", "record_id", "completion"]
        table = pq.read_table(evaluation.folder / "predictions.parquet", columns=columns).to_pydict()
        for task, record_id, completion in zip(*(table[column] for column in columns), strict=True):
            record = records[task, record_id]
            figures = judged(record, shown[task, record_id], completion, vocabulary)
            if figures:
                values.append((run.seed, record.user_id, task, figures))
    return values
