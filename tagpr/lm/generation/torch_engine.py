"""Our own engine: each prompt is encoded once for its whole group, rows that have ended leave the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tagpr.lm.attention import packed_hidden
from tagpr.lm.backbone import special_ids
from tagpr.lm.batches import pad_right
from tagpr.lm.forward import fast_method, output_head
from tagpr.lm.generation.base import Completion, RolloutEngine, Sampling, decoded, eos_ids, finish, first_stop
from tagpr.lm.generation.cache import GroupCache
from tagpr.lm.generation.decoders import Decoder, Qwen3Decoder, TransformersDecoder, fits_qwen3_decoder
from tagpr.lm.generation.sampling import choose, row_keys, uniforms

# Rows are dropped when this share of the grid can go: less is not worth the copy.
_WORTH_SHRINKING = 0.2


class TorchEngine(RolloutEngine):
    """Batched decoding in plain torch.

    Args:
        tokenizer: the policy's; its pad token is never sampled unless it is an end-of-text token too.
        max_tokens: key-value slots of one batch: prompts * (longest prompt + samples * max_new_tokens). A single
            prompt's group may need more.
        device: see RolloutEngine.
    """

    def __init__(self, *, tokenizer: PreTrainedTokenizerBase, max_tokens: int, device: str) -> None:
        super().__init__(device=device)
        self.tokenizer, self.max_tokens = tokenizer, max_tokens

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
        if empty := [position for position, prompt in enumerate(prompts) if not len(prompt)]:
            raise ValueError(f"prompt {empty[0]} has no tokens, expected at least one.")
        if not prompts:
            return []
        keys = row_keys(seed, len(prompts) if positions is None else max(positions, default=-1) + 1, num_samples)
        if positions is not None:
            keys = keys[list(positions)]
        groups: list[list[Completion]] = [[] for _ in prompts]
        training = model.training
        model.eval()
        try:
            longest = max(len(prompt) for prompt in prompts) + sampling.max_new_tokens
            lean = fits_qwen3_decoder(model)
            decoder: Decoder = Qwen3Decoder(model, max_positions=longest) if lean else TransformersDecoder(model)
            for batch in self._batches(prompts, num_samples * sampling.max_new_tokens):
                draws = uniforms(keys[batch].flatten(), sampling.max_new_tokens).to(model.device)
                drawn = self._draw(
                    model, decoder, [prompts[position] for position in batch], num_samples, sampling, draws, on_done
                )
                for position, group in zip(batch, drawn, strict=True):
                    groups[position] = group
        finally:
            model.train(training)
        return groups

    def _batches(self, prompts: Sequence[Sequence[int]], completion_slots: int) -> list[list[int]]:
        """Prompt positions in batches within the budget, longest first, alike in length."""
        order = sorted(range(len(prompts)), key=lambda position: (-len(prompts[position]), position))
        batches: list[list[int]] = []
        while order:
            fit = max(1, self.max_tokens // (len(prompts[order[0]]) + completion_slots))
            batches.append(order[:fit])
            order = order[fit:]
        return batches

    def _draw(
        self,
        model: PreTrainedModel,
        decoder: Decoder,
        prompts: list[Sequence[int]],
        num_samples: int,
        sampling: Sampling,
        draws: Tensor,
        on_done: Callable[[int], None] | None,
    ) -> list[list[Completion]]:
        ends = eos_ids(model, self.tokenizer)
        pad = special_ids(self.tokenizer)[1]
        banned = None if pad in ends else pad
        end_ids = torch.tensor(sorted(ends), device=model.device)
        ids, mask = (tensor.to(model.device) for tensor in pad_right(prompts, pad_id=pad))
        cache = GroupCache(
            prompt_mask=mask,
            num_samples=num_samples,
            capacity=sampling.max_new_tokens,
            dtype=model.dtype,
            flex=fast_method(model) == "flex",
        )
        lengths = mask.sum(dim=1)
        positions = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)[mask]
        hidden = packed_hidden(model, ids[mask], positions, cache.prefill(), rows=lengths.cumsum(0) - 1)
        logits = output_head(model)(hidden).repeat_interleave(num_samples, dim=0)

        rows = torch.arange(len(logits), device=logits.device)  # original number of each row of the grid
        active = torch.ones_like(rows, dtype=torch.bool)
        tokens = torch.empty((len(rows), sampling.max_new_tokens), dtype=torch.long, device=logits.device)
        logprobs = torch.empty(tokens.shape, dtype=torch.float32, device=logits.device)
        cut = sampling.temperature > 0 and (sampling.top_p < 1 or sampling.top_k > 0)
        policy_logprobs = torch.empty_like(logprobs) if cut else None
        num_tokens = torch.full_like(rows, sampling.max_new_tokens)
        positions = lengths.repeat_interleave(num_samples)
        for step in range(sampling.max_new_tokens):
            chosen, chosen_logprobs, under_policy = choose(logits, draws[rows, step], sampling=sampling, banned=banned)
            tokens[rows[active], step] = chosen[active]
            logprobs[rows[active], step] = chosen_logprobs[active]
            if policy_logprobs is not None:
                policy_logprobs[rows[active], step] = under_policy[active]
            ended = active & torch.isin(chosen, end_ids)
            if sampling.stop:
                ended |= active & self._stopped(tokens[rows, : step + 1], active & ~ended, sampling.stop)
            num_tokens[rows[ended]] = step + 1
            active &= ~ended
            num_active = int(active.sum())
            if on_done is not None and (num_ended := int(ended.sum())):
                on_done(num_ended)
            if num_active == 0 or step + 1 == sampling.max_new_tokens:
                break
            if num_active < len(rows) and (kept := _shrink(cache, active)) is not None:
                rows, chosen, positions, active = rows[kept], chosen[kept], positions[kept], active[kept]
            cache.advance()
            logits = decoder.step(chosen, positions, cache)
            positions = positions + 1
        if on_done is not None and num_active:
            on_done(num_active)

        uncut = [None] * len(tokens) if policy_logprobs is None else policy_logprobs.tolist()
        lists = zip(tokens.tolist(), logprobs.tolist(), uncut, num_tokens.tolist(), strict=True)
        flat = [
            finish(
                row[:count],
                values[:count],
                ends,
                self.tokenizer,
                policy_logprobs=None if own is None else own[:count],
                stop=sampling.stop,
            )
            for row, values, own, count in lists
        ]
        return [flat[start : start + num_samples] for start in range(0, len(flat), num_samples)]

    def _stopped(self, drawn: Tensor, candidates: Tensor, stop: Sequence[str]) -> Tensor:
        """(R,) True for those of the candidate rows whose newest tokens complete a stop string."""
        # A character is at most four bytes, and a token at least one: no stop string reaches further back.
        longest = 4 * max(len(one) for one in stop) + 4
        stopped = torch.zeros_like(candidates)
        for row in candidates.nonzero()[:, 0].tolist():
            text = decoded(self.tokenizer, drawn[row, -longest:].tolist())
            stopped[row] = first_stop(text, stop) is not None
        return stopped


def _shrink(cache: GroupCache, active: Tensor) -> Tensor | None:
    """Drop groups that have ended, and as many rows of the others as their fullest group allows.

    Returns the grid rows that stay, in their new order, or None where too little would be gained.
    """
    grid = active.view(cache.num_groups, cache.num_samples)
    width = int(grid.sum(dim=1).max())
    groups = grid.any(dim=1).nonzero()[:, 0]
    if len(groups) * width > (1 - _WORTH_SHRINKING) * active.numel():
        return None
    samples = (~grid[groups]).to(torch.int8).argsort(dim=1, stable=True)[:, :width]
    kept = (groups[:, None] * cache.num_samples + samples).flatten()
    cache.keep(groups, samples)
    return kept
