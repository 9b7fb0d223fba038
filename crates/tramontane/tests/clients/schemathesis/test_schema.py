"""Thousands of requests generated from the server's own description of itself: none is answered 5xx, and every answer has
a status, a content type, headers and a body that the description declares."""

import json
import os
import subprocess
import sys
from pathlib import Path

LEAST = 2000
# Drawn at random for each operation that takes a body, beside some 2,000 that the description's limits suggest.
EXAMPLES = 150
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]
HERE = Path(__file__).resolve().parent


def test_generated_requests(tmp_path):
    report = tmp_path / "report.json"
    command = [
        Path(sys.executable).with_name("schemathesis"), "run", os.environ["TRAMONTANE_URL"] + "/openapi.json",
        "--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES),
        "--seed", "1", "--generation-database", "none", "--no-shrink", "--continue-on-failure", "--no-color",
        "--suppress-health-check", "all", "--request-timeout", "60", "--report", "json", "--report-json-path", report,
    ]
    run = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )
    print(run.stdout)
    assert run.returncode == 0, run.stdout[-8000:]
    cases = json.loads(report.read_text())["test_cases"]
    assert cases["generated"] >= LEAST and cases["errored"] == cases["with_failures"] == 0, cases
