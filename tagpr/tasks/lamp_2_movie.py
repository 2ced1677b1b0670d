"""LaMP-2 (of the current paper): which tag does this user give to a movie?"""

from __future__ import annotations

from tagpr.tasks.label_task import LabelTask

LAMP_2_MOVIE = LabelTask(
    name="LaMP_2",
    cue="movie",
    instruction=(
        "Which tag does this movie relate to among the following tags? Just answer with the tag name without further "
        "explanation. tags: [sci-fi, based on a book, comedy, action, twist ending, dystopia, dark comedy, classic, "
        "psychology, fantasy, romance, thought-provoking, social commentary, violence, true story] description:"
    ),
    labels=(
        "sci-fi",
        "based on a book",
        "comedy",
        "action",
        "twist ending",
        "dystopia",
        "dark comedy",
        "classic",
        "psychology",
        "fantasy",
        "romance",
        "thought-provoking",
        "social commentary",
        "violence",
        "true story",
    ),
    input_field="description",
    response_field="tag",
    corpus_fields=("description",),
)
