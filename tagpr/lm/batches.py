"""What a micro-batch is: prompts with the completions drawn for each, and how many of them fit a token budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class GroupedBatch:
    """B prompts with G completions each, padded on the right. Filled by the datamodules and by the RL rollout."""

    prompt_ids: Tensor  # (B, P) token ids
    prompt_mask: Tensor  # (B, P) True = a real token
    completion_ids: Tensor  # (B, G, T) token ids, end-of-text included where there is one
    completion_mask: Tensor  # (B, G, T) True = a token that counts

    @classmethod
    def from_lists(
        cls, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[Sequence[int]]], *, pad_id: int
    ) -> GroupedBatch:
        """Pad token lists: prompts[b], completions[b][g].

        Raises:
            ValueError: an empty prompt, or prompts with different numbers of completions.
        """
        group_sizes = {len(group) for group in completions}
        if len(prompts) != len(completions) or len(group_sizes) > 1:
            raise ValueError(
                f"{len(prompts)} prompts with groups of {sorted(group_sizes)} completions, expected one group of the "
                "same size for each prompt: split the batch by group size."
            )
        if empty := [position for position, prompt in enumerate(prompts) if not len(prompt)]:
            raise ValueError(
                f"prompt {empty[0]} has no tokens, expected at least one: a completion must follow something."
            )
        num_completions = group_sizes.pop() if group_sizes else 0
        prompt_ids, prompt_mask = pad_right(prompts, pad_id=pad_id)
        flat_ids, flat_mask = pad_right([completion for group in completions for completion in group], pad_id=pad_id)
        shape = (len(prompts), num_completions, flat_ids.shape[1])
        return cls(
            prompt_ids=prompt_ids,
            prompt_mask=prompt_mask,
            completion_ids=flat_ids.view(shape),
            completion_mask=flat_mask.view(shape),
        )

    @property
    def prompt_lengths(self) -> Tensor:
        """(B,) real tokens of each prompt."""
        return self.prompt_mask.sum(dim=1)

    @property
    def completion_lengths(self) -> Tensor:
        """(B, G) real tokens of each completion."""
        return self.completion_mask.sum(dim=2)

    def select(self, index: Tensor) -> GroupedBatch:
        """The groups at `index`, with P and T as they are, so that (B, G, T) tensors beside it take the same index."""
        index = index.to(self.prompt_ids.device)
        return GroupedBatch(
            prompt_ids=self.prompt_ids[index],
            prompt_mask=self.prompt_mask[index],
            completion_ids=self.completion_ids[index],
            completion_mask=self.completion_mask[index],
        )

    def to(self, device: torch.device) -> GroupedBatch:
        return GroupedBatch(
            prompt_ids=self.prompt_ids.to(device),
            prompt_mask=self.prompt_mask.to(device),
            completion_ids=self.completion_ids.to(device),
            completion_mask=self.completion_mask.to(device),
        )


def pad_right(rows: Sequence[Sequence[int]], *, pad_id: int) -> tuple[Tensor, Tensor]:
    """Token lists as (N, L) ids and an (N, L) mask, True = a real token; L is the longest row, at least 1."""
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.long)
    longest = max(1, int(lengths.max())) if len(rows) else 1
    mask = torch.arange(longest) < lengths[:, None]
    ids = torch.full(mask.shape, pad_id, dtype=torch.long)
    ids[mask] = torch.tensor([token for row in rows for token in row], dtype=torch.long)
    return ids, mask


def split_groups(batch: GroupedBatch, *, max_tokens: int) -> list[Tensor]:
    """Micro-batches by token budget: index tensors into the B groups, alike in length, every group in exactly one.

    A micro-batch of n groups costs n * (longest prompt + G * longest completion) <= max_tokens; a single group may
    cost more. Use as `for index in split_groups(batch, max_tokens=n): micro = batch.select(index); weights =
    advantages[index]`.
    """
    prompts, completions = batch.prompt_lengths.tolist(), batch.completion_lengths.amax(dim=1).tolist()
    num_completions = batch.completion_ids.shape[1]
    parts: list[list[int]] = []
    longest_prompt = longest_completion = 0
    for group in sorted(
        range(len(prompts)), key=lambda group: (prompts[group] + num_completions * completions[group], group)
    ):
        longest_prompt, longest_completion = (
            max(longest_prompt, prompts[group]),
            max(longest_completion, completions[group]),
        )
        cost = longest_prompt + num_completions * longest_completion
        if parts and (len(parts[-1]) + 1) * cost <= max_tokens:
            parts[-1].append(group)
        else:
            parts.append([group])
            longest_prompt, longest_completion = prompts[group], completions[group]
    return [torch.tensor(part, dtype=torch.long) for part in parts]
