import sys
from types import SimpleNamespace

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from tagpr.data.dense_retrieval import DenseRetriever
from tagpr.errors import UserError
from tagpr.tasks import ALL_TASKS
from tagpr.types import ProfileEntry, Record

TASK = ALL_TASKS["LaMP_3"]
VECTORS = {"north": (0, 2), "east": (3, 0), "north east": (1, 1), "south": (0, -1), "twin": (0, 2)}


class ToyEncoder:
    """Looks its vectors up and remembers what it was asked."""

    def __init__(self, model, *, revision, device):
        if model == "missing":
            raise OSError("missing is not a local folder\nand more")
        self.asked = []

    def encode(self, texts, *, batch_size, convert_to_numpy, show_progress_bar):
        self.asked += texts
        return np.array([VECTORS[text] for text in texts], dtype=np.float32)


def record(query: str, *inputs: str, record_id: str = "q") -> Record:
    return Record(
        record_id=record_id,
        user_id="u",
        task="LaMP_3",
        split="train",
        purpose="sft",
        question=TASK.write_question(query),
        query=query,
        gold="5",
        profile=tuple(ProfileEntry(entry_id=f"e{i}", input=text, response="5") for i, text in enumerate(inputs)),
        retrieved=(),
    )


def dense(**changes) -> DenseRetriever:
    settings = {"k": 3, "model": "toy", "revision": None, "batch_size": 8, "device": "cpu"}
    return DenseRetriever(**(settings | changes))


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", SimpleNamespace(SentenceTransformer=ToyEncoder))


@pytest.mark.usefixtures("toy")
def test_the_highest_dot_products_and_of_equals_the_latest():
    # with north: east 0, north east 2, south -2, twin 4, twin 4
    asked = record("north", "east", "twin", "north east", "twin", "south")
    assert dense().rank(asked, TASK, seed=0) == (3, 1, 2)


@pytest.mark.usefixtures("toy")
def test_the_own_entry_is_never_retrieved_and_an_empty_profile_loads_nothing():
    assert dense().rank(record("north", "north", "east"), TASK, seed=0) == (1,)
    assert dense(model="missing").rank(record("north"), TASK, seed=0) == ()


@pytest.mark.usefixtures("toy")
def test_a_text_is_encoded_once():
    retriever = dense()
    for query in ("north", "east"):
        retriever.rank(record(query, "south", "twin", "south"), TASK, seed=0)
    assert retriever._encoder.asked == ["north", "south", "twin", "east"]


@pytest.mark.usefixtures("toy")
def test_a_model_that_is_not_there():
    with pytest.raises(UserError, match=r"retrieval\.model=missing.*\(missing is not a local folder\)\. Expected"):
        dense(model="missing").rank(record("north", "east"), TASK, seed=0)


def test_the_package_is_not_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(UserError, match=r"tagpr\[dense\]"):
        dense().rank(record("north", "east"), TASK, seed=0)


@pytest.mark.slow
def test_a_real_encoder_from_a_folder(tmp_path):
    """A plain encoder, as Contriever is one, is mean-pooled; the same text is the nearest of equally long ones."""
    pytest.importorskip("sentence_transformers", reason="the optional extra `dense`")
    import torch
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    toy = Tokenizer(models.WordLevel({w: i for i, w in enumerate(["[PAD]", "[UNK]", *VECTORS])}, unk_token="[UNK]"))
    toy.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=toy, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(tmp_path)
    torch.manual_seed(0)
    config = BertConfig(vocab_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    model = BertModel(config)
    model.save_pretrained(tmp_path)
    retriever = dense(model=str(tmp_path), k=1)
    retriever.rank(record("north", "east", "south"), TASK, seed=0)
    with torch.no_grad():
        hidden = model.eval()(torch.tensor([[2]])).last_hidden_state.mean(1)[0]
    assert retriever._vectors["north"] == pytest.approx(hidden.numpy(), abs=1e-5)
