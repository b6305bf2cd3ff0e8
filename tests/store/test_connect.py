"""Clients: both drivers, and what a person reads when a URI is wrong."""

from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from pipeline.errors import AttentionError
from pipeline.store import connect
from pipeline.store.mongod.launch import any_free_port

SECRET = "hunter2"


async def test_both_drivers_write_and_read_the_same_way(async_db: AsyncDatabase[dict[str, Any]]) -> None:
    await async_db.notes.insert_one({"_id": 1, "text": "a"})
    await async_db.notes.update_one({"_id": 1}, {"$set": {"text": "b"}})
    assert [one async for one in async_db.notes.find()] == [{"_id": 1, "text": "b"}]


def test_a_database_is_empty_at_first_on_mock_and_server(any_db: Any) -> None:
    assert any_db.list_collection_names() == []
    any_db.notes.insert_one({"_id": 1})
    assert any_db.notes.count_documents({}) == 1


async def test_the_driver_is_the_one_asked_for(mongo_uri: str) -> None:
    for driver, package in (("pymongo", "pymongo"), ("motor", "motor")):
        client = connect.async_client(mongo_uri, driver)  # type: ignore[arg-type]
        assert type(client).__module__.startswith(package)
        assert isinstance(client, AsyncMongoClient) is (driver == "pymongo")
        await connect.close(client)


@pytest.mark.parametrize(
    "uri",
    [
        f"mongodb://me:{SECRET}@",
        f"mongodb://me:{SECRET}@host:port/",
        f"mongodb://me:{SECRET}@@host/",
        f"mongodb://me:{SECRET}/x@host/",
        f"mongodb://me:{SECRET}@host:70000/",
        f"mysql://me:{SECRET}@host/",
    ],
)
@pytest.mark.parametrize("make", [connect.client, connect.async_client])
def test_an_unreadable_uri_is_refused_without_its_password(uri: str, make: Any) -> None:
    with pytest.raises(AttentionError, match="TIDEMARK_MONGO_URI") as caught:
        make(uri)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_server_that_is_away_is_named(mongo_uri: str) -> None:
    uri = f"mongodb://me:{SECRET}@127.0.0.1:{any_free_port()}/?serverSelectionTimeoutMS=50"
    with (
        connect.client(uri) as client,
        pytest.raises(AttentionError, match=r"127\.0\.0\.1:\d+ cannot be reached") as caught,
    ):
        connect.require(client, uri)
    assert SECRET not in str(caught.value)


def test_a_wrong_password_is_said_to_be_one(mongo_uri: str) -> None:
    scheme, _, place = mongo_uri.partition("://")
    uri = f"{scheme}://tidemark:{SECRET}@{place.rpartition('@')[2]}"
    with (
        connect.client(uri) as client,
        pytest.raises(AttentionError, match="refuses the user or the password") as caught,
    ):
        connect.require(client, uri)
    assert SECRET not in str(caught.value)


def test_the_settings_of_the_uri_win_over_ours() -> None:
    with connect.client("mongodb://localhost:1/?appName=mine&w=1") as client:
        assert client.options.pool_options.appname == "mine"
        assert client.write_concern.document == {"w": 1}
    with connect.client("mongodb://localhost:1/") as client:
        assert client.options.pool_options.appname == "tidemark"
        assert client.write_concern.document == {"w": "majority"}
        assert client.codec_options.tz_aware


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("mongodb://host/", "mongodb://host/"),
        (f"mongodb://me:{SECRET}@a:1,b:2/?x=y", "mongodb://me:***@a:1,b:2/?x=y"),
        (f"mongodb+srv://me:{SECRET}@host", "mongodb+srv://me:***@host"),
        (f"mongodb://me:{SECRET}@{SECRET}@host/", "mongodb://me:***@host/"),
    ],
)
def test_a_redacted_uri_has_no_password(uri: str, shown: str) -> None:
    assert connect.redact(uri) == shown
