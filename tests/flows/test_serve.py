"""What is served, and what stays as a person left it."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client

from flows.serve import deployments, leave_as_it_was

SERVED = {
    "account/hourly": "every-60-minutes",
    "allocation/nightly": "at-01-37-utc",
    "audit/nightly": "at-03-17-utc",
    "backfill/on-demand": None,
    "backfill/top-up": "every-60-minutes",
    "backtest/on-demand": None,
    "explain/nightly": "at-00-23-utc",
    "health/every-minute": "every-1-minutes",
    "indicators/every-5-minutes": "every-5-minutes",
    "likeness/nightly": "at-02-47-utc",
    "retention/nightly": "at-04-41-utc",
    "returns/every-minute": "every-1-minutes",
    "search/on-demand": None,
    "sweep/every-minute": "every-1-minutes",
}


def by_name() -> dict[str, Any]:
    return {f"{one.flow_name}/{one.name}": one for one in deployments()}


def test_everything_is_served_on_its_schedule_one_run_at_a_time() -> None:
    served = by_name()
    slugs = {name: next((two.slug for two in one.schedules or ()), None) for name, one in served.items()}
    assert slugs == SERVED
    assert {one.concurrency_limit for one in served.values()} == {1}
    assert [name for name, one in served.items() if one.paused] == ["sweep/every-minute"]
    assert served["audit/nightly"].parameters["chosen"]["repair"] is True
    assert served["audit/nightly"].parameters["chosen"]["everything"] is False


def test_the_page_on_the_flows_names_them_all() -> None:
    page = (Path(__file__).parents[2] / "docs" / "flows.md").read_text()
    assert set(re.findall(r"^\| `([a-z]+/[a-z0-9-]+)`", page, re.MULTILINE)) == set(SERVED)


@pytest.mark.parametrize("name", sorted(SERVED))
def test_every_form_says_what_its_fields_mean(name: str) -> None:
    schema = by_name()[name]._parameter_openapi_schema.model_dump()
    for form in schema["definitions"].values():
        for field in form.get("properties", {}).values():
            assert field.get("description"), f"{name}: {field}"


def test_what_a_person_paused_stays_paused() -> None:
    first, again = (by_name()["retention/nightly"] for _ in range(2))

    async def pause_and_serve_again() -> None:
        async with get_client() as client:
            await leave_as_it_was(client, first)
            identity = await first.aapply()
            known = await client.read_deployment(identity)
            await client.update_deployment_schedule(identity, known.schedules[0].id, active=False)
            await leave_as_it_was(client, again)

    asyncio.run(pause_and_serve_again())
    assert first.schedules[0].active is not False
    assert again.schedules[0].active is False
    assert again.paused is False
