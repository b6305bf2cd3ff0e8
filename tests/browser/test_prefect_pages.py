"""What a person does on Prefect's pages with our deployments."""

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Request, expect
from playwright.sync_api import TimeoutError as TookTooLong

LISTED = [
    ("account", "hourly", "Hourly"),
    ("allocation", "nightly", None),
    ("audit", "nightly", None),
    ("backfill", "on-demand", None),
    ("backfill", "top-up", "Hourly"),
    ("backtest", "on-demand", None),
    ("explain", "nightly", None),
    ("health", "every-minute", "Every minute"),
    ("indicators", "every-5-minutes", "Every 5 minutes"),
    ("likeness", "nightly", None),
    ("retention", "nightly", None),
    ("returns", "every-minute", "Every minute"),
    ("search", "on-demand", None),
    ("sweep", "every-minute", "Every minute"),
]
"""Flow, deployment, and its schedule where the list has room for it."""
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}

expect.set_options(timeout=90_000)
pytestmark = pytest.mark.usefixtures("logged_in")


def until(condition: Callable[[], Any], seconds: float = 150.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.2)
    return found


def submit(page: Page) -> None:
    """Click until the server has made a run: a click that comes while the page draws itself anew does nothing, and a
    busy server may refuse one. No run has come of either, so that clicking again does nothing twice."""
    answered: list[str] = []
    for _ in range(6):
        with contextlib.suppress(TookTooLong):
            with page.expect_request(asks_for_a_run, timeout=10_000) as asked:
                page.get_by_role("button", name="Submit").click()
            answer = asked.value.response()
            if answer and answer.ok:
                return
            answered.append(f"{answer.status} {answer.text()}" if answer else "nothing")
    raise AssertionError(f"no run came of clicking; the server answered {answered}")


def asks_for_a_run(sent: Request) -> bool:
    return sent.method == "POST" and "/create_flow_run" in sent.url


def turn(switch: Locator, wanted: bool, is_on: Callable[[], bool]) -> None:
    """Click until the schedule is as wanted, for the server and on the page: a slow page may take one click for none,
    or two for two."""
    for _ in range(6):
        if switch.get_attribute("aria-checked") != str(wanted).lower():
            switch.click()
        with contextlib.suppress(AssertionError):
            until(lambda: is_on() == wanted, seconds=15)
            expect(switch).to_have_attribute("aria-checked", str(wanted).lower(), timeout=15_000)
            return
    raise AssertionError(f"clicking did not turn the schedule to {wanted}")


def reveal(button: Locator, shown: Locator) -> None:
    """Click until that is to be seen."""
    button.click()
    for _ in range(5):
        with contextlib.suppress(AssertionError):
            expect(shown).to_be_visible(timeout=20_000)
            return
        if button.is_visible():
            button.click()
    raise AssertionError("clicking showed nothing")


def open_form(page: Page, prefect: Any) -> None:
    page.goto(prefect.page_of("backfill/on-demand"))
    reveal(page.get_by_role("button", name="Run", exact=True), page.get_by_text("Custom run"))
    page.get_by_text("Custom run").click()
    expect(page.get_by_text("contracts, for example BTCUSDT")).to_be_visible()


def choose_days(page: Page, days: str) -> None:
    number = page.locator("input[type=number]")
    reveal(page.get_by_role("button", name="int", exact=True), number)
    number.fill(days)
    expect(number).to_have_value(days)


def test_the_deployments_page_lists_ours_with_their_schedules(page: Page, prefect: Any) -> None:
    page.set_viewport_size({"width": 1600, "height": 1000})
    page.goto(f"{prefect.url}/deployments")
    expect(page.get_by_text(f"{len(LISTED)} Deployments")).to_be_visible()
    rows, search = page.locator("tbody tr"), page.get_by_role("searchbox", name="Search deployments")
    expect(rows).to_have_count(10)  # of a page
    for flow, name, schedule in LISTED:
        search.fill(name)
        row = rows.filter(has=page.get_by_text(name, exact=True)).filter(has=page.get_by_text(flow, exact=True))
        expect(row).to_have_count(1)
        if schedule:
            expect(row.get_by_text(schedule, exact=True)).to_be_visible()
    paused = [f"{flow}/{name}" for flow, name, _ in LISTED if prefect.deployment(f"{flow}/{name}")["paused"]]
    assert paused == ["sweep/every-minute"]


def test_a_backfill_is_started_from_its_form_and_shows_its_progress_and_its_table(page: Page, prefect: Any) -> None:
    open_form(page, prefect)
    for entry, text in enumerate(("BTCUSDT", "1h")):
        item = page.locator("textarea").nth(entry)
        reveal(page.get_by_role("button", name="Add item").nth(entry), item)
        item.fill(text)
        expect(item).to_have_value(text)
    choose_days(page, "12")
    submit(page)
    (run,) = until(lambda: prefect.runs_of("backfill/on-demand"))
    told = {"symbols": ["BTCUSDT"], "intervals": ["1h"], "days": 12, "source": "auto", "exchange": None}
    assert run["parameters"]["chosen"] == told
    ended = until(lambda: (now := prefect.ask(f"/flow_runs/{run['id']}")["state"])["type"] in ENDED and now)
    assert ended["type"] == "COMPLETED", ended
    page.goto(f"{prefect.url}/runs/flow-run/{run['id']}")
    expect(page.get_by_text("Completed").first).to_be_visible()
    tab = page.get_by_role("tab", name="Artifacts").or_(page.get_by_text("Artifacts", exact=True)).first
    reveal(tab, page.get_by_text("backfill-progress"))
    reveal(page.get_by_text("backfill-series").first, page.get_by_text("series of which something was fetched").first)
    expect(page.get_by_text("BTCUSDT", exact=True).first).to_be_visible()
    expect(page.get_by_text("288").first).to_be_visible()


def test_a_wrong_parameter_is_refused_by_the_form(page: Page, prefect: Any) -> None:
    before = len(prefect.runs_of("backfill/on-demand"))
    open_form(page, prefect)
    choose_days(page, "-3")
    reveal(page.get_by_role("button", name="Submit"), page.get_by_text("-3 is not valid"))
    assert "/run?" in page.url, "the form stays"
    assert len(prefect.runs_of("backfill/on-demand")) == before


def test_a_schedule_is_switched_off_and_on(page: Page, prefect: Any) -> None:
    def active() -> bool:
        return prefect.deployment("retention/nightly")["schedules"][0]["active"]

    assert active()
    page.goto(prefect.page_of("retention/nightly"))
    expect(page.get_by_text("at-04-41-utc")).to_be_visible()
    switch = page.get_by_role("switch").first
    expect(switch).to_have_attribute("aria-checked", "true")
    for wanted in (False, True):
        turn(switch, wanted, active)
