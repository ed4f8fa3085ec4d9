"""Hypothesis strategies for every document of the contract, made from the types themselves."""

import inspect
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect as mi

from contract import (
    acceptance,
    application,
    claims,
    commands,
    manifest,
    messages,
    pairs,
    reference,
    rest,
    samples,
    signing,
    sketches,
    trust,
)
from contract.maintenance import WINDOW_PATTERN
from contract.names import FILE_PATTERN, ID_PATTERN, SHA256_PATTERN

MODULES = (acceptance, application, claims, commands, manifest, messages, pairs, reference, rest, samples, signing, sketches, trust)
TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
PATTERNS = {  # the edges of the patterns are tested with the names; here speed counts
    ID_PATTERN: st.text("abz09-", min_size=1, max_size=8).map(lambda text: f"a{text}9"),
    SHA256_PATTERN: st.binary(min_size=32, max_size=32).map(bytes.hex),
    WINDOW_PATTERN: st.sampled_from(["22:00-06:00", "sat,sun 00:00-24:00 utc", "mon-fri 01:30-04:00 local"]),
    FILE_PATTERN: st.text("aZ0._-", max_size=8).map(lambda text: f"a{text}/b{text}.onnx"),
}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


def documents() -> list[type]:
    """Every struct that the contract defines."""
    found = {}
    for module in MODULES:
        for _, member in inspect.getmembers(module, inspect.isclass):
            if issubclass(member, msgspec.Struct) and member.__module__ == module.__name__ and not member.__name__.startswith("_"):
                found[f"{module.__name__}.{member.__name__}"] = member
    return [found[name] for name in sorted(found)]


def strategy_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type as msgspec would decode them."""
    return _of(mi.type_info(kind))


def _of(info: Any) -> st.SearchStrategy[Any]:
    return BUILDERS[type(info)](info)


def _integer(info: Any) -> st.SearchStrategy[int]:
    low = info.ge if info.ge is not None else -(2**53)
    return st.integers(low, info.le if info.le is not None else 2**53)


def _number(info: Any) -> st.SearchStrategy[float]:
    low = info.gt if info.gt is not None else info.ge
    high = info.lt if info.lt is not None else info.le
    return st.floats(
        low,
        high,
        allow_nan=False,
        allow_infinity=False,
        exclude_min=info.gt is not None,
        exclude_max=info.lt is not None,
        allow_subnormal=False,
    )


def _text(info: Any) -> st.SearchStrategy[str]:
    if info.pattern:
        return PATTERNS[info.pattern]
    return st.text(st.characters(blacklist_categories=["Cs"]), min_size=info.min_length or 0, max_size=info.max_length or 20)


def _struct(info: Any) -> st.SearchStrategy[Any]:
    required = {field.name: _of(field.type) for field in info.fields if field.required and field.name != "schema_version"}
    if any(field.name == "schema_version" for field in info.fields):
        required["schema_version"] = st.just(info.cls.SCHEMA_VERSION)
    optional = {field.name: _of(field.type) for field in info.fields if not field.required}
    return st.fixed_dictionaries(required, optional=optional).map(lambda fields: info.cls(**fields))


BUILDERS = {
    mi.IntType: _integer,
    mi.FloatType: _number,
    mi.StrType: _text,
    mi.BoolType: lambda _info: st.booleans(),
    mi.NoneType: lambda _info: st.none(),
    mi.AnyType: lambda _info: ANYTHING,
    mi.EnumType: lambda info: st.sampled_from(list(info.cls)),
    mi.LiteralType: lambda info: st.sampled_from(list(info.values)),
    mi.StructType: _struct,
    mi.UnionType: lambda info: st.one_of([_of(kind) for kind in info.types]),
    mi.ListType: lambda info: st.lists(_of(info.item_type), max_size=3),
    mi.VarTupleType: lambda info: st.lists(_of(info.item_type), max_size=3).map(tuple),
    mi.TupleType: lambda info: st.tuples(*[_of(item) for item in info.item_types]),
    mi.DictType: lambda info: st.dictionaries(_of(info.key_type), _of(info.value_type), max_size=3),
}
