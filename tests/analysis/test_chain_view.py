"""tagpr.analysis.chain_view: what is shown, and that nothing of a text gets out of its place."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from tagpr.analysis.chain_view import COLOURS, chain_html, history_html, legend_html
from tagpr.chains.tags import TAGS, TagVocabulary, cited_entries, open_tag
from tagpr.types import ProfileEntry

NINE = TagVocabulary(names=list(TAGS))
THREE = TagVocabulary(names=["examine_examples", "infer_preference", "apply_preference"])
NONE = TagVocabulary(names=[])


class Reader(HTMLParser):
    """The text that a page shows, the classes of its elements, and whether every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.classes, self.open, self.names = "", [], [], set()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.names.add(tag)
        self.classes += [value for name, value in attrs if name == "class"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def entry(number: int, text: str, response: str) -> ProfileEntry:
    return ProfileEntry(entry_id=str(number), input=text, response=response)


HISTORY = (entry(1, "a dark forest", "eerie"), entry(2, "a soft sofa", "cosy"), entry(3, "", "just a tweet"))
CHAIN = (
    "<think><examine_examples><1> dark , <2> soft</examine_examples><infer_preference>mood</infer_preference>"
    "<apply_preference>so : eerie</apply_preference></think>eerie"
)


def test_every_span_stands_in_its_tags_colour():
    page = chain_html(CHAIN, THREE, HISTORY, thinking=True)
    for name, text in (
        ("examine_examples", "dark ,"),
        ("infer_preference", "mood"),
        ("apply_preference", "so : eerie"),
    ):
        before, _, after = page.partition(f"background:{COLOURS[name]}")
        assert before
        assert text in after.split("</div>")[0]
    assert "outside every tag" not in page


def test_colours_tell_all_tags_apart():
    assert len(set(COLOURS.values())) == len(TAGS) == 9


def test_cited_entries_stand_out_and_the_others_do_not():
    reader = Reader(chain_html(CHAIN, THREE, HISTORY, thinking=True))
    assert reader.classes.count("cited") == 2  # entries 1 and 2
    assert reader.classes.count("entry") == 1
    assert reader.classes.count("citation") == 2


def test_a_citation_of_an_entry_that_is_not_there_says_so():
    page = chain_html("<think><examine_examples><4> gone</examine_examples></think>x", THREE, HISTORY, thinking=True)
    assert page.count("the prompt shows no such entry") == 1


def test_an_entry_without_input_shows_its_response_alone():
    reader = Reader(history_html(HISTORY[2:]))
    assert "<1> just a tweet" in reader.text
    assert "=>" not in reader.text


def test_no_history():
    assert "no history is shown" in history_html(())


def test_answer_heading_question_and_facts():
    page = chain_html(CHAIN, THREE, HISTORY, thinking=True, question="which?", heading="best", facts={"gold": "<cosy>"})
    reader = Reader(page)
    assert "answer: eerie" in reader.text
    for text in ("best", "which?", "gold: <cosy>"):
        assert text in reader.text


def test_text_outside_tags_is_shown_as_such_with_the_problem():
    page = chain_html("oh <think>loose words</think>eerie", THREE, HISTORY, thinking=True)
    assert page.count('title="outside every tag"') == 2  # `oh` and `loose words`
    reader = Reader(page)
    assert "uncovered_text" in reader.text
    assert "text_before_thinking" in reader.text
    assert "answer: eerie" in reader.text


def test_a_block_that_is_never_closed_has_no_answer():
    reader = Reader(chain_html("<think><infer_preference>mood</infer_preference>eerie", THREE, (), thinking=True))
    assert "unclosed_thinking" in reader.text
    assert "answer: " not in reader.text.replace("no_answer: ", "")
    assert reader.text.count("eerie") == 1


def test_an_untagged_chain_is_shown_line_by_line_without_complaint():
    page = chain_html("<think>first <2>\nsecond</think>cosy", NONE, HISTORY, thinking=True)
    assert "outside every tag" not in page
    assert "<div>second</div>" in page
    assert "answer: cosy" in Reader(page).text


def test_without_thinking_everything_is_the_answer():
    page = chain_html("cosy", NINE, HISTORY, thinking=False)
    assert "answer: cosy" in Reader(page).text
    assert "no_thinking" not in page


def test_legend_lists_the_tags_in_use():
    text = Reader(legend_html(THREE)).text
    assert all(name in text for name in THREE.names)
    assert "verify_fit" not in text
    assert "without tags" in legend_html(NONE)


HOSTILE = '<script>alert("&")</script><img src=x onerror=alert(1)>'


def test_hostile_text_is_only_text():
    chain = f"<think><infer_preference><1> {HOSTILE}</infer_preference>{HOSTILE}</think>{HOSTILE}"
    history = (entry(1, HOSTILE, HOSTILE),)
    facts = {HOSTILE: HOSTILE}
    for thinking in (True, False):
        page = chain_html(chain, NINE, history, thinking=thinking, question=HOSTILE, heading=HOSTILE, facts=facts)
        assert Reader(page).names <= {"div", "span", "b"}


PIECES = st.sampled_from(
    ["<think>", "</think>", "<1>", "<2>", "<9>", "word ", "\n", '"', "<b>", "&amp;", "$x$", "</div>", "<!--"]
    + [open_tag(name) for name in THREE.names]
    + [f"</{name}>" for name in THREE.names]
)


@given(st.lists(PIECES | st.text(max_size=5), max_size=14).map("".join), st.booleans(), st.sampled_from([NONE, THREE]))
def test_any_completion_gives_well_formed_html_with_every_word_in_it(completion, thinking, vocabulary):
    page = chain_html(completion, vocabulary, HISTORY, thinking=thinking)
    reader = Reader(page)
    assert not reader.open
    assert reader.names <= {"div", "span", "b"}
    assert reader.text.count("word") == completion.count("word")


@given(st.lists(st.sampled_from(["<1>", "<3>", "<77>", " and ", "x"]), max_size=8).map("".join))
def test_citations_shown_are_the_citations_read(text):
    page = chain_html(f"<think><infer_preference>{text}</infer_preference></think>a", THREE, HISTORY, thinking=True)
    known = [number for number in cited_entries(text) if number <= 3]
    assert Reader(page).classes.count("cited") == len(known)
