from tagpr.data.simulated.lexicon import (
    ASPECTS,
    DECOYS,
    HELD_OUT_PAIRS,
    HELD_OUT_WORDS,
    KEYWORDS,
    MEANINGS,
    SCORE_LABELS,
    STUDY_KINDS,
    TAG_LABELS,
    WORDS,
)
from tagpr.data.simulated.style import ENDINGS, STYLE_PRIOR, STYLE_WORDS
from tagpr.tasks.metrics import rouge_tokens
from tagpr.tasks.simulated import S1_CHOICE, S2_TAG, S3_SCORE


def test_labels_are_those_of_the_tasks():
    assert S2_TAG.labels == TAG_LABELS
    assert S3_SCORE.labels == SCORE_LABELS
    assert S1_CHOICE.labels == ("[1]", "[2]")
    assert len(set(TAG_LABELS)) == 15


def test_no_word_has_two_meanings():
    style = {word for parts in STYLE_WORDS.values() for words in parts.values() for word in words if word.isalpha()}
    meaningful = [
        *(
            word
            for table in (WORDS, HELD_OUT_WORDS)
            for values in table.values()
            for ws in values.values()
            for word in ws
        ),
        *(KEYWORDS + TAG_LABELS + STUDY_KINDS),
        *style,
        *WORDS,  # the attributes' names
    ]
    assert {word for word in meaningful if meaningful.count(word) > 1} == set()


def test_twelve_attributes_and_as_many_words_held_out_where_any_are():
    assert len(WORDS) == 12
    assert set(DECOYS) == {"kind", "day", "visit", "weather", "company", "season"}
    for attribute, values in HELD_OUT_WORDS.items():
        assert values.keys() == WORDS[attribute].keys()
        for value, words in values.items():
            assert len(words) == len(WORDS[attribute][value]) == 2


def test_meanings_cover_both_lists():
    assert MEANINGS["S3"]["greasy"] == ("food", "2")
    assert MEANINGS["S2"]["lighthouse"] == ("place", "seaside")
    assert MEANINGS["S1"]["holiday"] == ("day", "weekend")


def test_pairs_held_out_are_pairs_of_values():
    for task, ((first, second), pairs) in HELD_OUT_PAIRS.items():
        assert pairs
        for one, other in pairs:
            assert one in ASPECTS[task][first]
            assert other in ASPECTS[task][second]


def test_priors_are_distributions_from_the_typical_value_down():
    for part, prior in STYLE_PRIOR.items():
        assert abs(sum(prior) - 1) < 1e-12
        assert list(prior) == sorted(prior, reverse=True)
        for words in STYLE_WORDS.values():
            assert len(words.get(part, prior)) == len(prior)


def test_rouge_cannot_see_an_ending():
    assert all(rouge_tokens(ending) == () for ending in ENDINGS)
