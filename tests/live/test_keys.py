"""API keys: who is let in, to what, how often, and by which policy."""

import json
import socket
import threading

import openai
import pytest

from conftest import RULES, run, until
from mock_upstream import chunk

ASK = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}


@pytest.fixture()
def keyed(start, tmp_path, policies, upstream):
    """A server with a file of keys, and add() for a new one."""
    keys = tmp_path / "keys.jsonl"
    config = tmp_path / "corral.yaml"
    config.write_text("keys: keys.jsonl\n")

    def add(*args):
        done = run("key", "add", "-c", config, *args)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    first = add("--name", "first")
    server = start(
        "-c", config, "--policy", policies("live", RULES), "--upstream", upstream.url
    )
    server.keys, server.config, server.add, server.first = keys, config, add, first
    return server


def client(server, key):
    return openai.OpenAI(
        base_url=server.url + "/v1", api_key=key, max_retries=0, timeout=60
    )


def chat(server, key):
    return client(server, key).chat.completions.create(model="m", **ASK)


def known(server, key):
    """Has the running server read the key?"""
    return until(lambda: server.http.get("/v1/models", headers={"x-api-key": key}).status_code != 401)


def test_in_and_out(keyed):
    assert chat(keyed, keyed.first).choices[0].message.content
    for wrong in ("x", "crl_00000000_" + "0" * 48, keyed.first[:-1] + "x"):
        with pytest.raises(openai.AuthenticationError) as caught:
            chat(keyed, wrong)
        assert caught.value.code == "invalid_api_key"
    none = keyed.http.post("/v1/chat/completions", json=ASK)
    assert none.status_code == 401 and none.headers["www-authenticate"] == "Bearer"
    # Two keys that differ: nobody chooses.
    two = {"authorization": f"Bearer {keyed.first}", "x-api-key": "x"}
    assert keyed.http.get("/v1/models", headers=two).status_code == 401
    assert keyed.http.get("/v1/nothing").status_code == 401
    assert keyed.http.get("/healthz").status_code == 200
    anthropic = keyed.http.post("/v1/messages", json=ASK).json()
    assert anthropic["type"] == "error"
    assert anthropic["error"]["type"] == "authentication_error"


def test_scopes(keyed):
    guard = keyed.add("--scopes", "guard")
    metrics = keyed.add("--scopes", "metrics")
    assert known(keyed, metrics)
    with pytest.raises(openai.PermissionDeniedError):
        chat(keyed, guard)
    assert client(keyed, guard).moderations.create(input="hi").results
    get = lambda key: keyed.http.get("/metrics", headers={"x-api-key": key}).status_code
    assert (get(guard), get(metrics), get("x")) == (403, 200, 401)


def test_revoke_while_running(keyed):
    key = keyed.add("--name", "second")
    assert known(keyed, key)
    assert run("key", "revoke", "second", "-c", keyed.config).returncode == 0
    assert until(lambda: not_allowed(keyed, key))
    assert chat(keyed, keyed.first).choices
    listing = run("key", "list", "-c", keyed.config).stdout
    assert "revoked" in listing and key not in listing and key[13:] not in listing


def not_allowed(server, key):
    try:
        chat(server, key)
    except openai.AuthenticationError:
        return True
    return False


def refused(server, key):
    try:
        chat(server, key)
    except openai.APIStatusError as e:
        return e.status_code


def test_a_file_that_is_broken_or_gone_opens_nothing(keyed):
    keyed.keys.write_text("{}\n")
    assert until(lambda: "keys_kept" in keyed.stderr())
    assert chat(keyed, keyed.first).choices
    keyed.keys.unlink()
    assert until(lambda: not_allowed(keyed, keyed.first))
    assert keyed.http.get("/v1/models").status_code == 401


def test_revoked_in_spite_of_another_keys_policy(keyed):
    """A policy with a slip in it keeps all keys as they are; what is taken
    back is out all the same."""
    own = keyed.keys.with_name("own.yaml")
    own.write_text(RULES)
    other = keyed.add("--policy", "own.yaml")
    key = keyed.add("--name", "second")
    assert known(keyed, key) and known(keyed, other)
    own.write_text("policy: [")
    assert run("key", "revoke", "second", "-c", keyed.config).returncode == 0
    assert until(lambda: not_allowed(keyed, key))
    assert "keys_kept" in keyed.stderr()
    assert chat(keyed, keyed.first).choices and chat(keyed, other).choices
    # Another secret under its id, fewer scopes, an end: that counts as well.
    keys = [json.loads(line) for line in keyed.keys.read_text().splitlines()]

    def write(first={}, its={}):
        with_policy = [{**k, **its} if k.get("policy") else k for k in keys]
        with_policy[0] = {**with_policy[0], **first}
        keyed.keys.write_text("".join(json.dumps(k) + "\n" for k in with_policy))

    write(its={"scopes": "guard"})
    assert until(lambda: refused(keyed, other) == 403)
    assert chat(keyed, keyed.first).choices
    write(its={"expires": 1})
    assert until(lambda: refused(keyed, other) == 401)
    write(first={"hash": "0" * 64})
    assert until(lambda: not_allowed(keyed, keyed.first))
    write()
    own.write_text(RULES)
    assert until(lambda: refused(keyed, keyed.first) is None)
    own.write_text("policy: [")
    # A line that has gone is a key that has gone.
    lines = keyed.keys.read_text().splitlines(True)
    keyed.keys.write_text("".join(lines[1:]))
    assert until(lambda: not_allowed(keyed, keyed.first))


@pytest.mark.parametrize(
    "args, said",
    [
        (["--name", "a\nb"], "name: no control characters"),
        (["--name", "\x1b[2J"], "name: no control characters"),
        (["--name", "\udcff"], "name: not UTF-8"),
        (["--name", "x" * 65], "name: longer than 64 bytes"),
        (["--policy", "missing.yaml"], "missing.yaml: No such file"),
    ],
)
def test_a_key_that_nobody_could_read(tmp_path, args, said):
    """It would keep all others from being read, or be read on a terminal."""
    keys = tmp_path / "keys.jsonl"
    done = run("key", "add", "--file", keys, *args)
    assert done.returncode != 0 and said in done.stderr
    assert not keys.exists()


def test_whose_file_it_is(keyed):
    """One that others may write to lets nobody else in, and opens nothing."""
    before = keyed.keys.read_text()
    keyed.keys.chmod(0o666)
    keyed.keys.write_text(before + "\n")
    assert until(lambda: "others may write to it (mode 0666)" in keyed.stderr())
    assert "others may write to it" in run("key", "list", "-c", keyed.config).stderr
    keyed.keys.chmod(0o644)
    # By way of a link it is still the same file.
    link = keyed.keys.with_name("link")
    link.symlink_to(keyed.keys.name)
    done = run("key", "add", "--file", link)
    assert done.returncode == 0, done.stderr
    assert link.is_symlink() and keyed.keys.stat().st_mode & 0o777 == 0o600
    assert known(keyed, done.stdout.strip())


def test_requests_a_minute(keyed):
    key = keyed.add("--requests-per-minute", "2")
    assert known(keyed, key)  # took one
    raw = client(keyed, key).chat.completions.with_raw_response.create(model="m", **ASK)
    assert raw.headers["x-ratelimit-limit-requests"] == "2"
    assert raw.headers["x-ratelimit-remaining-requests"] == "0"
    with pytest.raises(openai.RateLimitError) as caught:
        chat(keyed, key)
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 30
    assert caught.value.code == "rate_limit_exceeded"
    assert chat(keyed, keyed.first).choices  # another key's is another's


def test_tokens_a_day(keyed):
    key = keyed.add("--tokens-per-day", "1")
    assert known(keyed, key)
    assert chat(keyed, key).usage.total_tokens > 1
    with pytest.raises(openai.RateLimitError) as caught:
        chat(keyed, key)
    assert caught.value.code == "insufficient_quota"


def test_own_policy(keyed):
    strict = keyed.keys.with_name("strict.yaml")
    strict.write_text(
        "policy: strict\nchecks:\n"
        "  - {id: no-hi, use: rules, on: [input], any: [hi], action: block}\n"
    )
    key = keyed.add("--policy", "strict.yaml")
    assert known(keyed, key)
    assert chat(keyed, key).choices[0].finish_reason == "content_filter"
    assert chat(keyed, keyed.first).choices[0].finish_reason != "content_filter"


def test_remote_needs_keys(tmp_path):
    done = run("serve", "--listen", "0.0.0.0:0")
    assert done.returncode == 2 and "keys" in done.stderr


@pytest.mark.parametrize("stream", [True, False])
def test_who_leaves_has_spent_all_the_same(keyed, upstream, stream):
    """The last event, which would say how many tokens it were, is waited for
    by nobody."""
    key = keyed.add("--tokens-per-day", "30")
    assert known(keyed, key)
    gate = threading.Event()

    def pieces():
        yield "It was a dark and stormy night. " * 8
        gate.wait(20)

    upstream.choose = pieces
    with open_answer(keyed, key, stream) as s:
        if stream:
            read = b""
            while b"dark" not in read:
                read += s.recv(65536)
        else:
            assert until(lambda: upstream.sent == 1)
    gate.set()
    upstream.choose = None
    assert until(lambda: refused_for(keyed, key) == "insufficient_quota")


LONG = "It was a dark and stormy night. " * 8


@pytest.mark.parametrize("how", ["stream", "whole", "half", "calls"])
def test_a_server_that_does_not_count(keyed, upstream, how):
    """Its answers end as they should, and say nothing of their tokens: they
    are not for nothing, and the client is told what was counted."""
    key = keyed.add("--tokens-per-day", "80")
    assert known(keyed, key)
    delta = {"content": LONG}
    if how == "calls":
        arguments = json.dumps({"text": LONG})
        call = {"index": 0, "id": "c1", "type": "function"}
        delta = {"tool_calls": [{**call, "function": {"name": "say", "arguments": arguments}}]}
    end = chunk({}, "tool_calls" if how == "calls" else "stop")
    if how == "half":
        end["usage"] = {"prompt_tokens": 4, "completion_tokens": 0}
    upstream.raw = [chunk(delta), end]
    if how == "whole":
        upstream.sse = False
        message = {"role": "assistant", "content": LONG}
        upstream.raw = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    tools = [{"type": "function", "function": {"name": "say"}}] if how == "calls" else None
    options = {**ASK, "tools": tools} if tools else ASK
    answer = client(keyed, key).chat.completions.create(model="m", **options)
    assert 80 <= answer.usage.completion_tokens <= 100, answer.usage
    assert answer.usage.prompt_tokens > 0
    assert refused_for(keyed, key) == "insufficient_quota"


def test_vectors_that_nobody_counted(keyed, upstream):
    key = keyed.add("--tokens-per-day", "80")
    assert known(keyed, key)
    upstream.sse = False
    upstream.raw = {"data": [{"index": 0, "embedding": [1.0, 0.0]}]}
    answer = client(keyed, key).embeddings.create(model="m", input=LONG, encoding_format="float")
    assert 80 <= answer.usage.prompt_tokens <= 100
    assert refused_for(keyed, key) == "insufficient_quota"


def refused_for(server, key):
    try:
        client(server, key).models.list()
    except openai.RateLimitError as refused:
        return refused.code
    return None


def open_answer(server, key, stream):
    body = json.dumps({"model": "m", "stream": stream, **ASK}).encode()
    s = socket.create_connection(("127.0.0.1", server.port), 20)
    s.sendall(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (key.encode(), len(body), body)
    )
    return s
