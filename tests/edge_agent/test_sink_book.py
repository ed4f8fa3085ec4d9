"""What the supervisor keeps of the sinks: the fleet hears it seldom, and nothing counts of a worker that is gone."""

from edge_agent.sink_book import LATELY_S, TELL_AGAIN_S, Refused, SinkBook
from edge_agent.worker.messages import SinkSaid, SinkState


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def said(lost: int, reason: str = "answered 404", *, refused: int = 0, pid: int = 7, number: int = 0) -> SinkSaid:
    return SinkSaid(pid, number, SinkState("webhook x", reason, "2026-01-01T00:00:00.000Z" if reason else "", 10, lost, refused))


def test_the_fleet_hears_a_loss_once_an_hour_and_that_it_is_over_once() -> None:
    clock = Clock()
    book = SinkBook(clock=clock)
    assert book.hear(said(0, "no answer")) == "", "nothing is lost yet"
    assert book.hear(said(1)) == "records are lost: the sink webhook x: answered 404 (1 of 10 so far)"
    assert book.hear(said(5)) == ""
    assert book.hear(said(5, "")) == "the sink webhook x works again; 5 of 10 records were lost"
    clock.now += TELL_AGAIN_S - 1
    assert book.hear(said(6)) == ""
    assert book.hear(said(6, "")) == "", "what was not told is not told to be over"
    clock.now += 1
    assert book.hear(said(6)) == "", "no further record was lost"
    assert book.hear(said(7)).startswith("records are lost")
    assert book.hear(said(1, number=1)).startswith("records are lost"), "another sink"


def test_what_a_worker_said_that_is_gone_counts_no_more() -> None:
    book = SinkBook()
    book.hear(said(4, refused=4, pid=7))
    assert [state.lost for state in book.states(7)] == [4]
    assert book.states(8) == book.states(None) == ()
    assert book.refused(8) == Refused()
    book.hear(said(1, refused=1, pid=8))
    assert [state.lost for state in book.states(8)] == [1]


def test_the_sink_that_refused_the_largest_share_is_judged_and_keeps_its_reason() -> None:
    clock = Clock()
    book = SinkBook(clock=clock)
    assert not book.refused_lately()
    book.hear(said(9, refused=0, number=0))
    assert not book.refused_lately()
    book.hear(said(3, "its function failed", refused=3, number=1))
    book.hear(said(3, "", refused=3, number=1))
    assert book.refused(7) == Refused(3, 10, "webhook x: its function failed")
    clock.now += LATELY_S - 1
    assert book.refused_lately()
    clock.now += 1
    assert not book.refused_lately()
