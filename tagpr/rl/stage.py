"""One RL stage: a policy in, a better one out, with every rollout it learned from."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from tagpr.chains.tags import TagVocabulary
from tagpr.context import StageContext
from tagpr.data.prompts import PromptBuilder, PromptStyle
from tagpr.errors import BadInputError
from tagpr.lm.adapter import Adapter
from tagpr.lm.backbone import Backbone, load_tokenizer
from tagpr.lm.device import take_own_device
from tagpr.lm.forward import Method, check_against_padded, completion_logprobs
from tagpr.lm.generation.base import RolloutEngine, Sampling
from tagpr.rl.advantages import SegmentAdvantage
from tagpr.rl.guards import WindowGuard
from tagpr.rl.kl import KlPenalty
from tagpr.rl.losses import PolicyLoss
from tagpr.rl.module import RlModule
from tagpr.rl.objective import Advantage, Objective
from tagpr.rl.reference import ReferencePolicy
from tagpr.rl.refill import PromptRefill
from tagpr.rl.rewards.combine import Rewards
from tagpr.rl.rewards.composite import RewardSettings, WeightSchedule, stage_reward
from tagpr.rl.rewards.overlong import OverlongPenalty
from tagpr.rl.rollouts import RlPrompt, RolloutBatch, RolloutWindow, rollout_advantage
from tagpr.schema import TrainerSettings
from tagpr.storage import read_records, write_rollouts
from tagpr.tasks import task_named
from tagpr.training.best import BestBy
from tagpr.training.fit import fit
from tagpr.training.loader import ResumableLoader
from tagpr.training.optimizer import OptimizerSettings
from tagpr.training.rng import seed_everything
from tagpr.types import Record, Rollout


@dataclass(frozen=True, kw_only=True)
class RlSettings:
    """Built from the group `rl`, without its stages: what they share."""

    steps: int  # optimizer steps of all stages together
    prompts_per_window: int  # B
    rollouts_per_prompt: int  # G
    updates_per_window: int  # optimizer steps taken from one window of rollouts
    temperature: float  # of sampling, and of the log-probs that are trained
    max_new_tokens: int
    micro_batch_tokens: int  # tokens that go through the model at a time
    method: Method  # how log-probs are computed: two_part, flex, dense or padded
    chunk_size: int  # completion tokens whose logits exist at a time
    purposes: Sequence[str]  # whose train questions RL may ask: rl; pairs too where no PRMU spends their golds
    gold_fraction: float  # share of the RL questions whose gold the task reward may see
    min_std: float  # a group whose rewards vary less than this has no advantages
    kl: KlPenalty
    overlong: OverlongPenalty
    entropy_weight: float  # of the mean entropy per token, in the loss; 0: off
    importance_cap: float | None  # of the weights between sampler and trainer; None: no weights
    extra_rounds: int  # in which prompts without variance in the task reward are replaced; 0: off
    dev_records: int  # questions of dev people that the curve is drawn on; 0: no curve
    dev_every: int  # steps
    keep_best: bool  # end with the weights of the best dev score, not the last
    guard: WindowGuard
    optimizer: OptimizerSettings


@dataclass(frozen=True, kw_only=True)
class RlStageSettings:
    """Built from the group `rl/stage`."""

    share: float  # of rl.steps
    weights: Mapping[str, float]  # what it pays of each reward term's weight
    schedule: WeightSchedule  # how that moves while the stage runs


def run(
    *,
    rl_stage: RlStageSettings,
    rl: RlSettings,
    reward: RewardSettings,
    advantage: Advantage,
    policy_loss: PolicyLoss,
    backbone: Backbone,
    adapter: Adapter,
    engine: Callable[..., RolloutEngine],
    prompt: PromptStyle,
    tags: TagVocabulary,
    trainer: TrainerSettings,
    inputs: Mapping[str, Path],
    output: Path,
    context: StageContext,
) -> dict[str, int | float]:
    """Train the input policy on its own rollouts; writes `policy/`, `metrics.csv` and `rollouts/step_*.parquet`.

    Returns:
        steps; windows and rollouts; rollouts that PRMU judged; distinct questions asked, and those whose gold was used.
    Raises:
        BadInputError: no question to train on, or settings that contradict one another.
    """
    seed_everything(context.seed)
    take_own_device(trainer.accelerator, rank=context.rank)  # before PRMU is put on one
    num_steps = round(rl.steps * rl_stage.share)
    tokenizer = load_tokenizer(inputs["policy"] / "policy")
    load = partial(backbone.load, inputs["policy"] / "policy")
    policy = adapter.attach(load())
    builder = PromptBuilder(style=prompt, tokenizer=tokenizer)
    prompts, dev_prompts = _read_prompts(inputs["records"], rl, builder)
    _check_room(prompts + dev_prompts, rl, num_positions=policy.config.max_position_embeddings)
    composite = stage_reward(reward, shares=rl_stage.weights, schedule=rl_stage.schedule, inputs=inputs)
    loader = ResumableLoader(
        num_items=len(prompts),
        batch_size=rl.prompts_per_window,
        collate=lambda indices, generator: indices,
        seed=context.seed,
        repeats=rl.updates_per_window,
        sliced=False,
    )
    if rl.extra_rounds and "task" not in composite.terms:
        raise BadInputError(
            f"rl.extra_rounds={rl.extra_rounds} replaces prompts without variance in the task reward, but stage "
            f"{context.stage} does not pay it: set rl.extra_rounds=0, or give reward term `task` a weight in the stage."
        )
    if rl.prompts_per_window < trainer.devices:
        raise BadInputError(
            f"rl.prompts_per_window={rl.prompts_per_window} leaves some of trainer.devices={trainer.devices} processes "
            "without a prompt: give each at least one."
        )
    rollouts_folder = context.checkpoints / "rollouts"
    scoring = {"temperature": rl.temperature, "method": rl.method, "chunk_size": rl.chunk_size}
    score_tokens = partial(completion_logprobs, **scoring)
    window = _window(rl, tokenizer)
    process = advantage.process if isinstance(advantage, SegmentAdvantage) else None
    reference = None
    if rl.kl.needs_reference or (process is not None and process.needs_reference):
        reference = ReferencePolicy(
            model=backbone.load(inputs["policy"] / "policy"),
            score_tokens=score_tokens,
            max_tokens=rl.micro_batch_tokens,
            pad_id=window.pad_id,
        )
    refill = PromptRefill(max_rounds=rl.extra_rounds, num_prompts=len(prompts), min_std=rl.min_std, seed=context.seed)
    module = RlModule(
        policy=policy,
        engine=engine(tokenizer=tokenizer),
        score_tokens=score_tokens,
        self_check=partial(check_against_padded, **scoring),
        objective=Objective(
            reward=composite,
            advantage=advantage,
            policy_loss=policy_loss,
            kl=rl.kl,
            overlong=rl.overlong,
            entropy_weight=rl.entropy_weight,
            importance_cap=rl.importance_cap,
            reference=reference,
            score_spans=process.open(reference=reference, tokenizer=tokenizer) if process is not None else None,
            score_tokens=score_tokens,
            max_new_tokens=rl.max_new_tokens,
            min_std=rl.min_std,
            max_tokens=rl.micro_batch_tokens,
            pad_id=window.pad_id,
        ),
        tags=tags,
        window=window,
        guard=rl.guard,
        refill=refill,
        sampling=Sampling(temperature=rl.temperature, top_p=1.0, top_k=0, max_new_tokens=rl.max_new_tokens),
        group_size=rl.rollouts_per_prompt,
        min_std=rl.min_std,
        prompts=prompts,
        dev_prompts=dev_prompts,
        keep_rollouts=partial(keep_rollouts, rollouts_folder, context.stage),
        optimizer=rl.optimizer,
        num_steps=num_steps,
        seed=context.seed,
    )
    result = fit(
        module,
        loader=loader,
        num_steps=num_steps,
        settings=trainer,
        output=output,
        context=context,
        validate_every=rl.dev_every if dev_prompts else 0,
        validates_start=True,
        best=BestBy(metric="rl/dev/score", higher_is_better=True) if rl.keep_best and dev_prompts else None,
    )
    adapter.save(policy, tokenizer, output, base=load)
    # They were written beside the checkpoints, because `output` does not survive a kill.
    shutil.copytree(rollouts_folder, output / "rollouts")
    asked = _asked(loader, prompts, num_steps, also=refill.asked)
    num_windows = -(-num_steps // rl.updates_per_window)
    num_rollouts = num_windows * rl.prompts_per_window * rl.rollouts_per_prompt
    return {
        "steps": result.steps,
        **({"best_step": result.best_step} if result.best_step is not None else {}),
        "windows": num_windows,
        "rollouts": num_rollouts + refill.extra,
        "prmu_calls": num_rollouts if "prmu" in composite.terms else 0,
        "questions": len(asked),
        "gold_labels": len([one for one in asked if one.gold is not None]) if "task" in composite.terms else 0,
        **{f"weight_{name}": weight for name, weight in composite.weights.items()},
    }


def may_use_gold(record: Record, fraction: float) -> bool:
    """Whether the task reward may see a record's gold: alike in every arm and stage, nested over fractions."""
    digest = hashlib.sha256(f"gold/{record.task}/{record.record_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2**64


def _read_prompts(folder: Path, rl: RlSettings, builder: PromptBuilder) -> tuple[list[RlPrompt], list[RlPrompt]]:
    """The questions of train people that RL may ask, and the few of dev people that the curve is drawn on."""
    records = read_records(folder, splits=("train", "dev"))
    train = [record for record in records if record.split == "train" and record.purpose in rl.purposes]
    if not train:
        raise BadInputError(
            f"{folder} holds no question of a train person with purpose={' or '.join(rl.purposes)}: give RL a share of "
            "the train questions in data.shares, or leave RL out with rl.order=[]."
        )
    prompts = [
        _prompt(record, builder, gold=record.gold if may_use_gold(record, rl.gold_fraction) else None)
        for record in train
    ]
    dev = sorted(
        (record for record in records if record.split == "dev" and record.gold is not None),
        key=lambda record: hashlib.sha256(f"dev/{record.task}/{record.record_id}".encode()).digest(),
    )
    return prompts, [_prompt(record, builder, gold=record.gold) for record in dev[: rl.dev_records]]


def _prompt(record: Record, builder: PromptBuilder, *, gold: str | None) -> RlPrompt:
    prompt = builder.build(record)
    return RlPrompt(prompt=prompt, token_ids=builder.token_ids(prompt), task=task_named(record.task), gold=gold)


def _check_room(prompts: Sequence[RlPrompt], rl: RlSettings, *, num_positions: int) -> None:
    longest = max(len(prompt.token_ids) for prompt in prompts)
    if longest + rl.max_new_tokens > num_positions:
        raise BadInputError(
            f"the longest prompt has {longest} tokens and rl.max_new_tokens={rl.max_new_tokens}, but the policy has "
            f"{num_positions} positions: lower prompt.history_tokens or rl.max_new_tokens."
        )


def _window(rl: RlSettings, tokenizer: PreTrainedTokenizerBase) -> RolloutWindow:
    assert isinstance(tokenizer.pad_token_id, int)
    return RolloutWindow(
        num_updates=rl.updates_per_window,
        max_new_tokens=rl.max_new_tokens,
        micro_batch_tokens=rl.micro_batch_tokens,
        pad_id=tokenizer.pad_token_id,
    )


def keep_rollouts(
    folder: Path, stage: str, step: int, rollouts: RolloutBatch, rewards: Rewards, advantages: Tensor
) -> None:
    """Write a window to `folder/step_<step>.parquet`; a resumed run that samples it again writes the same file."""
    rows = []
    for b, (prompt, completions, parsed) in enumerate(
        zip(rollouts.prompts, rollouts.completions, rollouts.parsed, strict=True)
    ):
        record = prompt.prompt.record
        for g, (completion, one) in enumerate(zip(completions, parsed, strict=True)):
            rows.append(
                Rollout(
                    record_id=record.record_id,
                    user_id=record.user_id,
                    task=record.task,
                    stage=stage,
                    step=step,
                    sample_index=g,
                    completion=completion.text,
                    answer=one.answer,
                    num_tokens=len(completion.token_ids),
                    truncated=completion.truncated,
                    reward_terms={name: float(values[b, g]) for name, values in rewards.terms.items()}
                    | {"g_answer": float(rewards.gate[b, g])},
                    weights=dict(rewards.weights),
                    reward=float(rewards.total[b, g]),
                    advantage=rollout_advantage(advantages[b, g], num_tokens=len(completion.token_ids)),
                    process=None if rewards.process is None else [asdict(span) for span in rewards.process.spans[b][g]],
                )
            )
    write_rollouts(folder / f"step_{step:08d}.parquet", rows)


def _asked(loader: ResumableLoader, prompts: Sequence[RlPrompt], num_steps: int, *, also: Set[int]) -> list[RlPrompt]:
    """The distinct questions of the first `num_steps` steps, and those that took the place of others."""
    places = [divmod(step, loader.steps_per_epoch) for step in range(num_steps)]
    return [prompts[i] for i in sorted({i for place in places for i in loader.indices(*place)} | also)]
