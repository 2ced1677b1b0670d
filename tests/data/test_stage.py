import hashlib
import json
from pathlib import Path

from tagpr.context import StageContext
from tagpr.data.lamp import LampSource
from tagpr.data.retrieval import BM25Retriever
from tagpr.data.stage import run
from tagpr.storage import read_records

FIXTURE = Path(__file__).parents[1] / "fixtures" / "lamp_mini"


def test_records_are_written_with_their_history_counts_and_sources(tmp_path):
    data = LampSource(
        root=str(FIXTURE / "LaMP_2"),
        tasks=[],
        people_shares={"train": 60, "dev": 20, "test": 20},
        folds=None,
        fold=0,
        question_shares={"sft": 50, "pairs": 20, "rl": 30},
    )
    context = StageContext(stage="records", seed=0, checkpoints=tmp_path)
    counts = run(data=data, retrieval=BM25Retriever(k=3), inputs={}, output=tmp_path, context=context)
    # 6 people of LaMP_2 with 1 question and 5 entries, 6 of LaMP_2N with 2 questions and 6 entries.
    expected = {
        "records": 18,
        "people": 12,
        "records_LaMP_2": 6,
        "records_LaMP_2N": 12,
        "people_train": 8,
        "people_dev": 2,
        "people_test": 2,
        "profile_entries": 6 * 5 + 12 * 6,
        "retrieved_entries": 18 * 3,
        "empty_profiles": 0,
        "unrecognised_instructions": 0,
        "unknown_profile_labels": 0,
        "own_entries": 0,
    }
    assert {name: counts[name] for name in expected} == expected
    assert sum(counts[f"questions_{name}"] for name in ("sft", "pairs", "rl", "dev", "test")) == 18
    records = read_records(tmp_path)
    assert len(records) == 18
    assert all(len(set(r.retrieved)) == 3 for r in records)
    sources = json.loads((tmp_path / "sources.json").read_text())
    assert len(sources) == 4
    assert all(hashlib.sha256(Path(path).read_bytes()).hexdigest() == digest for path, digest in sources.items())
