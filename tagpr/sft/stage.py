"""Chains in, a policy that writes them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tagpr.context import StageContext
from tagpr.data.prompts import PromptBuilder, PromptStyle, check_fits_context
from tagpr.errors import BadInputError
from tagpr.lm.adapter import Adapter
from tagpr.lm.backbone import Backbone
from tagpr.schema import TrainerSettings
from tagpr.sft.datamodule import collate_examples, encode_chains, make_batch, record_numbers, split_examples
from tagpr.sft.module import SftModule
from tagpr.storage import read_chains, read_records
from tagpr.training.best import BestBy
from tagpr.training.fit import fit
from tagpr.training.loader import ResumableLoader
from tagpr.training.optimizer import OptimizerSettings
from tagpr.training.rng import seed_everything


@dataclass(frozen=True, kw_only=True)
class SftSettings:
    """Built from the group `sft`."""

    steps: int
    batch_size: int  # chains per optimizer step
    micro_batch_tokens: int  # tokens that go through the model at a time
    chunk_size: int  # completion tokens whose logits exist at a time
    validate_every: int  # steps; 0: never
    dev_records: int  # most records to validate on
    keep_best: bool  # end with the weights of the lowest dev loss, not the last
    optimizer: OptimizerSettings


def run(
    *,
    backbone: Backbone,
    adapter: Adapter,
    prompt: PromptStyle,
    sft: SftSettings,
    trainer: TrainerSettings,
    inputs: Mapping[str, Path],
    output: Path,
    context: StageContext,
) -> dict[str, int | float]:
    """Fine-tune the backbone on the kept chains; writes `policy/` and `metrics.csv`.

    An epoch is a new order of the records; a record's chains follow one another in it, and a step takes the next
    `batch_size` chains, so that chains of one record meet and their prompt is encoded once. A record at the edge of a
    step may be cut: the rest of its chains open the next step.

    Returns:
        steps; tokens the loss was taken over; chains and distinct records (each spends one gold label) on either side;
        the last train and dev loss, in nats per token; with keep_best the step whose weights are written.
    Raises:
        BadInputError: no chain to train on.
    """
    seed_everything(context.seed)
    tokenizer = backbone.tokenizer()
    policy = adapter.attach(backbone.policy()).train()
    builder = PromptBuilder(style=prompt, tokenizer=tokenizer)
    # A prompt that leaves no room for any completion shows before training; longer chains are checked one by one.
    check_fits_context(builder, context_tokens=policy.config.max_position_embeddings, completion_tokens=1)
    records = {record.record_id: record for record in read_records(inputs["records"], splits=("train", "dev"))}
    examples = encode_chains(
        read_chains(inputs["chains"]),
        records,
        builder=builder,
        tokenizer=tokenizer,
        max_positions=policy.config.max_position_embeddings,
    )
    train, dev = split_examples(examples, records, num_dev_records=sft.dev_records, seed=context.seed)
    if not train:
        raise BadInputError(
            f"{inputs['chains']} holds no chain of a train person ({len(examples)} chains in all): look at the "
            "reasons in its rejected.parquet; a weaker filter or more samples per record would keep some."
        )
    sizes = {"micro_batch_tokens": sft.micro_batch_tokens, "pad_id": tokenizer.pad_token_id}
    loader = ResumableLoader(
        num_items=len(train),
        batch_size=sft.batch_size,
        collate=collate_examples(train, **sizes),
        seed=context.seed,
        groups=record_numbers(train),
    )
    module = SftModule(
        policy=policy,
        dev=make_batch(dev, **sizes) if dev else None,
        chunk_size=sft.chunk_size,
        optimizer=sft.optimizer,
        num_steps=sft.steps,
    )
    result = fit(
        module,
        loader=loader,
        num_steps=sft.steps,
        settings=trainer,
        output=output,
        context=context,
        validate_every=sft.validate_every,
        best=BestBy(metric="sft/dev_loss", higher_is_better=False) if sft.keep_best and dev else None,
    )
    adapter.save(policy, tokenizer, output, base=backbone.policy)
    seen = [divmod(step, loader.steps_per_epoch) for step in range(sft.steps)]
    return {
        "steps": result.steps,
        **({"best_step": result.best_step} if result.best_step is not None else {}),
        "completion_tokens": sum(len(train[i].completion_ids) for place in seen for i in loader.indices(*place)),
        "train_chains": len(train),
        "dev_chains": len(dev),
        "gold_labels": len({example.record_id for example in train}),
        "gold_labels_dev": len({example.record_id for example in dev}),
        "train_loss": result.final["sft/loss"],
        **({"dev_loss": result.final["sft/dev_loss"]} if "sft/dev_loss" in result.final else {}),
    }
