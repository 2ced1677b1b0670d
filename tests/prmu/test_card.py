from dataclasses import replace

from tagpr.prmu.arch import ARCHES
from tagpr.prmu.card import model_card, trained_on
from tagpr.types import PreferencePair


def test_every_architecture_has_a_card():
    for arch in ARCHES:
        card = model_card(arch=arch, trained_on="Some pairs.", temperature=0.51234567, max_entries=32)
        assert f"(PRMU, `{arch}`)" in card
        assert "/ 0.5123)" in card
        for heading in ("## Load", "## Training data\nSome pairs.", "## Intended use", "## Out of scope, and risks"):
            assert heading in card


def test_the_training_data_in_words(make_record):
    records = [make_record(f"r{i}", f"u{i // 2}", query=f"a secret query {i}") for i in range(4)]
    pairs = [
        PreferencePair(
            record_id=record.record_id, user_id=record.user_id, task="S2", query=record.query, chosen="quiet",
            rejected="cosy", negative_type="N1" if i else "N4",
        )
        for i, record in enumerate(records[:3])
    ]  # fmt: skip
    assert trained_on(pairs, records, steps=80) == (
        "3 preference pairs (2 N1, 1 N4) of 2 people, on 3 questions of S2; 80 optimizer steps from the base language "
        "model."
    )
    known = [replace(record, truth={"rule": "taste"}) for record in records]
    assert "of 2 simulated people, who exist nowhere, on" in trained_on(pairs, known, steps=80)
    assert trained_on([], records, steps=0).startswith("None: the backbone is the base as it was")
