"""Is the reasoning true? Chains about simulated people, checked against the world; nothing is generated.

Ours (O). Every figure is of one question, and a figure that does not exist for it is left out:

| figure | value |
|---|---|
| rule_match | the inferred rule or manner is the person's, in every part; 0 where none is stated |
| evidence_f1 | F1 of the cited entries against the shown ones that follow the person's rule; absent: none shown |
| application | the answer that the chain comes to is what its stated rule says of the query; absent: no rule stated |
| answer_follows | the answer is what the chain came to; 0 where it comes to nothing |
| right_wrong_reason | the answer is right and the rule is not |
| wrong_right_reason | the rule is right and the answer is not |
| true_examined, true_patterns | share of the tag's spans that the cited entries bear out; absent: no such span |
| true_query | share of the query's readings that it bears out; absent: no such span |

An answer is *right* here if it is what the person's rule says, without the noise of golds: a person's slip is no
reason. A teacher that cites four of six entries can reach an F1 of .80 at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from tagpr.chains import claims
from tagpr.chains.tags import Span, TagVocabulary, parse
from tagpr.data.simulated.logic import LOGIC_TASKS, RULES
from tagpr.data.simulated.observer import posterior
from tagpr.types import ProfileEntry, Record

FIGURES: Mapping[str, str] = {
    "rule_match": "the inferred rule or manner is the person's own, in every part",
    "evidence_f1": "cited entries against the shown ones that follow the person's rule, F1",
    "application": "what the chain comes to is what its stated rule says of the query",
    "answer_follows": "the answer is what the chain came to",
    "right_wrong_reason": "share of questions with the right answer and another rule than the person's",
    "wrong_right_reason": "share of questions with the person's rule and another answer than it gives",
    "true_examined": "share of `examine_examples` spans whose cited entries hold what is said of them",
    "true_patterns": "share of `identify_patterns` spans whose regularity holds in all cited entries",
    "true_query": "share of `analyze_query` spans that read the query as it is",
}


def judge(record: Record, shown: Sequence[int], completion: str, vocabulary: TagVocabulary) -> dict[str, float] | None:
    """Figures of one completion; None where it has no tagged span.

    Args:
        record: of a simulated person.
        shown: positions in its profile of the entries shown, entry number k being the k-th.
    """
    parsed = parse(completion, vocabulary, True)
    if not parsed.spans or record.truth is None or not claims.knows(record.task):
        return None
    truth = record.truth
    entries = [record.profile[position] for position in shown]
    said = claims.read_claims(record.task, parsed.spans)
    right_rule = said.rule == claims.true_rule(truth)
    right_answer = parsed.answer == truth["preferred"]
    figures = {
        "rule_match": float(right_rule),
        "answer_follows": float(parsed.answer == said.applied),
        "right_wrong_reason": float(right_answer and not right_rule),
        "wrong_right_reason": float(right_rule and not right_answer),
    }
    evidence = {number for number, position in enumerate(shown, start=1) if position in set(truth["evidence"])}
    if evidence:
        # 2 |cited & evidence| / (|cited| + |evidence|): F1 of two sets.
        cited = set(said.cited)
        figures["evidence_f1"] = 2 * len(cited & evidence) / (len(cited) + len(evidence))
    if said.rule is not None:
        figures["application"] = float(claims.application_follows(record.task, said.rule, said.applied, record.query))
    return figures | _span_truths(record, parsed.spans, entries)


def best_rule_match(record: Record, shown: Sequence[int]) -> dict[str, float]:
    """`rule_match` of an observer who knows the world and believes the likeliest rule, or the likeliest value of each
    part of a manner, given the shown entries."""
    assert record.truth is not None, "only simulated records have a rule"
    beliefs = posterior(record, [record.profile[position] for position in shown])
    likeliest = {name: int(chances.argmax()) for name, chances in beliefs.items()}
    believed = RULES[record.task][likeliest["rule"]].as_json() if record.task in LOGIC_TASKS else likeliest
    return {"rule_match": float(believed == claims.true_rule(record.truth))}


def _span_truths(record: Record, spans: Sequence[Span], entries: Sequence[ProfileEntry]) -> dict[str, float]:
    task = record.task

    def texts(tag: str) -> list[str]:
        return [span.text for span in spans if span.tag == tag]

    found = {
        "true_examined": [claims.examined_truly(task, text, entries) for text in texts("examine_examples")],
        "true_patterns": [claims.pattern_holds(task, text, entries) for text in texts("identify_patterns")],
        "true_query": [claims.query_read_truly(task, text, record.query) for text in texts("analyze_query")],
    }
    return {name: fmean(truths) for name, truths in found.items() if truths}
