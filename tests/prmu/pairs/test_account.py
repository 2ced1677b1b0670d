from collections import Counter

from tagpr.prmu.pairs import N2, N3, Made
from tagpr.prmu.pairs.account import account, accounts_as_counts, length_balance, write_page
from tagpr.prmu.pairs.base import make_pair, nothing


def test_what_was_made_was_kept_or_dropped(make_record):
    pairs = [make_pair(make_record(f"r{i}", "u"), "cosy", N3) for i in range(5)]
    made = Made(blocks=[[pair] for pair in pairs], dropped=Counter(length=2))
    one = account(3, made, pairs[:3])
    assert (one.asked, one.made, one.kept) == (3, 7, 3)
    assert one.dropped == {"length": 2, "quota": 2}
    none = account(0, nothing(), [])
    assert accounts_as_counts({"train": {"N3": one}, "dev": {"N3": none}}) == {
        "train_N3": 3,
        "asked_train_N3": 3,
        "made_train_N3": 7,
        "dropped_train_N3_length": 2,
        "dropped_train_N3_quota": 2,
    }


def test_lengths_of_either_side(make_record):
    record = make_record("r", "u", gold="four")
    pairs = [make_pair(record, text, N2) for text in ("sixsix", "two", "same", "same")]
    assert length_balance(pairs, length=len) == {N2: {"chosen": 4.0, "rejected": 4.25, "chosen_longer": 0.5}}


def test_the_page_says_where_pairs_went():
    page = write_page(
        {
            "accounts": {"train": {"N2": {"asked": 9, "made": 7, "kept": 4, "dropped": {"length": 1, "no_mirror": 2}}}},
            "lengths": {"train": {"N2": {"chosen": 4.0, "rejected": 4.25, "chosen_longer": 0.5}}},
            "kinds": {"train": {"opener": 3}},
            "prompts": {"train own": 12},
            "gold_labels": 42,
            "shortcuts": {
                "limit": 0.65, "questions": {"N2": 20}, "accuracy": {"length": {"N2": 0.7}},
                "exceeded": ["length on N2: 0.700 of 20 questions"], "too_few_to_tell": [],
            },
        }
    )  # fmt: skip
    assert "| N2 | 9 | 7 | 4 | length 1, no_mirror 2 |" in page
    assert "| N2 | 4.0 | 4.2 | 0.500 |" in page
    assert "opener 3" in page
    assert "looked at: 42" in page
    assert "| length | 0.700 |" in page
    assert "- length on N2: 0.700 of 20 questions" in page
