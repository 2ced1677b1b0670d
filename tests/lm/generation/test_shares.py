"""A request shared by several processes draws what the whole would."""

from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerBase

from tagpr.lm.generation.base import RolloutEngine, Sampling
from tagpr.lm.generation.hf_engine import HfEngine
from tagpr.lm.generation.torch_engine import TorchEngine
from tests.lm.conftest import token_lists

PROMPTS = token_lists([30, 7, 19, 7, 1], seed=4)
PROMPTS[3] = PROMPTS[1]  # the same question twice: only its place tells the draws apart
SAMPLING = Sampling(temperature=1.3, top_p=1, top_k=0, max_new_tokens=9)


@pytest.fixture(params=["torch", "hf"])
def engine(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerBase) -> RolloutEngine:
    return (
        TorchEngine(tokenizer=tokenizer, max_tokens=900, device="cpu")
        if request.param == "torch"
        else HfEngine(tokenizer=tokenizer, device="cpu")
    )


def test_shares_draw_what_the_whole_draws(engine: RolloutEngine, make_model) -> None:
    model, asked = make_model(), {"num_samples": 2, "sampling": SAMPLING, "seed": 3}
    whole = engine.generate(model, PROMPTS, **asked)
    assert [one.text for one in whole[1]] != [one.text for one in whole[3]]
    for rank in range(2):
        own = range(rank, len(PROMPTS), 2)
        share = engine.generate(model, [PROMPTS[i] for i in own], **asked, positions=own)
        assert [[one.token_ids for one in group] for group in share] == [
            [one.token_ids for one in whole[i]] for i in own
        ]
    assert engine.generate(model, [], **asked, positions=range(0)) == []
