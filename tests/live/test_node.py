"""The official Node.js client against the same server."""

import json
import os
import shutil
import subprocess

import pytest

from conftest import HOME, ROOT

MODULES = HOME / "test-node" / "node_modules"


def test_node_client(corral):
    node = shutil.which("node")
    if not node or not MODULES.exists():
        if os.environ.get("CORRAL_NODE_REQUIRED"):
            pytest.fail("Node.js or its client is missing: scripts/setup --test")
        pytest.skip("Node.js or its client is not installed")
    # A module finds its packages beside itself, so it runs from there.
    script = MODULES.parent / "client.mjs"
    shutil.copy(ROOT / "tests" / "live" / "node" / "client.mjs", script)
    r = subprocess.run(
        [node, str(script), corral.url + "/v1"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert r.returncode == 0, r.stderr
    got = json.loads(r.stdout)
    assert "sea" in got["answer"]
    assert got["streamed"] == got["answer"]
    assert got["usage"] > 0
    assert got["refused"] == "content_filter"
    assert got["refusedStream"] == "content_filter"
    assert got["tool"] == "get_weather" and "city" in got["arguments"]
    assert got["models"] == ["SmolLM2-135M-Instruct.Q4_1"]
    assert got["error"] == {"status": 400, "param": "temperature"}
    assert isinstance(got["moderation"], bool)
