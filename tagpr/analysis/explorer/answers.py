"""A run's evaluated questions for a page: what each row answered, why, and whether it was right."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from tagpr.analysis.explorer.choice import Candidate, as_typed, check_name, draw, fitting, short_path
from tagpr.analysis.explorer.exhibit import BAD, GOOD, PLAIN, Card, Chip, Exhibit, Reply, Scene
from tagpr.analysis.explorer.known_truth import (
    entry_notes,
    has_wrong_reason,
    reason_chips,
    truth_of,
    truths_of,
)
from tagpr.analysis.explorer.row_answers import RowAnswers
from tagpr.analysis.explorer.tag_parts import tag_rewards, tag_settings
from tagpr.analysis.runs import Evaluation, Question, Run
from tagpr.chains.tags import parse
from tagpr.errors import UserError
from tagpr.rl.rewards.tag import TagReward
from tagpr.storage import iterate_records
from tagpr.tasks import task_named
from tagpr.types import Prediction, ProfileEntry, Prompt, Record

FILTERS = {
    "right": "every row's answer has the full score (a text: the gold's words)",
    "wrong": "some row's answer has less",
    "unreadable": "some row's answer is none that the task knows",
}
OF_SEVERAL_ROWS = {
    "disagree": "the rows' answers differ",
    "gained": "the last row scores higher than the first",
    "lost": "the last row scores lower than the first",
}
OF_SIMULATED_PEOPLE = {
    "wrong_reason": "some row's answer is what the person's rule says, but its chain states another rule or none",
    "slip": "the gold is a slip: the person's rule says otherwise",
}


def read_answers(
    run: Run, *, rows: Sequence[str] | None, decoding: str, number: int, seed: int, task: str | None, only: str | None
) -> Exhibit:
    """The page of a run.

    Args:
        rows: of its table; None: those whose policy was trained, or all where none was.
        number, seed, task, only: as in `draw` and `fitting`.
    Raises:
        UserError: a row, decoding, task or filter that is not there.
    """
    for name in rows or ():
        check_name("--rows", name, run.rows)
    trained = [name for name, row in run.rows.items() if row.stages]
    own = {name: RowAnswers(run.rows[name], decoding) for name in (rows or trained or run.rows)}
    first = next(iter(own.values()))
    asked = [key for key in first.of if all(key in one.of for one in own.values())]
    if not asked:
        raise UserError(f"The rows {', '.join(own)} answered no question in common. Name fewer with --rows.")
    num_left_out = len({key for one in own.values() for key in one.of}) - len(asked)
    if task is not None:
        check_name("--task", task, sorted({key[0] for key in asked}))
    wrong_reason, slips, simulated = _by_truth(own, set(asked))
    filters = FILTERS | (OF_SEVERAL_ROWS if len(own) > 1 else {}) | (OF_SIMULATED_PEOPLE if simulated else {})
    if only is not None:
        check_name("--only", only, filters)
    candidates = [
        Candidate(
            place=place, record_id=key[1], task=key[0], user_id=first.of[key].user_id,
            flags=frozenset(
                _flags([one.of[key] for one in own.values()])
                | {name for name, of in (("wrong_reason", wrong_reason), ("slip", slips)) if key in of}
            ),
        )
        for place, key in enumerate(asked)
    ]  # fmt: skip
    fit = fitting(candidates, task=task, only=only)
    chosen = draw(fit, number=number, seed=seed)
    wanted = {(one.task, one.record_id) for one in chosen}
    # Another arm's row may have records of its own, with other entries retrieved for the same questions.
    records = {
        folder: {(one.task, one.record_id): one for one in _records(folder, first.splits, wanted)}
        for folder in {one.records for one in own.values()}
    }
    cards, changed = _cards(run, own, chosen, records)
    warnings = []
    if num_left_out:
        warnings.append(f"{num_left_out:,} questions that only some of these rows answered are left out.")
    if changed:
        warnings.append(
            f"{changed} of the prompts show another number of entries than when they were answered: the code that "
            "builds prompts has changed since, and so may the histories here."
        )
    rl = {name: short_path(one.row.rl_stages[-1].folder) for name, one in own.items() if one.row.rl_stages}
    return Exhibit(
        kicker=f"{run.experiment} · {run.run_name} · seed {run.seed}",
        title="Why does it answer so?",
        facts={
            "rows": ", ".join(own), "decoding": decoding + _samples_said(first.evaluation),
            "people": f"{len({one.user_id for one in candidates}):,} {' and '.join(first.splits)}",
            "mean score of all questions (of those here)": _means(own, asked, wanted),
        },
        unit="questions", filters=filters, candidates=candidates,
        num_fitting=len(fit), asked=as_typed(number, seed, task, only), cards=cards,
        tags=list(dict.fromkeys(name for one in own.values() for name in one.vocabulary.names if one.thinking)),
        simulated=simulated, warnings=warnings,
        hints=[(f"What {name} was paid for", f"tagpr-explore {place}") for name, place in rl.items()],
    )  # fmt: skip


def _means(own: dict[str, RowAnswers], asked: Collection[Question], here: Collection[Question]) -> str:
    """How far the choice is from the whole."""

    def mean(one: RowAnswers, keys: Collection[Question]) -> str:
        scores = [one.of[key].score for key in keys if not math.isnan(one.of[key].score)]
        return f"{fmean(scores):.2f}" if scores else "-"

    return ", ".join(f"{name} {mean(one, asked)} ({mean(one, here)})" for name, one in own.items())


def _samples_said(evaluation: Evaluation) -> str:
    return "" if evaluation.num_samples == 1 else f", the first of {evaluation.num_samples} samples"


def _flags(given: Sequence[Prediction]) -> set[str]:
    """What the answers of all rows to one question are, first row to last."""
    flags = set() if all(one.parsed for one in given) else {"unreadable"}
    scores = [one.score for one in given]
    if not any(map(math.isnan, scores)):
        flags.add("right" if min(scores) >= 1.0 else "wrong")
        if scores[-1] != scores[0]:
            flags.add("gained" if scores[-1] > scores[0] else "lost")
    if len({one.answer for one in given}) > 1:
        flags.add("disagree")
    return flags


def _by_truth(own: dict[str, RowAnswers], asked: set[Question]) -> tuple[set[Question], set[Question], bool]:
    """Questions answered rightly for a wrong reason, those whose gold is a slip, and whether people are simulated."""
    wrong_reason: set[Question] = set()
    slips: set[Question] = set()
    simulated = False
    first = next(iter(own.values()))
    for record in _records(first.records, first.splits, asked):
        if record.truth is None:
            break  # real people: nobody knows their rules
        simulated, key = True, (record.task, record.record_id)
        if any(has_wrong_reason(record, one.of[key].completion, one.vocabulary) for one in own.values()):
            wrong_reason.add(key)
        if record.gold != record.truth["preferred"]:
            slips.add(key)
    return wrong_reason, slips, simulated


def _records(folder: Path, splits: Sequence[str], wanted: set[Question]) -> Iterator[Record]:
    return (one for one in iterate_records(folder, splits) if (one.task, one.record_id) in wanted)


def _cards(
    run: Run, own: dict[str, RowAnswers], chosen: Sequence[Candidate], records: dict[Path, dict[Question, Record]]
) -> tuple[list[Card], int]:
    """The chosen questions, and of how many prompts the number of entries is not what it was."""
    keys = [(one.task, one.record_id) for one in chosen]
    prompts = {name: [one.prompt(records[one.records][key]) for key in keys] for name, one in own.items()}
    changed = sum(
        len(prompt.history) != one.evaluation.shown.get(key, (0, len(prompt.history)))[1]
        for name, one in own.items()
        for key, prompt in zip(keys, prompts[name], strict=True)
    )
    path = run.folder / "config.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    replies = {
        name: _replies(name, one, [one.of[key] for key in keys], prompts[name], settings.get("reward") or {})
        for name, one in own.items()
    }
    cards = []
    for place, (candidate, key) in enumerate(zip(chosen, keys, strict=True)):
        same: dict[tuple[ProfileEntry, ...], list[str]] = {}
        for name in own:
            same.setdefault(tuple(prompts[name][place].history), []).append(name)
        scenes = []
        for names in same.values():
            prompt = prompts[names[0]][place]
            scenes.append(
                Scene(
                    history=prompt.history, notes=entry_notes(prompt), num_profile=len(prompt.record.profile),
                    num_cut=prompt.num_cut, num_dropped=prompt.num_dropped, beside=own[names[0]].beside.get(key, []),
                    replies=[replies[name][place] for name in names],
                )
            )  # fmt: skip
        record = next(iter(prompts.values()))[place].record
        cards.append(
            Card(chosen=candidate, said="", query=record.query, gold=record.gold, truth=truth_of(record), scenes=scenes)
        )
    return cards, changed


def _replies(
    name: str, own: RowAnswers, given: Sequence[Prediction], prompts: Sequence[Prompt], reward: dict[str, Any]
) -> list[Reply]:
    parsed = [parse(one.completion, own.vocabulary, own.thinking, task_named(one.task).is_valid) for one in given]
    tags: list[TagReward | None] = [None] * len(parsed)
    if own.thinking:
        tags = tag_rewards(parsed, prompts, own.vocabulary, tag_settings(reward))
    return [
        Reply(
            name=name, completion=one.completion, parsed=read, thinking=own.thinking,
            chips=[*_score_chips(one), *reason_chips(prompt.record, one.completion, read, own.vocabulary)],
            truths=truths_of(prompt, read), tag=tag,
        )
        for one, read, prompt, tag in zip(given, parsed, prompts, tags, strict=True)
    ]  # fmt: skip


def _score_chips(one: Prediction) -> list[Chip]:
    chips: list[Chip] = []
    if math.isnan(one.score):
        chips.append(("no gold", PLAIN))
    elif one.score >= 1.0:
        chips.append(("✓ 1.00", GOOD))
    else:
        chips.append((f"{'✗ ' if task_named(one.task).kind != 'text' else ''}{one.score:.2f}", BAD))
    if not one.parsed:
        lenient = f"; a lenient reader takes “{one.lenient_answer}”" if one.lenient_answer else ""
        chips.append((f"unreadable{lenient}", BAD))
    return chips
