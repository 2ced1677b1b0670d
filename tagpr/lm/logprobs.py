"""Log-probability and entropy of tokens from hidden states: one function for policy, reference, rollout and SFT."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def token_logprobs(
    hidden: Tensor, weight: Tensor, targets: Tensor, *, temperature: float, chunk_size: int
) -> tuple[Tensor, Tensor]:
    """Log-probability of each target and entropy of its distribution, without the logits of all rows in memory.

    With z = hidden @ weight' / temperature: logprob = z[target] - logsumexp(z), entropy = logsumexp(z) - softmax(z) .
    z. Rows go in chunks; the backward pass computes each chunk's logits anew. Sums are in float32.

    Args:
        hidden: (N, D) states that predict the targets.
        weight: (V, D) output embedding, without bias.
        targets: (N,) token ids.
        temperature: > 0; divides the logits.
        chunk_size: rows whose logits (chunk_size, V) exist at a time.
    Returns:
        (N,) float32 log-probabilities, natural log, and (N,) float32 entropies in nats; both differentiable in hidden
        and weight.
    Raises:
        ValueError: a temperature that is not positive, or shapes that do not fit.
    """
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}, expected > 0: log-probabilities of greedy decoding use 1.")
    if hidden.ndim != 2 or targets.shape != hidden.shape[:1] or weight.shape[1] != hidden.shape[1]:
        raise ValueError(
            f"hidden {tuple(hidden.shape)}, weight {tuple(weight.shape)} and targets {tuple(targets.shape)}, expected "
            "(N, D), (V, D) and (N,): select the rows that count before the call."
        )
    return _ChunkedLogprobs.apply(hidden, weight, targets, temperature, chunk_size)


class _ChunkedLogprobs(torch.autograd.Function):
    """Keeps hidden, weight and one normaliser per row; the backward pass recomputes a chunk's logits from them."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, temperature: float, chunk_size: int
    ) -> tuple[Tensor, Tensor]:
        logprobs = torch.empty(targets.shape, dtype=torch.float32, device=hidden.device)
        entropy = torch.empty_like(logprobs)
        normaliser = torch.empty_like(logprobs)
        for start in range(0, len(targets), chunk_size):
            rows = slice(start, start + chunk_size)
            logits = _logits(hidden[rows], weight, temperature)
            chosen = logits.gather(1, targets[rows, None])[:, 0]
            top = logits.amax(dim=1)
            logits -= top[:, None]
            weights = logits.exp()
            total = weights.sum(dim=1)
            normaliser[rows] = top + total.log()
            logprobs[rows] = chosen - normaliser[rows]
            entropy[rows] = total.log() - torch.linalg.vecdot(weights, logits) / total
        ctx.save_for_backward(hidden, weight, targets, normaliser, entropy)
        ctx.temperature, ctx.chunk_size = temperature, chunk_size
        ctx.set_materialize_grads(False)  # an entropy that no loss holds costs nothing
        return logprobs, entropy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_logprobs: Tensor | None, grad_entropy: Tensor | None) -> tuple[Tensor | None, ...]:
        """d logprob / d z = onehot(target) - p, d entropy / d z = -p (log p + entropy), p = softmax(z)."""
        hidden, weight, targets, normaliser, entropy = ctx.saved_tensors
        if grad_logprobs is None:
            grad_logprobs = torch.zeros_like(normaliser)
        needs_hidden, needs_weight = ctx.needs_input_grad[:2]
        grad_hidden = torch.empty_like(hidden) if needs_hidden else None
        # Summed over chunks: float32 whatever the weight's own type.
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if needs_weight else None
        for start in range(0, len(targets), ctx.chunk_size):
            rows = slice(start, start + ctx.chunk_size)
            grad_logits = _logits(hidden[rows], weight, ctx.temperature)
            grad_logits.sub_(normaliser[rows, None])
            spread = None
            if grad_entropy is not None:
                spread = grad_logits.exp() * (grad_logits + entropy[rows, None])
                spread *= (grad_entropy[rows] / ctx.temperature)[:, None]
            grad_logits.exp_().neg_()
            grad_logits.scatter_add_(1, targets[rows, None], torch.ones_like(normaliser[rows, None]))
            grad_logits.mul_((grad_logprobs[rows] / ctx.temperature)[:, None])
            if spread is not None:
                grad_logits.sub_(spread)
            grad_logits = grad_logits.to(hidden.dtype)
            if grad_hidden is not None:
                torch.mm(grad_logits, weight.to(hidden.dtype), out=grad_hidden[rows])
            if grad_weight is not None:
                grad_weight += grad_logits.t() @ hidden[rows]
        return grad_hidden, None if grad_weight is None else grad_weight.to(weight.dtype), None, None, None


def _logits(hidden: Tensor, weight: Tensor, temperature: float) -> Tensor:
    # Outside autocast: forward and recomputation must round alike, or the normaliser does not fit the logits.
    with torch.autocast(hidden.device.type, enabled=False):
        logits = (hidden @ weight.to(hidden.dtype).t()).float()
    return logits if temperature == 1 else logits.div_(temperature)
