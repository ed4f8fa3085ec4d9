"""The host step `tokenize`: one text to a fixed number of token ids.

| kind | tokens | ids |
|---|---|---|
| `whitespace` | what stands between white space (Unicode's) | place in `vocabulary`, `unknown` for others |
| `character` | each code point, white space too | the same |
| `sentencepiece` | those of `model`, a SentencePiece model in base64 | the model's own |

A longer text is cut after `length` tokens, a shorter one filled up with `pad`.
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from edge_agent.engine.errors import InputError, StepRefusedError

TEXT_MAX_CHARACTERS = 1 << 20
VOCABULARY_MAX = 200_000
LENGTH_MAX = 65_536

Encode = Callable[[str], Sequence[int]]


def is_vocabulary(value: object) -> bool:
    """Whether it is a list of different texts."""
    return (
        isinstance(value, (list, tuple))
        and 0 < len(value) <= VOCABULARY_MAX
        and all(isinstance(token, str) for token in value)
        and len(set(value)) == len(value)
    )


def build_tokenizer(options: Mapping[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
    """The step for options whose types were checked.

    Raises:
        StepRefusedError: options that do not belong together, a broken model, or an absent package.
    """
    encode = _sentencepiece(options) if options.get("kind") == "sentencepiece" else _by_vocabulary(options)
    if "length" not in options:
        raise StepRefusedError("the host step tokenize lacks length")
    length, pad, dtype = options["length"], options.get("pad", 0), np.dtype(options.get("dtype", "int64"))
    lower = options.get("lower", False)

    def tokenize(texts: np.ndarray) -> np.ndarray:
        text = _one_text(texts)
        ids = encode(text.lower() if lower else text)[:length]
        tokens = np.full(length, pad, dtype)
        tokens[: len(ids)] = ids
        return tokens

    return tokenize


def _one_text(texts: np.ndarray) -> str:
    if texts.size != 1 or not isinstance(texts.flat[0], str):
        raise InputError(f"expected one text, got {texts.dtype} {texts.shape}")
    text: str = str(texts.flat[0])
    if len(text) > TEXT_MAX_CHARACTERS:
        raise InputError(f"the text has {len(text)} characters, at most {TEXT_MAX_CHARACTERS} are accepted")
    return text


def _by_vocabulary(options: Mapping[str, Any]) -> Encode:
    missing = [name for name in ("kind", "vocabulary") if name not in options]
    if missing or "model" in options:
        raise StepRefusedError(
            f"the host step tokenize {'lacks ' + ' and '.join(missing) if missing else 'takes a model only as sentencepiece'}"
        )
    places = {token: place for place, token in enumerate(options["vocabulary"])}
    unknown = options.get("unknown", 1)
    if max(unknown, options.get("pad", 0)) >= len(places):
        raise StepRefusedError(f"the host step tokenize has unknown={unknown}, pad={options.get('pad', 0)} beyond {len(places)} tokens")
    if options["kind"] == "character":
        return lambda text: [places.get(token, unknown) for token in text]
    return lambda text: [places.get(token, unknown) for token in text.split()]


def _sentencepiece(options: Mapping[str, Any]) -> Encode:
    surplus = sorted({"vocabulary", "unknown"} & set(options))
    if surplus or "model" not in options:
        raise StepRefusedError(f"the host step tokenize of kind sentencepiece {'takes no ' + surplus[0] if surplus else 'lacks model'}")
    try:
        import sentencepiece
    except ImportError as error:
        raise StepRefusedError("the host step tokenize needs the package sentencepiece, which is not installed here") from error
    try:
        model = base64.b64decode(options["model"], validate=True)
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    except (binascii.Error, RuntimeError, ValueError) as error:
        raise StepRefusedError(f"the SentencePiece model of the host step tokenize is broken: {str(error)[:160]}") from error
    return lambda text: list(processor.encode(text, out_type=int))
