"""One random number per row and step, and the token it chooses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tagpr.lm.generation.base import Sampling

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's output function (Steele, Lea, Flood 2014): a bijection of 64 bits that scatters neighbours."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def row_keys(seed: int | Sequence[int], num_prompts: int, num_samples: int) -> NDArray[np.uint64]:
    """(num_prompts, num_samples) keys of random streams.

    Functions of (seed, prompt position, sample index) alone; where each prompt has a seed of its own, of (seed, sample
    index): a prompt's keys are then those of a call with this prompt and its seed alone.

    Raises:
        ValueError: not one seed per prompt.
    """
    if not isinstance(seed, int):
        if len(seed) != num_prompts:
            raise ValueError(f"{len(seed)} seeds for {num_prompts} prompts, expected one for all or one for each.")
        each = [row_keys(own, 1, num_samples) for own in seed]
        return np.concatenate(each) if each else np.zeros((0, num_samples), dtype=np.uint64)
    with np.errstate(over="ignore"):
        start = _mix(np.array([seed % 2**64], dtype=np.uint64) + _GOLDEN)
        prompts = _mix(start + _GOLDEN * np.arange(1, num_prompts + 1, dtype=np.uint64))
        return _mix(prompts[:, None] + _GOLDEN * np.arange(1, num_samples + 1, dtype=np.uint64))


def uniforms(keys: NDArray[np.uint64], num_steps: int) -> Tensor:
    """(rows, num_steps) float64 in [0, 1): number `step` of the stream of each key in (rows,)."""
    with np.errstate(over="ignore"):
        bits = _mix(keys[:, None] + _GOLDEN * np.arange(1, num_steps + 1, dtype=np.uint64))
    return torch.from_numpy((bits >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def choose(logits: Tensor, uniform: Tensor, *, sampling: Sampling, banned: int | None) -> tuple[Tensor, Tensor, Tensor]:
    """The next token of each row, its log-probability when sampled, and its log-probability under the policy.

    Inverse CDF: the first token whose cumulative probability exceeds the row's uniform number. The first of the two is
    that of the distribution after temperature, top-k and top-p (in this order, as in transformers); the second that
    after temperature alone, the banned token's share included, as the training pass computes it. Where nothing is cut
    they are the same.

    Args:
        logits: (R, V).
        uniform: (R,) in [0, 1).
        banned: a token that is never chosen (padding).
    Returns:
        (R,) token ids; twice (R,) float32 natural logs. Greedy: the likeliest token, at temperature 1.
    """
    logits = logits.float()
    if sampling.temperature not in (0, 1):
        logits = logits / sampling.temperature
    weights = (logits - logits.amax(dim=1, keepdim=True)).exp()
    total = weights.sum(dim=1)
    if banned is not None:
        weights[:, banned] = 0
    if sampling.temperature == 0:
        tokens = weights.argmax(dim=1)
    elif sampling.top_p < 1 or sampling.top_k > 0:
        kept, kept_total = _cut(weights, sampling)
        tokens = _invert(kept, uniform)
        chosen = weights.gather(1, tokens[:, None])[:, 0]
        return tokens, (chosen / kept_total).log(), (chosen / total).log()
    else:
        tokens = _invert(weights, uniform)
    logprobs = (weights.gather(1, tokens[:, None])[:, 0] / total).log()
    return tokens, logprobs, logprobs


def _invert(weights: Tensor, uniform: Tensor) -> Tensor:
    # In float64 the draw stays below the last cumulative sum, so a token of weight 0 is never chosen.
    cumulative = weights.cumsum(dim=1, dtype=torch.float64)
    return torch.searchsorted(cumulative, uniform[:, None] * cumulative[:, -1:], right=True)[:, 0]


def _cut(weights: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """Zero what top-k and top-p leave out; the kept weights and their sum."""
    ordered, order = weights.sort(dim=1, descending=True, stable=True)
    if 0 < sampling.top_k < ordered.shape[1]:
        ordered[:, sampling.top_k :] = 0
    if sampling.top_p < 1:
        before = ordered.cumsum(dim=1, dtype=torch.float64) - ordered
        ordered = ordered.masked_fill(
            before >= sampling.top_p * ordered.sum(dim=1, keepdim=True, dtype=torch.float64), 0
        )
    kept = torch.zeros_like(weights).scatter(1, order, ordered)
    return kept, kept.sum(dim=1)
