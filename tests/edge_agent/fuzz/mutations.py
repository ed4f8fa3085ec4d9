"""Valid bytes made bad: bits, lengths, structure, numbers, text; the same random source gives the same bytes."""

import base64
import json
import random
import struct
from collections.abc import Callable
from typing import Any

MAX_BYTES = 1 << 20
RAW_VALUES = (
    "NaN", "Infinity", "-Infinity", "1e999", "-0", "-1", "1e-400", "18446744073709551616", "-9223372036854775809", "9" * 400,
    "[" * 3000 + "]" * 3000, '{"a":' * 2000 + "1" + "}" * 2000, '"\\ud800"', '"\\u0000"', "null", "true", "[]", "{}", '""', "0", "1.5",
    '"' + "x" * 5000 + '"', '"../../etc/passwd"', '"2026-13-45T99:99:99Z"', '"0001-01-01T00:00:00+23:59"', '"9999-12-31T23:59:59-23:59"',
    "[[]]", '"💥"', "\"'; DROP TABLE x; --\"", '"%s%n{0}"', '"\\r\\nX: y"', "tru", "", "'x'", "0x10", "1_000", '"/dev/zero"', '"\\ufeff"',
)  # fmt: skip
"""What may stand in a JSON document where something else should."""
_HOLE = "\x01hole\x01"
STRANGE_BYTES = (b"\xff\xfe", bytes(16), b"\r\n", b"\xc3\x28", b"\xf8\x88\x80\x80\x80", b"{" * 500)
STRANGE_WHOLES = (b"", b"\x00", b"{}", b"[]", b"null", b"{" * 4000, b"\xff" * 1000, b"\n" * 100, b"PK\x05\x06" + bytes(18))
LENGTHS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutate(data: bytes, chance: random.Random) -> bytes:
    """One to four changes, of which the first knows the format where it is JSON."""
    changes: list[Callable[[bytes, random.Random], bytes]] = list(BYTE_CHANGES)
    if data[:1] in b"{[" and data[:1]:
        changes += [change_json] * 2 * len(BYTE_CHANGES)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        data = chance.choice(changes)(data, chance)[:MAX_BYTES]
    return data


def flip_bits(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8, 64)) if changed else 0):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randint(0, len(data))]


def cut_out(data: bytes, chance: random.Random) -> bytes:
    begin, end = _span(data, chance)
    return data[:begin] + data[end:]


def double(data: bytes, chance: random.Random) -> bytes:
    begin, end = _span(data, chance)
    return data[:end] + data[begin:end] * chance.choice((1, 1, 3, 50)) + data[end:]


def swap(data: bytes, chance: random.Random) -> bytes:
    (begin, end), (start, stop) = sorted((_span(data, chance), _span(data, chance)))
    return data if end > start else data[:begin] + data[start:stop] + data[end:start] + data[begin:end] + data[stop:]


def insert(data: bytes, chance: random.Random) -> bytes:
    place = chance.randint(0, len(data))
    extra = chance.choice(
        (chance.randbytes(chance.randint(1, 64)), b"\xff\xfe", b"\x00" * 16, b"\r\n", b"\xc3\x28", b"\xf8\x88\x80\x80\x80", b"{" * 500)
    )
    return data[:place] + extra + data[place:]


def lie_about_a_length(data: bytes, chance: random.Random) -> bytes:
    """Put a telling number where a length may stand."""
    form = chance.choice(["<H", ">H", "<I", ">I", "<Q", ">Q", "B"])
    size = struct.calcsize(form)
    if len(data) < size:
        return data
    place = chance.randint(0, len(data) - size)
    return data[:place] + struct.pack(form, chance.choice(LENGTHS) % 256**size) + data[place + size :]


def change_digits(data: bytes, chance: random.Random) -> bytes:
    """Another number in place of one that is written out."""
    places = [index for index in range(len(data)) if data[index : index + 1].isdigit()]
    if not places:
        return data
    begin = end = chance.choice(places)
    while data[end : end + 1].isdigit():
        end += 1
    number = chance.choice((b"0", b"-1", b"99999999999999999999", b"4294967296", b"1e309", b"007", b""))
    return data[:begin] + number + data[end:]


def replace_all(_data: bytes, chance: random.Random) -> bytes:
    return chance.choice(
        (b"", b"\x00", chance.randbytes(200), b"{}", b"[]", b"null", b"{" * 4000, b"\xff" * 1000, b"\n" * 100, b"PK\x05\x06" + bytes(18))
    )


BYTE_CHANGES = (flip_bits, cut, cut_out, double, swap, insert, lie_about_a_length, change_digits, replace_all)


def change_json(data: bytes, chance: random.Random) -> bytes:
    """Put a strange value into a document, or drop, double or rename a member; bytes that are no JSON stay."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return data
    places = _places(document)
    if not places:
        return data
    holder, key = chance.choice(places)
    raw = ""
    act = chance.choice(("value", "value", "value", "drop", "rename", "more", "inside"))
    if act == "drop":
        del holder[key]
    elif act == "rename" and isinstance(holder, dict):
        holder[chance.choice(("", "x" * 300, str(key).upper(), "schema_version", "\ud800"))] = holder.pop(key)
    elif act == "more":
        holder[key] = [holder[key]] * chance.choice((2, 1000))
    elif act == "inside" and isinstance(holder[key], str):
        holder[key] = _inside(holder[key], chance)
    else:
        holder[key], raw = _HOLE, chance.choice(RAW_VALUES)
    return json.dumps(document).replace(json.dumps(_HOLE), raw).encode("utf-8", "surrogatepass")


def _inside(text: str, chance: random.Random) -> str:
    """Change what a string holds: the JSON inside base64, or the text itself."""
    try:
        inner = base64.b64decode(text, validate=True)
    except ValueError:
        inner = b""
    if inner[:1] == b"{":
        return base64.b64encode(change_json(inner, chance)).decode()
    return flip_bits(text.encode("utf-8", "replace"), chance).decode("latin-1")


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Every member of every object and array, as holder and key."""
    found, waiting = [], [document]
    while waiting:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else []
        for key in keys:
            found.append((holder, key))
            waiting.append(holder[key])
    return found


def _span(data: bytes, chance: random.Random) -> tuple[int, int]:
    begin, end = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
    return begin, min(end, begin + 4096)
