"""A question's history is its own record's profile. Pooled over its author's questions it would hold sibling golds."""

from dataclasses import replace

import numpy as np
import pytest

from tagpr.data.prompts import CompactStyle, PromptBuilder
from tagpr.data.retrieval import BM25Retriever
from tagpr.prmu import datamodule, reward
from tagpr.prmu.datamodule import PairData, histories_of
from tagpr.prmu.pairs import N1, shared_query_pairs
from tagpr.prmu.reward import PrmuReward, RewardReferences, reference_people
from tagpr.prmu.texts import user_history
from tagpr.tasks import ALL_TASKS


@pytest.fixture
def records(make_record):
    """Two authors with two questions each; every entry names the question in whose profile it stands, the second
    entries the sibling's query and gold as LaMP-2N's do."""
    return [
        make_record(
            f"{author}{number}", author, query=f"query {number}", gold=gold,
            history=((f"in {author}{number} a pier", "seaside"), (f"in {author}{number} query {1 - number}", "cosy")),
        )
        for author, gold in (("a", "quiet"), ("b", "grand"))
        for number in range(2)
    ]  # fmt: skip


def check_prompts(records, tokenizer, model):
    style = CompactStyle(thinking=False, query_tokens=40, history_tokens=400, entry_tokens=80, order="ranked")
    builder = PromptBuilder(style=style, tokenizer=tokenizer)
    for record in records:
        order = BM25Retriever(k=9).rank(record, ALL_TASKS["S2"], seed=0)
        prompt = builder.build(replace(record, retrieved=order))
        assert len(prompt.history) == 2
        assert all(f"in {record.record_id} " in entry.input for entry in prompt.history)
        assert prompt.text.count("in ") == prompt.text.count(f"in {record.record_id} ")


def check_prmu_training(records, tokenizer, model):
    blocks = shared_query_pairs(records, people_per_query=2, generator=np.random.default_rng(0))
    pairs = [pair for block in blocks for pair in block]
    assert {pair.negative_type for pair in pairs} == {N1}
    histories, contexts = histories_of(pairs, records)
    data = PairData(
        pairs=pairs, histories=histories, contexts=contexts, block_pairs=1, blocks_per_step=2,
        blocks_per_micro_batch=1, max_dropout=0.0, max_entries=9, seed=0,
    )  # fmt: skip
    seen = [batch.users for batch in data.collate([0, 1], np.random.default_rng(0))]
    for users in seen:
        assert len(users) == 2
        for history in users:
            assert len({exchange.context.split()[3] for exchange in history}) == 1
            assert len(history) == 2


def check_prmu_reward(records, tokenizer, model):
    asked = []
    score = model.score

    def spy(histories, *rest, **others):
        asked.append(histories)
        return score(histories, *rest, **others)

    model.score = spy
    references = RewardReferences(people=("b0",), num_answers=2, samples=())
    made = PrmuReward(
        model=model, references=references, people=reference_people(references.people, records), blind_share=0.5,
        clip=3.0, max_records=4, cache_texts=99,
    )  # fmt: skip
    made.prmu_scores(records, [["quiet", "grand"]] * 4)
    (histories,) = asked
    expected = ["a0", "a1", "b0", "b1", "b0"]
    assert [{exchange.context.split()[3] for exchange in history} for history in histories] == [{i} for i in expected]


CHECKS = [check_prompts, check_prmu_training, check_prmu_reward]


@pytest.mark.parametrize("check", CHECKS)
def test_a_history_comes_from_its_own_records_profile(records, tokenizer, bilinear, check):
    check(records, tokenizer, bilinear)


@pytest.mark.parametrize(("check", "room"), [(check_prmu_training, datamodule), (check_prmu_reward, reward)])
def test_a_history_pooled_over_an_authors_questions_would_be_seen(
    records, tokenizer, bilinear, monkeypatch, check, room
):
    def pooled(record):
        return tuple(e for other in records if other.user_id == record.user_id for e in user_history(other))

    monkeypatch.setattr(room, "user_history", pooled)
    with pytest.raises(AssertionError):
        check(records, tokenizer, bilinear)


def test_profiles_pooled_before_retrieval_would_be_seen(records, tokenizer, bilinear):
    both = records[0].profile + records[1].profile
    with pytest.raises(AssertionError):
        check_prompts([replace(record, profile=both) for record in records[:2]], tokenizer, bilinear)
