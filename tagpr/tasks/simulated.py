"""The tasks of the simulated world: LaMP's tagging, rating and title tasks with own sentences and labels.

The labels are those of the world's lexicon (a test compares them): tasks come before data on the path and import none.
"""

from __future__ import annotations

from tagpr.tasks.label_task import LabelTask
from tagpr.tasks.rating_task import RatingTask
from tagpr.tasks.text_task import TextTask

S2_TAG = LabelTask(
    name="S2",
    cue="tag",
    instruction=(
        "Which tag fits this venue among the following tags? Just answer with the tag name. "
        "tags: [cosy, lively, quiet, eerie, grand, seaside, forest, city, mountain, village, "
        "music, books, games, craft, science] description:"
    ),
    labels=(
        *("cosy", "lively", "quiet", "eerie", "grand"),
        *("seaside", "forest", "city", "mountain", "village"),
        *("music", "books", "games", "craft", "science"),
    ),
    input_field="description",
    response_field="tag",
    corpus_fields=("description",),
)

S3_SCORE = RatingTask(
    name="S3",
    cue="score",
    instruction="What is the score of the following visit? Just answer with 1, 2, 3, 4, or 5. visit:",
    input_field="text",
    response_field="score",
    corpus_fields=("text",),
)

S5_TITLE = TextTask(
    name="S5",
    cue="title",
    instruction="Generate a title for the following abstract:",
    input_field="abstract",
    response_field="title",
    corpus_fields=("title", "abstract"),
)

SIMULATED_TASKS = (S2_TAG, S3_SCORE, S5_TITLE)
