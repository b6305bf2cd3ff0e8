"""The door opens to links, once, to the cookies that follow, and to the word for scripts; to nothing else."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.app.door import (
    COOKIE_LASTS,
    LINK_LASTS,
    MOST_WRONG,
    Door,
    TooOftenError,
    UsedError,
    WrongError,
    address_file,
    address_of,
    secret_file,
    told,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def door(tmp_path: Path, clock: Clock) -> Door:
    return Door(tmp_path, clock)


def test_a_link_lets_in_once(door: Door) -> None:
    code = door.code()
    assert door.role_of(door.enter(code), None) == "trade"
    with pytest.raises(UsedError):
        door.enter(code)


def test_a_used_link_stays_used_for_another_server_of_the_folder(door: Door, tmp_path: Path, clock: Clock) -> None:
    code = door.code()
    door.enter(code)
    with pytest.raises(UsedError):
        Door(tmp_path, clock).enter(code)


def test_a_link_of_another_process_is_known_and_a_cookie_outlives_a_restart(tmp_path: Path, clock: Clock) -> None:
    cookie = Door(tmp_path, clock).enter(Door(tmp_path, clock).code("read"))
    assert Door(tmp_path, clock).role_of(cookie, None) == "read"


def test_a_link_and_a_cookie_end(door: Door, clock: Clock) -> None:
    late = door.code()
    cookie = door.enter(door.code())
    clock.now += LINK_LASTS + 1
    with pytest.raises(WrongError):
        door.enter(late)
    assert door.role_of(cookie, None) == "trade"
    clock.now += COOKIE_LASTS
    assert door.role_of(cookie, None) is None


def test_what_was_used_is_forgotten_when_it_would_be_too_old_anyway(tmp_path: Path) -> None:
    door = Door(tmp_path)
    door.enter(door.code())
    (old,) = (tmp_path / "page" / "used").iterdir()
    os.utime(old, (0, 0))
    door.enter(door.code())
    assert not old.exists()


CHANGES = (
    lambda code: code.replace("read", "trade"),
    lambda code: code[:-1] + "0g"[code[-1] == "0"],
    lambda _: "",
    lambda _: "a.b.c",
    lambda _: "....",
    lambda code: f"é{code}",
)


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_opens_nothing(door: Door, change: Callable[[str], str]) -> None:
    with pytest.raises(WrongError):
        door.enter(change(door.code("read")))
    assert door.role_of(change(door.enter(door.code("read"))), None) is None


def test_a_code_is_no_cookie_and_a_cookie_no_code(door: Door) -> None:
    code = door.code()
    assert door.role_of(code, None) is None
    with pytest.raises(WrongError):
        door.enter(door.enter(code))


def test_the_word_of_the_file_may_order_and_no_other_word_may_anything(door: Door, tmp_path: Path) -> None:
    word = secret_file(tmp_path).read_text()
    assert door.role_of(None, word) == "trade"
    assert door.role_of(None, word[:-1]) is None
    assert door.role_of(None, "") is None
    assert door.role_of(None, "é") is None
    assert stat.S_IMODE(secret_file(tmp_path).stat().st_mode) == 0o600


def test_wrong_links_are_slowed_down_and_keep_nobody_out(door: Door, clock: Clock) -> None:
    for _ in range(MOST_WRONG):
        with pytest.raises(WrongError) as found:
            door.enter("wrong")
        assert not isinstance(found.value, TooOftenError)
    with pytest.raises(TooOftenError):
        door.enter("wrong")
    assert door.enter(door.code())
    clock.now += 61
    with pytest.raises(WrongError) as found:
        door.enter("wrong")
    assert not isinstance(found.value, TooOftenError)


def test_where_it_answers_is_told_while_it_does_and_not_taken_back_from_the_next(tmp_path: Path) -> None:
    assert address_of(tmp_path) is None
    with told(tmp_path, "http://127.0.0.1:8420"):
        assert address_of(tmp_path) == "http://127.0.0.1:8420"
    assert address_of(tmp_path) is None
    with told(tmp_path, "http://127.0.0.1:8420"):
        address_file(tmp_path).write_text("http://127.0.0.1:8420 1\n")  # another process, at the same port by now
    assert address_of(tmp_path) == "http://127.0.0.1:8420"
