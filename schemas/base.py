"""How a document model becomes a MongoDB validator: the model is written once, the `$jsonSchema` follows from it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

from bson import Decimal128
from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter
from pydantic.fields import FieldInfo
from pymongo import IndexModel


@dataclass(frozen=True, slots=True)
class Shallow:
    """Marks an array whose elements the server only checks to be documents: what is in them is the writer's affair."""


class Document(BaseModel):
    """A document, or a part of one. A field that the model does not name is refused, here and by the server."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    def to_mongo(self) -> dict[str, Any]:
        """The document as the server stores it: `_id`, and Decimal128 for money."""
        return {name: _to_bson(value) for name, value in self.model_dump(by_alias=True).items()}

    @classmethod
    def from_mongo(cls, stored: Mapping[str, Any]) -> Self:
        """The model of a stored document; pydantic's `ValidationError` if it was written by something else."""
        return cls.model_validate(stored)


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection: its name, what a document in it is (one model, or a union of them), and its readers' indexes."""

    name: str
    model: Any
    indexes: tuple[IndexModel, ...] = ()

    def validator(self) -> dict[str, Any]:
        """The `$jsonSchema` expression that makes the server refuse what the model would refuse."""
        return {"$jsonSchema": _schema(self.model)}

    def parse(self, stored: Mapping[str, Any]) -> Document:
        """The model of a stored document, whichever of the union it is."""
        document: Document = _reader(self.model).validate_python(stored)
        return document


@cache
def _reader(model: Any) -> TypeAdapter[Any]:
    """To make one takes much longer than to read a document with it."""
    return TypeAdapter(model)


def _to_bson(value: Any) -> Any:
    if isinstance(value, Decimal):
        return Decimal128(value)
    if isinstance(value, dict):
        return {name: _to_bson(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_to_bson(each) for each in value]
    return value


def _from_bson_decimal(value: Any) -> Any:
    return value.to_decimal() if isinstance(value, Decimal128) else value


Money = Annotated[Decimal, BeforeValidator(_from_bson_decimal)]
"""An exact amount: Decimal in Python, Decimal128 in MongoDB."""


_SCALARS: Mapping[Any, list[str]] = {
    str: ["string"],
    bool: ["bool"],
    int: ["int", "long"],
    float: ["double"],
    Decimal: ["decimal"],
    datetime: ["date"],
    NoneType: ["null"],
    Any: [],
}

_LIMITS: Mapping[str, tuple[str, bool]] = {
    "ge": ("minimum", False),
    "gt": ("minimum", True),
    "le": ("maximum", False),
    "lt": ("maximum", True),
    "max_length": ("maxItems", False),
}


def _object(model: type[BaseModel]) -> dict[str, Any]:
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    schema: dict[str, Any] = {
        "bsonType": "object",
        "properties": {name: _field(field) for name, field in fields.items()},
    }
    required = [name for name, field in fields.items() if field.is_required()]
    if required:
        schema["required"] = required
    if model.model_config.get("extra") == "forbid":
        schema["additionalProperties"] = False
        schema["properties"].setdefault("_id", {})
    return schema


def _field(field: FieldInfo) -> dict[str, Any]:
    schema = {**_schema(field.annotation), **_limits(field.metadata)}
    if any(isinstance(mark, Shallow) for mark in field.metadata):
        schema["items"] = {"bsonType": ["object", "null"]}
    return schema


def _limits(metadata: Iterable[Any]) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    for constraint in metadata:
        for attribute, (keyword, exclusive) in _LIMITS.items():
            bound = getattr(constraint, attribute, None)
            if bound is not None:
                limits[keyword] = bound
                if exclusive:
                    limits[f"exclusive{keyword.capitalize()}"] = True
    return limits


def _schema(annotation: Any) -> dict[str, Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _schema(arguments[0])
    if origin in (Union, UnionType):
        return _any_of([_schema(one) for one in arguments])
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (list, tuple):
        return {"bsonType": "array", "items": _schema(arguments[0])}
    if origin is dict:
        return {"bsonType": "object", "additionalProperties": _schema(arguments[1])}
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return {"enum": [member.value for member in annotation]}
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _object(annotation)
    types = _SCALARS[annotation]
    return {"bsonType": types if len(types) > 1 else types[0]} if types else {}


def _any_of(options: list[dict[str, Any]]) -> dict[str, Any]:
    if all(set(option) == {"bsonType"} for option in options):
        names = [name for option in options for name in _as_list(option["bsonType"])]
        return {"bsonType": names}
    return {"anyOf": options}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
