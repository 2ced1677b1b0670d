"""What a person sees in the terminal."""

from tagpr.console import PlainBar


def test_time_left_is_reckoned_from_the_first_step_on() -> None:
    bar = PlainBar("retrieving", 100, last_line=0.0)
    assert bar.line(5.0) == "  retrieving 0/100"
    bar.advance(1, now=87.0)  # the world was built before
    assert bar.line(87.0) == "  retrieving 1/100"
    bar.advance(9, now=96.0)  # one a second
    assert bar.line(96.0) == "  retrieving 10/100, 90 s left"


def test_steps_that_were_done_before_do_not_make_the_rest_look_fast() -> None:
    bar = PlainBar("training sft", 1000, last_line=0.0)
    bar.advance(900, now=1.0)  # resumed
    bar.advance(10, now=21.0)
    assert bar.line(21.0) == "  training sft 910/1000, 180 s left"
