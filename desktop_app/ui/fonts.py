"""The system's font at 13 pixels, with families behind it that have Chinese letters; nothing is bundled."""

from PySide6.QtGui import QFont, QFontDatabase

from desktop_app.ui.tokens import TYPE_BODY

_PREFERRED = (
    "Inter",
    "SF Pro Text",
    "Segoe UI Variable",
    "Segoe UI",
    "Noto Sans",
    "Cantarell",
    "Ubuntu",
    "Source Sans 3",
    "Noto Sans CJK SC",
)
_CHINESE = ("PingFang SC", "Microsoft YaHei UI", "Microsoft YaHei", "Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Micro Hei")
_UNNAMED = {"", "Sans Serif", "Sans", "MS Shell Dlg 2"}


def studio_font(weight: QFont.Weight = QFont.Weight.Normal, pixel_size: int = TYPE_BODY) -> QFont:
    """The font of the window: the platform's own where it names one, else the first that is installed."""
    font = QFont()
    font.setFamilies(list(font_families()))
    font.setPixelSize(pixel_size)
    font.setWeight(weight)
    font.setStyleStrategy(QFont.StyleStrategy.PreferAntialias)
    font.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    return font


def font_families() -> tuple[str, ...]:
    """Families in the order of preference, each installed."""
    installed = set(QFontDatabase.families())
    system = QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont).family()
    first = [system] if system not in _UNNAMED and system in installed else []
    found = [family for family in (*_PREFERRED, *_CHINESE) if family in installed]
    return tuple(dict.fromkeys([*first, *found])) or (system,)
