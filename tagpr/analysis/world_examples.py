"""Which simulated people a page shows, and what each would have said without slips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tagpr.data.simulated.clauses import deciding_clause
from tagpr.data.simulated.evidence import is_whole
from tagpr.data.simulated.grammar import read_facts, read_keywords
from tagpr.data.simulated.logic import FAMILIES, LOGIC_TASKS, RULES, answers, encode, write_answer
from tagpr.data.simulated.reasoning import rule_of
from tagpr.data.simulated.style import write_style
from tagpr.data.simulated.truth import true_rule
from tagpr.types import Record

MIN_LOGIC = 4  # people with a rule, where a world has few families


@dataclass(frozen=True, kw_only=True, slots=True)
class Own:
    """What a person's rule or manner says to an entry."""

    answer: str  # "" for an entry whose text no rule can read
    clause: str  # of the rule, in words, that decides; "" for manners, and where none does alone


def choose_people(records: Sequence[Record]) -> list[Record]:
    """Questions of test people: every family with a rule of some task, in turn, and a manner of every other task.

    Of each kind it is the first person whose history brings Bayes from another answer to the true one, slips left out,
    and then the first whose history holds a slip; failing that the first at all.
    """
    asked = [record for record in records if record.split == "test" and record.truth is not None]
    present = {record.truth["family"] for record in asked if record.truth}
    families = [family for family in FAMILIES if family in present]
    tasks = [task for task in LOGIC_TASKS if any(record.task == task for record in asked)]
    texts = sorted({record.task for record in asked} - set(LOGIC_TASKS))
    kinds: list[tuple[str, str | None]] = []
    if tasks and families:
        num = max(len(families), len(tasks), min(MIN_LOGIC, len(families) * len(tasks)))
        for turn in range(num):  # a second round through the families meets other tasks
            family = turn % len(families)
            kinds.append((tasks[(family + turn // len(families)) % len(tasks)], families[family]))
    chosen: list[Record] = []
    for task, family in [*kinds, *((task, None) for task in texts)]:
        own = [
            record
            for record in asked
            if record.task == task and record.truth and family in (None, record.truth["family"])
        ]
        used = {record.user_id for record in chosen}
        if own:
            chosen.append(min(own, key=lambda record: (record.user_id in used, *_rank(record))))
    return chosen


def _rank(record: Record) -> tuple[bool, bool]:
    truth = record.truth or {}
    bayes, blind = truth["bayes"]["answer"], truth["blind"]["answer"]
    return not bayes == truth["preferred"] != blind, len(truth["evidence"]) == len(record.profile)


def own_answers(record: Record) -> list[Own]:
    """Per entry of the profile; the first half of it is the older one."""
    assert record.truth is not None, "only simulated records come here"
    task, own = record.task, true_rule(record.truth)
    found = []
    for place, entry in enumerate(record.profile):
        if task not in LOGIC_TASKS:
            keywords = read_keywords(entry.input or entry.response)
            found.append(Own(answer=write_style(task, own, keywords) if len(keywords) == 2 else "", clause=""))
            continue
        facts = read_facts(task, entry.input)
        if not is_whole(task, facts):
            found.append(Own(answer="", clause=""))
            continue
        rule, older = rule_of(own), place < len(record.profile) // 2
        code = int(answers(encode(task, [facts], [older]), [RULES[task].index(rule)])[0, 0])
        clause, said = deciding_clause(task, rule, facts, older=older)
        is_alone = clause is not None and said == code
        found.append(Own(answer=write_answer(task, code, facts), clause=clause.text if clause and is_alone else ""))
    return found
