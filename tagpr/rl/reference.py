"""Log-probs that are only read: of a frozen copy of the stage's first policy, or of the trainer's own forward."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tagpr.lm.batches import GroupedBatch, split_groups
from tagpr.lm.forward import TokenScores

ScoreTokens = Callable[[PreTrainedModel, GroupedBatch], TokenScores]  # log-probs at the sampling temperature


def read_logprobs(model: PreTrainedModel, batch: GroupedBatch, *, score_tokens: ScoreTokens, max_tokens: int) -> Tensor:
    """(B, G, T) float32 log-probs on the batch's device, 0 outside the mask, without gradient, in micro-batches.

    Args:
        max_tokens: most tokens that go through the model at a time.
    """
    found = torch.zeros(batch.completion_ids.shape)
    with torch.no_grad():
        for index in split_groups(batch, max_tokens=max_tokens):
            part = batch.select(index)
            longest = int(part.completion_lengths.max())
            part = GroupedBatch(
                prompt_ids=part.prompt_ids[:, : int(part.prompt_lengths.max())],
                prompt_mask=part.prompt_mask[:, : int(part.prompt_lengths.max())],
                completion_ids=part.completion_ids[:, :, :longest],
                completion_mask=part.completion_mask[:, :, :longest],
            ).to(model.device)
            found[index, :, :longest] = score_tokens(model, part).logprobs.cpu()
    return found


class ReferencePolicy:
    """A frozen policy. No module of the trainer's, so that neither optimizer, checkpoint nor DDP ever sees it.

    Args:
        model: loaded for this alone; its parameters lose their gradients.
    """

    def __init__(self, *, model: PreTrainedModel, score_tokens: ScoreTokens, max_tokens: int, pad_id: int) -> None:
        self.model = model.eval().requires_grad_(False)
        self.score_tokens = score_tokens
        self.max_tokens = max_tokens
        self.pad_id = pad_id

    def to(self, device: torch.device) -> None:
        """Move to where the policy is trained."""
        if self.model.device != device:
            self.model.to(device)  # pyright: ignore[reportArgumentType]

    def logprobs(self, batch: GroupedBatch) -> Tensor:
        """(B, G, T) log-probs of every completion token, 0 outside the mask."""
        return read_logprobs(self.model, batch, score_tokens=self.score_tokens, max_tokens=self.max_tokens)
