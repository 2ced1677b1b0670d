from __future__ import annotations

from tagpr.chains.assemble import fit_to_vocabulary, write_completion
from tagpr.chains.tags import TAGS, TagVocabulary, parse

STEPS = (
    "task : a score",
    "<1> lamp => 2",
    "<3> hinge => 2",
    "pattern : <1> <3> 2",
    "query : lamp",
    "user : 2",
    "so : 2",
)
FUNCTIONS = (
    "restate_task",
    "examine_examples",
    "examine_examples",
    "identify_patterns",
    "analyze_query",
    "infer_preference",
    "apply_preference",
)


def test_neighbours_of_one_tag_are_one_span() -> None:
    steps, tags = fit_to_vocabulary(STEPS, FUNCTIONS, TagVocabulary(names=tuple(TAGS)))
    assert tags == list(dict.fromkeys(FUNCTIONS))
    assert steps[1] == "<1> lamp => 2 <3> hinge => 2"


def test_steps_without_a_tag_in_use_join_a_neighbour_and_nothing_is_lost() -> None:
    three = TagVocabulary(names=("examine_examples", "infer_preference", "apply_preference"))
    steps, tags = fit_to_vocabulary(STEPS, FUNCTIONS, three)
    assert tags == list(three.names)
    assert steps == [
        "task : a score <1> lamp => 2 <3> hinge => 2 pattern : <1> <3> 2 query : lamp",
        "user : 2",
        "so : 2",
    ]


def test_without_tags_a_chain_has_a_step_a_line() -> None:
    completion = write_completion(STEPS, FUNCTIONS, "2", TagVocabulary(names=()))
    assert completion == "<think>" + "\n".join(STEPS) + "</think>2"


def test_every_vocabulary_reads_its_own_chain() -> None:
    for names in (tuple(TAGS), tuple(TAGS)[1:], ("infer_preference",)):
        vocabulary = TagVocabulary(names=names)
        assert parse(write_completion(STEPS, FUNCTIONS, "2", vocabulary), vocabulary, True).g_tags
