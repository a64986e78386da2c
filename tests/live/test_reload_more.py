"""SIGHUP: keys, origins and thresholds, which need no restart."""

import pytest

from conftest import RULES, run, until
from mock_upstream import MockUpstream
from test_guard_models import says
from test_reload import finish, site, status  # noqa: F401 (a fixture)


def needs(server):
    lines = [line for line in server.stderr().splitlines() if "restart_needed" in line]
    return lines[-1].partition("settings=")[2] if lines else None


def test_another_file_of_keys(site, upstream):  # noqa: F811
    first = site.key()
    (site.folder / "k").rename(site.folder / "old")
    second = site.key()
    base = "policy: p.yaml\nkeys: %s\n"
    server = site.serve(base % "old", "--upstream", upstream.url)
    assert (status(server, first), status(server, second), status(server)) == (200, 401, 401)
    site.reload(base % "k")
    assert (status(server, first), status(server, second), status(server)) == (401, 200, 401)
    assert needs(server) is None
    # The file that is watched is the new one.
    third = site.key()
    assert until(lambda: status(server, third) == 200)
    run("key", "revoke", third["authorization"][11:19], "--file", site.folder / "k")
    assert until(lambda: status(server, third) == 401)
    # One that is wrong: all as it was.
    site.write("bad", "no keys\n")
    site.reload(base % "bad", "keys_kept")
    assert (status(server, second), status(server)) == (200, 401)
    assert "bad:1" in server.stderr()


def test_keys_where_there_were_none(site, upstream):  # noqa: F811
    """From open to closed at once; the other way waits for a restart, since what
    listens may be open to everybody."""
    site.write("own.yaml", RULES.replace("zebra crossing", "giraffe"))
    key = site.key("--policy", "own.yaml")
    server = site.serve("policy: p.yaml\n", "--upstream", upstream.url)
    assert status(server) == 200
    site.reload("policy: p.yaml\nkeys: k\n")
    assert (status(server), status(server, key)) == (401, 200)
    site.reload("policy: p.yaml\n")
    assert needs(server) == "keys"
    assert (status(server), status(server, key)) == (401, 200)
    site.reload("policy: p.yaml\nkeys: k\n")
    assert (status(server), status(server, key)) == (401, 200)


def test_origins(site, upstream):  # noqa: F811
    base = "policy: p.yaml\ncors_origins: [%s]\n"
    server = site.serve(base % "'http://one.example'", "--upstream", upstream.url)

    def allowed(name):
        answer = server.http.get("/v1/models", headers={"origin": f"http://{name}.example"})
        return answer.headers.get("access-control-allow-origin") is not None

    assert (allowed("one"), allowed("two")) == (True, False)
    site.reload(base % "'http://two.example', 'http://three.example'")
    assert (allowed("one"), allowed("two"), allowed("three")) == (False, True, True)
    site.reload("policy: p.yaml\n")
    assert not any(map(allowed, ("one", "two", "three")))
    assert needs(server) is None
    # All or nothing, here as well.
    site.reload("policy: none.yaml\ncors_origins: ['http://one.example']\n", "policy_kept")
    assert not allowed("one")


@pytest.fixture()
def judge():
    mock = MockUpstream()
    yield mock
    mock.close()


def test_thresholds(site, upstream, judge):  # noqa: F811
    """Of the second guard; all else of it stays as it was opened."""
    site.write("p.yaml", "policy: p\nchecks:\n  - {id: h, use: classifier, on: [input],"
               " categories: {all: balanced}, action: block}\n")
    judge.raw = says("safe", top=[("safe", -0.6), ("unsafe", -0.8)])
    base = "policy: p.yaml\nguard: {upstream: {base_url: '%s', model: g}, thresholds: {%s}}\n"
    server = site.serve(base % (judge.url, "strict: 0.1"), "--upstream", upstream.url)

    assert finish(server, "Hi") == "stop"  # 0.45
    site.reload(base % (judge.url, "strict: 0.1, balanced: 0.4"))
    assert finish(server, "Hi") == "content_filter" and needs(server) is None
    site.reload(base % (judge.url, "strict: 0.9"), "configuration_kept")
    assert finish(server, "Hi") == "content_filter"
    site.reload(base % ("http://127.0.0.1:9/v1", "balanced: 0.6"))
    assert finish(server, "Hi") == "stop" and needs(server) == "guard"


def test_what_of_a_section_waits(site, upstream):  # noqa: F811
    """Settings of `traces` and `admin` are in use since the start: the log names
    each that changed, came or went, and no other; they stay as they were."""
    key = site.key()
    base = "policy: p.yaml\nkeys: k\n"
    began = "admin: {listen: 127.0.0.1:0, keys: k}\ntraces: {endpoint: 'http://127.0.0.1:9/a', sample: 0.5}\n"
    server = site.serve(base + began, "--upstream", upstream.url)
    site.reload(base + began)
    assert needs(server) is None
    for text, names in [
        ("admin: {listen: 127.0.0.1:0, keys: k}\ntraces: {endpoint: 'http://127.0.0.1:9/b', sample: 0.5}\n", "traces.endpoint"),
        ("admin: {listen: 127.0.0.1:0, keys: k}\ntraces: {endpoint: 'http://127.0.0.1:9/a', headers: {x: y}}\n", "traces.headers,traces.sample"),
        ("admin: {listen: 127.0.0.1:1, keys: k}\ntraces: {endpoint: 'http://127.0.0.1:9/a', sample: 0.5}\n", "admin.listen"),
        ("admin: {listen: 127.0.0.1:0}\n", "admin.keys,traces"),
        ("", "admin,traces"),
    ]:
        site.reload(base + text)
        assert sorted(needs(server).strip('"').split(",")) == names.split(","), text
    assert status(server, key) == 200
