"""A set in LaMP-2N's form (authors with several questions, leave-one-out profiles, nobody named); a table of teas."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tagpr.tasks import ALL_TASKS
from tests.data.teas import teas, write

TASK = ALL_TASKS["LaMP_2N"]


def _article(author: int, number: int) -> dict[str, str]:
    return {
        "id": f"a{author}-{number}", "title": f"Heading {number} of author {author}",
        "text": f"What author {author} found out on day {number}.",
        "category": TASK.labels[(author + number) % len(TASK.labels)],
    }  # fmt: skip


def write_news_authors(
    folder: Path, *, authors: int, questions_each: int, entries: int, siblings: bool = True, named: bool = False
) -> Path:
    """`dev_questions.json` and `dev_outputs.json` of LaMP_2N.

    Each author wrote `entries` articles beside those that are asked about. With `siblings` a profile holds everything
    but its own question's article, as the real files do; without, it holds none of the articles that are asked about.

    Args:
        named: every question has its own user_id, as if nobody asked twice.
    """
    questions: list[dict[str, Any]] = []
    golds = []
    for author in range(authors):
        asked = [_article(author, number) for number in range(questions_each)]
        others = [_article(author, number) for number in range(questions_each, questions_each + entries)]
        for article in asked:
            profile = [other for other in asked if siblings and other is not article] + others
            question: dict[str, Any] = {
                "id": f"q{len(questions)}", "input": TASK.write_question(article["text"]), "profile": profile,
            }  # fmt: skip
            questions.append(question | ({"user_id": f"u{len(questions)}"} if named else {}))
            golds.append({"id": question["id"], "output": article["category"]})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dev_questions.json").write_text(json.dumps(questions), encoding="utf-8")
    (folder / "dev_outputs.json").write_text(json.dumps({"task": "LaMP_2", "golds": golds}), encoding="utf-8")
    return folder


@pytest.fixture
def news_authors() -> Callable[..., Path]:
    return write_news_authors


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write(tmp_path / "teas.csv", teas())
