"""Which tokens of a completion a span of its text is made of."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

from transformers import PreTrainedTokenizerBase

from tagpr.chains.tags import Span
from tagpr.lm.generation.base import Completion


def token_ends(completions: Sequence[Completion], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """The character of the completion's text behind each of its tokens; the end-of-text token ends where the text does.

    A text that tokenises into the very tokens that were sampled tells it at once; another is decoded token by token.
    """
    encoded = tokenizer(
        [completion.text for completion in completions], add_special_tokens=False, return_offsets_mapping=True
    )
    found = []
    for completion, ids, offsets in zip(completions, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        kept = completion.token_ids if completion.truncated else completion.token_ids[:-1]
        if list(kept) == list(ids):
            ends = [end for _, end in offsets]
        else:
            ends = [
                len(
                    str(tokenizer.decode(list(kept[:n]), skip_special_tokens=False, clean_up_tokenization_spaces=False))
                )
                for n in range(1, len(kept) + 1)
            ]
        # Half a character decodes to a sign of its own, so that an end may lie behind its follower's.
        for here in range(len(ends) - 1, 0, -1):
            ends[here - 1] = min(ends[here - 1], ends[here])
        found.append(ends + [len(completion.text)] * (len(completion.token_ids) - len(kept)))
    return found


def span_tokens(spans: Sequence[Span], ends: Sequence[int]) -> list[tuple[int, int]]:
    """First token and the one behind the last of each span, its tags included; no token is in two spans.

    A token that holds the end of one span and the beginning of the next belongs to the first. A span that has no token
    of its own comes out empty (first == end).

    Args:
        ends: of `token_ends`.
    """
    bounds = [(bisect_right(ends, span.outer_start), bisect_left(ends, span.outer_end) + 1) for span in spans]
    starts = [0, *(end for _, end in bounds)]
    cut = [(max(first, before), end) for (first, end), before in zip(bounds, starts, strict=False)]
    assert all(earlier[1] <= later[1] for earlier, later in pairwise(cut))
    return [(min(first, end), end) for first, end in cut]
