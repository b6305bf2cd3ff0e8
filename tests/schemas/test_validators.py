"""A model and the `$jsonSchema` that follows from it agree on what they accept, and on what they refuse."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from bson import Decimal128, Int64, ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from pymongo import WriteConcern
from pymongo.database import Database
from pymongo.errors import WriteError

from schemas.base import Collection, Document
from schemas.candles import Candle
from schemas.control import CONTROL
from schemas.registry import COLLECTIONS

WHEN = datetime(2026, 1, 31, 12, 30, 15, 123_000, tzinfo=UTC)


def models_of(collection: Collection) -> list[type[Document]]:
    annotation = get_args(collection.model)[0] if get_origin(collection.model) is Annotated else collection.model
    return list(get_args(annotation)) or [annotation]


ALL = [
    pytest.param(collection, model, id=f"{collection.name}-{model.__name__}")
    for collection in COLLECTIONS
    for model in models_of(collection)
]

moments = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=moment.microsecond // 1_000 * 1_000)
)
amounts = st.decimals(-(10**12), 10**12, places=8)


def bounds(metadata: list[Any]) -> dict[str, Any]:
    said = {name: getattr(mark, name) for mark in metadata for name in ("ge", "gt", "le") if hasattr(mark, name)}
    return {"min_value": said.get("ge", said.get("gt")), "max_value": said.get("le"), "exclude_min": "gt" in said}


def values(annotation: Any, metadata: list[Any]) -> st.SearchStrategy[Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return values(arguments[0], [*metadata, *arguments[1:]])
    if origin in (Union, UnionType):
        return st.one_of(*(values(one, metadata) for one in arguments))
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is list:
        return st.lists(values(arguments[0], []), max_size=2)
    if origin is dict:
        keys = st.text("abcdefgh_", min_size=1, max_size=5)
        return st.dictionaries(keys, values(arguments[1], []), max_size=2)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return documents(annotation)
    limits = bounds(metadata)
    if annotation is float:
        return st.floats(allow_nan=False, allow_infinity=False, **limits)
    if annotation is int:
        low = -(2**63) if limits["min_value"] is None else limits["min_value"]
        return st.integers(low, 2**63 - 1 if limits["max_value"] is None else limits["max_value"])
    plain: Mapping[Any, st.SearchStrategy[Any]] = {
        str: st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=8),
        bool: st.booleans(),
        datetime: moments,
        Decimal: amounts,
        type(None): st.none(),
        Any: st.one_of(st.none(), st.integers(0, 9), st.text("abc", max_size=3)),
    }
    return plain[annotation]


def documents(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    fields = {name: values(field.annotation, field.metadata) for name, field in model.model_fields.items()}
    return st.fixed_dictionaries(fields).map(lambda chosen: model.model_validate(chosen))


@pytest.fixture(scope="module")
def validated(mongo: Any) -> Iterator[Database[dict[str, Any]]]:
    """A database with every validator and no index, so that only the validators can refuse."""
    db = mongo.get_database("validators", write_concern=WriteConcern(1))
    for collection in COLLECTIONS:
        db.create_collection(collection.name, validator=collection.validator())
    yield db
    mongo.drop_database("validators")


@pytest.mark.parametrize(("collection", "model"), ALL)
def test_the_server_accepts_what_the_model_makes_and_gives_it_back(
    collection: Collection, model: type[Document], validated: Database[dict[str, Any]]
) -> None:
    stored = validated[collection.name]

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(documents(model))
    def holds(document: Document) -> None:
        raw = document.to_mongo()
        stored.replace_one({"_id": raw["_id"]}, raw, upsert=True)
        found = stored.find_one({"_id": raw["_id"]})
        assert found is not None
        assert collection.parse(found) == document
        assert model.from_mongo(found) == document

    holds()


def example(model: type[Document]) -> dict[str, Any]:
    """A document of the simplest values, made without randomness."""
    document: Document = model.model_validate(
        {name: _simple(field.annotation, field.metadata) for name, field in model.model_fields.items()}
    )
    return document.to_mongo()


def _simple(annotation: Any, metadata: list[Any]) -> Any:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _simple(arguments[0], metadata)
    if origin in (Union, UnionType):
        return _simple(arguments[0], metadata)
    if origin is Literal:
        return arguments[0]
    if origin is list:
        return [_simple(arguments[0], [])]
    if origin is dict:
        return {"a": _simple(arguments[1], [])}
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {name: _simple(field.annotation, field.metadata) for name, field in annotation.model_fields.items()}
    simple = {str: "a", bool: True, int: 1, float: 1.0, datetime: WHEN, Decimal: Decimal("1.5"), Any: 1}
    return simple[annotation]


REFUSALS = {53: "an id of that type cannot be", 121: "the document failed validation"}

WRONG = ["text", 7, 7.5, True, WHEN, Decimal128("7"), ObjectId(), None, ["a"], {"b": {"c": 1}}]


def _fits(model: type[Document], name: str, value: Any, whole: dict[str, Any]) -> bool:
    """Whether the value has the very type that the model gives the field, without pydantic's conversions."""
    try:
        parsed = model.from_mongo({**whole, name: value}).to_mongo()[name]
    except ValidationError:
        return False
    return type(parsed) is type(value) and parsed == value


@pytest.mark.parametrize(("collection", "model"), ALL)
def test_the_server_refuses_a_wrong_type_in_each_field(
    collection: Collection, model: type[Document], validated: Database[dict[str, Any]]
) -> None:
    stored = validated[collection.name]
    whole = example(model)
    wrongly_accepted: list[str] = []
    wrongly_refused: list[str] = []
    for name in whole:
        for value in WRONG:
            fits = _fits(model, name, value, whole)
            accepted = _accepts(stored, {**whole, name: value})
            if accepted and not fits:
                wrongly_accepted.append(f"{name} = {value!r}")
            if fits and not accepted:
                wrongly_refused.append(f"{name} = {value!r}")
    assert wrongly_accepted == []
    assert wrongly_refused == []


@pytest.mark.parametrize(("collection", "model"), ALL)
def test_the_server_refuses_a_missing_and_a_strange_field(
    collection: Collection, model: type[Document], validated: Database[dict[str, Any]]
) -> None:
    stored = validated[collection.name]
    whole = example(model)
    assert _accepts(stored, whole)
    assert not _accepts(stored, {**whole, "stranger": 1})
    for name, field in model.model_fields.items():
        key = field.alias or name
        if key == "_id":
            continue
        rest = {each: value for each, value in whole.items() if each != key}
        assert _accepts(stored, rest) == (not field.is_required()), key
        if not field.is_required():
            model.from_mongo(rest)


def _accepts(stored: Any, document: dict[str, Any]) -> bool:
    stored.delete_many({})
    try:
        stored.insert_one(dict(document))
    except WriteError as error:
        if error.code not in REFUSALS:
            raise
        return False
    return True


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("signals", "strength", 1.01),
        ("signals", "strength", -0.01),
        ("signals", "price", 0.0),
        ("signals", "kind", "exits"),
        ("signals", "indicators", {"rsi": "high"}),
        ("accounts", "open_positions", -1),
        ("orders", "attempts", -1),
        ("orders", "state", "lost"),
        ("orders", "history", [{"state": "sent"}]),
        ("candles", "candles", [None] * 241),
        ("candles", "candles", [1]),
    ],
)
def test_the_server_keeps_the_limits_of_the_model(
    name: str, field: str, value: Any, validated: Database[dict[str, Any]]
) -> None:
    (collection,) = (each for each in COLLECTIONS if each.name == name)
    model = models_of(collection)[0]
    whole = example(model)
    assert not _accepts(validated[name], {**whole, field: value})
    with pytest.raises(ValidationError):
        model.from_mongo({**whole, field: value})


def test_a_candle_may_be_any_document_to_the_server_but_not_to_the_model(
    validated: Database[dict[str, Any]],
) -> None:
    (collection,) = (each for each in COLLECTIONS if each.name == "candles")
    model = models_of(collection)[0]
    edited = {**example(model), "candles": [None, {"by": "hand"}]}
    assert _accepts(validated["candles"], edited)
    with pytest.raises(ValidationError):
        model.from_mongo(edited)


def test_control_documents_are_told_apart_by_kind() -> None:
    for model in models_of(CONTROL):
        assert type(CONTROL.parse(example(model))) is model


def test_large_numbers_of_the_server_are_read() -> None:
    whole = example(Candle)
    assert Candle.from_mongo({**whole, "trades": Int64(2**40)}).trades == 2**40
