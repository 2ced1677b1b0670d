"""What supervised fine-tuning minimises."""

from __future__ import annotations

from torch import Tensor
from transformers import PreTrainedModel

from tagpr.lm.batches import GroupedBatch
from tagpr.lm.forward import completion_logprobs, fast_method


def completion_loss(model: PreTrainedModel, batch: GroupedBatch, *, num_tokens: int, chunk_size: int) -> Tensor:
    """A micro-batch's share of the step's mean negative log-likelihood per completion token, end-of-text included.

    loss = - sum_{b,t} log p(y_bt | x_b, y_b<t) / num_tokens; prompt tokens do not count. Dividing by the count of the
    whole step, rather than averaging the means of micro-batches, makes eight micro-batches of one equal one of eight.

    Args:
        batch: prompts with the chains that follow each.
        num_tokens: completion tokens of the whole optimizer step, over all micro-batches and ranks.
        chunk_size: rows whose logits exist at a time.
    Returns:
        () nats per token.
    """
    scores = completion_logprobs(model, batch, temperature=1.0, method=fast_method(model), chunk_size=chunk_size)
    return -scores.logprobs.sum() / num_tokens
