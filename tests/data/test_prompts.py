from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tagpr.data.prompts import ChatStyle, CompactStyle, PromptBuilder, QuestionStyle, check_fits_context, fair_shares
from tagpr.errors import UserError
from tagpr.tasks import ALL_TASKS
from tagpr.types import ProfileEntry, Record

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if not enable_thinking %}<think></think>{% endif %}{% endif %}"
)
WORDS = "the kettle sings in a narrow harbour while seven patient lanterns drift"


@pytest.fixture(scope="module")
def tokenizer():
    """A small byte-level BPE with entry numbers and thinking marks as single tokens."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<|im_start|>", "<|im_end|>", "<think>", "</think>", *(f"<{i}>" for i in range(1, 33))]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([WORDS] * 4, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=bpe)
    fast.chat_template = TEMPLATE
    return fast


def record(*entries, query="a query", task="LaMP_3", retrieved=None):
    profile = tuple(
        ProfileEntry(entry_id=str(i), input=text, response=answer) for i, (text, answer) in enumerate(entries)
    )
    return Record(
        record_id="r",
        user_id="u",
        task=task,
        split="train",
        purpose="sft",
        question=ALL_TASKS[task].write_question(query),
        query=query,
        gold="5",
        profile=profile,
        retrieved=tuple(range(len(profile))) if retrieved is None else retrieved,
    )


def compact(**changes):
    settings = {"thinking": True, "history_tokens": 400, "entry_tokens": 100, "query_tokens": 100, "order": "ranked"}
    return CompactStyle(**(settings | changes))


def num_tokens(tokenizer, text):
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])


def lines(prompt):
    return [line + "\n" for line in prompt.text.split("\n")[1:-1]]


def test_the_compact_form(tokenizer):
    asked = record(("first  text", "5"), ("second\ntext", "1"), retrieved=(1, 0))
    prompt = PromptBuilder(style=compact(), tokenizer=tokenizer).build(asked)
    assert prompt.text == "rating :\n<1> second text => 1\n<2> first text => 5\n? a query =>"
    assert [entry.entry_id for entry in prompt.history] == ["1", "0"]
    assert (prompt.num_cut, prompt.num_dropped, prompt.thinking) == (0, 0, True)


def test_oldest_first_where_asked_for(tokenizer):
    asked = record(("first", "5"), ("second", "1"), ("third", "2"), retrieved=(2, 0))
    prompt = PromptBuilder(style=compact(order="time"), tokenizer=tokenizer).build(asked)
    assert prompt.text == "rating :\n<1> first => 5\n<2> third => 2\n? a query =>"


def test_without_history(tokenizer):
    assert PromptBuilder(style=compact(), tokenizer=tokenizer).build(record()).text == "rating :\n? a query =>"


def test_tweets_and_citations_show_the_response_alone(tokenizer):
    builder = PromptBuilder(style=compact(), tokenizer=tokenizer)
    tweet = builder.build(record(("", "so tired"), task="LaMP_7"))
    assert tweet.text == "tweet :\n<1> => so tired\n? a query =>"
    cited = record(("an abstract", "a title"), query='t [1]: "a" [2]: "b"', task="LaMP_1")
    assert builder.build(cited).text == 'citation :\n<1> => a title\n? t [1]: "a" [2]: "b" =>'


def test_nobodys_text_holds_our_markup(tokenizer):
    asked = record(("</think> <2> <|im_end|>", "5"), query="<think>5")
    for style in (compact(), ChatStyle(**vars(compact(query_tokens=300)))):
        prompt = PromptBuilder(style=style, tokenizer=tokenizer).build(asked)
        assert "‹/think> ‹2> ‹|im_end|> => 5" in prompt.text
        assert "‹think>5" in prompt.text


def test_the_chat_form_asks_the_official_question_in_full(tokenizer):
    style = ChatStyle(**vars(compact(query_tokens=300)))
    builder = PromptBuilder(style=style, tokenizer=tokenizer)
    asked = record(("text", "5"))
    prompt = builder.build(asked)
    assert "\n<1> text => 5\n" in prompt.text
    assert prompt.text.endswith(f"\n{asked.question}")
    assert builder.build(record()).text == asked.question


def test_the_question_alone(tokenizer):
    asked = record(("text", "5"))
    prompt = PromptBuilder(style=QuestionStyle(thinking=False, query_tokens=300), tokenizer=tokenizer).build(asked)
    assert prompt.text == asked.question
    assert (prompt.history, prompt.num_dropped, prompt.thinking) == ((), 0, False)


def test_thinking_off_closes_the_block_in_the_generation_prompt(tokenizer):
    for thinking, end in ((True, "assistant\n"), (False, "assistant\n<think></think>")):
        builder = PromptBuilder(style=compact(thinking=thinking), tokenizer=tokenizer)
        prompt = builder.build(record(("text", "5")))
        text = tokenizer.decode(builder.token_ids(prompt))
        assert text == f"<|im_start|>user\n{prompt.text}<|im_end|>\n<|im_start|>{end}"


def test_long_inputs_are_cut_and_responses_never(tokenizer):
    response = "an answer of some length that stays as it is"
    asked = record((WORDS * 5, response), ("short", "5"), task="LaMP_5")
    prompt = PromptBuilder(style=compact(entry_tokens=60), tokenizer=tokenizer).build(asked)
    first, second = lines(prompt)
    assert first.endswith(f" => {response}\n")
    assert WORDS.startswith(prompt.history[0].input[: len(WORDS)])
    assert 50 < num_tokens(tokenizer, first) <= 60
    assert second == "<2> short => 5\n"
    assert (prompt.num_cut, prompt.num_dropped) == (1, 0)


def test_room_that_one_entry_leaves_over_goes_to_the_others(tokenizer):
    needed = num_tokens(tokenizer, "<1> short => 5\n")
    style = compact(history_tokens=80, entry_tokens=70)
    prompt = PromptBuilder(style=style, tokenizer=tokenizer).build(record(("short", "5"), (WORDS * 5, "5")))
    assert 80 - needed - 3 <= num_tokens(tokenizer, lines(prompt)[1]) <= 80 - needed


def test_entries_that_do_not_fit_are_dropped_lowest_rank_first(tokenizer):
    style = compact(history_tokens=40)
    asked = record(*((WORDS, str(1 + i % 5)) for i in range(6)), retrieved=(5, 4, 3, 2, 1, 0))
    prompt = PromptBuilder(style=style, tokenizer=tokenizer).build(asked)
    kept = [entry.entry_id for entry in prompt.history]
    assert kept == ["5", "4", "3", "2", "1", "0"][: len(kept)]
    assert 0 < len(kept) < 6
    assert prompt.num_dropped == 6 - len(kept)


def test_an_entry_whose_response_alone_is_too_long_is_left_out(tokenizer):
    asked = record(("text", WORDS * 9), ("text", "5"), task="LaMP_5")
    prompt = PromptBuilder(style=compact(entry_tokens=40), tokenizer=tokenizer).build(asked)
    assert [entry.response for entry in prompt.history] == ["5"]
    assert prompt.num_dropped == 1


def test_a_review_of_ten_megabytes(tokenizer):
    huge = (WORDS + " ") * 150_000
    builder = PromptBuilder(style=compact(), tokenizer=tokenizer)
    prompt = builder.build(record((huge, "5"), query=huge))
    assert len(builder.token_ids(prompt)) <= builder.max_tokens()
    assert prompt.num_cut == 1


texts = st.text(alphabet=st.sampled_from("ab kettle sing €é漢🙂\n<3>"), max_size=120)


@given(st.lists(texts, max_size=6), texts, st.integers(1, 90), st.integers(1, 60), st.sampled_from(["ranked", "time"]))
def test_no_budget_is_ever_overrun(tokenizer, inputs, query, history_tokens, entry_tokens, order):
    style = compact(history_tokens=history_tokens, entry_tokens=entry_tokens, query_tokens=20, order=order)
    builder = PromptBuilder(style=style, tokenizer=tokenizer)
    prompt = builder.build(record(*((text, "5") for text in inputs), query=query))
    shown = lines(prompt)
    assert num_tokens(tokenizer, "".join(shown)) <= history_tokens
    assert all(num_tokens(tokenizer, line) <= entry_tokens for line in shown)
    assert len(builder.token_ids(prompt)) <= builder.max_tokens()
    assert len(prompt.history) + prompt.num_dropped == len(inputs)
    assert "\ufffd" not in prompt.text


@given(st.lists(st.integers(0, 50), max_size=8), st.integers(0, 120))
def test_fair_shares(needs, room):
    shares = fair_shares(needs, room)
    assert all(0 <= share <= need for share, need in zip(shares, needs, strict=True))
    assert sum(shares) == min(room, sum(needs))
    # Whoever got less than they need got within one token of the largest share.
    assert all(share == need or share >= max(shares) - 1 for share, need in zip(shares, needs, strict=True))


def test_fair_shares_worked_by_hand():
    # 3 is met; 17 are left for two, the odd one to the earlier.
    assert fair_shares([3, 30, 9], 20) == [3, 9, 8]
    # 3 and 5 are met, the third takes what they leave.
    assert fair_shares([3, 30, 5], 20) == [3, 12, 5]


def test_a_prompt_longer_than_the_context_is_refused(tokenizer):
    builder = PromptBuilder(style=compact(), tokenizer=tokenizer)
    longest = builder.max_tokens()
    check_fits_context(builder, context_tokens=longest + 10, completion_tokens=10)
    with pytest.raises(UserError, match=r"prompt.history_tokens=400, .* the model reads 200"):
        check_fits_context(builder, context_tokens=200, completion_tokens=10)


@pytest.mark.parametrize(
    "changes", [{"order": "newest"}, {"history_tokens": 0}, {"entry_tokens": 0}, {"query_tokens": 0}]
)
def test_senseless_settings_are_errors(changes):
    with pytest.raises(UserError, match=f"prompt.{next(iter(changes))}="):
        compact(**changes)


def test_the_shipped_styles_are_what_the_config_says():
    from hydra import compose, initialize_config_dir
    from hydra.utils import instantiate

    from tagpr import schema

    schema.register()
    with initialize_config_dir(str(Path(__file__).parents[2] / "conf"), version_base="1.3"):
        cfg = compose(overrides=["+prompt@a=compact", "+prompt@b=chat", "+prompt@c=question", "+data=lamp"])
    assert [type(instantiate(cfg[name])) for name in "abc"] == [CompactStyle, ChatStyle, QuestionStyle]
    cfg.data.root = "somewhere"
    settings = {name: value for name, value in cfg.data.items() if name != "seed"}
    assert instantiate(settings, _convert_="object").question_shares == {"sft": 50.0, "pairs": 20.0, "rl": 30.0}
