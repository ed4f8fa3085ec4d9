"""The style sheet of the window, made from a theme; widgets say what they are by the property `role`."""

from desktop_app.ui.tokens import (
    CONTROL_HEIGHT,
    RADIUS_CARD,
    RADIUS_CONTROL,
    TYPE_BODY,
    TYPE_CARD,
    TYPE_FIGURE,
    TYPE_SMALL,
    TYPE_TITLE,
    Theme,
)


def stylesheet(theme: Theme) -> str:
    """All rules for `theme`."""
    parts = (_frame, _type, _buttons, _fields, _views, _bars)
    return "\n".join(part(theme) for part in parts)


def _frame(t: Theme) -> str:
    return f"""
    QWidget {{ color: {t.text}; font-size: {TYPE_BODY}px; }}
    QMainWindow, QDialog, QWidget[role="page"], QWidget[role="plain"] {{ background: {t.background}; }}
    QWidget[role="rail"] {{ background: {t.surface}; border-right: 1px solid {t.border}; }}
    QWidget[role="strip"] {{ background: {t.surface}; border-top: 1px solid {t.border}; }}
    QFrame[role="card"] {{ background: {t.surface}; border: 1px solid {t.border}; border-radius: {RADIUS_CARD}px; }}
    QFrame[role="tile"], QFrame[role="tile-still"] {{ background: {t.surface}; border: 1px solid {t.border}; border-radius: {RADIUS_CARD}px; }}
    QFrame[role="choice-card"] {{ background: {t.surface}; border: 1px solid {t.border}; border-radius: {RADIUS_CARD}px; }}
    QFrame[role="choice-card"]:hover {{ border-color: {t.muted}; }}
    QFrame[role="choice-card"][chosen="true"] {{ border: 2px solid {t.accent}; }}
    QFrame[role="choice-card"]:focus, QFrame[role="tile"]:focus {{ border: 2px solid {t.accent}; }}
    QFrame[role="tile"]:hover {{ border-color: {t.accent}; }}
    QFrame[role="drop"] {{ background: {t.surface}; border: 2px dashed {t.border}; border-radius: {RADIUS_CARD}px; }}
    QFrame[role="drop"][over="true"] {{ border-color: {t.accent}; background: {t.accent_ground}; }}
    QFrame[role="note"] {{ background: {t.bad_ground}; border: none; border-radius: {RADIUS_CONTROL}px; }}
    QFrame[role="notice"] {{ background: {t.caution_ground}; border: none; border-radius: {RADIUS_CONTROL}px; }}
    QFrame[role="toast"] {{ background: {t.text}; border-radius: {RADIUS_CARD}px; }}
    QFrame[role="toast"] QLabel {{ color: {t.surface}; }}
    QFrame[role="line"] {{ background: {t.border}; border: none; max-height: 1px; min-height: 1px; }}
    QScrollArea, QScrollArea > QWidget > QWidget[role="scrolled"] {{ background: transparent; border: none; }}
    QStackedWidget {{ background: transparent; border: none; }}
    QToolTip {{ background: {t.surface}; color: {t.text}; border: 1px solid {t.border}; padding: 4px 6px; font-size: {TYPE_SMALL}px; }}
    QSplitter::handle {{ background: transparent; }}
    QMenu {{ background: {t.surface}; border: 1px solid {t.border}; padding: 4px; }}
    QMenu::item {{ padding: 6px 20px 6px 12px; border-radius: 4px; }}
    QMenu::item:selected {{ background: {t.accent_ground}; color: {t.accent}; }}
    """


def _type(t: Theme) -> str:
    return f"""
    QLabel {{ background: transparent; border: none; }}
    QLabel[role="title"] {{ font-size: {TYPE_TITLE}px; font-weight: 600; }}
    QLabel[role="card-title"] {{ font-size: {TYPE_CARD}px; font-weight: 600; }}
    QLabel[role="headline"] {{ font-size: {TYPE_TITLE}px; font-weight: 600; }}
    QLabel[role="figure"] {{ font-size: {TYPE_FIGURE}px; font-weight: 600; }}
    QLabel[role="strong"] {{ font-weight: 600; }}
    QLabel[role="muted"] {{ color: {t.muted}; }}
    QLabel[role="small"] {{ color: {t.muted}; font-size: {TYPE_SMALL}px; }}
    QLabel[role="bad"] {{ color: {t.bad}; }}
    QLabel[role="brand"] {{ font-size: {TYPE_CARD}px; font-weight: 600; }}
    QLabel[role="chip"] {{ background: {t.track}; color: {t.muted}; border-radius: 9px; padding: 1px 10px;
        font-size: {TYPE_SMALL}px; font-weight: 600; min-height: 16px; max-height: 16px; }}
    """ + "".join(
        f"""QLabel[role="chip"][tone="{tone}"] {{ color: {t.tone(tone)[0]}; background: {t.tone(tone)[1]}; }}\n"""
        for tone in ("good", "caution", "bad", "accent")
    )


def _buttons(t: Theme) -> str:
    height = f"min-height: {CONTROL_HEIGHT - 4}px;"
    return f"""
    QPushButton {{ background: {t.surface}; border: 1px solid {t.border}; border-radius: {RADIUS_CONTROL}px; padding: 0 12px; {height} }}
    QPushButton:hover {{ border-color: {t.muted}; }}
    QPushButton:pressed {{ background: {t.track}; }}
    QPushButton:focus {{ border: 2px solid {t.accent}; padding: 0 11px; {height} }}
    QPushButton:disabled {{ color: {t.muted}; background: {t.track}; border-color: {t.track}; }}
    QPushButton[role="primary"] {{ background: {t.accent}; color: {t.on_accent}; border: 1px solid {t.accent}; font-weight: 600; }}
    QPushButton[role="primary"]:hover {{ border-color: {t.text}; }}
    QPushButton[role="primary"]:focus {{ border: 2px solid {t.text}; }}
    QPushButton[role="primary"]:disabled {{ background: {t.track}; color: {t.muted}; border-color: {t.track}; }}
    QPushButton[role="quiet"] {{ background: transparent; border: 1px solid transparent; padding: 0 8px; }}
    QPushButton[role="quiet"]:hover {{ background: {t.track}; }}
    QPushButton[role="quiet"]:focus {{ border: 2px solid {t.accent}; padding: 0 7px; }}
    QPushButton[role="quiet"]:disabled {{ background: transparent; color: {t.muted}; }}
    QPushButton[role="icon"] {{ background: transparent; border: 1px solid transparent; padding: 0 5px; min-height: 20px; max-height: 20px; }}
    QPushButton[role="icon"]:hover {{ background: {t.track}; }}
    QPushButton[role="icon"]:focus {{ border: 1px solid {t.accent}; }}
    QPushButton[role="toast"] {{ background: transparent; border: none; color: {t.surface}; font-weight: 600; text-decoration: underline; }}
    QPushButton[role="page-link"] {{ background: transparent; border: 1px solid transparent; text-align: left; padding: 0 10px; min-height: 28px; }}
    QPushButton[role="page-link"]:hover {{ background: {t.track}; }}
    QPushButton[role="page-link"]:checked {{ background: {t.accent_ground}; color: {t.accent}; font-weight: 600; }}
    QPushButton[role="page-link"]:focus {{ border: 2px solid {t.accent}; padding: 0 9px; min-height: 26px; }}
    QPushButton[role="choice"] {{ text-align: left; padding: 0 10px; }}
    QPushButton[role="choice"]:checked {{ border: 2px solid {t.accent}; background: {t.accent_ground}; color: {t.accent}; font-weight: 600; }}
    """


def _fields(t: Theme) -> str:
    return f"""
    QLineEdit, QComboBox, QSpinBox, QDoubleSpinBox, QPlainTextEdit {{ background: {t.surface}; border: 1px solid {t.border};
        border-radius: {RADIUS_CONTROL}px; padding: 2px 8px; selection-background-color: {t.accent}; selection-color: {t.on_accent}; }}
    QLineEdit, QComboBox, QSpinBox, QDoubleSpinBox {{ min-height: {CONTROL_HEIGHT - 6}px; }}
    QLineEdit:focus, QComboBox:focus, QSpinBox:focus, QDoubleSpinBox:focus, QPlainTextEdit:focus {{ border: 2px solid {t.accent}; padding: 1px 7px; }}
    QLineEdit:disabled, QComboBox:disabled, QSpinBox:disabled {{ color: {t.muted}; background: {t.track}; }}
    QComboBox::drop-down {{ border: none; width: 22px; }}
    QComboBox QAbstractItemView {{ background: {t.surface}; border: 1px solid {t.border}; selection-background-color: {t.accent_ground};
        selection-color: {t.accent}; outline: none; padding: 4px; }}
    QSpinBox::up-button, QSpinBox::down-button, QDoubleSpinBox::up-button, QDoubleSpinBox::down-button {{ width: 0; border: none; }}
    QCheckBox {{ spacing: 8px; }}
    QCheckBox:focus {{ color: {t.accent}; }}
    QSlider::groove:horizontal {{ height: 4px; background: {t.track}; border-radius: 2px; }}
    QSlider::sub-page:horizontal {{ background: {t.accent}; border-radius: 2px; }}
    QSlider::handle:horizontal {{ width: 14px; height: 14px; margin: -5px 0; border-radius: 7px; background: {t.accent}; border: none; }}
    QSlider::handle:horizontal:focus {{ border: 2px solid {t.text}; width: 12px; height: 12px; margin: -6px 0; border-radius: 8px; }}
    """


def _views(t: Theme) -> str:
    return f"""
    QAbstractItemView {{ background: transparent; border: none; outline: none; alternate-background-color: transparent;
        selection-background-color: {t.accent_ground}; selection-color: {t.text}; }}
    QTableView {{ gridline-color: transparent; }}
    QTableView:focus, QListView:focus {{ border: 1px solid {t.accent}; border-radius: 4px; }}
    QTableView::item {{ border: none; padding: 0 4px; }}
    QHeaderView {{ background: transparent; border: none; }}
    QHeaderView::section {{ background: transparent; color: {t.muted}; border: none; border-bottom: 1px solid {t.border};
        padding: 0 8px 6px 8px; font-size: {TYPE_SMALL}px; font-weight: 600; }}
    QAbstractScrollArea::corner {{ background: transparent; border: none; }}
    QTableCornerButton::section {{ background: transparent; border: none; }}
    """


def _bars(t: Theme) -> str:
    return f"""
    QProgressBar {{ background: {t.track}; border: none; border-radius: 3px; min-height: 6px; max-height: 6px; text-align: center; }}
    QProgressBar::chunk {{ background: {t.accent}; border-radius: 3px; }}
    QProgressBar[tone="good"]::chunk {{ background: {t.good}; }}
    QProgressBar[tone="bad"]::chunk {{ background: {t.bad}; }}
    QScrollBar:vertical {{ background: transparent; width: 10px; margin: 0; }}
    QScrollBar:horizontal {{ background: transparent; height: 10px; margin: 0; }}
    QScrollBar::handle {{ background: {t.border}; border-radius: 4px; min-height: 28px; min-width: 28px; margin: 1px; }}
    QScrollBar::handle:hover {{ background: {t.muted}; }}
    QScrollBar::add-line, QScrollBar::sub-line, QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; border: none; width: 0; height: 0; }}
    """
