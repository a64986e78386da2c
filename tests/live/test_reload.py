"""SIGHUP: the configuration and all that it names, at once or not at all."""

import json
import os
import signal
import threading

import httpx2 as httpx
import pytest

from conftest import RULES, run, until
from mock_upstream import MockUpstream
from test_answers import ask

BLOCKED = "a zebra crossing"
GIRAFFES = RULES.replace("zebra crossing", "giraffe")
WHOLE = {
    "id": "up", "object": "chat.completion", "created": 1, "model": "mock",
    "choices": [{"index": 0, "finish_reason": "stop",
                 "message": {"role": "assistant", "content": "Hello there."}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
}


@pytest.fixture()
def second():
    mock = MockUpstream()
    mock.pieces = ["The second."]
    yield mock
    mock.close()


class Site:
    """A folder with a configuration, and the server that runs by it."""

    def __init__(self, start, folder):
        self.start, self.folder, self.server = start, folder, None
        self.write("p.yaml", RULES)
        self.write("k", "")

    def write(self, name, text):
        (self.folder / name).write_text(text)

    def serve(self, config, *args):
        self.write("c.yaml", config)
        self.server = self.start("-c", self.folder / "c.yaml", *args)
        return self.server

    def reload(self, config=None, event="configuration"):
        """Read again; until the log says what came of it."""
        if config is not None:
            self.write("c.yaml", config)
        count = self.events(event)
        self.server.process.send_signal(signal.SIGHUP)
        assert until(lambda: self.events(event) > count), self.server.stderr()[-2000:]

    def events(self, event):
        log = self.server.stderr()
        return log.count(f"event={event} ") + log.count(f'"event":"{event}"')

    def key(self, *args):
        done = run("key", "add", "--file", self.folder / "k", *args)
        assert done.returncode == 0, done.stderr
        return {"authorization": "Bearer " + done.stdout.strip()}


@pytest.fixture()
def site(start, tmp_path):
    return Site(start, tmp_path)


def finish(server, text):
    return ask(server, text).choices[0].finish_reason


def status(server, key=None):
    return server.http.post("/v1/chat/completions", headers=key or {}, json={
        "model": "m", "messages": [{"role": "user", "content": "Hi"}]}).status_code


def to(*mocks, more=""):
    """`upstreams` of one mock each, called m0, m1 and so on."""
    return "upstreams:\n" + "".join(
        f"  - {{name: u{i}, base_url: \"{m.url}\", models: [m{i}], health: {{interval_ms: 0}}{more}}}\n"
        for i, m in enumerate(mocks))


def test_settings(site, upstream):
    site.write("two.yaml", GIRAFFES)
    server = site.serve("policy: p.yaml\n", "--upstream", upstream.url)
    assert (finish(server, BLOCKED), finish(server, "A giraffe.")) == ("content_filter", "stop")
    site.reload("policy: two.yaml\nlog: {level: info, format: json, access: false}\n"
                "limits: {body_bytes_max: 1000}\nthreads: 7\ndrain_ms: 5\n")
    assert (finish(server, BLOCKED), finish(server, "A giraffe.")) == ("stop", "content_filter")
    big = server.http.post("/v1/chat/completions", content=b"x" * 2000,
                           headers={"content-type": "application/json"})
    assert big.status_code == 413
    # What wants a restart is said, not silently forgotten.
    line = [l for l in server.stderr().splitlines() if "restart_needed" in l]
    assert json.loads(line[0])["settings"] == "threads"
    assert site.events("request") == 2  # those since then are not logged
    # The folder of the new policy is watched.
    site.write("two.yaml", RULES)
    assert until(lambda: finish(server, BLOCKED) == "content_filter")
    # Back again: nothing waits for a restart now.
    site.reload("policy: p.yaml\n")
    assert site.events("restart_needed") == 1
    assert server.http.post("/v1/chat/completions", content=b"x" * 2000,
                            headers={"content-type": "application/json"}).status_code == 400


@pytest.mark.parametrize("wrong, event, reason", [
    ("policy: two.yaml\nlimits: {body_bytes_max: none}\n", "configuration", "c.yaml:2:26: body_bytes_max"),
    ("policy: missing.yaml\n", "policy", "missing.yaml"),
    ("policy: bad.yaml\n", "policy", "bad.yaml:1:1: unknown key"),
    # Of `listen` the command line has the last word.
    ("policy: two.yaml\nadmin: {listen: '0.0.0.0:80', keys: k}\n", "configuration", "allow_remote"),
    ("policy: two.yaml\nlisten: ${NO_SUCH_THING}\n", "configuration", "c.yaml:2:9: the variable"),
    ("policy: two.yaml\nupstreams: [{name: a, base_url: 'http://x', models: [m0], fallbacks: [none]}]\n",
     "configuration", r'no model \"none\"'),
    ("policy: two.yaml\nupstreams: [{name: a, base_url: 'http://x', models: [m0], api_key_file: none}]\n",
     "configuration", "none"),
])
def test_all_or_nothing(site, upstream, wrong, event, reason):
    """One part that is wrong, and none of the others is taken."""
    site.write("two.yaml", GIRAFFES)
    site.write("bad.yaml", "nonsense: 1\n")
    good = "policy: p.yaml\n" + to(upstream)
    server = site.serve(good)
    chat = lambda text: ask(server, text, model="m0").choices[0].finish_reason
    site.reload(wrong if "limits" in wrong else wrong + "limits: {body_bytes_max: 100}\n",
                event + "_kept")
    said = [l for l in server.stderr().splitlines() if "_kept" in l]
    assert len(said) == 1 and reason in said[0], said
    assert chat(BLOCKED) == "content_filter" and chat("A giraffe.") == "stop"
    assert server.http.post("/v1/chat/completions", content=b"x" * 200,
                            headers={"content-type": "application/json"}).status_code == 400
    metrics = server.http.get("/metrics").text
    assert f'corral_reloads_total{{part="{event}",result="kept"}} 1' in metrics
    site.reload(good)
    assert chat(BLOCKED) == "content_filter"


def test_upstreams(site, upstream, second):
    """A stream that began at the first upstream ends there."""
    upstream.pieces, upstream.pause = ["one "] * 40, 0.05
    server = site.serve("policy: p.yaml\n" + to(upstream))
    stream = ask(server, model="m0", stream=True)
    said = next(iter(stream)).choices[0].delta.content or ""
    site.reload("policy: p.yaml\n" + to(second))
    assert ask(server, model="m0").choices[0].message.content == "The second."
    said += "".join(c.choices[0].delta.content or "" for c in stream if c.choices)
    assert said.count("one") == 40 and len(upstream.requests) == 1
    # More of them, another name, none of the old one.
    site.reload("policy: p.yaml\n" + to(second, upstream))
    assert {m.id for m in server.client.models.list()} == {"m0", "m1"}
    upstream.pause = 0
    assert "one" in ask(server, model="m1").choices[0].message.content
    site.reload("policy: p.yaml\n" + to(second))
    assert server.http.post("/v1/chat/completions", json={
        "model": "m1", "messages": [{"role": "user", "content": "Hi"}]}).status_code == 404


def test_upstreams_that_stay(site, upstream):
    """Their connections and what is known of their health stay as well, until
    what they are made of changes: a key, too."""
    upstream.sse, upstream.raw = False, WHOLE
    site.write("secret", "first\n")
    config = "policy: p.yaml\n" + to(upstream, more=", api_key_file: secret")
    server = site.serve(config)
    ask(server, model="m0")
    site.reload(config + "drain_ms: 5\n")
    ask(server, model="m0")
    assert upstream.connections == 1
    site.write("secret", "second\n")
    site.reload()
    ask(server, model="m0")
    assert [h["authorization"] for h in upstream.headers] == [
        "Bearer first", "Bearer first", "Bearer second"]
    assert upstream.connections == 2
    assert "second" not in server.stderr()


def test_rates(site, upstream):
    """Of a key that is known already."""
    key = site.key("--requests-per-minute", "1000")
    server = site.serve("policy: p.yaml\nkeys: k\n", "--upstream", upstream.url)

    assert status(server, key) == 200
    lines, limit = (site.folder / "k").read_text(), '"requests_per_minute":'
    assert lines.count(limit + "1000,") == 1
    site.write("k", lines.replace(limit + "1000,", limit + "1,"))
    site.reload()
    assert [status(server, key) for _ in range(3)][-1] == 429


def test_no_request_fails(site, upstream, second):
    """Streams and short requests, while everything is read again and again, and
    the upstream is another each time."""
    reloads = int(os.environ.get("CORRAL_RELOADS", "20"))
    key = site.key()
    base = "policy: {policy}\nkeys: k\nlog: {{access: false}}\nlimits: {{body_bytes_max: {n}}}\n"
    site.write("two.yaml", RULES + "# the other\n")
    server = site.serve(base.format(policy="p.yaml", n=100000) + to(upstream))
    stop, answers, wrong = threading.Event(), [], []

    def load(stream):
        with httpx.Client(base_url=server.url, headers=key, timeout=30) as client:
            while not stop.is_set():
                try:
                    r = client.post("/v1/chat/completions", json={
                        "model": "m0", "stream": stream, "messages": [{"role": "user", "content": "Hi"}]})
                    good = r.status_code == 200 and (
                        "[DONE]" in r.text if stream else
                        "Hello there." in r.text or "The second." in r.text)
                    (answers if good else wrong).append(r.text)
                except httpx.HTTPError as e:
                    wrong.append(repr(e))

    threads = [threading.Thread(target=load, args=(i % 2 == 0,)) for i in range(4)]
    for t in threads:
        t.start()
    try:
        for i in range(reloads):
            seen = len(answers)
            site.reload(base.format(policy=("p.yaml", "two.yaml")[i % 2], n=100000 + i)
                        + to((upstream, second)[i % 2]))
            # Each reload has answers after it, so none is swallowed by another.
            assert until(lambda: len(answers) > seen + 4)
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert wrong == [] and len(answers) > 4 * reloads
    assert upstream.requests and second.requests
    assert server.stop() == 0
