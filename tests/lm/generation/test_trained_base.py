"""The engine on the base that ships with the package: trained weights have an opinion on every token."""

from __future__ import annotations

import random

import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tagpr.lm.backbone import load_policy, load_tokenizer, tiny_base_path
from tagpr.lm.batches import GroupedBatch
from tagpr.lm.forward import completion_logprobs
from tagpr.lm.generation.base import Sampling
from tagpr.lm.generation.torch_engine import TorchEngine

TASKS = ["tag", "rating", "choose", "title"]
MOODS = ["calm", "quiet", "cosy", "loud", "lively", "grand", "priceless", "decent", "kind", "cheap"]
PLACES = ["cafe", "bar", "lodge", "museum", "market"]


@pytest.fixture(scope="module")
def base_tokenizer() -> PreTrainedTokenizerBase:
    return load_tokenizer(tiny_base_path())


@pytest.fixture(scope="module")
def base() -> PreTrainedModel:
    return load_policy(tiny_base_path(), dtype="float32", attention="two_part")


@pytest.fixture(scope="module")
def prompts(base_tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Eighteen questions in the compact form, after histories of one to eighteen entries."""
    draw, made = random.Random(5), []
    for number in range(1, 19):
        entries = [
            f"<{place}> a {draw.choice(MOODS)} {draw.choice(PLACES)} => {draw.choice(MOODS)}"
            for place in range(1, number + 1)
        ]
        lines = [f"{draw.choice(TASKS)} :", *entries, f"? a {draw.choice(MOODS)} {draw.choice(PLACES)} =>"]
        message = {"role": "user", "content": "\n".join(lines)}
        made.append(base_tokenizer.apply_chat_template([message], add_generation_prompt=True)["input_ids"])
    return made


@torch.no_grad()
def test_greedy_equals_transformers_token_for_token(
    base: PreTrainedModel, base_tokenizer: PreTrainedTokenizerBase, prompts: list[list[int]]
) -> None:
    """One prompt after the other there; here all at once, in an order and a padding of the engine's own."""
    assert len({len(prompt) for prompt in prompts}) > 12, "prompts should be uneven"
    greedy = Sampling(temperature=0.0, top_p=1.0, top_k=0, max_new_tokens=40)
    engine = TorchEngine(tokenizer=base_tokenizer, max_tokens=100_000, device="cpu")
    ours = engine.generate(base, prompts, num_samples=1, sampling=greedy, seed=0)
    pad = base_tokenizer.pad_token_id
    for prompt, (one,) in zip(prompts, ours, strict=True):
        ids = torch.tensor([prompt])
        theirs = base.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=40,
            do_sample=False,
            suppress_tokens=[pad],
            pad_token_id=pad,
        )
        assert list(one.token_ids) == theirs[0, len(prompt) :].tolist()
    assert len({token for (one,) in ours for token in one.token_ids}) > 20, "too few for the comparison to mean much"


def test_sampled_logprobs_equal_recomputed_ones(
    base: PreTrainedModel, base_tokenizer: PreTrainedTokenizerBase, prompts: list[list[int]]
) -> None:
    """By every method, and by transformers' own forward pass, which `padded` is.

    To 1e-5 on the whole. The largest gaps are float32's on these weights: of transformers' own log-probabilities some
    are 3e-5 from those in float64, and ours no more.
    """
    engine = TorchEngine(tokenizer=base_tokenizer, max_tokens=100_000, device="cpu")
    sampling = Sampling(temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=30)
    groups = engine.generate(base, prompts, num_samples=3, sampling=sampling, seed=1)
    told = torch.tensor([value for group in groups for one in group for value in one.logprobs])
    tokens = [[one.token_ids for one in group] for group in groups]
    batch = GroupedBatch.from_lists(prompts, tokens, pad_id=base_tokenizer.pad_token_id)
    for method in ("two_part", "dense", "padded"):
        with torch.no_grad():
            scores = completion_logprobs(base, batch, temperature=1.0, method=method, chunk_size=512)
        gaps = (told - scores.logprobs[batch.completion_mask]).abs()
        assert float(gaps.quantile(0.9)) < 1e-5
        assert float(gaps.max()) < 6e-5
