"""Process reward: whether a span is true of the simulated world. An oracle; nothing real could pay it. Ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from tagpr.chains import claims
from tagpr.chains.tags import Span
from tagpr.errors import BadInputError
from tagpr.rl.reference import ReferencePolicy
from tagpr.rl.rewards.process import ProcessReward, ProcessRewards, ScoreSpans, SpanReward
from tagpr.rl.rewards.span_tokens import span_tokens, token_ends
from tagpr.rl.rollouts import RlPrompt, RolloutBatch


@dataclass(frozen=True, kw_only=True)
class SpanTruth(ProcessReward):
    """1 for a span that the world bears out, 0 for one that it does not; other spans are not judged.

    The same truth that `process_truth` measures, so a policy trained on it has no place in a table of faithfulness.
    """

    needs_reference = False

    def open(self, *, reference: ReferencePolicy | None, tokenizer: PreTrainedTokenizerBase) -> ScoreSpans:
        return TruthScorer(tokenizer=tokenizer)


class TruthScorer:
    """An opened `SpanTruth`.

    Raises (when called):
        BadInputError: a question whose truth nobody knows.
    """

    def __init__(self, *, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer

    def __call__(self, rollouts: RolloutBatch) -> ProcessRewards:
        spans = []
        for prompt, group, parsed_group in zip(rollouts.prompts, rollouts.completions, rollouts.parsed, strict=True):
            ends = token_ends(group, self.tokenizer)
            spans.append(
                [
                    [
                        SpanReward(tag=span.tag, first=first, end=end, reward=float(truth))
                        for span, (first, end), truth in zip(
                            parsed.spans, span_tokens(parsed.spans, own), span_truths(prompt, parsed.spans), strict=True
                        )
                        if truth is not None and first < end
                    ]
                    for parsed, own in zip(parsed_group, ends, strict=True)
                ]
            )
        lengths = [[len(one.token_ids) for one in group] for group in rollouts.completions]
        return ProcessRewards(spans=spans, lengths=lengths, scored_tokens=0)


def span_truths(prompt: RlPrompt, spans: Sequence[Span]) -> list[bool | None]:
    """Whether each span is true; None for tags whose claims nobody checks.

    An application is true if it follows from the rule stated up to it, be the rule the person's or not: the rule has a
    span of its own to answer for.
    """
    record, shown = prompt.prompt.record, prompt.prompt.history
    task, truth = record.task, record.truth
    if truth is None or not claims.knows(task):
        raise BadInputError(
            f"question {record.record_id} of {task} has no truth to judge spans by: advantage=segment_truth is for "
            "data=simulated. Choose advantage=segment."
        )
    found: list[bool | None] = []
    for number, span in enumerate(spans, start=1):
        match span.tag:
            case "examine_examples":
                found.append(claims.examined_truly(task, span.text, shown))
            case "identify_patterns":
                found.append(claims.pattern_holds(task, span.text, shown))
            case "infer_preference":
                found.append(claims.preference_is_true(task, span.text, truth))
            case "analyze_query":
                found.append(claims.query_read_truly(task, span.text, record.query))
            case "apply_preference":
                said = claims.read_claims(task, spans[:number])
                found.append(claims.application_follows(task, said.rule, said.applied, record.query))
            case _:
                found.append(None)
    return found
