import pytest

from desktop_app.errors import JobCancelledError, JobError
from desktop_app.jobs.context import JobContext, SilentReport
from desktop_app.jobs.events import Event, Message, Metric, Progress


def test_what_is_said_is_sent() -> None:
    events: list[Event] = []
    context = JobContext(events.append)
    context.progress(1, 2, "files", "importing")
    context.metric("accuracy", 0.5, epoch=3, split="validation")
    context.metric("loss", float("inf"))
    context.message("hello")
    assert events == [
        Progress(1, 2, "files", "importing"),
        Metric("accuracy", 0.5, 3, None, "validation"),
        Message("loss is inf: not a finite number"),
        Message("hello"),
    ]


def test_a_cancelled_context_stops_the_job_at_its_next_check() -> None:
    context = JobContext(lambda _event: None)
    context.check_cancelled()
    context.cancel()
    assert context.cancelled
    with pytest.raises(JobCancelledError):
        context.check_cancelled()


def test_a_secret_that_was_not_given_is_named() -> None:
    assert JobContext(print, {"token": "t"}).secret("token") == "t"
    with pytest.raises(JobError, match="passphrase"):
        JobContext(print).secret("passphrase")


def test_a_silent_report_drops_everything() -> None:
    report = SilentReport()
    report.progress(1, 2)
    report.message("x")
    report.check_cancelled()
