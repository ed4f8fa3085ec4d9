import pytest

from desktop_app.ui.tokens import SERIES, THEMES, Theme, contrast

TONES = ("neutral", "good", "caution", "bad", "accent")
MINIMUM = 4.5


@pytest.fixture(params=THEMES)
def theme(request) -> Theme:
    return THEMES[request.param]


def test_contrast_is_that_of_wcag():
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.01)


def test_text_can_be_read_on_every_ground(theme: Theme):
    for ink in (theme.text, theme.muted, theme.accent, theme.bad):
        for ground in (theme.background, theme.surface):
            assert contrast(ink, ground) >= MINIMUM, (theme.name, ink, ground)


def test_a_pill_can_be_read_in_every_tone(theme: Theme):
    for tone in TONES:
        ink, ground = theme.tone(tone)
        assert contrast(ink, ground) >= MINIMUM, (theme.name, tone)


def test_the_primary_button_and_the_toast_can_be_read(theme: Theme):
    assert contrast(theme.on_accent, theme.accent) >= MINIMUM
    assert contrast(theme.surface, theme.text) >= MINIMUM
    assert contrast(theme.text, theme.accent_ground) >= MINIMUM


def test_series_are_told_apart_by_more_than_two_colours():
    assert len(set(SERIES)) == 6
