"""Records and the SFT policy in, preference pairs out."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tagpr.chains.tags import TagVocabulary
from tagpr.context import StageContext
from tagpr.data.prompts import PromptBuilder, PromptStyle, check_fits_context
from tagpr.data.retrieval import Retriever
from tagpr.errors import UserError
from tagpr.lm.backbone import Backbone, load_tokenizer
from tagpr.lm.generation.base import RolloutEngine, Sampling
from tagpr.markup import escape
from tagpr.prmu.pairs.account import accounts_as_counts, length_balance, write_page
from tagpr.prmu.pairs.answering import Answering, Lending
from tagpr.prmu.pairs.base import N1, N1_LABEL, N5, PolicySample, split_queries
from tagpr.prmu.pairs.making import PairMaker, PairSettings
from tagpr.prmu.shortcuts import SEES_THE_PERSON, shortcut_report
from tagpr.storage import iterate_records, write_json, write_pairs, write_parquet
from tagpr.tasks import ALL_TASKS
from tagpr.types import PreferencePair, Record


class ShortcutWarning(UserWarning):
    """A rule that does not weigh the person wins too often on pairs."""


class ShortcutError(UserError):
    """The same on simulated pairs, which are ours to make without shortcuts."""


def run(
    *,
    backbone: Backbone,
    prompt: PromptStyle,
    tags: TagVocabulary,
    engine: Callable[..., RolloutEngine],
    retrieval: Retriever,
    pairs: PairSettings,
    inputs: Mapping[str, Path],
    output: Path,
    context: StageContext,
) -> dict[str, int | float]:
    """Make pairs of train people's `pairs` questions and, apart, of dev people's.

    Writes `train.parquet`, `dev.parquet`, `samples.parquet` (the policy's answers with their scores), `pairs.json`
    (what was asked, made, kept and dropped by type and split; lengths; shortcuts) and `pairs.md`, the same to read.

    Returns:
        Pairs per type and split: kept, asked, made, dropped by reason; samples and how many could be read; distinct
        gold labels of train people that were looked at.
    Raises:
        ShortcutError: on simulated people, a model that does not weigh the person wins N1 or N2 pairs too often.
    """
    generator = np.random.default_rng(context.seed)
    policy_folder = inputs["sft"] / "policy"
    tokenizer = load_tokenizer(policy_folder)
    model = backbone.load(policy_folder)
    builder = PromptBuilder(style=prompt, tokenizer=tokenizer)
    check_fits_context(
        builder, context_tokens=model.config.max_position_embeddings, completion_tokens=pairs.max_new_tokens
    )
    rollouts = engine(tokenizer=tokenizer)
    answering = Answering(
        engine=rollouts,
        model=rollouts.place(model),
        builder=builder,
        vocabulary=tags,
        sampling=Sampling(temperature=pairs.temperature, top_p=1.0, top_k=0, max_new_tokens=pairs.max_new_tokens),
        context=context,
    )

    @cache
    def length(answer: str) -> int:
        return len(tokenizer(answer, add_special_tokens=False)["input_ids"])

    train, dev = split_queries(
        [r for r in iterate_records(inputs["records"], ["train"]) if r.purpose == "pairs" and r.gold is not None],
        [r for r in iterate_records(inputs["records"], ["dev"]) if r.gold is not None],
        dev_share=pairs.dev_query_share,
    )
    maker = PairMaker(settings=pairs, answering=answering, train=train, length=length, generator=generator)

    def lending(people: Sequence[Record]) -> Lending:
        return Lending(
            people,
            builder=builder,
            retriever=retrieval,
            candidates=pairs.lender_candidates,
            length_band=pairs.length_band,
            seed=context.seed,
        )

    made = {
        "train": maker.make(train, lending(train), prompts=pairs.max_prompts, samples=pairs.samples),
        "dev": maker.make(dev, lending(dev), prompts=pairs.dev_prompts, samples=pairs.dev_samples),
    }
    samples = [sample for split in made.values() for sample in split.samples]
    write_pairs(output, [pair for split in made.values() for pair in split.pairs])
    write_parquet(output / "samples.parquet", samples, PolicySample)
    shortcuts = shortcut_report(
        made["train"].pairs,
        made["dev"].pairs,
        records={record.record_id: record for record in (*train, *dev)},
        samples=samples,
        limit=pairs.shortcut_limit,
    )
    report = {
        "accounts": {s: {kind: asdict(one) for kind, one in of.accounts.items()} for s, of in made.items()},
        "lengths": {split: length_balance(of.pairs, length=length) for split, of in made.items()},
        "kinds": {split: of.kinds for split, of in made.items()},
        "prompts": {f"{split} {shown}": n for split, of in made.items() for shown, n in of.prompts.items()},
        "gold_labels": num_golds(train, made["train"].pairs, samples, mix=pairs.mix),
        "shortcuts": shortcuts,
    }
    write_json(output / "pairs.json", report)
    (output / "pairs.md").write_text(write_page(report), encoding="utf-8")
    judge_shortcuts(shortcuts, simulated=any(record.truth is not None for record in train))
    return {
        **accounts_as_counts({split: of.accounts for split, of in made.items()}),
        "samples": len(samples),
        "samples_parsed": sum(sample.parsed for sample in samples),
        "gold_labels": report["gold_labels"],
    }


def num_golds(
    train: Sequence[Record],
    pairs: Sequence[PreferencePair],
    samples: Sequence[PolicySample],
    *,
    mix: Mapping[str, float],
) -> int:
    """Distinct golds of train people that this stage looked at, whether or not a pair was kept of them.

    Those of the pairs' records, of either person's; of scored samples; of all that are compared with one another (N1),
    counted (N1_label: labels) or drawn from (N5: texts).
    """
    used = {i for pair in pairs for i in (pair.record_id, pair.other_record_id) if i}
    used |= {sample.record_id for sample in samples}
    num_asked = Counter((record.task, escape(record.query)) for record in train)

    def looked_at(record: Record) -> bool:
        pooled = mix[N1_LABEL] if ALL_TASKS[record.task].labels else mix[N5]
        compared = mix[N1] > 0 and num_asked[record.task, escape(record.query)] > 1
        return record.record_id in used or pooled > 0 or compared

    return len({(record.task, record.record_id) for record in train if looked_at(record)})


def judge_shortcuts(report: Mapping[str, Any], *, simulated: bool) -> None:
    """Stop where simulated pairs can be won without the person; say so where real ones can.

    Overlap with the history does see the person, and in the simulated world repetition is part of what taste is: there
    it stands in the report alone.
    """
    at_fault = [line for line in report["exceeded"] if not (simulated and line.startswith(SEES_THE_PERSON))]
    if not at_fault:
        return
    message = (
        f"Pairs that are about the person can be won by a simple model: {'; '.join(at_fault)}; expected at "
        f"most {report['limit']}. PRMU could learn that instead of taste. pairs.md shows where pairs went; a type can "
        "be left out (pairs.mix.N2=0), and a higher limit accepted (pairs.shortcut_limit=0.8)."
    )
    if simulated:
        raise ShortcutError(message)
    warnings.warn(message, ShortcutWarning, stacklevel=2)
