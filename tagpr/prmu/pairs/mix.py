"""How many pairs of each type: the mix's shares of a total that no scarce type dictates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tagpr.errors import UserError
from tagpr.prmu.pairs.base import MIX_KEYS, N1, N1_LABEL, N2, N3, N4, N5, N6, Block
from tagpr.types import PreferencePair

# Types that say how many pairs there are to be; edits and cues can be made of anything, so they follow.
ANCHORS = (N1, N1_LABEL, N2, N3, N4)
FOLLOWERS = (N5, N6)


def quotas(mix: Mapping[str, float], available: Mapping[str, int], *, max_pairs: int) -> dict[str, int]:
    """Pairs wanted per type: shares of the largest total of which some anchor fills its own share, at most max_pairs.

    total = min(max_pairs, max over anchors of available / share). A type that has fewer than its quota leaves the rest
    of it empty: it takes nothing from the others, and nobody takes its place. Where no anchor has any pair, the
    followers say the total.

    Args:
        mix: share >= 0 per key of MIX_KEYS, relative to their sum.
        available: most pairs that there can be, per type.
    Returns:
        Type -> quota; they add up to the total.
    Raises:
        UserError: unknown or missing types, negative shares, or no share above 0.
    """
    if set(mix) != set(MIX_KEYS) or min(mix.values()) < 0 or not any(mix.values()):
        raise UserError(
            f"pairs.mix={dict(mix)}, expected a share >= 0 for each of {', '.join(MIX_KEYS)}, one of them above 0."
        )
    shares = {kind: mix[kind] / sum(mix.values()) for kind in MIX_KEYS}
    for group in (ANCHORS, FOLLOWERS):
        bounds = [int(available[kind] / shares[kind] + 1e-9) for kind in group if shares[kind] > 0 and available[kind]]
        if bounds:
            return _rounded(shares, min(max_pairs, max(bounds)))
    return dict.fromkeys(MIX_KEYS, 0)


def _rounded(shares: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole numbers that add up to the total, the largest remainders rounded up."""
    exact = {kind: share * total for kind, share in shares.items()}
    whole = {kind: int(number + 1e-9) for kind, number in exact.items()}
    by_remainder = sorted(MIX_KEYS, key=lambda kind: whole[kind] - exact[kind])
    for kind in by_remainder[: total - sum(whole.values())]:
        whole[kind] += 1
    return whole


def take_blocks(blocks: Sequence[Block], quota: int, *, generator: np.random.Generator) -> list[PreferencePair]:
    """Pairs of whole blocks, drawn at random until the quota is reached, in their order.

    No pair loses its mirror, so the last block may go beyond the quota.
    """
    chosen: list[int] = []
    number = 0
    for i in generator.permutation(len(blocks)):
        if number >= quota:
            break
        chosen.append(int(i))
        number += len(blocks[i])
    return [pair for i in sorted(chosen) for pair in blocks[i]]
