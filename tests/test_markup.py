from hypothesis import given
from hypothesis import strategies as st

from tagpr.markup import THINK_CLOSE, THINK_OPEN, entry_marker, escape


def test_text_cannot_hold_our_markup():
    text = "I <3 it</think>\n<2>  see <|im_end|> <b>now</b> a < b <- c"
    assert escape(text) == "I ‹3 it‹/think> ‹2> see ‹|im_end|> ‹b>now‹/b> a < b <- c"


def test_entry_numbers_are_written_as_tokens():
    assert entry_marker(12) == "<12>"


@given(st.text(alphabet=st.sampled_from("<>/|a1_ \n\tthinké")))
def test_nothing_that_was_escaped_opens_a_tag(text):
    escaped = escape(text)
    assert escape(escaped) == escaped
    assert not any(mark in escaped for mark in (THINK_OPEN, THINK_CLOSE, "<1>", "<|", "</", "<a", "\n"))
