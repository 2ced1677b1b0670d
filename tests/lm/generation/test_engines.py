from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tagpr.lm.batches import GroupedBatch
from tagpr.lm.flex import FlexPrefix
from tagpr.lm.forward import completion_logprobs
from tagpr.lm.generation.base import Completion, RolloutEngine, Sampling, finish
from tagpr.lm.generation.decoders import fits_qwen3_decoder
from tagpr.lm.generation.hf_engine import HfEngine
from tagpr.lm.generation.torch_engine import TorchEngine
from tests.devices import on_gpu
from tests.lm.conftest import token_lists

MakeModel = Callable[..., PreTrainedModel]
PROMPTS = token_lists([30, 7, 19, 7, 1], seed=4)
GREEDY = Sampling(temperature=0, top_p=1, top_k=0, max_new_tokens=24)
PLAIN = Sampling(temperature=1.3, top_p=1, top_k=0, max_new_tokens=24)
ENDS = {256, *range(0, 256, 16)}
CUT = Sampling(temperature=0.9, top_p=0.8, top_k=20, max_new_tokens=24)


@pytest.fixture
def engine(tokenizer: PreTrainedTokenizerBase) -> TorchEngine:
    return TorchEngine(tokenizer=tokenizer, max_tokens=100_000, device="cpu")


@pytest.fixture
def ending_model(make_model: MakeModel) -> PreTrainedModel:
    """A model for which every sixteenth token or so ends a completion, so that rows end at different steps."""
    model = make_model()
    model.generation_config.eos_token_id = sorted(ENDS)
    return model


def ids(groups: list[list[Completion]]) -> list[list[tuple[int, ...]]]:
    return [[completion.token_ids for completion in group] for group in groups]


def recomputed(model: PreTrainedModel, groups: list[list[Completion]], temperature: float) -> torch.Tensor:
    """Log-probabilities of the drawn tokens by the training pass, one after the other."""
    batch = GroupedBatch.from_lists(PROMPTS, ids(groups), pad_id=257)
    scores = completion_logprobs(model, batch, temperature=temperature, method="padded", chunk_size=64)
    return scores.logprobs[batch.completion_mask]


def told(groups: list[list[Completion]]) -> torch.Tensor:
    return torch.tensor([value for group in groups for completion in group for value in completion.logprobs])


def test_greedy_equals_transformers_token_for_token(
    make_model: MakeModel, engine: TorchEngine, tokenizer: PreTrainedTokenizerBase
) -> None:
    seen: set[int] = set()
    for seed in range(3):
        model = make_model(seed=seed)
        ours = engine.generate(model, PROMPTS, num_samples=1, sampling=GREEDY, seed=0)
        for prompt, group in zip(PROMPTS, ours, strict=True):
            theirs = model.generate(
                input_ids=torch.tensor([prompt]), max_new_tokens=24, do_sample=False, suppress_tokens=[257]
            )
            assert list(group[0].token_ids) == theirs[0, len(prompt) :].tolist()
        seen |= {token for group in ours for token in group[0].token_ids}
    assert len(seen) > 40, "too few distinct tokens for the comparison to mean much"


@pytest.mark.parametrize("sampling", [GREEDY, PLAIN], ids=["greedy", "plain"])
def test_logprobs_are_those_of_the_training_pass(
    ending_model: PreTrainedModel, engine: TorchEngine, sampling: Sampling
) -> None:
    groups = engine.generate(ending_model, PROMPTS, num_samples=3, sampling=sampling, seed=1)
    expected = recomputed(ending_model, groups, sampling.temperature or 1.0)
    torch.testing.assert_close(told(groups), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("sampling", [PLAIN, CUT], ids=["plain", "cut"])
def test_nothing_depends_on_the_batch(
    ending_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, sampling: Sampling
) -> None:
    """One prompt at a time, all at once, fewer samples, other neighbours: the same streams, the same completions."""
    whole = TorchEngine(tokenizer=tokenizer, max_tokens=100_000, device="cpu")
    single = TorchEngine(tokenizer=tokenizer, max_tokens=1, device="cpu")
    groups = whole.generate(ending_model, PROMPTS, num_samples=4, sampling=sampling, seed=2)
    assert ids(single.generate(ending_model, PROMPTS, num_samples=4, sampling=sampling, seed=2)) == ids(groups)
    fewer = whole.generate(ending_model, PROMPTS[:2], num_samples=2, sampling=sampling, seed=2)
    assert ids(fewer) == [group[:2] for group in ids(groups)[:2]]
    other = whole.generate(ending_model, PROMPTS, num_samples=4, sampling=sampling, seed=3)
    assert ids(other) != ids(groups)
    assert len({completion for group in ids(groups) for completion in group}) > 12
    lengths = {len(completion) for group in ids(groups) for completion in group}
    assert len(lengths) > 4, "rows should end at different steps"


def test_both_engines_agree(
    ending_model: PreTrainedModel, engine: TorchEngine, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Greedy: the same. Sampled: the reference's log-probabilities of its own draws follow the same definition."""
    reference: RolloutEngine = HfEngine(tokenizer=tokenizer, device="cpu")
    ours = engine.generate(ending_model, PROMPTS, num_samples=1, sampling=GREEDY, seed=0)
    theirs = reference.generate(ending_model, PROMPTS, num_samples=1, sampling=GREEDY, seed=0)
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine[0].token_ids, mine[0].text, mine[0].truncated) == (
            other[0].token_ids,
            other[0].text,
            other[0].truncated,
        )
        assert mine[0].logprobs == pytest.approx(other[0].logprobs, abs=1e-5)
    sampled = reference.generate(ending_model, PROMPTS, num_samples=2, sampling=PLAIN, seed=9)
    torch.testing.assert_close(told(sampled), recomputed(ending_model, sampled, 1.3), atol=1e-5, rtol=0)
    assert ids(sampled) == ids(reference.generate(ending_model, PROMPTS, num_samples=2, sampling=PLAIN, seed=9))


def test_what_top_p_and_top_k_leave_is_what_is_drawn(ending_model: PreTrainedModel, engine: TorchEngine) -> None:
    groups = engine.generate(ending_model, PROMPTS, num_samples=3, sampling=CUT, seed=1)
    values = iter(told(groups).tolist())
    for b, prompt in enumerate(PROMPTS):
        for completion in groups[b]:
            tokens = torch.tensor([*prompt, *completion.token_ids])
            logits = ending_model(input_ids=tokens[None]).logits.detach()[0, len(prompt) - 1 : -1] / 0.9
            logits[:, 257] = float("-inf")
            for row, token in zip(logits, completion.token_ids, strict=True):
                ordered = row.softmax(0).sort(descending=True)
                kept = ordered.values[:20] / ordered.values[:20].sum()
                kept = kept[: int((kept.cumsum(0) - kept < 0.8).sum())]
                place = ordered.indices.tolist().index(token)
                assert place < len(kept)
                assert next(values) == pytest.approx(float((kept[place] / kept.sum()).log()), abs=1e-4)


def test_the_policys_logprobs_are_kept_apart_from_the_sampled_ones(
    ending_model: PreTrainedModel, engine: TorchEngine, tokenizer: PreTrainedTokenizerBase
) -> None:
    for each in (engine, HfEngine(tokenizer=tokenizer, device="cpu")):
        groups = each.generate(ending_model, PROMPTS, num_samples=2, sampling=CUT, seed=1)
        apart = torch.tensor([value for group in groups for one in group for value in one.policy_logprobs or ()])
        expected = recomputed(ending_model, groups, CUT.temperature).detach()
        torch.testing.assert_close(apart, expected, atol=1e-5, rtol=0)
        assert (told(groups) > expected + 1e-3).any(), "what is cut makes the rest likelier"
        (uncut,) = each.generate(ending_model, PROMPTS[:1], num_samples=1, sampling=PLAIN, seed=1)
        assert uncut[0].policy_logprobs is None


def test_a_prompt_with_a_seed_of_its_own_may_stand_anywhere(ending_model: PreTrainedModel, engine: TorchEngine) -> None:
    seeds = [11, 12, 13, 14, 15]
    groups = engine.generate(ending_model, PROMPTS, num_samples=3, sampling=PLAIN, seed=seeds)
    turned = engine.generate(ending_model, PROMPTS[::-1], num_samples=3, sampling=PLAIN, seed=seeds[::-1])
    assert ids(turned) == ids(groups)[::-1]
    (alone,) = engine.generate(ending_model, PROMPTS[2:3], num_samples=3, sampling=PLAIN, seed=[13])
    assert ids([alone])[0] == ids(groups)[2]


def test_a_stop_string_ends_a_completion(
    make_model: MakeModel, engine: TorchEngine, tokenizer: PreTrainedTokenizerBase
) -> None:
    """The stop is two tokens that greedy decoding writes; other rows go on, and the reference agrees."""
    model = make_model()
    free = engine.generate(model, PROMPTS, num_samples=1, sampling=GREEDY, seed=0)
    pairs = [one.token_ids[at : at + 2] for (one,) in free for at in range(3, 20)]
    pair = next(pair for pair in pairs if all(33 <= token < 127 for token in pair))
    stop = tokenizer.decode(list(pair))
    sampling = Sampling(temperature=0, top_p=1, top_k=0, max_new_tokens=24, stop=("never this", stop))
    groups = engine.generate(model, PROMPTS, num_samples=1, sampling=sampling, seed=0)
    theirs = HfEngine(tokenizer=tokenizer, device="cpu").generate(
        model, PROMPTS, num_samples=1, sampling=sampling, seed=0
    )
    assert [[(one.token_ids, one.text, one.truncated) for one in group] for group in groups] == [
        [(one.token_ids, one.text, one.truncated) for one in group] for group in theirs
    ]
    stopped = [one for (one,) in groups if len(one.token_ids) < 24]
    assert stopped
    assert len(stopped) < len(PROMPTS)
    for one in stopped:
        assert one.token_ids[-2:] == pair
        assert stop not in one.text
        assert not one.truncated
    for (one,), (whole,) in zip(groups, free, strict=True):
        assert one.token_ids == whole.token_ids[: len(one.token_ids)]


def test_every_completion_ends_or_is_truncated(ending_model: PreTrainedModel, engine: TorchEngine) -> None:
    finished: list[int] = []
    groups = engine.generate(ending_model, PROMPTS, num_samples=4, sampling=PLAIN, seed=5, on_done=finished.append)
    assert sum(finished) == 20
    assert all(count > 0 for count in finished)
    truncated = [completion.truncated for group in groups for completion in group]
    assert len(set(truncated)) == 2
    for completion in (completion for group in groups for completion in group):
        assert 257 not in completion.token_ids
        assert not ENDS & set(completion.token_ids[:-1])
        assert completion.truncated == (completion.token_ids[-1] not in ENDS)
        assert len(completion.logprobs) == len(completion.token_ids) <= 24
        assert not completion.truncated or len(completion.token_ids) == 24


def test_padding_is_never_drawn_however_likely(make_model: MakeModel, engine: TorchEngine) -> None:
    model = make_model()
    with torch.no_grad():
        states = model.get_decoder()(input_ids=torch.tensor([PROMPTS[0]])).last_hidden_state[0]
        model.get_output_embeddings().weight[257] = states.mean(dim=0)
    assert int(model(input_ids=torch.tensor([PROMPTS[0]])).logits[0, -1].argmax()) == 257
    for sampling in (GREEDY, PLAIN, CUT):
        groups = engine.generate(model, PROMPTS, num_samples=2, sampling=sampling, seed=0)
        assert all(257 not in completion.token_ids for group in groups for completion in group)


def test_new_weights_are_seen(make_model: MakeModel, engine: TorchEngine) -> None:
    model, changed = make_model(seed=0), make_model(seed=1)
    before = engine.generate(model, PROMPTS, num_samples=1, sampling=GREEDY, seed=0)
    with torch.no_grad():
        for weights, new in zip(model.parameters(), changed.parameters(), strict=True):
            weights.copy_(new)
    after = engine.generate(model, PROMPTS, num_samples=1, sampling=GREEDY, seed=0)
    assert ids(after) == ids(engine.generate(changed, PROMPTS, num_samples=1, sampling=GREEDY, seed=0)) != ids(before)


def test_other_architectures_and_adapters_go_through_their_own_forward_pass(
    llama: PreTrainedModel, make_model: MakeModel, engine: TorchEngine, tokenizer: PreTrainedTokenizerBase
) -> None:
    config = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    for model in (llama, get_peft_model(make_model(), config)):
        assert not fits_qwen3_decoder(model)
        ours = engine.generate(model, PROMPTS, num_samples=1, sampling=GREEDY, seed=0)
        theirs = HfEngine(tokenizer=tokenizer, device="cpu").generate(
            model, PROMPTS, num_samples=1, sampling=GREEDY, seed=0
        )
        assert ids(ours) == ids(theirs)
    assert fits_qwen3_decoder(make_model())


def test_the_lean_decoder_in_bfloat16(make_model: MakeModel, engine: TorchEngine) -> None:
    model = make_model().to(torch.bfloat16)
    groups = engine.generate(model, PROMPTS, num_samples=2, sampling=PLAIN, seed=0)
    gaps = told(groups) - recomputed(model, groups, 1.3).detach()
    assert float(gaps.abs().max()) < 0.15


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_put_back_and_no_gradient_is_kept(
    make_model: MakeModel, engine: TorchEngine, training: bool
) -> None:
    model = make_model().train(training)
    engine.generate(model, PROMPTS[:1], num_samples=1, sampling=GREEDY, seed=0)
    assert model.training is training
    # The model trains on afterwards.
    model(input_ids=torch.tensor([PROMPTS[0]])).logits.sum().backward()


def test_the_global_random_state_is_left_alone(
    make_model: MakeModel, engine: TorchEngine, tokenizer: PreTrainedTokenizerBase
) -> None:
    model, state = make_model(), torch.get_rng_state()
    for each in (engine, HfEngine(tokenizer=tokenizer, device="cpu")):
        each.generate(model, PROMPTS[:1], num_samples=2, sampling=PLAIN, seed=0)
    assert torch.get_rng_state().equal(state)


def test_prompts_may_be_read_by_flex_attention(
    make_model: MakeModel, engine: TorchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = engine.generate(make_model(), PROMPTS, num_samples=2, sampling=PLAIN, seed=0)
    monkeypatch.setattr("tagpr.lm.generation.torch_engine.fast_method", lambda model: "flex")
    read: list[int] = []
    attend = FlexPrefix.attend

    def counted(self: FlexPrefix, layer: int, *args: Tensor) -> Tensor:
        read.append(layer)
        return attend(self, layer, *args)

    monkeypatch.setattr(FlexPrefix, "attend", counted)
    found = engine.generate(make_model(attention="flex"), PROMPTS, num_samples=2, sampling=PLAIN, seed=0)
    assert set(read) == {0, 1}
    assert [one.token_ids for group in found for one in group] == [one.token_ids for group in expected for one in group]


@on_gpu
def test_on_a_gpu(make_model: MakeModel, engine: TorchEngine, tokenizer: PreTrainedTokenizerBase) -> None:
    """Both engines draw as on CPU, in float32, and leave the GPU's random state alone."""
    model, reference = make_model(attention="flex").to("cuda"), make_model()
    state = torch.cuda.get_rng_state()
    for sampling in (GREEDY, PLAIN):
        expected = engine.generate(reference, PROMPTS, num_samples=2, sampling=sampling, seed=0)
        found = engine.generate(model, PROMPTS, num_samples=2, sampling=sampling, seed=0)
        assert [[one.token_ids for one in group] for group in found] == [
            [one.token_ids for one in group] for group in expected
        ]
    HfEngine(tokenizer=tokenizer, device="cpu").generate(model, PROMPTS[:1], num_samples=2, sampling=PLAIN, seed=0)
    assert torch.cuda.get_rng_state().equal(state)


def test_edges(make_model: MakeModel, engine: TorchEngine, tokenizer: PreTrainedTokenizerBase) -> None:
    assert engine.generate(make_model(), [], num_samples=2, sampling=PLAIN, seed=0) == []
    with pytest.raises(ValueError, match="prompt 1 has no tokens"):
        engine.generate(make_model(), [[1], []], num_samples=2, sampling=PLAIN, seed=0)
    with pytest.raises(ValueError, match="expected 'two_part'"):
        engine.generate(make_model(attention="sdpa"), [[1]], num_samples=1, sampling=PLAIN, seed=0)
    one = Sampling(temperature=0, top_p=1, top_k=0, max_new_tokens=1)
    shortest = engine.generate(make_model(), PROMPTS, num_samples=1, sampling=one, seed=0)
    assert [len(group[0].token_ids) for group in shortest] == [1] * 5
    text = finish([72, 105, 256], [0.0, 0.0, 0.0], frozenset({256}), tokenizer)
    assert (text.truncated, len(text.text)) == (False, 2)
