"""The example in docs/strategies.md works as it stands there."""

import re
from pathlib import Path

from pipeline.strategies import registry
from pipeline.strategies.base import label_of

PAGE = Path(__file__).parents[2] / "docs" / "strategies.md"


def test_the_example_is_a_sound_strategy(tmp_path: Path) -> None:
    example = re.search(r"```python\n# mine\.py\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert example is not None
    (tmp_path / "mine.py").write_text(example[1])
    assert label_of(registry.get(f"{tmp_path}/mine.py:Surge", {"atrs": 2.5})) == "surge(atrs=2.5)"


def test_every_shipped_strategy_is_described() -> None:
    page = PAGE.read_text()
    assert [name for name in registry.SHIPPED if f"| `{name}` |" not in page] == []
