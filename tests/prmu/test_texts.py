from tagpr.prmu.texts import Exchange, query_context, user_history


def test_template(make_record):
    record = make_record("r", "u", query="a  calm\nhall", history=(("a <think> pier", "seaside"),))
    assert query_context(record) == "tag : a calm hall"
    assert user_history(record) == (Exchange("tag : a ‹think> pier", "seaside", age=0),)


def test_the_question_itself_is_never_in_its_own_history(make_record):
    """An entry with the query as its input would hand the gold to the reward model."""
    record = make_record("r", "u", query="a calm hall", history=(("a pier", "seaside"), ("a calm  hall ", "quiet")))
    assert user_history(record) == (Exchange("tag : a pier", "seaside", age=0),)


def test_entries_without_an_input_are_told_apart_by_nothing_but_their_response(make_record):
    record = make_record("r", "u", task="LaMP_7", query="a tweet", gold="A tweet!", history=(("", "one"), ("", "two")))
    assert [entry.response for entry in user_history(record)] == ["one", "two"]
    assert len({entry.context for entry in user_history(record)}) == 1


def test_ages_count_what_was_answered_since(make_record):
    record = make_record("r", "u", history=(("x", "one"), ("a calm hall", "quiet"), ("y", "two"), ("z", "three")))
    assert [(entry.response, entry.age) for entry in user_history(record)] == [("one", 2), ("two", 1), ("three", 0)]
    assert user_history(record)[0].text() == Exchange("tag : x", "one")
