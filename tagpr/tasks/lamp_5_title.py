"""LaMP-5: the title that this author gives to a paper."""

from __future__ import annotations

from tagpr.tasks.text_task import TextTask

LAMP_5_TITLE = TextTask(
    name="LaMP_5",
    cue="title",
    instruction="Generate a title for the following abstract of a paper:",
    input_field="abstract",
    response_field="title",
    corpus_fields=("title", "abstract"),
)
