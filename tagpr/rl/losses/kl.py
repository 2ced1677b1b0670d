"""Three estimates of a KL divergence from one sampled token each, and where each may be used.

KL(pi || ref) = E_{x ~ pi} log pi(x) - log ref(x), with x sampled from the policy pi. Source: Schulman, "Approximating
KL divergence" (2020). All three have the right *value* in expectation; their *gradients* differ:

| estimate | gradient of its mean over samples | so it is used |
|---|---|---|
| k1 = log pi - log ref | 0: E grad log pi = 0 | in the reward, where the score function gives grad KL |
| k2 = (log pi - log ref)^2 / 2 | grad KL(pi, ref), while the policy is the one that sampled | in the loss |
| k3 = ref/pi - 1 - log(ref/pi) | grad KL(ref, pi): another divergence | in the log alone |

So there is no setting that puts k1 or k3 into the loss. Source of the comparison: arXiv:2506.09477.
"""

from __future__ import annotations

from torch import Tensor


def kl_k1(policy_logprobs: Tensor, reference_logprobs: Tensor) -> Tensor:
    """log pi - log ref per token, in nats; unbiased, of either sign."""
    return policy_logprobs - reference_logprobs


def kl_k2(policy_logprobs: Tensor, reference_logprobs: Tensor) -> Tensor:
    """(log pi - log ref)^2 / 2 per token, in nats; its value is biased, its expected gradient is that of the KL."""
    return 0.5 * (policy_logprobs - reference_logprobs).square()


def kl_k3(log_ratio: Tensor) -> Tensor:
    """r - 1 - log r per token, never negative: KL(sampler || other) where log r = log other - log sampler."""
    return log_ratio.exp() - 1.0 - log_ratio
