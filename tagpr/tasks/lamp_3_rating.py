"""LaMP-3: how many stars does this user give with a review?"""

from __future__ import annotations

from tagpr.tasks.rating_task import RatingTask

LAMP_3_RATING = RatingTask(
    name="LaMP_3",
    cue="rating",
    instruction=(
        "What is the score of the following review on a scale of 1 to 5? just answer with 1, 2, 3, 4, or 5 without "
        "further explanation. review:"
    ),
    input_field="text",
    response_field="score",
    corpus_fields=("text",),
)
