from tagpr.data.simulated.lexicon import (
    ASPECTS,
    CHAIN_CUES,
    ENDINGS,
    JOINERS,
    KEYWORDS,
    KINDS,
    MEANINGS,
    OPENERS,
    PRIORS,
    SCORE_LABELS,
    TAG_LABELS,
)
from tagpr.data.simulated.people import RULE_PARTS, TYPICAL
from tagpr.tasks.simulated import S2_TAG, S3_SCORE


def test_labels_are_those_of_the_tasks():
    assert S2_TAG.labels == TAG_LABELS
    assert S3_SCORE.labels == SCORE_LABELS
    assert len(set(TAG_LABELS)) == 15


def test_no_word_has_two_meanings():
    meaningful = [
        *(word for words in MEANINGS.values() for word in words),
        *(OPENERS + JOINERS + KEYWORDS + TAG_LABELS + CHAIN_CUES),
        *(KINDS["S2"] + KINDS["S5"]),
        *(aspect for aspects in ASPECTS.values() for aspect in aspects),
    ]
    assert len(meaningful) == len(set(meaningful))


def test_priors_are_distributions_from_the_typical_value_down():
    for parts in RULE_PARTS.values():
        for part, values in parts.items():
            assert len(PRIORS[part]) == len(values)
            assert abs(sum(PRIORS[part]) - 1) < 1e-12
            assert list(PRIORS[part]) == sorted(PRIORS[part], reverse=True)
    assert TYPICAL["S5"] == {"opener": "exploring", "joiner": "and", "ending": "."}


def test_rouge_cannot_see_an_ending():
    from tagpr.tasks.metrics import rouge_tokens

    assert all(rouge_tokens(ending) == () for ending in ENDINGS)
