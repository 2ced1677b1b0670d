"""LaMP-7: a tweet in this user's own words, from a neutral paraphrase of it."""

from __future__ import annotations

from tagpr.tasks.text_task import TextTask

LAMP_7_TWEET = TextTask(
    name="LaMP_7",
    cue="tweet",
    instruction="Paraphrase the following tweet without any explanation before or after it:",
    input_field="",
    response_field="text",
    corpus_fields=("text",),
)
