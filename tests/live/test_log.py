"""The log: one line an event, in either format, and nothing of what was said."""

import json
import re

import pytest

from conftest import RULES, until
from test_admin import admin, bearer, chat  # noqa: F401

SECRET = "sesame-open-1a2b3c4d"


def requests(server):
    return [json.loads(line) for line in server.stderr().splitlines()
            if json.loads(line)["event"] == "request"]


@pytest.fixture()
def logged(start, tmp_path, policies, upstream):
    def begin(log, policy=RULES):
        config = tmp_path / "corral.yaml"
        config.write_text(f"data: data\nlog: {log}\n")
        return start("-c", config, "--policy", policies("logged", policy), "--upstream", upstream.url)

    return begin


def ask(server, text="Hi", **kwargs):
    return server.http.post(
        "/v1/chat/completions",
        json={"model": "m", "messages": [{"role": "user", "content": text}], **kwargs.pop("body", {})},
        **kwargs,
    )


def test_json(logged, upstream):
    server = logged("{format: json, level: info}")
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer = ask(server, headers={
        "x-request-id": "mine-1", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    blocked = ask(server, "a zebra crossing")
    ask(server, body={"stream": True})
    server.http.get("/v1/nothing")
    ask(server, body={"messages": 3})
    assert until(lambda: len(requests(server)) == 5)
    first, second, third, fourth, fifth = requests(server)
    assert first["method"] == "POST" and first["route"] == "chat" and first["status"] == 200
    assert first["request"] == "mine-1" and first["trace"] == trace
    assert first["bytes"] == len(answer.content) and first["ms"] >= 0
    assert first["action"] == "allow" and first["decision"] == answer.headers["x-corral-decision"]
    assert first["key"] == "-" and first["peer"].startswith("127.0.0.1")
    assert second["action"] == "block"
    assert second["decision"] == blocked.headers["x-corral-decision"]
    assert third["bytes"] > 100 and third["status"] == 200
    assert (fourth["method"], fourth["route"], fourth["status"], fourth["action"]) == ("GET", "other", 404, "none")
    assert fifth["status"] == 400
    for line in server.stderr().splitlines():
        event = json.loads(line)
        assert {"time", "level", "event"} <= event.keys()


def test_a_client_that_leaves(logged, upstream):
    upstream.pieces, upstream.pause = ["word "] * 500, 0.05
    server = logged("{format: json}")
    with server.http.stream("POST", "/v1/chat/completions", json={
            "model": "m", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}) as r:
        next(r.iter_bytes())
    assert until(lambda: [r["status"] for r in requests(server)] == [499])


def test_logfmt_and_access(logged):
    server = logged("{level: info, access: false}")
    ask(server)
    server.stop()
    assert "event=serving" in server.stderr() and "event=request" not in server.stderr()
    server = logged("info")
    ask(server)
    assert until(lambda: re.search(r"event=request request=\S+ method=POST route=chat status=200 bytes=\d+ ms=", server.stderr()))
    server.stop()
    server = logged("warn")
    ask(server)
    server.stop()
    assert server.stderr() == ""


@pytest.mark.parametrize("wrong, said", [
    ("loud", "1:6: log must be"),
    ("{level: loud}", "1:14: level must be"),
    ("{format: xml}", "1:15: format must be"),
    ("{colour: red}", "1:7: unknown key"),
])
def test_wrong(tmp_path, wrong, said):
    from conftest import run

    path = tmp_path / "c.yaml"
    path.write_text(f"log: {wrong}\n")
    done = run("config", "check", path)
    assert done.returncode == 2 and said in done.stderr, done.stderr


@pytest.mark.parametrize("level", ["debug", "info"])
@pytest.mark.parametrize("format", ["json", "logfmt"])
def test_no_secret(admin, upstream, level, format):  # noqa: F811
    """A secret in the prompt, the answer, path, query, headers, key, user name and model."""
    upstream.pieces = ["Well, ", SECRET, "."]
    server = admin(f"log: {{level: {level}, format: {format}}}\n")
    for text in (SECRET, SECRET + " a zebra crossing"):
        chat(server, text)
    odd = {"cookie": SECRET, "x-thing": SECRET, "user-agent": SECRET, "authorization": f"Bearer {SECRET}"}
    server.http.get(f"/v1/models/{SECRET}?api_key={SECRET}", headers=odd)
    server.http.get(f"/{SECRET}", headers={**odd, **bearer(server.key)})
    server.http.request("POST", "/v1/chat/completions", content=SECRET.encode(),
                        headers={**bearer(server.key), "content-type": "application/json"})
    server.http.post("/v1/chat/completions", headers=bearer(server.key), json={
        "model": SECRET, "user": SECRET, "metadata": {SECRET: SECRET}, "tools": SECRET,
        "messages": [{"role": "user", "content": "Hi", "name": SECRET}]})
    server.http.request("GET", "/v1/models", headers={"x-api-key": server.key[:13] + "f" * 48})
    server.admin.post("/admin/keys", json={"name": SECRET, "policy": SECRET})
    server.stop()
    log = server.stderr()
    assert log.count("request") > 5
    assert SECRET not in log
    for key in (server.key, server.boss):
        assert key[13:] not in log
