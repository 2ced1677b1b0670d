"""Dates as tables write them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagpr.data.table_people import read_date


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("1970-01-02", 86400),
        ("1970-1-2", 86400),
        ("1970-02", 31 * 86400),
        ("1971", 365 * 86400),
        ("19700102", 86400),
        ("1970-01-01T01:00:00", 3600),
        ("1970-01-01 01:00:00+01:00", 0),
        ("1970-01-01T00:00:01Z", 1),
        ("964981775", 964981775),
        ("964981775.5", 964981775.5),
        ("1700000000", 1700000000),
        ("1700000000000", 1700000000),
        ("1700000000000000", 1700000000),
        ("1700000000000000000", 1700000000),
    ],
)
def test_dates(text, seconds):
    assert read_date(text) == seconds


@pytest.mark.parametrize("text", ["", "10/02/2015", "last May", "2015-13-01", "2015-02-30", "12345", "0000", "nan"])
def test_what_is_no_date(text):
    with pytest.raises(ValueError):
        read_date(text)


@given(st.text(max_size=25))
def test_a_date_is_a_number_or_a_value_error(text):
    with contextlib.suppress(ValueError):
        assert isinstance(read_date(text), float)
