"""What a person does on Prefect's pages with our deployments."""

import re
import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page, expect

LISTED = [
    ("account", "hourly", "Hourly"),
    ("audit", "nightly", None),
    ("backfill", "on-demand", None),
    ("backfill", "top-up", "Hourly"),
    ("health", "every-minute", "Every minute"),
    ("indicators", "every-5-minutes", "Every 5 minutes"),
    ("retention", "nightly", None),
    ("returns", "every-minute", "Every minute"),
    ("sweep", "every-minute", "Every minute"),
]
"""Flow, deployment, and its schedule where the list has room for it."""

expect.set_options(timeout=60_000)


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 120
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.2)
    return found


def turn(switch: Locator, condition: Callable[[], bool]) -> None:
    """Click until it took: the page leaves out a click while it still shows the last one's message."""
    for _ in range(5):
        switch.click()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if condition():
                return
            time.sleep(0.2)
    raise AssertionError("the switch did not turn")


def open_form(page: Page, prefect: Any) -> None:
    page.goto(prefect.page_of("backfill/on-demand"))
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Custom run").click()
    expect(page.get_by_text("contracts, for example BTCUSDT")).to_be_visible()


def test_the_deployments_page_lists_ours_with_their_schedules(page: Page, prefect: Any) -> None:
    page.set_viewport_size({"width": 1600, "height": 1000})
    page.goto(f"{prefect.url}/deployments")
    expect(page.get_by_text(f"{len(LISTED)} Deployments")).to_be_visible()
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(len(LISTED))
    for flow, name, schedule in LISTED:
        row = rows.filter(has=page.get_by_text(name, exact=True)).filter(has=page.get_by_text(flow, exact=True))
        expect(row).to_have_count(1)
        if schedule:
            expect(row.get_by_text(schedule, exact=True)).to_be_visible()
    paused = [f"{flow}/{name}" for flow, name, _ in LISTED if prefect.deployment(f"{flow}/{name}")["paused"]]
    assert paused == ["sweep/every-minute"]


def test_a_backfill_is_started_from_its_form_and_shows_its_progress_and_its_table(page: Page, prefect: Any) -> None:
    open_form(page, prefect)
    for entry, text in enumerate(("BTCUSDT", "1h")):
        page.get_by_role("button", name="Add item").nth(entry).click()
        page.locator("textarea").nth(entry).fill(text)
    page.get_by_role("button", name="int", exact=True).click()
    page.locator("input[type=number]").fill("12")
    page.get_by_role("button", name="Submit").click()
    (run,) = until(lambda: prefect.runs_of("backfill/on-demand"))
    assert run["parameters"]["chosen"] == {"symbols": ["BTCUSDT"], "intervals": ["1h"], "days": 12, "source": "auto"}
    page.goto(f"{prefect.url}/runs/flow-run/{run['id']}")
    expect(page.get_by_text("Completed").first).to_be_visible()
    page.get_by_role("tab", name="Artifacts").or_(page.get_by_text("Artifacts", exact=True)).first.click()
    expect(page.get_by_text("backfill-progress")).to_be_visible()
    page.get_by_text("backfill-series").click()
    expect(page.get_by_text("what each series came to").first).to_be_visible()
    expect(page.get_by_text("BTCUSDT", exact=True).first).to_be_visible()
    expect(page.get_by_text("288").first).to_be_visible()


def test_a_wrong_parameter_is_refused_by_the_form(page: Page, prefect: Any) -> None:
    before = len(prefect.runs_of("backfill/on-demand"))
    open_form(page, prefect)
    page.get_by_role("button", name="int", exact=True).click()
    page.locator("input[type=number]").fill("-3")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("-3 is not valid")).to_be_visible()
    assert "/run?" in page.url, "the form stays"
    assert len(prefect.runs_of("backfill/on-demand")) == before


def test_a_schedule_is_switched_off_and_on(page: Page, prefect: Any) -> None:
    def active() -> bool:
        return prefect.deployment("retention/nightly")["schedules"][0]["active"]

    assert active()
    page.goto(prefect.page_of("retention/nightly"))
    expect(page.get_by_text("at-04-41-utc")).to_be_visible()
    switch = page.get_by_role("switch").first
    expect(switch).to_have_class(re.compile("checked"))
    turn(switch, lambda: not active())
    expect(switch).not_to_have_class(re.compile("checked"))
    turn(switch, active)
