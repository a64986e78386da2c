"""The official conformance suite against Corral as a client of MCP.

What of its client scenarios does not apply, and why:
- auth/*: Corral does not log in at MCP servers. What a server asks for is in the
  configuration (`headers`), put there by the operator.
- elicitation-sep1034-client-defaults: Corral does not tell servers that they may
  ask a person for input, and refuses when one does.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_conformance_client import CALLS
from test_mcp import node

CLIENT = Path(__file__).with_name("mcp_conformance_client.py")
LEFT_OUT = ("auth/", "elicitation-sep1034-client-defaults")


def suite(*args, cwd):
    return subprocess.run(
        [*node("conformance"), *args],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,  # where it leaves its results
        env={**os.environ, "NO_COLOR": "1"},
    )


@pytest.mark.parametrize("scenario", CALLS)
def test_client(scenario, tmp_path):
    r = suite(
        "client",
        *("--command", f"{sys.executable} {CLIENT}", "--scenario", scenario),
        cwd=tmp_path,
    )
    assert r.returncode == 0 and "OVERALL: PASSED" in r.stderr, r.stdout + r.stderr


def test_nothing_is_left_out_unsaid(tmp_path):
    """Every scenario for clients is run, or named above."""
    listed = suite("list", cwd=tmp_path).stdout.partition("Client scenarios")[2]
    names = [line.strip()[2:] for line in listed.splitlines() if line.startswith("  - ")]
    assert set(CALLS) <= set(names)
    assert [n for n in names if n not in CALLS and not n.startswith(LEFT_OUT)] == []
