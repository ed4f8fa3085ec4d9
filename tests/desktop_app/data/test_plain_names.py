from hypothesis import given
from hypothesis import strategies as st

from desktop_app.data.plain_names import plain_name


@given(st.text(st.characters(), max_size=600))
def test_a_plain_name_prints_as_itself_and_is_bounded(name: str) -> None:
    plain = plain_name(name)
    assert plain.isprintable()
    assert len(plain) <= 401
    assert plain_name(plain) == plain


@given(st.text(max_size=100).filter(str.isprintable))
def test_an_ordinary_name_is_left_alone(name: str) -> None:
    assert plain_name(name) == name


def test_bytes_that_are_no_text_are_shown() -> None:
    assert plain_name(b"a\xff\n".decode(errors="surrogateescape")) == r"a\xff\n"
