"""What docs/clients.md tells people to write works."""

import pytest

from pages import examples, run


@pytest.mark.parametrize("example", examples("mistral"))
def test_the_example_runs(example, capsys):
    run(example, capsys)
