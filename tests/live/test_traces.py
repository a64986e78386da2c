"""Traces: W3C context in and out, and spans at a collector."""

import json

import httpx2 as httpx
import pytest

from collector import Collector, attributes
from conftest import RULES, run, until
from test_embeddings import vectors
from test_summary import Model, compacted, create, fill, say
from test_tools import Caller

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7"
SERVER, INTERNAL, CLIENT = 2, 1, 3


def test_context_goes_on(start, policies, upstream):
    server = start("--policy", policies("traced", RULES), "--upstream", upstream.url)

    def sent(came):
        headers = {"traceparent": came} if came else {}
        r = server.http.post("/v1/chat/completions", headers=headers, json={
            "model": "m", "messages": [{"role": "user", "content": "Hi"}]})
        assert r.status_code == 200
        return upstream.headers[-1]["traceparent"].split("-")

    for flags in ("00", "01"):
        version, trace, span, out = sent(f"00-{TRACE}-{SPAN}-{flags}")
        assert (version, trace, out) == ("00", TRACE, flags)
        assert span != SPAN and len(span) == 16
    # None, and one that is not to the letter: a new one each time.
    fresh = [sent(came) for came in (None, f"00-{TRACE}-{SPAN}-zz", None)]
    assert len({trace for _, trace, _, _ in fresh} | {TRACE}) == 4
    assert all(len(trace) == 32 and flags == "00" for _, trace, _, flags in fresh)


@pytest.fixture()
def collector():
    mock = Collector()
    yield mock
    mock.close()


@pytest.fixture()
def traced(start, tmp_path, policies, collector):
    def begin(upstream, more="", *args, **env):
        config = tmp_path / "corral.yaml"
        config.write_text(f"traces: {{endpoint: \"{collector.endpoint}\"{more}}}\n")
        return start("-c", config, "--policy", policies("traced", RULES),
                     "--upstream", upstream.url, *args, env=env)

    return begin


def ask(server, text="Hi", flags="01", **body):
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-{flags}"} if flags else {}
    return server.http.post("/v1/chat/completions", headers=headers, json={
        "model": "some-model", "messages": [{"role": "user", "content": text}], **body})


def check_tree(spans):
    """Each span once, in one trace, within its parent; the root alone hangs
    below the client's."""
    by_id = {s["spanId"]: s for s in spans}
    assert len(by_id) == len(spans)
    (root,) = [s for s in spans if s["kind"] == SERVER]
    assert root["parentSpanId"] == SPAN
    for s in spans:
        assert len(s["spanId"]) == 16 and s["traceId"] == TRACE
        start, end = int(s["startTimeUnixNano"]), int(s["endTimeUnixNano"])
        assert 1_700_000_000_000_000_000 < start <= end
        if s is not root:
            assert s["parentSpanId"] == root["spanId"]
            # Each end is turned into wall time on its own: a clock that is
            # set meanwhile may shift one against the other.
            assert end <= int(root["endTimeUnixNano"]) + 1_000_000
    return root


@pytest.mark.parametrize("stream", [False, True])
def test_a_request(traced, collector, upstream, stream):
    server = traced(upstream, ', headers: {X-Token: "${TOKEN}"}', TOKEN="sesame")
    answer = ask(server, "open the pod bay doors", stream=stream)
    assert answer.status_code == 200
    assert until(lambda: len(collector.spans()) >= 4)
    root = check_tree(collector.spans())
    assert root["name"] == "POST /v1/chat/completions"
    about = attributes(root)
    assert about["http.request.method"] == "POST"
    assert about["http.route"] == "/v1/chat/completions"
    assert about["http.response.status_code"] == 200
    assert about["corral.request_id"] == answer.headers["x-request-id"]
    assert about["corral.action"] == "allow" and "status" not in root
    # The model's time, as the conventions for generative AI want it told.
    (generation,) = collector.named("chat ")
    assert (generation["name"], generation["kind"]) == ("chat some-model", CLIENT)
    about = attributes(generation)
    assert about["gen_ai.operation.name"] == "chat"
    assert about["gen_ai.request.model"] == "some-model"
    assert about["gen_ai.usage.input_tokens"] == 3
    assert about["gen_ai.usage.output_tokens"] == 5
    assert about["gen_ai.response.finish_reasons"] == ["stop"]
    assert about["corral.first_text_us"] > 0
    # What the upstream was told hangs below that very span.
    assert upstream.headers[-1]["traceparent"] == f"00-{TRACE}-{generation['spanId']}-01"
    guards = {s["name"]: attributes(s) for s in collector.named("guard ")}
    assert set(guards) == {"guard input", "guard output"}
    for about in guards.values():
        assert about["corral.action"] == "allow"
        assert about["corral.stage.rules_us"] >= 0
    path, headers = collector.headers[0]
    assert path == "/v1/traces" and headers["X-Token"] == "sesame"
    assert headers["content-type"] == "application/json"
    resource = attributes(collector.bodies[0]["resourceSpans"][0]["resource"])
    assert resource["service.name"] == "corral" and resource["service.version"]
    assert until(lambda: server.metric("corral_trace_spans_total") == 4)
    # Neither what was asked nor what was said, and no secret.
    sent = json.dumps(collector.bodies)
    assert "pod bay" not in sent and "Hello" not in sent and "sesame" not in sent
    assert "sesame" not in server.stderr()


def test_tools_and_steps(traced, collector):
    upstream = Caller()
    upstream.calls = [("calculator", {"expression": "40+2"}), ("time", {})]
    try:
        server = traced(upstream, "", "--tools", "calculator,time")
        assert ask(server).status_code == 200
        assert until(lambda: collector.named("POST"))
        root = check_tree(collector.spans())
        steps, tools = collector.named("chat "), collector.named("execute_tool ")
        assert [attributes(s)["gen_ai.response.finish_reasons"] for s in steps] == [
            ["tool_calls"], ["tool_calls"], ["stop"]]
        assert [s["name"] for s in tools] == ["execute_tool calculator", "execute_tool time"]
        for s in tools:
            about = attributes(s)
            assert about["gen_ai.operation.name"] == "execute_tool"
            assert s["name"].endswith(about["gen_ai.tool.name"])
        assert len({h["traceparent"] for h in upstream.headers}) == 3
        calls = [s for s in collector.named("guard tool_call")]
        results = [s for s in collector.named("guard tool_result")]
        assert len(calls) == len(results) == 2
        assert "40+2" not in json.dumps(collector.bodies)
    finally:
        upstream.close()


def test_blocked_failed_and_unknown(traced, collector, upstream):
    server = traced(upstream)
    ask(server, "a zebra crossing")
    ask(server, "Hi", model="zebra crossing")
    upstream.status = 500
    ask(server)
    server.http.request("PURGE", "/v1/no-such-way?secret=1",
                        headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
    assert until(lambda: len([s for s in collector.spans() if s["kind"] == SERVER]) == 4)
    blocked, named, failed, unknown = [s for s in collector.spans() if s["kind"] == SERVER]
    assert attributes(blocked)["corral.action"] == "block" and "status" not in blocked
    # A refused name is not told on; the model was not asked.
    assert attributes(named)["corral.action"] == "block"
    assert failed["status"] == {"code": 2}
    assert attributes(failed)["error.type"] == "502"
    (generation,) = collector.named("chat ")
    assert generation["status"] == {"code": 2}
    assert generation["parentSpanId"] == failed["spanId"]
    assert unknown["name"] == attributes(unknown)["http.request.method"] == "_OTHER"
    (checked,) = [s for s in collector.named("guard input")
                  if s["parentSpanId"] == blocked["spanId"]]
    assert attributes(checked)["corral.checks"] == "no-stripes"
    sent = json.dumps(collector.bodies)
    for word in ("zebra", "no-such-way", "secret=1", "PURGE"):
        assert word not in sent, word


def test_a_client_that_leaves(traced, collector, upstream):
    upstream.pieces, upstream.pause = ["word "] * 400, 0.05
    server = traced(upstream)
    with server.http.stream("POST", "/v1/chat/completions",
                            headers={"traceparent": f"00-{TRACE}-{SPAN}-01"},
                            json={"model": "m", "stream": True, "messages": [
                                {"role": "user", "content": "Hi"}]}) as r:
        next(r.iter_lines())
    assert until(lambda: collector.named("POST"))
    (generation,) = collector.named("chat ")
    assert attributes(generation)["error.type"] == "cancelled"
    root = check_tree(collector.spans())
    assert attributes(root)["http.response.status_code"] == 499


def embed(server, flags="01", **body):
    return server.http.post(
        "/v1/embeddings", headers={"traceparent": f"00-{TRACE}-{SPAN}-{flags}"},
        json={"model": "vec", "input": ["open the pod bay doors", "please"], **body})


def test_embeddings(traced, collector, upstream):
    upstream.sse, upstream.raw = False, vectors(2)
    server = traced(upstream)
    assert embed(server).status_code == 200
    assert until(lambda: collector.named("POST"))
    root = check_tree(collector.spans())
    assert root["name"] == "POST /v1/embeddings"
    (span,) = collector.named("embeddings ")
    assert (span["name"], span["kind"]) == ("embeddings vec", CLIENT)
    about = attributes(span)
    assert about["gen_ai.operation.name"] == "embeddings"
    assert about["gen_ai.request.model"] == "vec" and about["corral.texts"] == 2
    assert about["gen_ai.usage.input_tokens"] > 0 and "error.type" not in about
    assert upstream.headers[-1]["traceparent"] == f"00-{TRACE}-{span['spanId']}-01"
    assert "pod bay" not in json.dumps(collector.bodies)
    # Of one that is not sampled the upstream is told, and nobody else.
    assert embed(server, flags="00").status_code == 200
    assert upstream.headers[-1]["traceparent"].endswith("-00")
    # One that is blocked asks no model; one that fails says so.
    assert embed(server, input="a zebra crossing").status_code == 400
    upstream.raw = {}
    assert embed(server).status_code == 502
    assert until(lambda: len(collector.named("POST")) == 3)
    first, failed = collector.named("embeddings ")
    assert first == span and failed["status"] == {"code": 2}
    assert attributes(failed)["error.type"]


def test_embeddings_here(start, tmp_path, policies, collector):
    config = tmp_path / "corral.yaml"
    config.write_text(f'traces: {{endpoint: "{collector.endpoint}"}}\n')
    server = start("-c", config, "--policy", policies("traced", RULES))
    assert embed(server).status_code == 200
    assert until(lambda: collector.named("POST"))
    check_tree(collector.spans())
    (span,) = collector.named("embeddings ")
    about = attributes(span)
    assert span["kind"] == INTERNAL and about["gen_ai.provider.name"] == "corral"
    assert about["gen_ai.usage.input_tokens"] > 2


def test_summary(start, tmp_path, policies, collector):
    """What a summary takes is seen apart from what answers take."""
    model = Model()
    try:
        config = tmp_path / "corral.yaml"
        config.write_text(
            f'traces: {{endpoint: "{collector.endpoint}"}}\ndata: {tmp_path / "data"}\n'
            f"backend: {{openai: {{base_url: '{model.url}/v1'}}}}\n"
            "agent: {context: {compact: summarise, tokens: 700}}\n")
        server = start("-c", config, "--policy", policies("traced", RULES))
        session = create(server)
        fill(server, session)
        model.summary = None  # the next fails, and the turn goes on
        for _ in range(20):
            say(server, session, "7" * 150)
            if "failed" in json.dumps(compacted(server, session)) or len(compacted(server, session)) > 1:
                break
        turns = len([r for r in model.requests if not model.is_summary(r)])
        assert until(lambda: len(collector.named("chat ")) == len(model.requests))
        spans = collector.named("chat ")
        purposes = [attributes(s).get("corral.purpose") for s in spans]
        assert purposes.count("summary") == len(spans) - turns >= 2
        assert purposes.count(None) == turns
        (first, *_) = [s for s in spans if attributes(s).get("corral.purpose")]
        assert first["name"] == "chat m"
        # One trace with the turn that it was made for.
        assert [s for s in spans if s["parentSpanId"] == first["parentSpanId"]] != [first]
        last = [s for s in spans if attributes(s).get("corral.purpose")][-1]
        assert last["status"] == {"code": 2}
        assert "sevens" not in json.dumps(collector.bodies)
    finally:
        model.close()


def test_who_is_sampled(traced, collector, upstream):
    server = traced(upstream, ", sample: 0")
    for flags in ("00", None, "01"):
        ask(server, flags=flags)
    assert until(lambda: collector.named("POST"))
    assert {s["traceId"] for s in collector.spans()} == {TRACE}
    first, second, _ = [h["traceparent"] for h in upstream.headers]
    assert first.startswith(f"00-{TRACE}-") and first.endswith("-00")
    assert TRACE not in second and second.endswith("-00")
    assert len(collector.named("POST")) == 1


def test_a_trace_begins_here(traced, collector, upstream):
    """Unless told otherwise, each; and the last ones are sent at the end."""
    server = traced(upstream)
    ask(server, flags=None)
    assert server.stop() == 0
    (root,) = collector.named("POST")
    assert "parentSpanId" not in root and root["traceId"] != TRACE


def test_a_collector_that_fails(traced, collector, upstream):
    """Nobody waits for it, nothing grows, and what is lost is counted."""
    collector.status = 503
    server = traced(upstream, ", queue: 8")
    assert ask(server).status_code == 200
    assert until(lambda: server.metric("corral_trace_spans_dropped_total") == 4)
    assert server.stderr().count("event=traces_fail") == 1
    assert "the collector answered 503" in server.stderr()
    collector.status = 200
    ask(server)
    assert until(lambda: server.metric("corral_trace_spans_total") == 4)
    assert "event=traces_work_again" in server.stderr()
    collector.hold.clear()  # now it is silent
    ask(server)
    assert until(lambda: server.metric("corral_trace_spans_waiting") == 0)
    for _ in range(5):  # 20 spans for 8 places
        assert ask(server).status_code == 200
    assert server.metric("corral_trace_spans_waiting") == 8
    assert server.metric("corral_trace_spans_dropped_total") == 4 + 12
    assert server.stop() == 0


def test_no_collector_there(start, tmp_path, policies, upstream):
    config = tmp_path / "corral.yaml"
    config.write_text("traces: {endpoint: \"http://127.0.0.1:9/v1/traces\"}\n")
    server = start("-c", config, "--policy", policies("traced", RULES), "--upstream", upstream.url)
    assert ask(server).status_code == 200
    assert until(lambda: server.metric("corral_trace_spans_dropped_total") == 4)


def test_shown_without_its_secrets(start, tmp_path, policies, upstream, collector):
    done = run("key", "add", "--file", tmp_path / "k", "--scopes", "admin")
    config = tmp_path / "c.yaml"
    config.write_text("keys: k\nadmin: {listen: 127.0.0.1:0}\n"
                      f"traces: {{endpoint: \"{collector.endpoint}\", headers: {{x-key: sesame}}}}\n")
    server = start("-c", config, "--policy", policies("traced", RULES), "--upstream", upstream.url)
    port = server.stderr().split("event=admin port=")[1].split()[0]
    shown = httpx.get(f"http://127.0.0.1:{port}/admin/config",
                      headers={"authorization": "Bearer " + done.stdout.strip()})
    assert shown.json()["traces"]["headers"] == ["x-key"]
    assert "sesame" not in shown.text and "/v1/traces" not in shown.text


@pytest.mark.parametrize("traces, place, reason", [
    ("{}", "1:9", "traces needs an endpoint"),
    ("{endpoint: 'ftp://x'}", "1:20", "endpoint: "),
    ("{endpoint: 'http://x/', sample: 2}", "1:41", "sample must be a number from 0 to 1"),
    ("{endpoint: 'http://x/', queue: 0}", "1:40", "queue must be a whole number"),
    ("{endpoint: 'http://x/', headers: {host: x}}", "1:49", '"host" cannot be set'),
    ("{endpoint: 'http://x/', headers: {a b: x}}", "1:48", '"a b" cannot be set'),
    ("{endpoint: 'http://x/', headers: {a: \"x\\ny\"}}", "1:46", "control character"),
    ("{endpoint: 'http://x/', more: 1}", "1:3", "more"),
])
def test_wrong_configuration(tmp_path, traces, place, reason):
    config = tmp_path / "c.yaml"
    config.write_text(f"traces: {traces}\n")
    done = run("config", "check", config)
    assert done.returncode == 2
    assert f"c.yaml:{place}" in done.stderr and reason in done.stderr, done.stderr
