"""A table of teas: its rows, how they are written, and a source that reads them."""

import csv

import pytest

from tagpr.data.table import TableSource
from tagpr.errors import BadInputError

HEADER = ("user", "text", "answer", "date")


def source(path, *, columns=None, **settings):
    return TableSource(
        path=str(path),
        columns={"user": "user", "text": "text", "answer": "answer", "date": "date", "title": None} | (columns or {}),
        **{
            "task": "rating", "queries_per_user": 2, "train_queries_per_user": None,
            "questions_in_history": True, "folds": None, "fold": 0, "min_rows": 3, "max_rows": None, "max_users": None,
            "max_characters": 1000, "people_shares": {"train": 60, "dev": 20, "test": 20},
            "question_shares": {"sft": 50, "pairs": 20, "rl": 30}, "drop_golds_from": [], "licence": "unknown",
        }
        | settings,
    )  # fmt: skip


def write(path, rows, header=HEADER):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def teas(people=5, cups=5):
    """Person p's cup c, told in the reverse of its order in time."""
    return [
        (f"p{person}", f"tea {cup} of p{person}", str(1 + (person + cup) % 5), f"2020-01-{cup + 1:02d}")
        for person in range(people)
        for cup in reversed(range(cups))
    ]


def refused(path, match, **settings):
    with pytest.raises(BadInputError, match=match) as caught:
        source(path, **settings).records(seed=0)
    assert "\n" not in str(caught.value)
    return str(caught.value)
