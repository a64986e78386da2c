"""The official Node.js clients against the same server."""

import json
import os
import shutil
import subprocess

import pytest

from conftest import HOME, ROOT

MODULES = HOME / "test-node" / "node_modules"
MODEL = "SmolLM2-135M-Instruct.Q4_1"


def node(name, url):
    """What tests/live/node/NAME prints."""
    program = shutil.which("node")
    if not program or not all(
        (MODULES / package).exists()
        for package in ("openai", "@anthropic-ai/sdk", "ollama")
    ):
        if os.environ.get("CORRAL_NODE_REQUIRED"):
            pytest.fail("Node.js or a client is missing: scripts/setup --test")
        pytest.skip("Node.js or a client is not installed")
    # A module finds its packages beside itself, so it runs from there.
    script = MODULES.parent / name
    shutil.copy(ROOT / "tests" / "live" / "node" / name, script)
    r = subprocess.run(
        [program, str(script), url], capture_output=True, text=True, timeout=120
    )
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)


def check_answers(got):
    assert "sea" in got["answer"]
    assert got["streamed"] == got["answer"]
    assert got["usage"] > 0


def test_openai(corral):
    got = node("client.mjs", corral.url + "/v1")
    check_answers(got)
    assert got["refused"] == "content_filter"
    assert got["refusedStream"] == "content_filter"
    assert got["tool"] == "get_weather" and "city" in got["arguments"]
    assert got["models"] == [MODEL]
    assert got["error"] == {"status": 400, "param": "temperature"}
    assert isinstance(got["moderation"], bool)


def test_anthropic(corral):
    got = node("anthropic.mjs", corral.url)
    check_answers(got)
    assert got["stop"] in ("end_turn", "max_tokens")
    assert got["refused"] == got["refusedStream"] == "refusal"
    assert got["tool"] == "get_weather" and set(got["arguments"]) == {"city"}
    assert got["count"] > 0
    assert got["error"] == {
        "status": 400,
        "type": "invalid_request_error",
        "param": "temperature",
    }


def test_ollama(corral):
    got = node("ollama.mjs", corral.url)
    check_answers(got)
    assert got["generated"] == got["answer"]
    assert got["refused"] == "content_filter"
    assert got["tool"] == "get_weather" and set(got["arguments"]) == {"city"}
    assert got["models"] == [MODEL]
    assert got["error"]["status"] == 400
    assert "temperature" in got["error"]["message"]
