"""What is known of simulated people and of chains about them, in words. Empty for real people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tagpr.analysis.explorer.exhibit import BAD, GOOD, PLAIN, Chip
from tagpr.analysis.world_examples import own_answers
from tagpr.chains import claims
from tagpr.chains.tags import ParsedCompletion, TagVocabulary
from tagpr.data.simulated.clauses import rule_text
from tagpr.data.simulated.logic import LOGIC_TASKS
from tagpr.data.simulated.reasoning import manner, rule_of
from tagpr.evaluation.process_truth import judge
from tagpr.rl.rewards.span_truth import span_truths
from tagpr.rl.rollouts import RlPrompt
from tagpr.tasks import task_named
from tagpr.types import Prompt, Record


def is_known(record: Record) -> bool:
    return record.truth is not None and claims.knows(record.task)


def rule_words(task: str, rule: Mapping[str, Any]) -> str:
    """A rule, or a manner of writing, as chains word it."""
    return rule_text(task, rule_of(rule)) if task in LOGIC_TASKS else manner(task, rule)


def truth_of(record: Record) -> dict[str, str]:
    """The person's rule and what it says; where the gold is a slip, that too."""
    if not is_known(record):
        return {}
    assert record.truth is not None
    preferred = record.truth["preferred"]
    slip = "" if preferred == record.gold else " (the gold is a slip of the person's)"
    return {
        "the person's rule": rule_words(record.task, claims.true_rule(record.truth)),
        "the rule says": f"{preferred}{slip}",
    }


def entry_notes(prompt: Prompt) -> list[Chip]:
    """Of each entry shown: the clause of the person's rule that decides it, or that it is a slip."""
    record = prompt.record
    if not is_known(record):
        return []
    assert record.truth is not None
    notes: dict[str, Chip] = {}
    for place, (entry, own) in enumerate(zip(record.profile, own_answers(record), strict=True)):
        if place in record.truth["evidence"]:
            notes[entry.entry_id] = (f"✓ {own.clause}".strip(), GOOD)
        else:
            notes[entry.entry_id] = (f"slip: the rule says {own.answer}" if own.answer else "slip", BAD)
    return [notes[entry.entry_id] for entry in prompt.history]


def has_wrong_reason(record: Record, completion: str, vocabulary: TagVocabulary) -> bool:
    """Whether the answer is what the person's rule says, and the chain's rule is another or none."""
    return bool((judge(record, (), completion, vocabulary) or {}).get("right_wrong_reason"))


def reason_chips(record: Record, completion: str, parsed: ParsedCompletion, vocabulary: TagVocabulary) -> list[Chip]:
    """What there is to say of a chain's reasoning; nothing where it has no spans or nobody knows."""
    found = judge(record, (), completion, vocabulary)
    if found is None:
        return []
    rule = claims.read_claims(record.task, parsed.spans).rule
    if rule is None:
        chips: list[Chip] = [("states no whole rule", PLAIN)]
    elif found["rule_match"]:
        chips = [("the person's rule", GOOD)]
    else:
        chips = [(f"another rule: {rule_words(record.task, rule)}", BAD)]
    if found["right_wrong_reason"]:
        chips.append(("right answer, wrong reason", BAD))
    if found["wrong_right_reason"]:
        chips.append(("not what the person's rule says", BAD))
    if not found["answer_follows"]:
        chips.append(("answers otherwise than the chain concludes", BAD))
    return chips


def truths_of(prompt: Prompt, parsed: ParsedCompletion) -> Sequence[bool | None]:
    """Whether each span is true; () where nobody knows."""
    if not is_known(prompt.record):
        return ()
    asked = RlPrompt(prompt=prompt, token_ids=[], task=task_named(prompt.record.task), gold=None)
    return span_truths(asked, parsed.spans)
