"""The evaluate stage: one policy under one decoding rule, on test people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from tagpr import storage
from tagpr.chains.tags import TagVocabulary
from tagpr.context import StageContext, StopRequested
from tagpr.data.lamp_files import OFFICIAL_NAMES
from tagpr.data.prompts import PromptBuilder, PromptStyle, check_fits_context
from tagpr.evaluation.asked import AskedPeople
from tagpr.evaluation.predict import predict
from tagpr.evaluation.references import population_modes, references
from tagpr.evaluation.ridge import fit_ridge
from tagpr.evaluation.samples import mean_of_metrics, mean_over_questions
from tagpr.evaluation.shown import ShownHistory, shown_history
from tagpr.lm.backbone import Backbone, load_tokenizer
from tagpr.lm.generation.base import Sampling
from tagpr.schema import Decoding
from tagpr.tasks import task_named
from tagpr.types import Prediction, Prompt, Record, Reference

# Records per generation call: a killed evaluation loses at most one chunk.
CHUNK = 512


def run(
    *,
    prompt: PromptStyle,
    tags: TagVocabulary,
    engine: Any,
    backbone: Backbone,
    decoding: Decoding,
    evaluation: AskedPeople,
    inputs: Mapping[str, Path],
    output: Path,
    context: StageContext,
) -> dict[str, int | float]:
    """Predictions as Parquet and in LaMP's form, reference answers, what the prompts showed, scores per task.

    A task whose golds are withheld is not scored: its predictions are a submission, `submission/<task>.json`, if every
    test question was asked.

    Args:
        engine: partial of a RolloutEngine that takes the tokenizer.
        inputs: records, and `policy` unless the backbone itself is evaluated.
    """
    if "policy" in inputs:
        policy = inputs["policy"] / "policy"
        model, tokenizer = backbone.load(policy), load_tokenizer(policy)
    else:
        model, tokenizer = backbone.policy(), backbone.tokenizer()
    records = storage.read_records(inputs["records"], evaluation.splits)
    num_known = len(records)
    if evaluation.max_records is not None:
        records = spread(records, evaluation.max_records)
    if evaluation.entries is not None:
        records = [replace(record, retrieved=record.retrieved[: evaluation.entries]) for record in records]
    builder = PromptBuilder(style=prompt, tokenizer=tokenizer)
    check_fits_context(
        builder, context_tokens=model.config.max_position_embeddings, completion_tokens=decoding.max_new_tokens
    )
    prompts = [builder.build(record) for record in records]
    sampling = Sampling(
        temperature=decoding.temperature,
        top_p=decoding.top_p,
        top_k=decoding.top_k,
        max_new_tokens=decoding.max_new_tokens,
    )
    name = "greedy" if decoding.temperature == 0 else "sample"
    rollouts = engine(tokenizer=tokenizer)
    model = rollouts.place(model)
    predictions: list[Prediction] = []
    num_truncated = 0
    with context.progress(context.stage, len(prompts) * decoding.num_samples) as advance:
        for start in range(0, len(prompts), CHUNK):
            if context.stop.is_set():
                raise StopRequested
            part = prompts[start : start + CHUNK]
            done = context.checkpoints / f"predictions_{start:06d}.parquet"
            counted = context.checkpoints / f"truncated_{start:06d}.json"
            if done.exists() and counted.exists():
                chunk, truncated = storage.read_predictions(done), int(storage.read_json(counted)["truncated"])
                advance(len(chunk))
            else:
                chunk, truncated = predict(
                    model, part, builder=builder, engine=rollouts, tags=tags, sampling=sampling,
                    num_samples=decoding.num_samples, decoding=name, seed=context.seed + start, on_done=advance,
                )  # fmt: skip
                storage.write_predictions(done, chunk)
                storage.write_json(counted, {"truncated": truncated})
            predictions += chunk
            num_truncated += truncated
    modes = population_modes(storage.iterate_records(inputs["records"], ["train"]))
    raters = fit_ridge(storage.iterate_records(inputs["records"], ["train"]))
    beside = [reference for each in prompts for reference in references(each, modes, raters)]
    storage.write_predictions(output / "predictions.parquet", predictions)
    storage.write_references(output / "references.parquet", beside)
    storage.write_parquet(output / "shown.parquet", [shown_history(each) for each in prompts], ShownHistory)
    _write_shown(output / "shown_entries.json", prompts)
    withheld = {p.task for p in predictions} - {p.task for p in predictions if p.gold is not None}
    for name in sorted({p.task for p in predictions}):
        whole = name in withheld and len(records) == num_known
        _write_lamp_form(output / ("submission" if whole else "predictions"), name, predictions)
    scores = {
        "decoding": name, "num_samples": decoding.num_samples, "tasks": task_scores(predictions, beside, prompts),
        "truncated": num_truncated / max(len(predictions), 1),
    }  # fmt: skip
    storage.write_json(output / "scores.json", scores)
    return {
        "records": len(records), "people": len({record.user_id for record in records}), "predictions": len(predictions),
        "truncated": num_truncated, "unparsed": sum(not p.parsed for p in predictions),
    }  # fmt: skip


def spread(records: Sequence[Record], limit: int) -> list[Record]:
    """At most `limit` records in their order, taken at even steps within each task.

    Steps over all records would be out of step with nothing where each person has the same questions: every sixth
    record is always of one task.
    """
    if len(records) <= limit:
        return list(records)
    by_task = sorted(range(len(records)), key=lambda i: records[i].task)
    return [records[i] for i in sorted(by_task[n * len(records) // limit] for n in range(limit))]


def task_scores(
    predictions: Sequence[Prediction], beside: Sequence[Reference], prompts: Sequence[Prompt]
) -> dict[str, dict[str, Any]]:
    """Per task: official metrics (strict and lenient), mean score, parse failures, references, what the prompts
    showed.

    With several samples per question metrics are means over samples, scores means over questions of the mean over
    samples, and `samples` says what the best sample is worth (`best_of_n`) and how far samples spread.
    """
    result: dict[str, dict[str, Any]] = {}
    for name in sorted({p.task for p in predictions}):
        task = task_named(name)
        own = [p for p in predictions if p.task == name]
        scored = [p for p in own if p.gold is not None]
        rounds = [[p for p in scored if p.sample_index == index] for index in sorted({p.sample_index for p in scored})]
        shown = [prompt for prompt in prompts if prompt.record.task == name]
        known = [r for r in beside if r.task == name and r.gold is not None]
        result[name] = {
            "n": len({p.record_id for p in own}), "golds": len({p.record_id for p in scored}),
            "people": len({p.user_id for p in own}),
            "parse_failures": fmean(not p.parsed for p in own),
            "history": {
                "entries_in_profile": fmean(len(prompt.record.profile) for prompt in shown),
                "entries_retrieved": fmean(len(prompt.record.retrieved) for prompt in shown),
                "entries_shown": fmean(len(prompt.history) for prompt in shown),
                "entries_cut": fmean(prompt.num_cut for prompt in shown),
                "entries_dropped": fmean(prompt.num_dropped for prompt in shown),
                "characters_shown": _share_of_characters(shown),
            },
        }  # fmt: skip
        if not scored:
            result[name]["note"] = "no golds: the data withhold them, so there is nothing to score"
            continue
        result[name] |= {
            "metrics": mean_of_metrics(
                [task.metrics([p.answer for p in one], [p.gold or "" for p in one]) for one in rounds]
            ),
            "lenient_metrics": mean_of_metrics(
                [task.metrics([p.lenient_answer for p in one], [p.gold or "" for p in one]) for one in rounds]
            ),
            "score": fmean(p.score for p in scored),
            "lenient_score": fmean(p.lenient_score for p in scored),
            "references": {
                reference: {
                    "score": fmean(r.score for r in known if r.name == reference),
                    "metrics": task.metrics(
                        [r.answer for r in known if r.name == reference],
                        [r.gold or "" for r in known if r.name == reference],
                    ),
                }
                for reference in dict.fromkeys(r.name for r in known)
            },
        }
        if len(rounds) > 1:
            by_question: dict[str, list[float]] = {}
            for p in scored:
                by_question.setdefault(p.record_id, []).append(p.score)
            result[name]["samples"] = mean_over_questions(by_question)
    return result


def _write_shown(path: Path, prompts: Sequence[Prompt]) -> None:
    """{task: {record: positions in its profile of the entries shown}} of people whose truth is known: what their
    reasoning is checked against."""
    shown: dict[str, dict[str, list[int]]] = {}
    for prompt in prompts:
        if prompt.record.truth is not None:
            shown.setdefault(prompt.record.task, {})[prompt.record.record_id] = shown_positions(prompt)
    if shown:
        storage.write_json(path, shown)


def shown_positions(prompt: Prompt) -> list[int]:
    """Positions in the record's profile of the entries that the prompt shows: entry number k is the k-th of them."""
    position = {entry.entry_id: index for index, entry in enumerate(prompt.record.profile)}
    return [position[entry.entry_id] for entry in prompt.history]


def _share_of_characters(prompts: Sequence[Prompt]) -> float:
    """How much of the people's whole histories stands in the prompts, by characters."""
    whole = sum(len(e.input) + len(e.response) for prompt in prompts for e in prompt.record.profile)
    shown = sum(len(e.input) + len(e.response) for prompt in prompts for e in prompt.history)
    return shown / whole if whole else 0.0


def _write_lamp_form(folder: Path, name: str, predictions: Sequence[Prediction]) -> None:
    """`<task>.json` as the official evaluator takes it; of several samples the first."""
    golds = [{"id": p.record_id, "output": p.answer} for p in predictions if p.task == name and p.sample_index == 0]
    storage.write_json(folder / f"{name}.json", {"task": OFFICIAL_NAMES.get(name, name), "golds": golds})
