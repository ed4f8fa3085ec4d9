"""The Chinese catalogue: English sentence to Chinese sentence, with the same named places."""

from desktop_app.ui.translations.chinese_frame import FRAME
from desktop_app.ui.translations.chinese_loop import LOOP

CHINESE: dict[str, str] = {**FRAME, **LOOP}
