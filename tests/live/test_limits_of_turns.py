"""A model that never stops calling is stopped, and the client, the stream and the
session's record all say by which limit."""

import json
import time

import pytest

from conftest import RULES, Corral
from local_server import LocalServer, ModelHandler

SETTINGS = {
    "steps": "steps: 3",
    "tool_calls": "tool_calls: 2",
    "same_call": "steps: 50",
    "seconds": "seconds: 1",
}


class Restless(LocalServer):
    """Calls the calculator again and again, always with another expression, unless
    the user said "same_call"; when he said "seconds", it takes its time."""

    def __init__(self):
        class Handler(ModelHandler):
            def do_POST(self):
                size = int(self.headers["content-length"])
                messages = json.loads(self.rfile.read(size))["messages"]
                said = messages[0]["content"]
                number = 1 if said == "same_call" else len(messages)
                call = {
                    "index": 0,
                    "id": f"call_{len(messages)}",
                    "type": "function",
                    "function": {
                        "name": "calculator",
                        "arguments": json.dumps({"expression": f"{number}+1"}),
                    },
                }
                if said == "seconds":
                    time.sleep(3)
                try:
                    self.stream({"tool_calls": [call]}, "tool_calls")
                except (BrokenPipeError, ConnectionResetError):
                    pass

        super().__init__(Handler)
        self.url += "/v1"


@pytest.fixture(params=SETTINGS)
def limited(request, policies, tmp_path):
    """(which limit, a server that has it)"""
    model = Restless()
    path = tmp_path / "corral.yaml"
    path.write_text(
        f"data: {tmp_path / 'data'}\n"
        f"policy: {policies('restless', RULES)}\n"
        f"backend: {{openai: {{base_url: '{model.url}'}}}}\n"
        f"agent: {{{SETTINGS[request.param]}}}\n"
        "tools: [calculator]\n"
    )
    server = Corral("-c", path)
    yield request.param, server
    server.stop()
    model.close()


def test_every_end_says_why(limited):
    limit, server = limited
    said = {"model": "m", "messages": [{"role": "user", "content": limit}]}
    body = server.http.post("/v1/chat/completions", json=said).json()
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["corral"] == {"limit": limit}

    session = server.http.post("/v1/sessions", json={}).json()["id"]
    with server.http.stream(
        "POST",
        f"/v1/sessions/{session}/messages",
        json={"model": "m", "content": limit, "stream": True},
    ) as answer:
        lines = [line for line in answer.iter_lines() if line.startswith("data: {")]
    last = json.loads(lines[-1][6:])
    assert last["choices"][0]["finish_reason"] == "length"
    assert last["corral"] == {"limit": limit}
    end = server.http.get(f"/v1/sessions/{session}").json()["entries"][-1]["event"]
    assert end == {"type": "turn", "finish": "length", "corral": {"limit": limit}}

    # In an API that tells refusals apart, it is none.
    body = server.http.post("/v1/responses", json={"model": "m", "input": limit}).json()
    assert body["status"] == "incomplete"
    assert body["incomplete_details"] == {"reason": "max_output_tokens"}
    assert body["corral"] == {"limit": limit}
    assert "refusal" not in json.dumps(body["output"])
