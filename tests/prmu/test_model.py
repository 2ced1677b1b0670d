import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from tagpr.errors import BadInputError
from tagpr.lm.attention import TWO_PART
from tagpr.prmu.arch import ARCHES
from tagpr.prmu.model import PrmuModel
from tagpr.prmu.texts import Exchange

USERS = [(Exchange("tag : a", "quiet"),), (), tuple(Exchange(f"tag : {i}", "cosy") for i in range(9))]
QUERIES, ANSWERS = ["tag : x", "tag : x"], ["quiet", "cosy"]


@pytest.mark.parametrize("attention", ["sdpa", TWO_PART])
@pytest.mark.parametrize("name", ARCHES)
def test_saved_and_loaded_is_the_same(name, attention, make_model, tmp_path):
    model = make_model(ARCHES[name]).eval()
    model.encoder.backbone.set_attn_implementation(attention)
    with torch.no_grad():
        for parameter in model.arch.parameters():
            parameter.normal_()
    model.temperature = 0.7
    expected = model.score(USERS, QUERIES, ANSWERS)
    model.save_pretrained(tmp_path)
    assert (tmp_path / "config.json").exists()
    assert (tmp_path / "model.safetensors").exists()
    loaded = PrmuModel.from_pretrained(str(tmp_path))
    assert loaded.encoder.backbone.config._attn_implementation == attention
    torch.testing.assert_close(loaded.score(USERS, QUERIES, ANSWERS), expected, atol=1e-6, rtol=1e-5)
    assert loaded.temperature == 0.7
    assert type(loaded.arch) is type(model.arch)
    assert AutoModel.from_pretrained(tmp_path).config.hidden_size == 16


def test_trained_with_flex_attention_it_is_read_anywhere(bilinear, tmp_path):
    """FlexAttention is for a GPU; elsewhere what was saved with it takes the two-part way, and scores the same."""
    expected = bilinear.eval().score(USERS, QUERIES, ANSWERS)
    bilinear.encoder.backbone.set_attn_implementation("flex")
    torch.testing.assert_close(bilinear.score(USERS, QUERIES, ANSWERS), expected)
    bilinear.save_pretrained(tmp_path)
    loaded = PrmuModel.from_pretrained(tmp_path)
    assert loaded.encoder.backbone.config._attn_implementation == "flex"  # as fast where it is loaded on a GPU
    torch.testing.assert_close(loaded.score(USERS, QUERIES, ANSWERS), expected)


def test_autocast_around_it_changes_no_score(bilinear):
    torch.nn.init.normal_(bilinear.arch.head.weight)
    expected = bilinear.eval().score(USERS, QUERIES, ANSWERS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert bilinear.score(USERS, QUERIES, ANSWERS).equal(expected)


@pytest.mark.parametrize("name", ["basis", "bilinear"])
def test_a_pooling_is_saved(name, make_model, tmp_path):
    model = make_model(ARCHES[name])
    model.arch = ARCHES[name](hidden_size=16, **model.arch.hyperparameters() | {"pooling": "query_aware"})
    with torch.no_grad():
        for parameter in model.arch.parameters():
            parameter.normal_()
    expected = model.eval().score(USERS, QUERIES, ANSWERS)
    model.save_pretrained(tmp_path)
    torch.testing.assert_close(PrmuModel.from_pretrained(tmp_path).score(USERS, QUERIES, ANSWERS), expected)


def test_weights_are_those_of_the_arch(bilinear, tmp_path):
    bilinear.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "prmu.safetensors")
    assert set(weights) == set(bilinear.arch.state_dict())
    save_file({name: value for name, value in weights.items() if "generic" not in name}, tmp_path / "prmu.safetensors")
    with pytest.raises(RuntimeError, match="generic"):
        PrmuModel.from_pretrained(tmp_path)


def test_the_card_loads_the_model_as_it_says(bilinear, tmp_path):
    bilinear.temperature = 0.25
    bilinear.save_pretrained(tmp_path, trained_on="Pairs of 3 people.")
    card = (tmp_path / "README.md").read_text()
    assert "Pairs of 3 people." in card
    assert "/ 0.25)" in card
    assert "Profiling" in card
    code = card.split("```python\n")[1].split("```")[0].replace("path/to/this/folder", str(tmp_path))
    told: dict = {}
    exec(code, told)
    history = (Exchange("tag : a calm hall", "quiet"),)
    torch.testing.assert_close(told["rewards"], bilinear.score([history], ["tag : a pier"] * 2, ["quiet", "grand"]))


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
