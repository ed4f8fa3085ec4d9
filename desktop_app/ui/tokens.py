"""Colours, spaces and sizes of the studio, light and dark, in one place; no Qt in here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Theme:
    """One set of colours; text on `background`, `surface` and the grounds has a contrast of at least 4.5 to 1."""

    name: str
    background: str
    surface: str
    border: str
    text: str
    muted: str
    accent: str
    accent_ground: str
    on_accent: str
    good: str
    good_ground: str
    caution: str
    caution_ground: str
    bad: str
    bad_ground: str
    track: str

    def tone(self, tone: str) -> tuple[str, str]:
        """Text and ground of a tone: good, caution, bad, accent or neutral."""
        if tone == "neutral":
            return self.muted, self.track
        return getattr(self, tone), getattr(self, f"{tone}_ground")


LIGHT = Theme(
    name="light",
    background="#F6F7F9",
    surface="#FFFFFF",
    border="#E2E6EC",
    text="#18212B",
    muted="#5B6777",
    accent="#2F5FD0",
    accent_ground="#E8EEFB",
    on_accent="#FFFFFF",
    good="#1F7A3F",
    good_ground="#E4F3E8",
    caution="#9A5B00",
    caution_ground="#FCF0DA",
    bad="#B3261E",
    bad_ground="#FBE7E5",
    track="#E9ECF1",
)

DARK = Theme(
    name="dark",
    background="#11151A",
    surface="#191F27",
    border="#2A323D",
    text="#E7EBF0",
    muted="#97A3B3",
    accent="#86A8FF",
    accent_ground="#22304F",
    on_accent="#11151A",
    good="#6CCB8A",
    good_ground="#1A3324",
    caution="#E9B35C",
    caution_ground="#3A2D14",
    bad="#F28B82",
    bad_ground="#41211F",
    track="#28303B",
)

THEMES = {theme.name: theme for theme in (LIGHT, DARK)}

SERIES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
"""Okabe and Ito's palette: told apart by colour-blind eyes; plots add dashes or symbols."""

SPACE_XS, SPACE_S, SPACE_M, SPACE_L, SPACE_XL = 4, 8, 12, 16, 24
RADIUS_CONTROL, RADIUS_CARD = 6, 8
TYPE_BODY, TYPE_SMALL, TYPE_CARD, TYPE_TITLE, TYPE_FIGURE = 13, 12, 14, 20, 26
CONTROL_HEIGHT = 30


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two `#RRGGBB` colours after WCAG 2.2, 1 to 21."""
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)  # noqa: PLR2004  (WCAG's own constants)
