"""The tasks: LaMP's six public ones in seven files, and the simulated ones that mirror them."""

from __future__ import annotations

import difflib

from tagpr.errors import BadInputError
from tagpr.tasks.base import Question, Task
from tagpr.tasks.lamp_1_citation import LAMP_1_CITATION
from tagpr.tasks.lamp_2_movie import LAMP_2_MOVIE
from tagpr.tasks.lamp_2_news import LAMP_2_NEWS
from tagpr.tasks.lamp_3_rating import LAMP_3_RATING
from tagpr.tasks.lamp_4_headline import LAMP_4_HEADLINE
from tagpr.tasks.lamp_5_title import LAMP_5_TITLE
from tagpr.tasks.lamp_7_tweet import LAMP_7_TWEET
from tagpr.tasks.simulated import SIMULATED_TASKS

__all__ = ["ALL_TASKS", "Question", "Task", "task_named"]

ALL_TASKS: dict[str, Task] = {
    "LaMP_1": LAMP_1_CITATION,
    "LaMP_2": LAMP_2_MOVIE,
    "LaMP_2N": LAMP_2_NEWS,
    "LaMP_3": LAMP_3_RATING,
    "LaMP_4": LAMP_4_HEADLINE,
    "LaMP_5": LAMP_5_TITLE,
    "LaMP_7": LAMP_7_TWEET,
    **{task.name: task for task in SIMULATED_TASKS},
}


def task_named(name: str) -> Task:
    """The task of that name. Raises BadInputError naming the nearest one."""
    if name in ALL_TASKS:
        return ALL_TASKS[name]
    by_folded = {known.lower().replace("_", "").replace("-", ""): known for known in ALL_TASKS}
    folded = str(name).lower().replace("_", "").replace("-", "")
    near = difflib.get_close_matches(folded, by_folded, n=1, cutoff=0.0)
    hint = f" Did you mean {by_folded[near[0]]!r}?" if near else ""
    why_not = " LaMP_6 needs the Avocado corpus (LDC2015T03) and is not supported." if folded == "lamp6" else ""
    raise BadInputError(f"{name!r} is no task; there are {', '.join(ALL_TASKS)}.{hint}{why_not}")
