import pytest
import torch
from transformers import AutoModel

from tagpr.errors import BadInputError
from tagpr.prmu.model import PrmuModel
from tagpr.prmu.texts import Exchange

USERS = [(Exchange("tag : a", "quiet"),), (), tuple(Exchange(f"tag : {i}", "cosy") for i in range(9))]
QUERIES, ANSWERS = ["tag : x", "tag : x"], ["quiet", "cosy"]


@pytest.mark.parametrize("kind", ["bilinear", "agnostic"])
def test_saved_and_loaded_is_the_same(kind, request, tmp_path):
    model = request.getfixturevalue(kind).eval()
    model.temperature = 0.7
    expected = model.score(USERS, QUERIES, ANSWERS)
    model.save_pretrained(tmp_path)
    assert (tmp_path / "config.json").exists()
    assert (tmp_path / "model.safetensors").exists()
    loaded = PrmuModel.from_pretrained(tmp_path)
    torch.testing.assert_close(loaded.score(USERS, QUERIES, ANSWERS), expected, atol=1e-6, rtol=1e-5)
    assert loaded.temperature == 0.7
    assert type(loaded.arch) is type(model.arch)
    assert AutoModel.from_pretrained(tmp_path).config.hidden_size == 16


def test_one_answer_for_many_users_equals_many_scorings(bilinear):
    together = bilinear.score(USERS, QUERIES, ANSWERS)
    assert together.shape == (3, 2)
    for row, user in zip(together, USERS, strict=True):
        torch.testing.assert_close(row, bilinear.score([user], QUERIES, ANSWERS)[0], atol=1e-5, rtol=1e-4)


def test_the_latest_entries_are_read(bilinear):
    long = USERS[2]
    torch.testing.assert_close(
        bilinear.score([long], QUERIES, ANSWERS), bilinear.score([long[-4:]], QUERIES, ANSWERS), atol=1e-5, rtol=1e-4
    )


def test_agnostic_sees_no_user(agnostic):
    rewards = agnostic.score(USERS, QUERIES, ANSWERS)
    assert rewards.shape == (3, 2)
    assert torch.equal(rewards[0], rewards[1])
    assert torch.equal(rewards[0], rewards[2])


def test_starts_as_the_dot_product_of_answer_and_history(bilinear):
    """w = 0, A = P': R = (P c) . e_u / sqrt(k)."""
    user = USERS[0]
    c = bilinear.encoder([Exchange(QUERIES[0], ANSWERS[0])])
    e = bilinear.arch.user_vectors(bilinear.encoder, [user])
    expected = (bilinear.arch.user_encoder.projection(c) * e).sum() / 12**0.5
    torch.testing.assert_close(bilinear.score([user], QUERIES[:1], ANSWERS[:1])[0, 0], expected, atol=1e-6, rtol=1e-5)


def test_a_folder_without_prmu(tmp_path):
    with pytest.raises(BadInputError, match="holds no PRMU"):
        PrmuModel.from_pretrained(tmp_path)


def test_another_schema(bilinear, tmp_path):
    bilinear.save_pretrained(tmp_path)
    path = tmp_path / "prmu.json"
    path.write_text(path.read_text().replace('"schema": 2', '"schema": 9'))
    with pytest.raises(BadInputError, match="schema 9"):
        PrmuModel.from_pretrained(tmp_path)
