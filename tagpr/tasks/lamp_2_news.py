"""LaMP-2N, the benchmark's first LaMP-2: in which category does this author file a news article?

Its files also say `LaMP_2`; the loader tells the two apart by the fields of the profile items.
"""

from __future__ import annotations

from tagpr.tasks.label_task import LabelTask

LAMP_2_NEWS = LabelTask(
    name="LaMP_2N",
    cue="news",
    instruction=(
        "Which category does this article relate to among the following categories? Just answer with the category "
        "name without further explanation. categories: [women, religion, politics, style & beauty, entertainment, "
        "culture & arts, sports, science & technology, travel, business, crime, education, healthy living, parents, "
        "food & drink] article:"
    ),
    labels=(
        "food & drink",
        "sports",
        "education",
        "parents",
        "religion",
        "travel",
        "business",
        "crime",
        "science & technology",
        "culture & arts",
        "entertainment",
        "politics",
        "women",
        "style & beauty",
        "healthy living",
    ),
    input_field="text",
    response_field="category",
    title_field="title",
    corpus_fields=("title", "text"),
)
