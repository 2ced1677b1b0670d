from tagpr.prmu.pairs import split_queries


def test_split_leaves_no_query_on_both_sides(make_record):
    train = [make_record(f"t{i}", "u", query=f"q{i}") for i in range(40)]
    dev = [make_record(f"d{i}", "v", query=f"q{i}", split="dev") for i in range(20, 60)]
    kept_train, kept_dev = split_queries(train, dev, dev_share=0.5)
    queries = {r.query for r in kept_train}, {r.query for r in kept_dev}
    assert queries[0] & queries[1] == set()
    assert queries[0] | queries[1] == {f"q{i}" for i in range(60)}
    assert 3 < len(queries[1] & {f"q{i}" for i in range(20, 40)}) < 17
    assert split_queries(train[::-1], dev, dev_share=0.5)[1] == kept_dev
