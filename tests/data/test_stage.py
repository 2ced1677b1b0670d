import hashlib
import json
from pathlib import Path

from tagpr.context import StageContext
from tagpr.data.lamp import LampSource
from tagpr.data.retrieval import BM25Retriever
from tagpr.data.simulated.command import compose_source
from tagpr.data.stage import run
from tagpr.storage import read_records

FIXTURE = Path(__file__).parents[1] / "fixtures" / "lamp_mini"


def test_records_are_written_with_their_history_counts_and_sources(tmp_path):
    data = LampSource(
        root=str(FIXTURE / "LaMP_2"),
        tasks=[],
        report="dev",
        people_shares={"train": 60, "dev": 20, "test": 20},
        folds=None,
        fold=0,
        question_shares={"sft": 50, "pairs": 20, "rl": 30},
        drop_golds_from=["sft", "pairs", "rl"],
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


def test_a_made_world_says_which_one_it_is(tmp_path):
    data = compose_source(["data.size=smoke", "data.tasks=[S2]"])
    context = StageContext(stage="records", seed=0, checkpoints=tmp_path)
    counts = run(data=data, retrieval=BM25Retriever(k=3), inputs={}, output=tmp_path, context=context)
    assert counts["world-1.0"] == data.version(read_records(tmp_path))["world-1.0"]
    assert 0 < counts["S2/blind"] < counts["S2/bayes"] < 1
    card = (tmp_path / "CARD.md").read_text()
    assert card.startswith("# Data card: the simulated world, world-1.0")
    assert "| S2 | blind optimum |" in card


def test_kept_rankings_change_no_file(tmp_path):
    def stage(name, *, k, rankings):
        data = LampSource(
            root=str(FIXTURE),
            tasks=[],
            report="dev",
            folds=None,
            fold=0,
            people_shares={"train": 60, "dev": 20, "test": 20},
            question_shares={"sft": 50, "pairs": 20, "rl": 30},
            drop_golds_from=["sft"],
        )
        context = StageContext(stage="records", seed=0, checkpoints=tmp_path, rankings=rankings)
        (tmp_path / name).mkdir()
        counts = run(data=data, retrieval=BM25Retriever(k=k), inputs={}, output=tmp_path / name, context=context)
        return (counts["rankings_reused"], counts["rankings_computed"]), {
            path.name: path.read_bytes() for path in (tmp_path / name).iterdir()
        }

    kept = tmp_path / "rankings"
    (cold_k3, first), (warm_k5, second) = stage("a", k=3, rankings=kept), stage("b", k=5, rankings=kept)
    (_, no_k3), (_, no_k5) = stage("c", k=3, rankings=None), stage("d", k=5, rankings=None)
    assert cold_k3[0] == warm_k5[1] == 0
    assert cold_k3[1] == warm_k5[0] > 0
    assert first == no_k3 != second == no_k5
