"""How a document model becomes a MongoDB validator: the model is written once, the `$jsonSchema` follows from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pymongo import IndexModel


class Document(BaseModel):
    """A document, or a part of one. A field that the model does not name is refused, here and by the server."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection: its name, what a document in it is, and the indexes its readers need."""

    name: str
    model: type[Document]
    indexes: tuple[IndexModel, ...] = ()

    def validator(self) -> dict[str, Any]:
        """The `$jsonSchema` expression that makes the server refuse what the model would refuse."""
        return {"$jsonSchema": _object(self.model)}


def _from_bson_decimal(value: Any) -> Any:
    return value.to_decimal() if hasattr(value, "to_decimal") else value


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


def _object(model: type[BaseModel]) -> dict[str, Any]:
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    schema: dict[str, Any] = {
        "bsonType": "object",
        "properties": {name: _schema(field.annotation) for name, field in fields.items()},
    }
    required = [name for name, field in fields.items() if field.is_required()]
    if required:
        schema["required"] = required
    if model.model_config.get("extra") == "forbid":
        schema["additionalProperties"] = False
        schema["properties"].setdefault("_id", {})
    return schema


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
