"""Process reward: how much likelier a span makes the person's true answer. Ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerBase

from tagpr.lm.batches import GroupedBatch
from tagpr.markup import THINK_CLOSE
from tagpr.rl.reference import ReferencePolicy
from tagpr.rl.rewards.process import ProcessReward, ProcessRewards, ScoreSpans, SpanReward
from tagpr.rl.rewards.span_tokens import span_tokens, token_ends
from tagpr.rl.rollouts import RlPrompt, RolloutBatch


@dataclass(frozen=True, kw_only=True)
class GoldLikelihood(ProcessReward):
    """r_j = log p(gold | spans <= j) - log p(gold | spans < j), under a frozen copy of the stage's first policy.

    p(gold | spans <= j): the thinking block is closed behind span j, and the gold with its end-of-text token follows.
    The scorer is frozen, or a policy could raise its process rewards without thinking any better. A span's reward may
    be negative. Where gold is withheld no span is judged.
    """

    needs_reference = True

    def open(self, *, reference: ReferencePolicy | None, tokenizer: PreTrainedTokenizerBase) -> ScoreSpans:
        assert reference is not None, "the stage opens a reference for what needs one"
        return GoldScorer(reference=reference, tokenizer=tokenizer)


class GoldScorer:
    """An opened `GoldLikelihood`.

    All prefixes of all completions of a prompt are scored as completions that share it, so the prompt goes through the
    model once (or once per micro-batch, where they do not fit into one); equal prefixes, such as the empty one, once.
    """

    def __init__(self, *, reference: ReferencePolicy, tokenizer: PreTrainedTokenizerBase) -> None:
        self.reference = reference
        self.tokenizer = tokenizer

    def __call__(self, rollouts: RolloutBatch) -> ProcessRewards:
        spans, scored_tokens = [], 0
        for b, prompt in enumerate(rollouts.prompts):
            group = rollouts.completions[b]
            ends = token_ends(group, self.tokenizer)
            bounds = [span_tokens(parsed.spans, own) for parsed, own in zip(rollouts.parsed[b], ends, strict=True)]
            # Each completion's prefixes: before its first span, and behind each.
            cuts = [[own[0][0], *(end for _, end in own)] if own else [] for own in bounds]
            prefixes = [
                [one.token_ids[:cut] for cut in own] if prompt.gold is not None else []
                for one, own in zip(group, cuts, strict=True)
            ]
            likelihoods, cost = self._likelihoods(prompt, sorted({prefix for own in prefixes for prefix in own}))
            scored_tokens += cost
            spans.append(
                [
                    [
                        SpanReward(tag=span.tag, first=first, end=end, reward=likelihoods[after] - likelihoods[before])
                        for span, (first, end), before, after in zip(
                            parsed.spans, own, known[:-1], known[1:], strict=True
                        )
                        if first < end
                    ]
                    if known
                    else []
                    for parsed, own, known in zip(rollouts.parsed[b], bounds, prefixes, strict=True)
                ]
            )
        lengths = [[len(one.token_ids) for one in group] for group in rollouts.completions]
        return ProcessRewards(spans=spans, lengths=lengths, scored_tokens=scored_tokens)

    def _likelihoods(
        self, prompt: RlPrompt, prefixes: Sequence[tuple[int, ...]]
    ) -> tuple[dict[tuple[int, ...], float], int]:
        """log p(gold | prefix) of each prefix, and the tokens that it took."""
        if not prefixes:
            return {}, 0
        assert prompt.gold is not None
        closing, gold = self._answer(prompt.gold)
        rows = sorted(((*prefix, *closing, *gold) for prefix in prefixes), key=len)
        found: dict[tuple[int, ...], float] = {}
        cost = start = 0
        while start < len(rows):
            stop = start + 1
            while stop < len(rows) and self._cost(prompt, rows[start : stop + 1]) <= self.reference.max_tokens:
                stop += 1
            part = rows[start:stop]
            batch = GroupedBatch.from_lists([prompt.token_ids], [part], pad_id=self.reference.pad_id)
            logprobs = self.reference.logprobs(batch)[0]
            for row, own in zip(part, logprobs, strict=True):
                answer = own[len(row) - len(gold) : len(row)]
                found[row[: len(row) - len(gold) - len(closing)]] = float(answer.to(torch.float64).sum())
            cost += len(prompt.token_ids) + sum(map(len, part))
            start = stop
        return found, cost

    def _cost(self, prompt: RlPrompt, rows: Sequence[Sequence[int]]) -> int:
        return len(prompt.token_ids) + len(rows) * len(rows[-1])

    def _answer(self, gold: str) -> tuple[list[int], list[int]]:
        """Tokens that close the thinking block, and those of the gold with its end."""
        encoded = self.tokenizer(THINK_CLOSE + gold, add_special_tokens=False, return_offsets_mapping=True)
        closing = sum(end <= len(THINK_CLOSE) for _, end in encoded["offset_mapping"])
        ids = list(encoded["input_ids"])
        assert isinstance(self.tokenizer.eos_token_id, int)
        return ids[:closing], [*ids[closing:], self.tokenizer.eos_token_id]
