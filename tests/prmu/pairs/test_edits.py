import re

from hypothesis import given, settings
from hypothesis import strategies as st

from tagpr.data.simulated.style import STYLE_WORDS, read_style
from tagpr.markup import escape
from tagpr.prmu.pairs.edits import MANNERS, REWRITES, Edits, collect_edits, edited_pairs
from tagpr.tasks import ALL_TASKS

OPENERS = STYLE_WORDS["S5"]["opening"]


def title(opener: str, ending: str, a: str = "tides", b: str = "owls") -> str:
    return f"{opener} {a} and {b}{ending}"


def person(make_record, number: int, opener: str, ending: str, gold: str | None = None, topic=("tides", "owls")):
    """Somebody whose past titles all open and end the same way."""
    past = tuple((f"an abstract on {i} and rust", title(opener, ending, i, "rust")) for i in ("moss", "kites", "maps"))
    return make_record(
        f"r{number}", f"u{number}", task="S5", query=f"an abstract on {topic[0]} and {topic[1]} no {number}",
        gold=title(opener, ending, *topic) if gold is None else gold, history=past,
    )  # fmt: skip


def crowd(make_record):
    topics = [("tides", "owls"), ("trains", "pearls"), ("comets", "kites")]
    return [person(make_record, i, OPENERS[i % 3], ".!"[i % 2], topic=topics[i % len(topics)]) for i in range(36)]


def test_manners_are_read_and_written():
    read = {name: manner.read for name, manner in MANNERS.items()}
    assert [read["punctuation"](t) for t in ("a b.", "a b", "a b...", "")] == [".", "", "...", ""]
    assert [read["casing"](t) for t in ("a b", "A B", "A Bee", "A bee", "a Bee", "Single")] == [
        "lower", "upper", "title", "sentence", None, None,
    ]  # fmt: skip
    assert [read["opener"](t) for t in ("Exploring owls", "owls", "", "...")] == ["exploring", None, None, None]
    write = {name: manner.write for name, manner in MANNERS.items()}
    assert write["punctuation"]("exploring owls...", "!") == "exploring owls!"
    assert write["casing"]("exploring Owls", "title") == "Exploring Owls"
    assert write["casing"]("exploring Owls", "sentence") == "Exploring owls"
    assert write["opener"]("Exploring owls.", "mapping") == "Mapping owls."


def test_what_few_people_share_is_no_manner(make_record):
    records = [person(make_record, i, "watching", ".") for i in range(3)] + [person(make_record, 3, "mapping", "~")]
    edits = collect_edits([*records, make_record("label", "x")])
    assert edits.keys() == {"S5"}
    assert edits["S5"].values == {"punctuation": {".": 3}, "casing": {"lower": 4}, "opener": {"watching": 3}}
    assert edits["S5"].keywords == ["owls", "tides"]


def test_edits_change_one_thing_and_cost_what_they_should(make_record):
    records = crowd(make_record)
    made = edited_pairs(records, collect_edits(records))
    assert len(made.blocks) + sum(made.dropped.values()) == 36
    assert set(made.kinds) == {"punctuation", "opener", "order", "keyword"}  # all write in lower case: nothing to shift
    score = ALL_TASKS["S5"].score
    for (pair,) in made.blocks:
        gold, edited = read_style("S5", pair.chosen), read_style("S5", pair.rejected)
        assert gold is not None
        if edited is not None and edited != gold:
            # A shift of manner: one part differs, to a value the person's history does not show.
            assert sum(gold[part] != edited[part] for part in gold) == 1
        else:
            assert score(pair.rejected, pair.chosen) < 1.0
    assert made == edited_pairs(records, collect_edits(records))


def test_a_gold_out_of_manner_gets_no_shift_of_it(make_record):
    others = crowd(make_record)
    edits = collect_edits(others)
    # The person ends with "." always; this gold does not, so the ending is not what makes it theirs.
    odd = [person(make_record, 100 + i, "exploring", ".", gold="exploring tides and owls!") for i in range(40)]
    assert "punctuation" not in edited_pairs(odd, edits).kinds
    assert (
        "punctuation" in edited_pairs([person(make_record, 100 + i, "exploring", ".") for i in range(40)], edits).kinds
    )


def test_the_typical_opener_wins_no_more_often_than_it_loses(make_record):
    # "exploring" is twice as frequent as the other two together.
    records = [person(make_record, i, OPENERS[0] if i % 6 < 4 else OPENERS[1 + i % 2], ".") for i in range(900)]
    made = edited_pairs(records, collect_edits(records))
    openers = [
        (MANNERS["opener"].read(p.chosen), MANNERS["opener"].read(p.rejected))
        for (p,) in made.blocks
        if read_style("S5", p.rejected) is not None and p.chosen.split()[1:] == p.rejected.split()[1:]
    ]
    wins = sum(chosen == OPENERS[0] for chosen, _ in openers)
    losses = sum(rejected == OPENERS[0] for _, rejected in openers)
    assert wins + losses > 60
    assert abs(wins - losses) < 4 * (wins + losses) ** 0.5


def test_label_tasks_and_no_history_are_left_alone(make_record):
    assert edited_pairs([make_record("r", "u")], collect_edits([make_record("r", "u")])).blocks == []
    edits = collect_edits(crowd(make_record))
    nobody = make_record("n", "n", task="S5", query="tides and owls", gold=title("watching", "."), history=())
    ((pair,),) = edited_pairs([nobody], edits).blocks
    assert ALL_TASKS["S5"].score(pair.rejected, pair.chosen) < 1.0  # a rewrite: no manner is known


words = st.lists(st.sampled_from(["Owls", "tides", "and", "RUST", "a", "well,", "(tea)", "5"]), min_size=1, max_size=6)


@settings(max_examples=60)
@given(
    texts=st.lists(st.tuples(words, st.sampled_from(["", ".", "!", " ..."])), min_size=4, max_size=12),
    past=st.lists(words, max_size=4),
)
def test_no_pair_prefers_a_gold_to_itself_or_to_a_known_text_of_the_person(make_record, texts, past):
    history = tuple((f"x {i}", " ".join(text)) for i, text in enumerate(past))
    records = [
        make_record(
            f"r{i}",
            f"u{i % 5}",
            task="LaMP_5",
            query="Owls and tides (tea)",
            gold=" ".join(text) + mark,
            history=history,
        )
        for i, (text, mark) in enumerate(texts)
    ]
    golds = {record.user_id: set() for record in records}
    for record in records:
        golds[record.user_id].add(escape(record.gold))
    made = edited_pairs(records, collect_edits(records))
    for (pair,) in made.blocks:
        assert escape(pair.rejected) != escape(pair.chosen)
        assert escape(pair.rejected) not in golds[pair.user_id]
        assert escape(pair.rejected) not in {escape(" ".join(text)) for text in past}


def test_rewrites_where_there_is_nothing_to_rewrite(make_record):
    record = make_record("r", "u", task="S5", gold="owls owls", query="x")
    assert REWRITES["order"](record, Edits(values={}, keywords=["rust"]), [], 0.5) is None
    assert REWRITES["keyword"](record, Edits(values={}, keywords=["rust"]), [], 0.5) is None
    shared = make_record("r", "u", task="S5", gold="Owls and more owls", query="on owls")
    assert REWRITES["keyword"](shared, Edits(values={}, keywords=["rust"]), [], 0.5) == "Rust and more rust"
    assert REWRITES["keyword"](shared, Edits(values={}, keywords=["rust"]), ["old rust"], 0.5) is None
    assert re.fullmatch(
        r"and Owls more owls|Owls more and owls|Owls and owls more",
        REWRITES["order"](shared, Edits(values={}, keywords=[]), [], 0.4) or "",
    )
