"""The examples of docs/clients.md, run as they stand but for the address."""

import re
from pathlib import Path

from local import URL

PAGE = Path(__file__).resolve().parents[5] / "docs" / "clients.md"
ADDRESS = "http://127.0.0.1:8000"


def examples(group: str) -> list[str]:
    """The Python blocks that are marked with the group's name."""
    found = re.findall(rf"^```python {group}\n(.*?)^```", PAGE.read_text(), re.S | re.M)
    assert found, f"{PAGE} has no example for {group}"
    return [text.replace(ADDRESS, URL) for text in found]


def run(example: str, capsys) -> None:
    """It runs, and prints a reply."""
    exec(compile(example, "docs/clients.md", "exec"), {})
    assert capsys.readouterr().out.strip()
