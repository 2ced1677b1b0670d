"""The tasks of the simulated world: LaMP's choice, tag, rating, headline, title and paraphrase with own sentences.

The labels are those of the world's lexicon (a test compares them): tasks come before data on the path and import none.
"""

from __future__ import annotations

from tagpr.tasks.label_task import LabelTask
from tagpr.tasks.rating_task import RatingTask
from tagpr.tasks.text_task import TextTask

S1_CHOICE = LabelTask(
    name="S1",
    cue="choice",
    instruction="Which of the two venues does this person choose? Just answer with [1] or [2]. outing:",
    labels=("[1]", "[2]"),
    input_field="outing",
    response_field="choice",
    corpus_fields=("outing",),
)

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

S4_HEADLINE = TextTask(
    name="S4",
    cue="headline",
    instruction="Generate a headline for the following notice:",
    input_field="text",
    response_field="title",
    corpus_fields=("title", "text"),
)

S5_TITLE = TextTask(
    name="S5",
    cue="title",
    instruction="Generate a title for the following abstract:",
    input_field="abstract",
    response_field="title",
    corpus_fields=("title", "abstract"),
)

S7_PARAPHRASE = TextTask(
    name="S7",
    cue="paraphrase",
    instruction="Paraphrase the following sentence in this person's own words:",
    input_field="",
    response_field="text",
    corpus_fields=("text",),
)

SIMULATED_TASKS = (S1_CHOICE, S2_TAG, S3_SCORE, S4_HEADLINE, S5_TITLE, S7_PARAPHRASE)
