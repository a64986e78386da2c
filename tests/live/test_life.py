"""Starting, ending, being killed, and clients that leave."""

import json
import signal
import socket
import subprocess
import threading
import time

from conftest import BINARY, ROOT, RULES, run, until
from test_answers import ask, join


def test_health(corral):
    assert corral.http.get("/healthz").status_code == 200
    assert corral.http.get("/readyz").status_code == 200
    r = corral.http.get("/metrics")
    assert r.headers["content-type"].startswith("text/plain")
    assert "corral_requests_total" in r.text
    assert corral.metric("corral_engine_kv_total") > 0


def test_kill_and_start_again(start, policies):
    policy = policies("kill", RULES)
    server = start("--policy", policy)
    assert ask(server, max_tokens=2).choices
    server.process.send_signal(signal.SIGKILL)
    assert server.process.wait(10) == -signal.SIGKILL
    again = start("--policy", policy, "--listen", f"127.0.0.1:{server.port}")
    assert again.port == server.port
    assert ask(again, max_tokens=2).choices


def test_drain(start, policies):
    """SIGTERM: no new work, but what runs is finished."""
    server = start("--policy", policies("drain", RULES))
    result = {}
    stream = ask(server, "Tell me a long story.", max_tokens=150, stream=True)
    first = next(iter(stream))

    def finish():
        result["text"], result["chunks"] = join(stream)

    thread = threading.Thread(target=finish)
    thread.start()
    server.process.send_signal(signal.SIGTERM)
    thread.join(60)
    assert server.process.wait(30) == 0
    assert first.choices
    assert result["chunks"][-1].choices[0].finish_reason in ("stop", "length")


def test_second_signal_ends_at_once(start, policies, upstream):
    upstream.pieces = ["word "] * 1000
    upstream.pause = 0.1
    server = start("--policy", policies("hard", RULES), "--upstream", upstream.url)
    stream = ask(server, "Hello", stream=True)
    next(iter(stream))
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert server.process.poll() is None
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(5) == 0


def long_request(port, stream):
    body = json.dumps(
        {
            "model": "x",
            "messages": [{"role": "user", "content": "Tell me a very long story."}],
            "max_tokens": 4000,
            "stream": stream,
        }
    ).encode()
    s = socket.create_connection(("127.0.0.1", port), timeout=30)
    s.sendall(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    return s


def test_client_gone(corral):
    """A client that leaves takes its work along."""
    for stream in (True, False):
        with long_request(corral.port, stream):
            assert until(lambda: corral.metric("corral_engine_jobs_running") >= 1)
        assert until(lambda: corral.metric("corral_engine_jobs_running") == 0, 5)
    # Only the connection that asks.
    assert until(lambda: corral.metric("corral_in_flight") == 1, 5)


def test_upstream_is_left_when_the_client_is(start, policies, upstream):
    upstream.pieces = ["word "] * 2000
    upstream.pause = 0.01
    server = start("--policy", policies("gone", RULES), "--upstream", upstream.url)
    with long_request(server.port, True) as s:
        assert s.recv(10)
    assert upstream.gone.wait(5)


def test_reload(start, policies, upstream):
    """SIGHUP: a good policy replaces the old one, a bad one changes nothing."""
    policy = policies("reload", RULES)
    server = start("--policy", policy, "--upstream", upstream.url)
    assert ask(server, "A giraffe.").choices[0].finish_reason == "stop"
    policies("reload", RULES.replace("zebra crossing", "giraffe"))
    server.process.send_signal(signal.SIGHUP)
    assert until(
        lambda: ask(server, "A giraffe.").choices[0].finish_reason == "content_filter"
    )
    policies("reload", "nonsense: true\n")
    server.process.send_signal(signal.SIGHUP)
    assert until(lambda: "policy_kept" in server.stderr())
    assert ask(server, "A giraffe.").choices[0].finish_reason == "content_filter"


def test_watch(start, policies, upstream, tmp_path):
    """A change in the policy's folder is enough: of the policy, of a pack, by a
    rename; a bad one changes nothing."""

    def finish():
        return ask(server, "A giraffe.").choices[0].finish_reason

    policy = tmp_path / "watched.yaml"
    policy.write_text("policy: watched\nextends: [pack]\n")
    pack = tmp_path / "pack.yaml"
    pack.write_text(RULES)
    server = start("--policy", policy, "--upstream", upstream.url)
    assert finish() == "stop"
    (tmp_path / "other.yaml").write_text("nothing of this policy's")
    pack.write_text(RULES.replace("zebra crossing", "giraffe"))
    assert until(lambda: finish() == "content_filter")
    pack.write_text("nonsense: true\n")
    assert until(lambda: "policy_kept" in server.stderr())
    assert finish() == "content_filter"
    new = tmp_path / "pack.yaml.new"
    new.write_text(RULES)
    new.rename(pack)
    assert until(lambda: finish() == "stop")
    assert server.stderr().count("revision=") == 3  # the start and two changes


def test_port_taken(corral):
    r = run("serve", "--listen", f"127.0.0.1:{corral.port}", "--policy", "policies/secrets.yaml", "--upstream", "http://127.0.0.1:9/v1")
    assert r.returncode == 3
    last = r.stderr.splitlines()[-1]
    assert last.startswith("corral: cannot listen on 127.0.0.1 port ")
    assert "in use" in last


def test_sigint_ends_cleanly(start, policies, upstream):
    server = start("--policy", policies("int", RULES), "--upstream", upstream.url)
    assert server.stop(signal.SIGINT) == 0
