"""What the page's server says of itself is true: of every address, and on the page for people."""

from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.web.api_page import page_of
from tests.web.conftest import Served

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "test-output" / "api.md"
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
BEGINS = {("POST", "/api/backtests"), ("POST", "/api/searching"), ("GET", "/api/explain")}
"""These begin a process: other tests do."""
EXAMPLES = 3


@pytest.fixture(scope="module")
def described(served: Served) -> Any:
    return served.get("openapi.json")


def test_the_page_for_people_says_the_same(described: Any) -> None:
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    KEPT.write_text(page_of(described), encoding="utf-8")
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert page == KEPT.read_text(encoding="utf-8"), "docs/api.md is old: cp test-output/api.md docs/api.md"


def test_every_address_answers_as_it_says_whatever_it_is_asked(served: Served, described: Any) -> None:
    schema, script = schemathesis.openapi.from_dict(described), served.script()
    tried = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        if (operation.method.upper(), operation.path) in BEGINS:
            continue

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def answers(case: schemathesis.Case) -> None:
            case.call_and_validate(base_url=served.url, session=script, checks=CHECKS, timeout=60)

        answers()
        tried.add(operation.path)
    assert tried == set(described["paths"]) - {path for _, path in BEGINS}
    assert requests.get(f"{served.url}/api/me", timeout=60).status_code == 401


def test_every_field_that_the_pages_own_code_names_in_its_types_is_answered(described: Any) -> None:
    """The typedefs of what the server answers, in `main.js` and `job.js`."""
    static = ROOT / "pipeline" / "web" / "static"
    for file, name, of in (("main.js", "Place", "Place"), ("main.js", "Myself", "Myself"), ("job.js", "Job", "JobNow")):
        (line,) = [one for one in (static / file).read_text().splitlines() if one.rstrip().endswith(f"}} {name}")]
        fields = {part.split(":")[0].strip() for part in line[line.index("{{") + 2 :].split(",") if ":" in part}
        assert fields <= set(described["components"]["schemas"][of]["properties"]), file
