"""What a signal does: in a stage the flag, elsewhere the end, and the old handlers are put back."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from tagpr.context import StageContext, StopRequested
from tagpr.stopping import StopSignals


def test_outside_a_stage_it_ends_at_once() -> None:
    before = signal.getsignal(signal.SIGTERM)
    signals = StopSignals()
    with signals:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        assert (signals.event.is_set(), signals.exit_code) == (True, 143)
    assert signal.getsignal(signal.SIGTERM) is before


def test_inside_a_stage_it_waits_for_the_stage(capsys: pytest.CaptureFixture[str]) -> None:
    done = []

    def stage() -> None:
        with signals.deferred():
            os.kill(os.getpid(), signal.SIGINT)
            done.append(signals.event.is_set())

    with StopSignals() as signals, pytest.raises(StopRequested):
        stage()
    assert (done, signals.exit_code) == ([True], 130)
    assert "once more to stop at once" in capsys.readouterr().err


def test_an_error_of_the_stage_goes_before_the_request() -> None:
    def stage() -> None:
        with signals.deferred():
            os.kill(os.getpid(), signal.SIGTERM)
            raise ZeroDivisionError

    with StopSignals() as signals, pytest.raises(ZeroDivisionError):
        stage()


def test_nested_and_in_other_threads() -> None:
    signals, before = StopSignals(), signal.getsignal(signal.SIGINT)
    with signals, signals:
        pass
    assert signal.getsignal(signal.SIGINT) is before
    entered = []

    def enter() -> None:
        with signals:
            entered.append(True)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [True]


def test_a_progress_bar_leaves_unless_its_work_saves_first(tmp_path) -> None:
    context = StageContext(stage="any", seed=0, checkpoints=tmp_path)
    context.stop.set()
    with context.progress("saves", total=2, leaves=False) as advance:
        advance()
    with pytest.raises(StopRequested), context.progress("writes", total=2) as advance:
        advance()
