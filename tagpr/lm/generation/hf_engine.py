"""The reference engine: `generate` of transformers, one completion at a time. Slow, any model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tagpr.lm.backbone import special_ids
from tagpr.lm.generation.base import Completion, RolloutEngine, Sampling, eos_ids, finish
from tagpr.lm.generation.sampling import row_keys


class HfEngine(RolloutEngine):
    """One call of `model.generate` per completion.

    Args:
        tokenizer: the policy's; its pad token is never sampled unless it is an end-of-text token too.
        device: see RolloutEngine.
    """

    def __init__(self, *, tokenizer: PreTrainedTokenizerBase, device: str) -> None:
        super().__init__(device=device)
        self.tokenizer = tokenizer

    @torch.no_grad()
    def generate(
        self,
        model: PreTrainedModel,
        prompts: Sequence[Sequence[int]],
        *,
        num_samples: int,
        sampling: Sampling,
        seed: int | Sequence[int],
        on_done: Callable[[int], None] | None = None,
        positions: Sequence[int] | None = None,
    ) -> list[list[Completion]]:
        training = model.training
        model.eval()
        keys = row_keys(seed, len(prompts) if positions is None else max(positions, default=-1) + 1, num_samples)
        if positions is not None:
            keys = keys[list(positions)]
        groups: list[list[Completion]] = []
        try:
            for position, prompt in enumerate(prompts):
                groups.append([])
                for sample in range(num_samples):
                    groups[-1].append(self._one(model, prompt, sampling, int(keys[position, sample]) % 2**63))
                    if on_done is not None:
                        on_done(1)
        finally:
            model.train(training)
        return groups

    def _one(self, model: Any, prompt: Sequence[int], sampling: Sampling, seed: int) -> Completion:
        ends = eos_ids(model, self.tokenizer)
        pad = special_ids(self.tokenizer)[1]
        greedy = sampling.temperature == 0
        cut = not greedy and (sampling.top_p < 1 or sampling.top_k > 0)
        ids = torch.tensor([list(prompt)], device=model.device)
        # The seed goes to every device's generator, and `generate` draws from the model's.
        with torch.random.fork_rng(devices=[ids.device] if ids.is_cuda else []):
            torch.manual_seed(seed)
            out = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=sampling.max_new_tokens,
                do_sample=not greedy,
                temperature=None if greedy else sampling.temperature,
                top_p=None if greedy else sampling.top_p,
                top_k=None if greedy else sampling.top_k,
                suppress_tokens=None if pad in ends else [pad],
                eos_token_id=sorted(ends),
                pad_token_id=pad,
                stop_strings=list(sampling.stop) or None,
                tokenizer=self.tokenizer if sampling.stop else None,
                return_dict_in_generate=True,
                output_logits=True,
                output_scores=True,
            )
        tokens = out.sequences[0, ids.shape[1] :].tolist()
        places = torch.arange(len(tokens)), tokens
        policy = torch.cat(out.logits).float() / (1 if greedy else sampling.temperature)
        policy_logprobs = policy.log_softmax(dim=1)[places].tolist()
        if not cut:
            return finish(tokens, policy_logprobs, ends, self.tokenizer, stop=sampling.stop)
        logprobs = torch.cat(out.scores).float().log_softmax(dim=1)[places].tolist()
        return finish(tokens, logprobs, ends, self.tokenizer, policy_logprobs=policy_logprobs, stop=sampling.stop)
