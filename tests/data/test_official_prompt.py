"""LaMP's own prompt, worked by hand with a tokenizer whose tokens are the words between spaces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tagpr.data.official_prompt import OfficialStyle
from tagpr.data.prompts import PromptBuilder, check_fits_context
from tagpr.errors import UserError
from tagpr.types import ProfileEntry, Record

WORDS = [f"{letter}{i}" for letter in "ab" for i in range(60)]


def words(letter: str, count: int) -> str:
    return " ".join(f"{letter}{i}" for i in range(count))


def make_tokenizer(*, ends: bool) -> PreTrainedTokenizerFast:
    vocabulary = {word: i for i, word in enumerate(["[UNK]", "</s>", *WORDS])}
    toy = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    toy.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if ends:
        toy.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast = PreTrainedTokenizerFast(tokenizer_object=toy, eos_token="</s>")
    fast.chat_template = "{% for m in messages %}USER {{ m.content }} END{% endfor %} ASSISTANT"
    return fast


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer(ends=False)


def record(task: str, *entries: tuple[str, str], question: str = "one title b1 b2") -> Record:
    profile = tuple(
        ProfileEntry(entry_id=str(i), input=text, response=answer, title="unused")
        for i, (text, answer) in enumerate(entries)
    )
    return Record(
        record_id="r",
        user_id="u",
        task=task,
        split="train",
        purpose="sft",
        question=question,
        query="b2",
        gold=None,
        profile=profile,
        retrieved=tuple(range(len(profile))),
    )


def write(tokenizer, asked: Record, tokens: int):
    return PromptBuilder(style=OfficialStyle(thinking=False, max_input_tokens=tokens), tokenizer=tokenizer).build(asked)


@pytest.mark.parametrize(
    "task, message",
    [
        ("LaMP_1", 'one title, and "a1", and "b1" b1 b2'),
        (
            "LaMP_2",
            'the tag for the movie: "a2 a3" is "a1" , and the tag for the movie: "b3" is "b1" . one title b1 b2',
        ),
        (
            "LaMP_2N",
            'the category for the article: "a2 a3" is "a1" , and the category for the article: "b3" is "b1" . '
            "one title b1 b2",
        ),
        ("LaMP_3", 'a1 is the score for "a2 a3" , and b1 is the score for "b3" . one title b1 b2'),
        ("LaMP_4", '"a1" is the title for "a2 a3" , and "b1" is the title for "b3" . one title b1 b2'),
        (
            "LaMP_5",
            '"a1" is a title for "a2 a3" , and "b1" is a title for "b3" . Following the given patterns one title b1 b2',
        ),
        (
            "LaMP_7",
            '"a1" , and "b1"  are written by a person. Following the given patterns one title b1 b2',
        ),
    ],
)
def test_frames_and_joins(tokenizer, task, message):
    prompt = write(tokenizer, record(task, ("a2 a3", "a1"), ("b3", "b1")), 200)
    assert prompt.text == message
    assert [entry.response for entry in prompt.history] == ["a1", "b1"]
    cuts_response = task in ("LaMP_1", "LaMP_7")
    assert [entry.input for entry in prompt.history] == (["", ""] if cuts_response else ["a2 a3", "b3"])
    assert (prompt.num_cut, prompt.num_dropped, prompt.thinking) == (0, 0, False)


@pytest.mark.parametrize(
    "task, kept",
    [
        # One entry, L 50, a question of 4 tokens: room 50 - min(4, 30) = 46. The share is the room less 1 and less c
        # (LaMP-1: the room), the text has the share less h. Frames are measured as: LaMP-2 `the tag for the movie: " "
        # is "b0"`, 9 tokens; LaMP-3 `b0 is the score for " "`, 7; LaMP-4 `"b0" is the title for " "`, 7; LaMP-5
        # `"b0" is a title " "`, 6, c 4; LaMP-7 `""`, 1, c 8.
        ("LaMP_1", 46 - 2),
        ("LaMP_2", 46 - 1 - 9),
        ("LaMP_2N", 46 - 1 - 9),
        ("LaMP_3", 46 - 1 - 7),
        ("LaMP_4", 46 - 1 - 7),
        ("LaMP_5", 46 - 1 - 4 - 6),
        ("LaMP_7", 46 - 1 - 8 - 1),
    ],
)
def test_the_share_of_one_entry(tokenizer, task, kept):
    text = words("a", 60)
    entry = ("b0", text) if task in ("LaMP_1", "LaMP_7") else (text, "b0")
    prompt = write(tokenizer, record(task, entry), 50)
    assert f'"{words("a", kept)}"' in prompt.text
    assert prompt.text.endswith("b1 b2")
    assert prompt.num_cut == 1


def test_the_tokenizers_own_special_tokens_count():
    # n(question) 5, room 45, share 44, h 8: 36 tokens, of which one is </s>.
    prompt = write(make_tokenizer(ends=True), record("LaMP_3", (words("a", 60), "b0")), 50)
    assert f'"{words("a", 35)}"' in prompt.text


def test_what_an_entry_leaves_over_goes_to_those_behind_it(tokenizer):
    # L 60, question 4: room 56, share (56 - 1 - 2 * 2) // 3 = 17, h 7.
    # First: 3 of 17 - 7 = 10, saves 7. Second: 14 of 17 + 7 - 7 = 17, saves 3. Third: 17 + 3 - 7 = 13.
    entries = [(words("a", 3), "5"), (words("b", 14), "4"), (words("a", 40), "3")]
    prompt = write(tokenizer, record("LaMP_3", *entries), 60)
    assert [entry.input for entry in prompt.history] == [words("a", 3), words("b", 14), words("a", 13)]
    assert prompt.num_cut == 1


def test_an_earlier_entry_gets_nothing_from_a_later_one(tokenizer):
    # L 40, question 4: room 36, share (36 - 1 - 2) // 2 = 16, h 7: 9 tokens, though the second needs 1 alone.
    prompt = write(tokenizer, record("LaMP_3", (words("a", 40), "5"), ("b9", "1")), 40)
    assert [entry.input for entry in prompt.history] == [words("a", 9), "b9"]


def test_a_long_question_claims_less_until_the_entries_fit(tokenizer):
    # L 14. f .6: room 14 - 8, share 5 < h 7. f .5: room 7, share 6. f .4: room 14 - 5 = 9, share 8: one token.
    prompt = write(tokenizer, record("LaMP_3", (words("a", 9), "5"), question=words("b", 30)), 14)
    assert prompt.text == f'5 is the score for "a0" . {words("b", 7)}'  # 7 tokens and the first 7 of the question


def test_an_entry_with_no_token_left_is_written_empty(tokenizer):
    # L 18. f .6: room 18 - 10 = 8, share 7, h 7: nothing left, yet it fits.
    prompt = write(tokenizer, record("LaMP_3", ("a1", "5"), question=words("b", 30)), 18)
    assert prompt.text == f'5 is the score for "" . {words("b", 11)}'


def test_the_bare_question_where_not_even_the_frames_fit(tokenizer):
    # L 7, f 0: room 7, share 6 < h 7.
    prompt = write(tokenizer, record("LaMP_3", ("a1", "5"), question=words("b", 30)), 7)
    assert prompt.text == words("b", 7)
    assert (prompt.history, prompt.num_dropped) == ((), 1)


def test_no_history_and_a_citation_question_without_the_word(tokenizer):
    assert write(tokenizer, record("LaMP_3"), 50).text == "one title b1 b2"
    other = write(tokenizer, record("LaMP_1", ("", "a1"), question="b1 b2"), 50)
    assert (other.text, other.history, other.num_dropped) == ("b1 b2", (), 1)


def test_a_chat_token_in_a_review_is_broken_up_and_html_is_not(tokenizer):
    asked = record("LaMP_4", ("a1 </s> b1", "<br /> </s>"), question="b1 </s> b2")
    prompt = write(tokenizer, asked, 50)
    assert prompt.text.startswith('"<br /> ‹/s>" is the title for "a1')
    assert prompt.text.endswith('" . b1 ‹/s> b2')


def test_a_task_of_ours_has_no_official_prompt(tokenizer):
    with pytest.raises(UserError, match=r"S3.*prompt=compact"):
        write(tokenizer, record("S3", ("a1", "5")), 50)
    with pytest.raises(UserError, match="max_input_tokens=0"):
        OfficialStyle(thinking=False, max_input_tokens=0)


def test_the_longest_prompt_is_known_before_it_is_written(tokenizer):
    builder = PromptBuilder(style=OfficialStyle(thinking=False, max_input_tokens=50), tokenizer=tokenizer)
    assert builder.max_tokens() == 50 + 3  # USER, END, ASSISTANT
    check_fits_context(builder, context_tokens=63, completion_tokens=10)
    with pytest.raises(UserError, match=r"prompt\.max_input_tokens=50, the rest"):
        check_fits_context(builder, context_tokens=62, completion_tokens=10)


texts = st.text(alphabet=st.sampled_from("a0 b1<\n</s>é漢"), max_size=60)


@given(st.lists(st.tuples(texts, texts), max_size=5), texts, st.integers(1, 60), st.booleans())
def test_the_budget_is_never_overrun(entries, question, tokens, ends):
    tokenizer = make_tokenizer(ends=ends)
    for task in ("LaMP_1", "LaMP_5", "LaMP_7"):
        prompt = write(tokenizer, record(task, *entries, question=f"title {question}"), tokens)
        assert len(tokenizer(prompt.text)["input_ids"]) <= max(tokens, ends)
        assert len(prompt.history) + prompt.num_dropped == len(entries)
