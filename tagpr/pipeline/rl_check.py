"""Contradictions between the parts of the RL objective, found when the configuration is composed."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from tagpr import schema
from tagpr.errors import UserError

METHODS = ("two_part", "flex", "dense", "padded")  # of tagpr.lm.forward, which imports torch


def check_objective(cfg: DictConfig) -> None:
    """Refuse what cannot be trained.

    Raises:
        UserError: which settings contradict each other, and how to put it right.
    """
    if not cfg.rl.order:
        return
    repeated = sorted({name for name in cfg.rl.order if list(cfg.rl.order).count(name) > 1})
    if repeated:
        raise UserError(
            f"rl.order names the stage {repeated[0]!r} twice, and a stage is known by its name. For the same settings "
            f"again, give them another name: +rl/stage@rl.stages.again={repeated[0]} and rl.order=[...,again]."
        )
    _check_credit(cfg)
    _check_method(cfg)
    _check_rewards(cfg)
    gate = str(cfg.reward.tag_gate["_target_"])
    if gate.endswith("g_answer_and_tags") and not _has_tags(cfg):
        raise UserError(f"reward/tag_gate=all needs tags, but {_why_no_tags(cfg)}. Set reward/tag_gate=own.")


def _check_rewards(cfg: DictConfig) -> None:
    """Every stage pays for something, and for tags only where there are any."""
    for name in cfg.rl.order:
        shares = cfg.rl.stages[name].weights
        if unknown := [term for term in shares if term not in cfg.reward.terms]:
            raise UserError(
                f"rl.stages.{name}.weights names the reward term {unknown[0]!r}, but reward.terms has "
                f"{', '.join(cfg.reward.terms)}. Add it there, or take it out of the stage."
            )
        paid = [
            term
            for term, one in cfg.reward.terms.items()
            if one.score is not None and one.weight * (shares.get(term) or 0.0) != 0
        ]
        if not paid:
            raise UserError(
                f"RL stage {name!r} pays for no reward term: give one a weight in reward.terms and in "
                f"rl.stages.{name}.weights, or leave the stage out of rl.order."
            )
        if "tag" in paid and not cfg.tags.names:
            raise UserError(
                f"RL stage {name!r} pays reward term `tag`, but tags=none: set reward/term@reward.terms.tag=none with "
                "it (as ablation=untagged_chains does), or choose tags=three, six or nine."
            )


def _check_credit(cfg: DictConfig) -> None:
    if not _is_a(cfg.advantage, schema.SegmentAdvantage):
        return
    if _is_a(cfg.policy_loss, schema.RolloutLoss):
        raise UserError(
            "advantage=segment credits tokens apart, but this policy_loss (gspo) has one ratio per rollout and cannot "
            "follow it. Choose policy_loss=grpo, dr_grpo or dapo, or another advantage."
        )
    if not _has_tags(cfg):
        raise UserError(
            f"advantage=segment credits tagged spans, but {_why_no_tags(cfg)}. Choose advantage=group, group_mean or "
            "decoupled."
        )
    if _is_a(cfg.advantage, schema.OracleAdvantage) and not _is_a(cfg.data, schema.SimulatedData):
        raise UserError(
            "advantage=segment_truth is paid by truth that only a simulated world knows. Choose data=simulated, or "
            "advantage=segment."
        )


def _check_method(cfg: DictConfig) -> None:
    if cfg.rl.method not in METHODS:
        raise UserError(f"rl.method={cfg.rl.method}, expected one of {', '.join(METHODS)}.")
    accelerator = cfg.trainer.accelerator
    if cfg.rl.method == "flex" and accelerator != "cuda":
        raise UserError(
            f"rl.method=flex with trainer.accelerator={accelerator}: FlexAttention has no backward pass on "
            f"{accelerator}. Set rl.method=two_part, which is the fast way there, or train on a GPU with trainer=gpu."
        )


def _is_a(node: DictConfig, kind: type) -> bool:
    """Whether a node's option named this schema, or one that extends it."""
    found = OmegaConf.get_type(node)
    return isinstance(found, type) and issubclass(found, kind)


def _has_tags(cfg: DictConfig) -> bool:
    return bool(cfg.tags.names) and bool(cfg.prompt.thinking)


def _why_no_tags(cfg: DictConfig) -> str:
    return "tags=none" if not cfg.tags.names else "prompt.thinking=false"
