import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desktop_app.errors import JobError
from desktop_app.jobs.requests import JOBS, AcceptanceJob, ConvertJob, FreezeJob, ImportJob, Job, decode_job, find_function

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SOME_JOBS = st.one_of(
    st.builds(ImportJob, TEXT, TEXT, st.dictionaries(TEXT, TEXT | st.booleans() | st.integers(-(2**53), 2**53))),
    st.builds(AcceptanceJob, st.integers(1, 1000), st.integers(-(2**31), 2**31)),
    st.builds(FreezeJob, st.integers(-(2**31), 2**31), st.just((0.5, 0.25, 0.25))),
    st.builds(ConvertJob, TEXT, st.lists(TEXT).map(tuple), st.floats(allow_nan=False, allow_infinity=False)),
)


@given(SOME_JOBS)
def test_a_job_survives_the_wire(job: Job) -> None:
    assert decode_job(msgspec.json.encode(job)) == job


@pytest.mark.parametrize("data", [b"", b"{}", b'{"job":"dance"}', b'{"job":"freeze","sed":1}', b'{"job":"freeze","seed":"one"}', b"\xff"])
def test_a_broken_request_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(JobError, match="request is not valid"):
        decode_job(data)


def test_every_job_has_a_name_and_a_function_in_a_module_of_the_studio() -> None:
    assert len({kind.__struct_config__.tag for kind in JOBS}) == len(JOBS)
    for target in JOBS.values():
        module, _, attribute = target.partition(":")
        assert attribute.isidentifier()
        assert module.startswith(("desktop_app.", "tests."))


@pytest.mark.parametrize("job", [ImportJob("x"), FreezeJob(), AcceptanceJob()])
def test_the_data_jobs_find_their_functions(job: Job) -> None:
    assert find_function(job).__name__.startswith("run_")


class ForeignJob(Job, frozen=True, tag="foreign"):
    """In no table."""


def test_an_unknown_job_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(JobError, match=r"no job 'foreign'.*freeze"):
        find_function(ForeignJob())


def test_a_job_whose_module_is_absent_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(JOBS, ForeignJob, "desktop_app.absent:run")
    with pytest.raises(JobError, match=r"desktop_app\.absent") as caught:
        find_function(ForeignJob())
    assert "pip install" in caught.value.advice
    monkeypatch.setitem(JOBS, ForeignJob, "desktop_app.errors:absent")
    with pytest.raises(JobError, match="not part of this installation"):
        find_function(ForeignJob())
