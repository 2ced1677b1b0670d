"""Which questions a page shows: drawn by a seed, people before questions. Pure functions."""

from __future__ import annotations

import difflib
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from tagpr.errors import UserError


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """Something that the page could show: a question with its answers, or a group of rollouts."""

    place: int  # among all candidates
    record_id: str
    task: str
    user_id: str
    flags: frozenset[str]  # names out of the page's filters


RULE = (
    "People in random order, of each one question at random; then, where there are fewer people than are asked for, a "
    "second question of each, and so on."
)


def fitting(candidates: Sequence[Candidate], *, task: str | None, only: str | None) -> list[Candidate]:
    """Those of one task and with one flag; None: of any.

    Raises:
        UserError: there is none.
    """
    found = [one for one in candidates if task in (None, one.task) and (only is None or only in one.flags)]
    if not found:
        asked = " and ".join(f"--{name} {value}" for name, value in (("task", task), ("only", only)) if value)
        raise UserError(f"None of {len(candidates):,} fits {asked}: there is nothing to show. Ask for less.")
    return found


def draw(candidates: Sequence[Candidate], *, number: int, seed: int) -> list[Candidate]:
    """Up to `number` candidates by RULE. A larger number shows the same ones and then others."""
    order = random.Random(seed)
    own: dict[str, list[Candidate]] = {}
    for one in candidates:
        own.setdefault(one.user_id, []).append(one)
    people = sorted(own)
    order.shuffle(people)
    for person in people:
        order.shuffle(own[person])
    turns = range(max(map(len, own.values())))
    return [own[person][turn] for turn in turns for person in people if turn < len(own[person])][:number]


def as_typed(number: int, seed: int, task: str | None, only: str | None) -> str:
    """The options that make the same choice again."""
    options = {"--questions": number, "--seed": seed, "--task": task, "--only": only}
    return " ".join(f"{name} {value}" for name, value in options.items() if value is not None)


def short_path(stage: Path) -> Path:
    """`runs/cache/<stage>/<fingerprint>`: a page is handed on, and says nothing of whose machine it was made on."""
    return Path(*stage.parts[-4:])


def check_name(option: str, value: str, known: Collection[str]) -> None:
    """Raises UserError for a value that is not known, naming the nearest."""
    if value not in known:
        near = difflib.get_close_matches(value, known, n=1)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise UserError(f"{option} {value}: there is no such one here, only {', '.join(known)}.{meant}")
