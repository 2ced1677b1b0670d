"""LaMP-4: the headline that this author gives to a news article."""

from __future__ import annotations

from tagpr.tasks.text_task import TextTask

LAMP_4_HEADLINE = TextTask(
    name="LaMP_4",
    cue="headline",
    instruction="Generate a headline for the following article:",
    input_field="text",
    response_field="title",
    corpus_fields=("title", "text"),
)
