"""Orders that are kept: what is read is what would be computed, and never the question's own entry."""

import ast
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tagpr
from tagpr.data import rankings
from tagpr.data.dense_retrieval import DenseRetriever
from tagpr.data.rankings import open_rankings, record_digest
from tagpr.data.retrieval import (
    BM25Retriever,
    NoRetriever,
    OfficialBM25Retriever,
    RandomRetriever,
    RecencyRetriever,
    is_own_entry,
)
from tagpr.errors import BadInputError
from tagpr.tasks import ALL_TASKS
from tagpr.types import ProfileEntry, Record

WORDS = ["kettle", "lantern", "bicycle", "garden", "harbour", "violin"]


class LettersEncoder:
    """How often each letter of the words stands in a text."""

    def __init__(self, model, *, revision, device):
        self.letters = sorted(set("".join(WORDS)))

    def encode(self, texts, *, batch_size, convert_to_numpy, show_progress_bar):
        return np.array([[text.count(letter) for letter in self.letters] for text in texts], dtype=np.float32)


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", SimpleNamespace(SentenceTransformer=LettersEncoder))


@pytest.fixture
def model(tmp_path):
    """A folder to hash; LettersEncoder reads nothing of it."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_text("1")
    return tmp_path / "model"


def dense(model="toy", **changes):
    return DenseRetriever(
        **({"k": 2, "model": str(model), "revision": None, "batch_size": 8, "device": "cpu"} | changes)
    )


def record(number, query="kettle garden", inputs=WORDS, *, task="LaMP_3", gold="5"):
    return Record(
        record_id=f"q{number}", user_id="u", task=task, split="train", purpose="sft",
        question=ALL_TASKS[task].write_question(query), query=query, gold=gold, retrieved=(),
        profile=tuple(
            ProfileEntry(entry_id=f"e{i}", input=text, response="5", date=f"20{10 + i}")
            for i, text in enumerate(inputs)
        ),
    )  # fmt: skip


def ranked(retriever, folder, records, *, seed=0):
    with open_rankings(retriever, folder, records, drop_from=()) as kept:
        result = [kept.rank(one, ALL_TASKS[one.task], seed=seed) for one in records]
    return result, tuple(kept.counts().values())


RECORDS = [record(i, query=f"{WORDS[i]} and {WORDS[i - 1]}") for i in range(5)]
KEPT = [BM25Retriever, OfficialBM25Retriever, RecencyRetriever]


@pytest.mark.parametrize("kind", [*KEPT, "dense"])
def test_orders_are_reused_for_another_k_and_seed(tmp_path, model, kind):
    make = (lambda k: dense(model, k=k)) if kind == "dense" else (lambda k: kind(k=k))
    expected = {k: [make(k).rank(one, ALL_TASKS[one.task], seed=0) for one in RECORDS] for k in (2, 5)}
    assert ranked(make(2), tmp_path / "kept", RECORDS) == (expected[2], (0, 5))
    assert ranked(make(5), tmp_path / "kept", RECORDS, seed=9) == (expected[5], (5, 0))
    assert ranked(make(5), None, RECORDS) == (expected[5], (0, 5))


@pytest.mark.parametrize("retriever", [RandomRetriever(k=2), NoRetriever()])
def test_nothing_is_kept_of_what_is_not_ranked(tmp_path, retriever):
    expected = [retriever.rank(one, ALL_TASKS[one.task], seed=3) for one in RECORDS]
    assert ranked(retriever, tmp_path / "kept", RECORDS, seed=3) == (expected, (0, 0))
    assert not (tmp_path / "kept").exists()


def test_only_what_changed_is_ranked_again(tmp_path):
    ranked(BM25Retriever(k=2), tmp_path, RECORDS)
    entry = RECORDS[0].profile[0]
    changed = [
        replace(RECORDS[0], profile=(replace(entry, input="garden kettle"), *RECORDS[0].profile[1:])),
        replace(RECORDS[1], split="test", purpose="test", user_id="somebody"),  # another share changes no order
        replace(RECORDS[2], question=ALL_TASKS["LaMP_3"].write_question("violin")),
        *RECORDS[3:],
        record(9),
    ]
    assert ranked(BM25Retriever(k=2), tmp_path, changed)[1] == (3, 3)
    assert ranked(BM25Retriever(k=2), tmp_path, [*RECORDS, *changed])[1] == (11, 0)
    assert ranked(OfficialBM25Retriever(k=2), tmp_path, RECORDS)[1] == (0, 5), "another ranker"


@pytest.mark.parametrize(
    "change",
    [
        {"record_id": "x"}, {"question": "x"}, {"query": "x"}, {"gold": None}, {"task": "LaMP_4"}, {"profile": ()},
        *({"profile": (replace(RECORDS[0].profile[0], **{name: "x"}), *RECORDS[0].profile[1:])}
          for name in ("entry_id", "input", "response", "title", "date")),
    ],
)  # fmt: skip
def test_all_that_an_order_depends_on_counts(change):
    assert record_digest(replace(RECORDS[0], **change)) != record_digest(RECORDS[0])


def test_fields_do_not_run_into_one_another():
    first = record(0, inputs=["ab", "c"])
    assert record_digest(first) != record_digest(record(0, inputs=["a", "bc"]))


def test_dense_orders_hold_for_a_whole_set_and_its_model(tmp_path, model):
    """A text's vector moves in its last bits with its neighbours, so a part of another set is no part of this one."""
    ranked(dense(model), tmp_path / "kept", RECORDS)
    assert ranked(dense(model), tmp_path / "kept", RECORDS)[1] == (5, 0)
    assert ranked(dense(model), tmp_path / "kept", RECORDS[:4])[1] == (0, 4)
    assert ranked(dense(model, batch_size=2), tmp_path / "kept", RECORDS)[1] == (0, 5)
    (model / "weights").write_text("2")
    assert ranked(dense(model), tmp_path / "kept", RECORDS)[1] == (0, 5)


def test_a_hub_model_whose_commit_is_not_known_is_not_kept(tmp_path):
    for _ in range(2):
        assert ranked(dense(), tmp_path / "kept", RECORDS)[1] == (0, 5)


@pytest.mark.parametrize("code", ["retrieval", "libraries"])
def test_other_code_is_another_ranker(tmp_path, monkeypatch, code):
    ranked(BM25Retriever(k=2), tmp_path, RECORDS)
    name = {"retrieval": "code_fingerprint", "libraries": "library_versions"}[code]
    monkeypatch.setattr(rankings, name, lambda *rooms: {"x": "other"})
    assert ranked(BM25Retriever(k=2), tmp_path, RECORDS)[1] == (0, 5)


def test_the_code_that_counts_is_all_that_the_retrievers_import():
    package = Path(tagpr.__file__).parent
    counted = {package / f"{room}.py" for room in rankings.CODE}
    for room in ("data/retrieval", "data/dense_retrieval"):
        for node in ast.walk(ast.parse((package / f"{room}.py").read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tagpr."):
                place = package.parent / (node.module or "").replace(".", "/")
                inside = place.with_suffix(".py") in counted or "/tasks" in str(place)
                # errors are words; sha256_of names the model's files and orders nothing
                assert inside or place.name in ("errors", "json_files"), node.module


@pytest.mark.parametrize("damage", ["cut", "garbage", "own entry", "out of range"])
def test_a_damaged_shard_is_computed_again(tmp_path, damage):
    asked = [record(0, query="kettle")]  # entry 0 is the question itself
    expected, _ = ranked(BM25Retriever(k=9), tmp_path, asked)
    (shard,) = tmp_path.rglob("*.parquet")
    if damage in ("cut", "garbage"):
        shard.write_bytes(shard.read_bytes()[:-20] if damage == "cut" else b"garbage")
    else:
        order = (0, 1, 2, 3, 4) if damage == "own entry" else (1, 2, 3, 4, 7)
        rankings._write(shard.parent, {record_digest(asked[0]): order})
    assert ranked(BM25Retriever(k=9), tmp_path, asked) == (expected, (0, 1))
    assert ranked(BM25Retriever(k=9), tmp_path, asked) == (expected, (1, 0))


def test_a_failed_run_leaves_nothing_and_no_lock(tmp_path):
    undated = replace(record(7), profile=(replace(RECORDS[0].profile[0], date=""),))
    with pytest.raises(BadInputError):
        ranked(RecencyRetriever(k=1), tmp_path, [*RECORDS, undated])
    assert not list(tmp_path.rglob("*.parquet"))
    assert ranked(RecencyRetriever(k=1), tmp_path, RECORDS)[1] == (0, 5)
    assert not list(tmp_path.rglob("*.tmp"))


TEXTS = st.sampled_from([*WORDS, "kettle garden", " kettle garden ", ""])


@settings(max_examples=25)
@given(
    query=st.sampled_from(["kettle garden", "violin"]),
    inputs=st.lists(TEXTS, max_size=8),
    task=st.sampled_from(["LaMP_3", "LaMP_5", "LaMP_7"]),
    number=st.integers(0, 9),
)
def test_no_retriever_returns_the_question_itself(tmp_path_factory, query, inputs, task, number):
    asked = replace(record(0, query, inputs, task=task), record_id=f"e{number}")
    folder = tmp_path_factory.getbasetemp() / "shared"
    retrievers = [*(kind(k=9) for kind in KEPT), RandomRetriever(k=9), NoRetriever(), dense(k=9)]
    for retriever in retrievers:
        for place in (None, folder, folder):
            ((found,), _) = ranked(retriever, place, [asked])
            assert len(set(found)) == len(found)
            assert not any(is_own_entry(asked.profile[i], asked) for i in found)
            left = sum(not is_own_entry(entry, asked) for entry in asked.profile)
            assert len(found) == (0 if isinstance(retriever, NoRetriever) else left)
