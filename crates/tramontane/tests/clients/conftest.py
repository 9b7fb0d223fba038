"""Checks that were not run are counted, never silent."""

import json
import os
from pathlib import Path


def pytest_terminal_summary(terminalreporter):
    skipped = terminalreporter.stats.get("skipped", [])
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        terminalreporter.write_line(f"not run: {report.nodeid.split('::')[-1]}: {str(reason).removeprefix('Skipped: ')}")
    path = os.environ.get("TRAMONTANE_REPORT")
    if path:
        counts = {"passed": len(terminalreporter.stats.get("passed", [])), "not_run": len(skipped)}
        Path(path).write_text(json.dumps(counts))
