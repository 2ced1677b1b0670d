"""A trained PRMU over other people's answers, in chunks: what `tagpr-prmu score` writes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from tagpr.markup import escape
from tagpr.prmu.model import PrmuModel
from tagpr.prmu.person_files import AnswerLine, iterate_answers, read_histories
from tagpr.prmu.text_encoder import FrozenEncoder
from tagpr.prmu.texts import query_context, user_history

CACHED_TEXTS = 20_000


def score_file(
    model: PrmuModel,
    *,
    answers: Path,
    histories: Path,
    output: Path,
    task: str | None,
    chunk: int,
    advance: Callable[[int], None],
) -> int:
    """Score every line of `answers` into `output`, which appears whole or not at all. Returns how many lines.

    Raises:
        BadInputError: a damaged line in either file.
    """
    known = read_histories(histories)
    lines = iterate_answers(answers, known, source=histories, task=task)
    temporary = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    written = 0
    try:
        with temporary.open("w", encoding="utf-8") as file:
            for scored in score_lines(model, lines, chunk=chunk):
                file.write(json.dumps(scored, ensure_ascii=False) + "\n")
                written += 1
                advance(1)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)
    return written


def score_lines(model: PrmuModel, lines: Iterable[AnswerLine], *, chunk: int) -> Iterator[dict[str, Any]]:
    """Each line's own fields and what PRMU says.

    `score` (or `scores`): R(u, x, y), without unit; only differences between answers of one person to one question
    mean something. `log_odds`: R / T, whose differences are calibrated log-odds of being preferred; null where the
    model was never calibrated (T = 1). `probabilities`, of `answers` alone: softmax(R / T), the chance of each to be
    the one that the person likes best among them. `num_entries`: entries of the person's past that were read; one that
    is the very question is not.
    """
    encode = FrozenEncoder(model.encoder, capacity=CACHED_TEXTS)
    source = iter(lines)
    while part := list(islice(source, chunk)):
        # By person: an architecture that reads the history with every answer would pay for each person times each.
        by_person: dict[tuple[str, str], list[int]] = {}
        for i, line in enumerate(part):
            by_person.setdefault((line.record.user_id, line.record.task), []).append(i)
        scored: dict[int, dict[str, Any]] = {}
        for indices in by_person.values():
            scored |= _score_person(model, {i: part[i] for i in indices}, encode)
        yield from (scored[i] for i in range(len(part)))


def _score_person(model: PrmuModel, lines: dict[int, AnswerLine], encode: FrozenEncoder) -> dict[int, dict[str, Any]]:
    """Lines of one person in one task; their histories differ where one is a past question itself."""
    by_history: dict[Any, list[int]] = {}
    for i, line in lines.items():
        by_history.setdefault(user_history(line.record), []).append(i)
    scored = {}
    for history, indices in by_history.items():
        asked = [(i, answer) for i in indices for answer in lines[i].answers]
        rewards = model.score(
            [history],
            [query_context(lines[i].record) for i, _ in asked],
            [escape(answer) for _, answer in asked],
            encode=encode,
        )[0].tolist()
        for i in indices:
            own = [reward for (j, _), reward in zip(asked, rewards, strict=True) if j == i]
            scored[i] = {
                **lines[i].given,
                **_said(own, temperature=model.temperature, is_list=lines[i].is_list),
                "num_entries": min(len(history), model.max_entries),
            }
    return scored


def _said(rewards: Sequence[float], *, temperature: float, is_list: bool) -> dict[str, Any]:
    calibrated = temperature != 1.0
    log_odds = [reward / temperature for reward in rewards]
    if not is_list:
        return {"score": rewards[0], "log_odds": log_odds[0] if calibrated else None}
    probabilities = torch.tensor(log_odds, dtype=torch.float64).softmax(dim=0).tolist()
    return {
        "scores": list(rewards),
        "log_odds": log_odds if calibrated else None,
        "probabilities": probabilities if calibrated else None,
    }
