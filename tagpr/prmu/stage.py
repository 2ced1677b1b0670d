"""Pairs in; a reward model, its calibration, its gate and its frozen reward scale out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel

from tagpr.context import StageContext
from tagpr.errors import BadInputError
from tagpr.lm.adapter import in_float32
from tagpr.lm.backbone import Backbone
from tagpr.prmu.arch import PrmuArch
from tagpr.prmu.calibration import calibrate, halves
from tagpr.prmu.card import trained_on
from tagpr.prmu.datamodule import PairData, histories_of, hold_out_queries
from tagpr.prmu.gate import Gate, no_samples
from tagpr.prmu.imported_pairs import PEOPLE, brought_people
from tagpr.prmu.judge import BestOfN, JudgedPairs, best_of_n, judge_pairs, pair_metrics, pick_metrics, swap_wins
from tagpr.prmu.model import PrmuModel
from tagpr.prmu.module import PrmuModule, PrmuObjective
from tagpr.prmu.pairs import N1, PolicySample
from tagpr.prmu.reward import People, PrmuReward, RewardReferences, ScaleSample, reference_people
from tagpr.prmu.selection import best_by, check_select_by
from tagpr.prmu.text_encoder import FrozenEncoder, TextEncoder
from tagpr.schema import TrainerSettings
from tagpr.storage import read_pairs, read_parquet, read_records, write_json, write_records
from tagpr.training.fit import fit
from tagpr.training.metrics_log import MetricsLog
from tagpr.training.optimizer import OptimizerSettings
from tagpr.training.rng import seed_everything
from tagpr.types import PreferencePair, Record


@dataclass(frozen=True, kw_only=True)
class PrmuSettings:
    """Built from the group `prmu`."""

    arch: Callable[..., PrmuArch]  # waits for hidden_size
    objective: PrmuObjective
    gate: Gate
    optimizer: OptimizerSettings
    steps: int
    block_pairs: int  # pairs that a block has at least
    blocks_per_step: int  # blocks of linked pairs per optimizer step
    blocks_per_micro_batch: int
    max_dropout: float  # largest share of history entries dropped in training
    train_entries: int  # entries of a history read in training
    max_entries: int  # the same when scoring
    max_tokens: int  # longest text
    batch_tokens: int  # padded tokens of one forward pass
    cache_texts: int  # encoded texts remembered while scoring
    seen_share: float  # queries of train people held out, for the seen-user figures
    judged_pairs: int  # most pairs of either kind that figures are made of
    validate_every: int  # steps; 0: never
    select_by: str  # which validated weights are kept: a key of SELECT_BY
    patience: int | None  # validations without better weights after which training ends; None: all steps
    reference_people: int  # v of the reward
    reference_answers: int  # y_j of the reward, where the task has labels
    calibration_bins: int

    def __post_init__(self) -> None:
        check_select_by(self.select_by, validate_every=self.validate_every, patience=self.patience)


def run(
    *,
    backbone: Backbone,
    prmu: PrmuSettings,
    trainer: TrainerSettings,
    inputs: Mapping[str, Path],
    output: Path,
    context: StageContext,
) -> dict[str, int | float]:
    """Train PRMU from the base (not from SFT, so that variants share their start); an untrained arch stays as it is.

    The weights kept are those of the best validation by `select_by`. It looks at the same dev people as calibration and
    gate: these figures are to be read as those of a model chosen on these people; test people are for claims.

    Writes `model/`, `calibration.json`, `gate.json`, `metrics.csv`.

    Returns:
        Steps, the step that was kept, pairs, gold labels used; accuracy by negative type and swap accuracy, for seen
        people (held-out questions of train people) and unseen people (dev) apart; ECE; the gate.
    Raises:
        BadInputError: no training pairs.
        GateNotMet: `prmu/gate=stop` and the gate is not met.
    """
    seed_everything(context.seed)
    brought = brought_people(inputs["pairs"])
    records = [*read_records(inputs["records"], splits=("train", "dev")), *brought]
    train, seen = hold_out_queries(read_pairs(inputs["pairs"], splits=["train"]), share=prmu.seen_share)
    unseen = read_pairs(inputs["pairs"], splits=["dev"])
    if not train:
        raise BadInputError(
            f"{inputs['pairs']} holds no training pairs: train people need questions with purpose `pairs`, and either "
            "shared queries, labels, or a policy that can be sampled (pairs.mix)."
        )
    histories, contexts = histories_of([*train, *seen, *unseen], records)
    generator = np.random.default_rng(context.seed)
    seen, unseen = (_thin(pairs, prmu.judged_pairs, generator) for pairs in (seen, unseen))
    references = _choose_people(train, records, prmu.reference_people, generator)
    body = backbone.policy().base_model
    assert isinstance(body, PreTrainedModel)
    encoder = TextEncoder(
        backbone=in_float32(body),
        tokenizer=backbone.tokenizer(),
        max_tokens=prmu.max_tokens,
        batch_tokens=prmu.batch_tokens,
    )
    arch = prmu.arch(hidden_size=encoder.hidden_size)
    model = PrmuModel(encoder=encoder, arch=arch, max_entries=prmu.max_entries)
    data = PairData(
        pairs=train,
        histories=histories,
        contexts=contexts,
        block_pairs=prmu.block_pairs,
        blocks_per_step=prmu.blocks_per_step,
        blocks_per_micro_batch=prmu.blocks_per_micro_batch,
        max_dropout=prmu.max_dropout,
        max_entries=prmu.train_entries,
        seed=context.seed,
    )

    def judge(model: PrmuModel, pairs: Sequence[PreferencePair], encode: FrozenEncoder) -> JudgedPairs:
        return judge_pairs(model, pairs, histories, contexts, chunk=prmu.blocks_per_micro_batch * 8, encode=encode)

    people = reference_people(references, records)
    samples = [
        sample
        for sample in (PolicySample(**row) for row in read_parquet(inputs["pairs"] / "samples.parquet"))
        # A task that no train person has is none that RL or this model is about.
        if sample.split == "dev" and sample.with_history and sample.task in people
    ]
    by_id = {record.record_id: record for record in records}

    def pick(model: PrmuModel, encode: FrozenEncoder) -> BestOfN:
        if not samples:
            return no_samples()
        sampled = {sample.record_id: by_id[sample.record_id] for sample in samples}
        histories = {task: [history for _, history in several] for task, several in people.items()}
        return best_of_n(model, samples, sampled, histories, encode=encode)

    def evaluate(model: PrmuModel) -> dict[str, float]:
        encode = FrozenEncoder(model.encoder, capacity=prmu.cache_texts)
        return {
            **pair_metrics(judge(model, seen, encode), prefix="prmu/seen"),
            **pair_metrics(judge(model, unseen, encode), prefix="prmu/unseen"),
            **pick_metrics(pick(model, encode), prefix="prmu/best_of_n"),
        }

    steps, best_step = 0, 0
    if arch.is_trained:
        couples = any(pair.negative_type == N1 for pair in unseen)
        best = best_by(prmu.select_by, best_of_n=bool(samples), swap_accuracy=couples)
        result = fit(
            PrmuModule(
                model=model, objective=prmu.objective, optimizer=prmu.optimizer, num_steps=prmu.steps, evaluate=evaluate
            ),
            loader=data.loader(),
            num_steps=prmu.steps,
            settings=trainer,
            output=output,
            context=context,
            validate_every=prmu.validate_every,
            best=best,
            patience=prmu.patience if best else None,
        )
        steps, best_step = result.steps, result.best_step or result.steps
    else:
        _log_once(evaluate(model.to(trainer.accelerator).eval()), output=output, context=context)
    # Lightning leaves on CPU what it has trained; calibration, gate and the reward's scale are the reward's own work.
    model.to(trainer.accelerator).eval()
    encode = FrozenEncoder(model.encoder, capacity=prmu.cache_texts)
    judged = judge(model, unseen, encode)
    calibration = _calibration(judged, num_bins=prmu.calibration_bins)
    model.temperature = calibration["temperature"]
    write_json(output / "calibration.json", calibration)

    picked = pick(model, encode)
    swaps, *couples = swap_wins(judged)
    gate = prmu.gate.check(swaps, (couples[0], couples[1]), picked, seed=context.seed)
    write_json(output / "gate.json", gate)
    gold_labels = {i for pair in train for i in (pair.record_id, pair.other_record_id) if i} if steps else set()
    if brought:  # the reward asks its reference people, whom no records stage knows
        write_records(output / PEOPLE, [by_id[i] for i in references])
    model.save_pretrained(output / "model", trained_on=trained_on(train if steps else [], records, steps=best_step))
    _references(model, prmu, references, people, samples, unseen, by_id).save(output / "model")
    prmu.gate.enforce(gate)
    figures = pair_metrics(judge(model, seen, encode), prefix="seen") | pair_metrics(judged, prefix="unseen")
    return {
        "steps": steps,
        "best_step": best_step,
        "train_pairs": len(train) if steps else 0,
        "gold_labels": len(gold_labels),
        **{name.replace("/", "_"): value for name, value in figures.items()},
        "ece": calibration["ece"] if calibration["num_pairs"] else 0.0,
        "gate_met": int(gate["met"]),
    }


def _log_once(metrics: Mapping[str, float], *, output: Path, context: StageContext) -> None:
    """metrics.csv of a model that takes no step."""
    context.checkpoints.mkdir(parents=True, exist_ok=True)
    log = MetricsLog(context.checkpoints / "metrics.jsonl", last_step=-1, writes=True)
    log.add(0, metrics)
    log.write_csv(output / "metrics.csv")


def _thin(pairs: list[PreferencePair], number: int, generator: np.random.Generator) -> list[PreferencePair]:
    """At most about `number` pairs; both directions of a couple stay together."""
    couples: dict[tuple[str, ...], list[PreferencePair]] = {}
    for pair in pairs:
        couples.setdefault((pair.negative_type, *sorted((pair.record_id, pair.other_record_id))), []).append(pair)
    keys = list(couples)
    kept: list[PreferencePair] = []
    for i in generator.permutation(len(keys)):
        if len(kept) >= number:
            break
        kept += couples[keys[i]]
    return kept


def _choose_people(
    pairs: Sequence[PreferencePair], records: Sequence[Record], number: int, generator: np.random.Generator
) -> tuple[str, ...]:
    """One record per task of up to `number` people each, named by record: people with pairs to train on, and of tasks
    without any such pair other train people, since RL asks about every task."""
    by_task: dict[str, dict[str, str]] = {}
    for pair in pairs:
        by_task.setdefault(pair.task, {}).setdefault(pair.user_id, pair.record_id)
    without: dict[str, dict[str, str]] = {}
    for record in records:
        if record.split == "train" and record.task not in by_task:
            without.setdefault(record.task, {}).setdefault(record.user_id, record.record_id)
    chosen: list[str] = []
    for people in (*by_task.values(), *without.values()):
        ids = list(people.values())
        chosen += [ids[i] for i in generator.permutation(len(ids))[:number]]
    return tuple(chosen)


def _calibration(judged: JudgedPairs, *, num_bins: int) -> dict[str, float]:
    if not judged.pairs:
        return {"temperature": 1.0, "num_pairs": 0.0}
    return calibrate(judged.margins, halves(judged.pairs), num_bins=num_bins)


def _references(
    model: PrmuModel,
    prmu: PrmuSettings,
    references: tuple[str, ...],
    people: People,
    samples: Sequence[PolicySample],
    unseen: Sequence[PreferencePair],
    records: Mapping[str, Record],
) -> RewardReferences:
    """The reward's frozen scale: from the policy's dev samples, or, without any, from the two sides of dev pairs."""
    groups: dict[str, list[str]] = {}
    for sample in samples:
        if sample.parsed:
            groups.setdefault(sample.record_id, []).append(sample.answer)
    if not groups:
        for pair in unseen:
            groups.setdefault(pair.record_id, []).extend((pair.chosen, pair.rejected))
    frozen = RewardReferences(people=references, num_answers=prmu.reference_answers, samples=())
    reward = PrmuReward(
        model=model,
        references=frozen,
        people=people,
        blind_share=0.0,
        clip=1.0,
        max_records=prmu.blocks_per_micro_batch,
        cache_texts=prmu.cache_texts,
    )
    scale: list[ScaleSample] = []
    for record_id, answers in groups.items():
        record = records[record_id]
        own, blind = reward.parts([record], [answers])
        scale += [
            ScaleSample(task=record.task, own=o, blind=b)
            for o, b in zip(own[0].tolist(), blind[0].tolist(), strict=True)
        ]
    return RewardReferences(people=references, num_answers=prmu.reference_answers, samples=tuple(scale))
