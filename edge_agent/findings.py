"""A finding: one thing that was looked at, in words, with what to do. Doctor and status page speak in these."""

import msgspec

GOOD, NOTE, WRONG = "good", "note", "wrong"


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. `verdict` is good, note or wrong; `advice` says what to do."""

    subject: str
    verdict: str
    text: str
    advice: str = ""
