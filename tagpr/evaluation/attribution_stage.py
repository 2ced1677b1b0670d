"""The attribution stage: one policy's own chains on test questions, each edited step by step and answered again."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tagpr import storage
from tagpr.chains.tags import TagVocabulary, parse
from tagpr.context import StageContext, StopRequested
from tagpr.data.prompts import PromptBuilder, PromptStyle, check_fits_context
from tagpr.evaluation.attribution import (
    REWRITING,
    UNEDITED,
    AttributedAnswer,
    Chain,
    Donors,
    Edit,
    edits_of,
    read_chain,
)
from tagpr.evaluation.attribution_effects import effects, effects_as_json
from tagpr.evaluation.predict import read_completion
from tagpr.evaluation.stage import spread
from tagpr.lm.backbone import Backbone, load_tokenizer
from tagpr.lm.generation.base import RolloutEngine, Sampling
from tagpr.schema import AttributionSettings, EvaluatedPeople
from tagpr.tasks import task_named
from tagpr.types import Prediction, Prompt

# Questions per generation call: a killed stage loses at most one chunk of either pass.
CHUNK, EDITED_CHUNK = 512, 64
# An answer behind a forced chain may be twice as long as the longest that the policy gave by itself, and a little more.
ANSWER_FACTOR, ANSWER_SLACK = 2, 8


def run(
    *,
    prompt: PromptStyle,
    tags: TagVocabulary,
    engine: Any,
    backbone: Backbone,
    attribution: AttributionSettings,
    evaluation: EvaluatedPeople,
    inputs: Mapping[str, Path],
    output: Path,
    context: StageContext,
) -> dict[str, int | float]:
    """attribution.parquet (a row per question, tag and edit), attribution.json (effects), predictions.parquet.

    Where chains have no tags there is nothing to attribute: the files are written empty and say so.

    Args:
        engine: partial of a RolloutEngine that takes the tokenizer.
        inputs: records and policy.
    """
    if not len(tags) or not prompt.thinking:
        reason = "the chains have no tags" if prompt.thinking else "the policy answers without thinking"
        return _write(output, [], [], {"why_none": reason})
    policy = inputs["policy"] / "policy"
    model, tokenizer = backbone.load(policy), load_tokenizer(policy)
    records = storage.read_records(inputs["records"], evaluation.splits)
    limit = attribution.max_records
    records = records if limit is None else spread(records, limit)
    builder = PromptBuilder(style=prompt, tokenizer=tokenizer)
    check_fits_context(
        builder, context_tokens=model.config.max_position_embeddings, completion_tokens=attribution.max_new_tokens
    )
    prompts = [builder.build(record) for record in records]
    rollouts: RolloutEngine = engine(tokenizer=tokenizer)
    attributer = _Attributer(
        model=rollouts.place(model), tokenizer=tokenizer, builder=builder, engine=rollouts, tags=tags,
        max_new_tokens=attribution.max_new_tokens, context=context,
    )  # fmt: skip
    with context.progress(context.stage, 2 * len(prompts)) as advance:
        predictions, as_written = attributer.own_answers(prompts, advance)
        chains = [_chain_of(one, tags) for one in predictions]
        left_out = Counter(
            "no_spans" if "</think>" in one.completion else "no_thinking_block"
            for one, chain in zip(predictions, chains, strict=True)
            if chain is None
        )
        donors = Donors(
            (one.task, one.user_id, one.record_id, chain)
            for one, chain in zip(predictions, chains, strict=True)
            if chain is not None
        )
        longest = max((len(attributer.ids(one.answer)) for one in predictions if one.parsed), default=0)
        answers: list[AttributedAnswer] = []
        for start in range(0, len(prompts), EDITED_CHUNK):
            part = slice(start, start + EDITED_CHUNK)
            answers += attributer.edited_answers(
                prompts[part], predictions[part], chains[part], donors=donors, start=start,
                answer_tokens=min(attribution.max_new_tokens, ANSWER_FACTOR * longest + ANSWER_SLACK),
            )  # fmt: skip
            advance(len(prompts[part]))
    control = [one for one in answers if one.edit == UNEDITED]
    about = {
        "questions": len(predictions), "left_out": dict(left_out),
        # Chains whose text, tokenised anew, is other tokens than the policy wrote: they are forced as the former.
        "other_tokens": len(predictions) - as_written,
        # Forced and unedited, the chain should lead to the policy's own answer.
        "unedited_changed": sum(one.changed for one in control),
    }  # fmt: skip
    return _write(output, predictions, answers, about)


@dataclass(frozen=True, kw_only=True)
class _Attributer:
    """The policy with all that it takes to ask it."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    builder: PromptBuilder
    engine: RolloutEngine
    tags: TagVocabulary
    max_new_tokens: int
    context: StageContext

    def ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]  # type: ignore[return-value]

    def own_answers(self, prompts: Sequence[Prompt], advance: Any) -> tuple[list[Prediction], int]:
        """Greedy completions, and how many of them are the tokens that their text is tokenised to."""
        predictions: list[Prediction] = []
        num_as_written = 0
        for start in range(0, len(prompts), CHUNK):
            self._check_stop()
            part = prompts[start : start + CHUNK]
            done = self.context.checkpoints / f"own_{start:06d}.parquet"
            counted = self.context.checkpoints / f"own_{start:06d}.json"
            if done.exists() and counted.exists():
                chunk, as_written = storage.read_predictions(done), int(storage.read_json(counted)["as_written"])
                advance(len(chunk))
            else:
                drawn = self.engine.generate(
                    self.model, [self.builder.token_ids(prompt) for prompt in part], num_samples=1,
                    sampling=_greedy(self.max_new_tokens), seed=0, on_done=advance,
                )  # fmt: skip
                chunk = [
                    read_completion(prompt, one, tags=self.tags, decoding="greedy", sample_index=0)
                    for prompt, (one,) in zip(part, drawn, strict=True)
                ]
                as_written = 0
                for (one,) in drawn:
                    again = self.ids(one.text)
                    as_written += again == list(one.token_ids[: len(again)])
                storage.write_predictions(done, chunk)
                storage.write_json(counted, {"as_written": as_written})
            predictions += chunk
            num_as_written += as_written
        return predictions, num_as_written

    def edited_answers(
        self,
        prompts: Sequence[Prompt],
        predictions: Sequence[Prediction],
        chains: Sequence[Chain | None],
        *,
        donors: Donors,
        start: int,
        answer_tokens: int,
    ) -> list[AttributedAnswer]:
        """Rows of one chunk of questions; read from its checkpoint where there is one."""
        self._check_stop()
        done = self.context.checkpoints / f"edited_{start:06d}.parquet"
        if done.exists():
            return [AttributedAnswer(**row) for row in storage.read_parquet(done)]
        edits = [
            []
            if chain is None
            else edits_of(
                chain, task=one.task, user_id=one.user_id, donors=donors,
                seed=f"{self.context.seed}/{one.task}/{one.record_id}",
            )
            for one, chain in zip(predictions, chains, strict=True)
        ]  # fmt: skip
        fixed = [[one for one in own if one.edit not in REWRITING] for own in edits]
        rewritten = [[one for one in own if one.edit in REWRITING] for own in edits]
        texts = self._write_on(prompts, fixed, answer_tokens) | self._write_on(prompts, rewritten, self.max_new_tokens)
        rows = [
            row
            for position, (prompt, own) in enumerate(zip(prompts, edits, strict=True))
            for row in self._rows(prompt, predictions[position], own, texts, position)
        ]
        storage.write_parquet(done, rows, AttributedAnswer)
        return rows

    def _write_on(
        self, prompts: Sequence[Prompt], edits: Sequence[Sequence[Edit]], max_new_tokens: int
    ) -> dict[tuple[int, str, bool], str | None]:
        """(question, prefix, rewriting) -> the prefix with what the policy wrote behind it; None where it does not fit.

        Edits that come to the same prefix are asked once.
        """
        wanted = {
            (position, one.prefix, one.edit in REWRITING): None
            for position, own in enumerate(edits)
            for one in own
            if not one.why_not
        }
        heads = [self.builder.token_ids(prompt) for prompt in prompts]
        asked = {key: heads[key[0]] + self.ids(key[1]) for key in wanted}
        room = self.model.config.max_position_embeddings - max_new_tokens
        fitting = {key: ids for key, ids in asked.items() if len(ids) <= room}
        drawn = self.engine.generate(
            self.model, list(fitting.values()), num_samples=1, sampling=_greedy(max_new_tokens), seed=0
        )
        return wanted | {key: key[1] + one.text for key, (one,) in zip(fitting, drawn, strict=True)}

    def _rows(
        self,
        prompt: Prompt,
        own: Prediction,
        edits: Sequence[Edit],
        texts: Mapping[tuple[int, str, bool], str | None],
        position: int,
    ) -> list[AttributedAnswer]:
        task = task_named(prompt.record.task)
        rows: list[AttributedAnswer] = []
        before_answer, before_score = own.answer, own.score
        for edit in edits:
            text = texts[position, edit.prefix, edit.edit in REWRITING] if not edit.why_not else None
            if text is None:
                rows.append(_row(own, edit, why_not=edit.why_not or "too_long"))
                continue
            parsed = parse(text, self.tags, True, task.is_valid)
            score = math.nan if own.gold is None else task.score(parsed.answer, own.gold)
            rows.append(
                _row(
                    own, edit, completion=text, answer=parsed.answer, parsed=task.is_valid(parsed.answer),
                    changed=parsed.answer != before_answer, score_change=score - before_score,
                    written_again=any(s.tag == edit.tag and s.start >= len(edit.prefix) for s in parsed.spans),
                )
            )  # fmt: skip
            if edit.edit == UNEDITED:  # the first: all others are compared with it
                before_answer, before_score = parsed.answer, score
        return rows

    def _check_stop(self) -> None:
        if self.context.stop.is_set():
            raise StopRequested


def _row(own: Prediction, edit: Edit, **found: Any) -> AttributedAnswer:
    nothing = {
        "why_not": "", "completion": "", "answer": "", "parsed": False, "changed": False, "score_change": math.nan,
        "written_again": False,
    }  # fmt: skip
    return AttributedAnswer(
        record_id=own.record_id, user_id=own.user_id, task=own.task, tag=edit.tag, edit=edit.edit, **(nothing | found)
    )


def _greedy(max_new_tokens: int) -> Sampling:
    return Sampling(temperature=0.0, top_p=1.0, top_k=0, max_new_tokens=max_new_tokens)


def _chain_of(prediction: Prediction, tags: TagVocabulary) -> Chain | None:
    is_valid = task_named(prediction.task).is_valid
    return read_chain(prediction.completion, parse(prediction.completion, tags, True, is_valid))


def _write(
    output: Path, predictions: Sequence[Prediction], answers: Sequence[AttributedAnswer], about: Mapping[str, Any]
) -> dict[str, int | float]:
    storage.write_predictions(output / "predictions.parquet", predictions)
    storage.write_parquet(output / "attribution.parquet", answers, AttributedAnswer)
    found = effects(((0, one) for one in answers), nested=False)
    storage.write_json(output / "attribution.json", {**about, "effects": effects_as_json(found)})
    return {
        "records": len(predictions), "people": len({one.user_id for one in predictions}), "answers": len(answers),
        "not_applied": sum(bool(one.why_not) for one in answers),
    }  # fmt: skip
