import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.data import json_files
from tagpr.data.json_files import iterate_json_list, read_json_input
from tagpr.errors import BadInputError

texts = st.text(max_size=9) | st.sampled_from(["\u00e9t\u00e9", "\U0001f600", 'a "b"\n', "\\"])
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "list.json"


def in_pieces(path, piece):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_files, "PIECE", piece)
        return list(iterate_json_list(path))


def message(read, path):
    with pytest.raises(BadInputError) as caught:
        read(path)
    return str(caught.value)


@given(st.lists(values, max_size=6), st.integers(1, 40), st.booleans(), st.sampled_from([None, 1]))
def test_a_list_is_read_whole_in_pieces_of_any_size(tmp_path_factory, items, piece, ascii_only, indent):
    path = tmp_path_factory.mktemp("list") / "list.json"
    path.write_text(json.dumps(items, ensure_ascii=ascii_only, indent=indent), encoding="utf-8")
    assert in_pieces(path, piece) == items


@given(st.lists(values, min_size=1, max_size=4), st.integers(1, 40), st.data())
def test_a_list_that_is_cut_off_is_never_taken_for_a_whole_one(tmp_path_factory, items, piece, data):
    path = tmp_path_factory.mktemp("list") / "list.json"
    whole = json.dumps(items, ensure_ascii=False).encode()
    path.write_bytes(whole[: data.draw(st.integers(1, len(whole) - 1))])
    with pytest.raises(BadInputError, match=r"list\.json"):
        in_pieces(path, piece)


@given(st.binary(max_size=60), st.integers(1, 9))
def test_any_bytes_are_a_list_or_an_error_that_says_so(tmp_path_factory, noise, piece):
    path = tmp_path_factory.mktemp("list") / "list.json"
    path.write_bytes(noise)
    try:
        items, said = in_pieces(path, piece), ""
    except BadInputError as error:
        items, said = None, str(error)
    assert "list.json" in said or items == json.loads(noise.decode("utf-8-sig"))


DAMAGED = {
    "empty": b" \n",
    "web page": b"<html>",
    "latin-1": b'[{"a": 1},\n"caf\xe9"]',
    "cut in a text": b'[{"a": 1},\n"caf',
    "cut between values": b'[{"a": 1},\n',
    "no value": b'[{"a": 1},\n LaMP, {"b": 2}]',
    "comma behind the last": b'[{"a": 1},\n{"b": 2},]',
    "more behind the end": b'[{"a": 1}]\n[]',
    "zero bytes": b'[{"a": 1},\n\0\0\0\0]',
    "line break in a text": b'[{"a": 1},\n"a\nb", "a text to read on"]',
    "gzip": b"\x1f\x8b\x08\x00",
    "utf-16": '[{"a": 1}]'.encode("utf-16"),
    "too deep": b'[{"a": 1},\n' + b"[" * 100_000,
    "too many digits": b'[{"a": 1},\n' + b"9" * 5000 + b"]",
}


@pytest.mark.parametrize("case", DAMAGED)
@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_a_list_says_what_a_whole_file_says(path, case, piece):
    path.write_bytes(DAMAGED[case])
    assert message(lambda p: in_pieces(p, piece), path) == message(read_json_input, path)


@pytest.mark.parametrize(
    "case, said",
    [
        ("latin-1", "line 2, byte 15: b'\\xe9' is not UTF-8"),
        ("cut in a text", "ends in the middle of a value (line 2, 15 bytes)"),
        ("no value", "line 2, column 2: Expecting value, found 'LaMP, {\"b\": 2}]'"),
        ("comma behind the last", "line 2, column 10: ']' behind a comma."),
        ("more behind the end", "line 2, column 1: Extra data"),
        ("zero bytes", "line 2, column 1: a zero byte"),
        ("gzip", "is compressed (gzip). Unpack it, e.g. gunzip -k list.json"),
        ("utf-16", "is UTF-16. Convert it, e.g. iconv -f UTF-16 -t UTF-8 list.json"),
    ],
)
def test_the_place_is_the_files_own(path, case, said):
    path.write_bytes(DAMAGED[case])
    assert said in message(lambda p: in_pieces(p, 5), path)


def test_a_folder_and_nothing_are_said(tmp_path):
    for read in (read_json_input, lambda p: list(iterate_json_list(p))):
        assert "is a folder, expected a JSON file" in message(read, tmp_path)
        assert "there is no such file" in message(read, tmp_path / "nowhere.json")
    (tmp_path / "object.json").write_text('{"id": "1"}')
    assert "expected a list of questions" in message(lambda p: list(iterate_json_list(p)), tmp_path / "object.json")
