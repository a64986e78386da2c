"""/metrics as Prometheus reads it: the format, the names, labels that stay few."""

import signal

import pytest
from prometheus_client.parser import text_string_to_metric_families

from conftest import RULES, until
from test_answers import ask

SHADOW = RULES.replace(
    "messages:",
    "  - {id: watched, use: rules, on: [input], any: [giraffe], action: block, shadow: true}\nmessages:",
)


def families(server):
    text = server.http.get("/metrics").text
    assert text.endswith("\n")
    return {f.name: f for f in text_string_to_metric_families(text)}


def value(server, sample, **labels):
    for family in families(server).values():
        for s in family.samples:
            if s.name == sample and labels.items() <= s.labels.items():
                return s.value
    return 0


def test_format(corral):
    """What promtool would say: types, help, histograms that add up."""
    ask(corral)
    found = families(corral)
    assert len(found) > 15
    for family in found.values():
        assert family.name.startswith("corral_") and family.documentation, family.name
        assert family.type in ("counter", "gauge", "histogram"), family
        seen = set()
        for s in family.samples:
            key = (s.name, tuple(sorted(s.labels.items())))
            assert key not in seen, key
            seen.add(key)
        if family.type == "counter":
            assert all(s.name == family.name + "_total" for s in family.samples)
        if family.type == "histogram":
            check_histogram(family)


def check_histogram(family):
    series = {}
    for s in family.samples:
        labels = tuple(sorted((k, v) for k, v in s.labels.items() if k != "le"))
        of = series.setdefault(labels, {"buckets": []})
        if s.name.endswith("_bucket"):
            of["buckets"].append((float(s.labels["le"]), s.value))
        else:
            of[s.name.rsplit("_", 1)[1]] = s.value
    for of in series.values():
        bounds = [b for b, _ in of["buckets"]]
        counts = [c for _, c in of["buckets"]]
        assert bounds == sorted(bounds) and bounds[-1] == float("inf")
        assert counts == sorted(counts) and counts[-1] == of["count"]
        assert of["sum"] >= 0


def test_what_is_counted(start, policies, upstream):
    policy = policies("counted", SHADOW)
    upstream.pieces = ["My key is AKIAIOSFODNN7EXAMPLE."]
    server = start("--policy", policy, "--upstream", upstream.url)
    check = lambda id, outcome: value(server, "corral_check_seconds_count", check=id, outcome=outcome)
    ask(server)
    ask(server, "a zebra crossing")
    ask(server, "a giraffe")
    assert check("no-stripes", "blocked") == 1
    assert check("watched", "would_block") == 1
    assert check("keys", "redacted") == 2  # of answers
    assert check("keys", "allowed") == 3  # of questions
    assert value(server, "corral_verdicts_total", channel="input", result="would_block") == 1
    assert value(server, "corral_model_ttft_seconds_count") == 2
    assert value(server, "corral_ttft_seconds_count") == 2
    assert value(server, "corral_guard_held_bytes") == 0
    # Checks alone and moderations are verdicts as well.
    for path, body in (("/v1/guard/check", {"text": "zebra crossing"}),
                       ("/v1/moderations", {"input": "zebra crossing"})):
        server.http.post(path, json=body)
    assert check("no-stripes", "blocked") == 3
    policies("counted", SHADOW + "# changed\n")
    server.process.send_signal(signal.SIGHUP)
    assert until(lambda: value(server, "corral_reloads_total", part="policy", result="read") >= 1)
    policies("counted", "nonsense: 1\n")
    assert until(lambda: value(server, "corral_reloads_total", part="policy", result="kept") >= 1)


def test_labels_are_ours(start, policies, upstream):
    """Whatever clients send, the series stay the same."""
    server = start("--policy", policies("labels", RULES), "--upstream", upstream.url)

    def names():
        return {(s.name, *sorted(s.labels.items())) for f in families(server).values() for s in f.samples}

    def send(i):
        ask(server, model=f"model-{i}")
        server.http.get(f"/v1/{i}")
        server.http.post("/v1/chat/completions", content=b"{")
        server.http.request("PURGE", "/v1/models")

    names(), send(0)
    before = names()
    for i in range(1, 5):
        send(i)
    assert names() == before


# What an operator's dashboards and alerts are made of, by type.
NAMES = {
    "counter": """requests verdicts tokens reloads audit_rows audit_rows_lost log_lines_lost
        trace_spans trace_spans_dropped engine_steps engine_jobs""",
    "gauge": """connections in_flight upstream_members_up upstream_calls_waiting guard_held_bytes
        audit_rows_waiting audit_failing trace_spans_waiting
        engine_jobs_running engine_jobs_waiting engine_kv_used engine_kv_total""",
    "histogram": "request_seconds guard_seconds check_seconds ttft_seconds model_ttft_seconds",
}


def test_every_name(start, policies, upstream, tmp_path):
    """Of a server that has everything: a model, an upstream, audit and traces."""
    config = tmp_path / "c.yaml"
    config.write_text(
        "data: data\naudit: {}\nbackend: {engine: {}}\n"
        "traces: {endpoint: \"http://127.0.0.1:9/v1/traces\"}\n"
        f"upstreams: [{{name: u, base_url: '{upstream.url}', models: [up]}}]\n")
    server = start("-c", config, "--policy", policies("names", RULES))
    ask(server, model="up")
    found = families(server)
    for type, names in NAMES.items():
        for name in names.split():
            assert found["corral_" + name].type == type, name
    # Each has few series, of labels that the source knows.
    for family in found.values():
        labels = {k for s in family.samples for k in s.labels}
        assert labels <= {"route", "status", "channel", "result", "check", "outcome",
                          "part", "kind", "le"}, family.name
        assert len(family.samples) < 1000, family.name
    (tokens,) = [f for f in found.values() if f.name == "corral_tokens"]
    assert {s.labels["kind"] for s in tokens.samples} == {"prompt", "cached", "completion"}


def test_the_prefix_cache_is_counted(corral):
    """The second time a prompt is read its tokens come from the cache."""
    cached = lambda: value(corral, "corral_tokens_total", kind="cached")
    text = "Tell me about the sea and about the ships that sail it. " * 8
    ask(corral, text)
    before = cached()
    ask(corral, text)
    assert cached() - before > 50
    assert value(corral, "corral_engine_kv_total") > value(corral, "corral_engine_kv_used") >= 0
