"""tagpr.analysis.explorer.page: texts stay texts, counts are those of the exhibit, filters hide the rest."""

import re
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.explorer.conftest import Reader
from tests.analysis.explorer.made_pages import card, page_of, reply


def test_nothing_is_run_or_loaded_and_ids_are_unique():
    page = page_of(card(0), card(1, task="S3"))
    read = Reader(page)
    assert not {"script", "link", "img", "iframe"} & set(read.names)
    assert not read.loads
    assert "url(" not in page
    assert "default-src 'none'" in page
    assert max(Counter(read.ids).values()) == 1


def test_counts_are_of_the_page_and_of_all():
    known = [card(place, flags=["wrong"] if place else ["right"]).chosen for place in range(8)]
    page = page_of(card(0), card(1, flags=["wrong"]), candidates=known)
    rows = {cells[0].strip(): cells[2:] for cells in rows_of(page)}
    assert rows == {"all": ["2", "8"], "right": ["1", "1 (12%)"], "wrong": ["1", "7 (88%)"]}
    assert "--seed 0, of 5 that fit." in Reader(page).text


def rows_of(page):
    body = page[page.index("<tbody>") : page.index("</tbody>")]
    return [
        [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td>(.*?)</td>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", body)
    ]


def test_filters_hide_the_rest_and_say_where_nothing_is_left():
    page = page_of(card(0), card(1, task="S3", flags=["wrong"]))
    assert 'class="question task-0 is-right"' in page
    assert 'class="question task-1 is-wrong"' in page
    hidden, empty = re.findall(r"^(main:has.*) \{ display: (none|block); \}$", page, re.MULTILINE)
    assert set(hidden[0].split(", ")) == {
        "main:has(#show-right:checked) .question:not(.is-right)",
        "main:has(#show-wrong:checked) .question:not(.is-wrong)",
        "main:has(#task-0:checked) .question:not(.task-0)",
        "main:has(#task-1:checked) .question:not(.task-1)",
    }
    assert set(empty[0].split(", ")) == {
        "main:has(#show-right:checked):has(#task-1:checked) .none",
        "main:has(#show-wrong:checked):has(#task-0:checked) .none",
    }


# What HTML cannot hold as it is: carriage returns and NUL.
ANY = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), min_size=1, max_size=40)
MARKUP = st.sampled_from(["<script>alert(1)</script>", "</style><b>", '"><img src=x onerror=y>', "<!--", "&lt;", "]]>"])


@given(text=ANY | MARKUP)
def test_any_text_of_the_data_comes_back_as_text(text):
    plain = Reader(page_of(card()))
    read = Reader(page_of(card(history=(text,), query=text, gold=text)))
    assert read.names == plain.names
    assert read.texts.count(text) >= 4  # the question twice, folded and open, the entry, the gold
    page = page_of(card(history=(text,)), kicker=text, facts={"rows": text}, hints=[("more", text)])
    assert Counter(Reader(page).names) == Counter(Reader(page_of(card(), hints=[("more", "x")])).names)


@given(text=ANY | MARKUP)
def test_any_completion_is_shown_without_becoming_markup(text):
    completion = f"<think>{text}<infer_preference>{text}</infer_preference></think>{text}"
    read = Reader(page_of(card(replies=[reply(completion=completion, truths=())])))
    assert not {"script", "img", "style"} & set(read.names[read.names.index("body") :])
    for word in text.split():
        if "<" not in word and ">" not in word:
            assert word in read.text
