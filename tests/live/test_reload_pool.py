"""Files are read again beside the loop. A policy that is a named pipe is read
for as long as a test likes, so that these are about what comes before what,
never about how long."""

import os
import signal
import threading

import httpx2 as httpx
import pytest

from conftest import RULES, until
from test_answers import ask, join
from test_mcp import free_port
from test_reload import BLOCKED, GIRAFFES, finish, site, status  # noqa: F401 (a fixture)

def many():
    head, _, tail = GIRAFFES.partition("checks:\n")
    rule = ", ".join(f'"forbidden phrase {i} of many"' for i in range(10000))
    return f"{head}checks:\n  - {{id: many, use: rules, on: [input], action: block, any: [{rule}]}}\n{tail}"


class Pipe:
    """A file that is being read, and whose text is not there yet."""

    def __init__(self, path, ask_for_it):
        self.fd, self.path = None, path
        if not path.exists():
            os.mkfifo(path)
        ask_for_it()
        assert until(self.opened)  # somebody reads

    def opened(self):
        try:
            self.fd = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False
        os.set_blocking(self.fd, True)
        return True

    def say(self, text):
        """The next who reads it, since it has changed, finds a file."""
        data = text.encode()
        if self.path.is_fifo():
            plain = self.path.with_suffix(".tmp")
            plain.write_bytes(data)
            os.rename(plain, self.path)
        while data:
            data = data[os.write(self.fd, data):]
        os.close(self.fd)


@pytest.fixture()
def slow(site, upstream):  # noqa: F811
    """A server that reads its policy again, and is not done with it."""
    server = site.serve("policy: p.yaml\n", "--upstream", upstream.url)
    site.write("c.yaml", "policy: pipe.yaml\n")
    pipe = Pipe(site.folder / "pipe.yaml", lambda: server.process.send_signal(signal.SIGHUP))
    return site, server, pipe


def test_stream_goes_on(slow, upstream):
    site, server, pipe = slow  # noqa: F811
    upstream.pieces, upstream.pause = ["one "] * 20, 0.02
    assert join(ask(server, stream=True))[0].count("one") == 20
    assert (finish(server, BLOCKED), finish(server, "A giraffe.")) == ("content_filter", "stop")
    stream = ask(server, stream=True)
    first = next(iter(stream))
    pipe.say(many())
    assert until(lambda: site.events("policy") == 1)
    assert (finish(server, BLOCKED), finish(server, "A giraffe.")) == ("stop", "content_filter")
    assert finish(server, "So forbidden phrase 4711 of many.") == "content_filter"
    # It ends under the policy that it began with, and loses nothing.
    assert join([first, *stream])[0].count("one") == 20


def test_newest_wins(slow):
    """However often it is asked for meanwhile, it is read once more."""
    site, server, pipe = slow  # noqa: F811
    site.write("new.yaml", GIRAFFES)
    os.rename(site.folder / "new.yaml", site.folder / "pipe.yaml")
    for _ in range(5):
        server.process.send_signal(signal.SIGHUP)
    assert finish(server, BLOCKED) == "content_filter"  # the signals have come
    pipe.say(RULES + "# the one before\n")
    assert until(lambda: site.events("configuration") == 2)
    assert until(lambda: finish(server, "A giraffe.") == "content_filter")
    assert finish(server, BLOCKED) == "stop"
    assert site.events("configuration") == 2 and site.events("policy") == 2


@pytest.mark.parametrize("first, second, kept", [(GIRAFFES, "nonsense: 1\n", "content_filter"), ("nonsense: 1\n", GIRAFFES, "content_filter"), ("nonsense: 1\n", "nonsense: 2\n", "stop")])
def test_last_good_is_kept(slow, first, second, kept):
    site, server, pipe = slow  # noqa: F811
    site.write("new.yaml", second)
    os.rename(site.folder / "new.yaml", site.folder / "pipe.yaml")
    server.process.send_signal(signal.SIGHUP)
    assert finish(server, BLOCKED) == "content_filter"
    pipe.say(first)
    bad = sum(text != GIRAFFES for text in (first, second))
    assert until(lambda: site.events("policy_kept") == bad and site.events("policy") == 2 - bad)
    assert finish(server, "A giraffe.") == kept
    assert finish(server, BLOCKED) == ("content_filter" if kept == "stop" else "stop")


def test_key_is_revoked_meanwhile(site, upstream):  # noqa: F811
    """A change of the keys waits for nothing but the pool, and a policy that
    turns out bad does not undo it."""
    key = site.key()
    server = site.serve("policy: p.yaml\nkeys: k\n", "--upstream", upstream.url)
    site.write("c.yaml", "policy: pipe.yaml\nkeys: k\n")
    pipe = Pipe(site.folder / "pipe.yaml", lambda: server.process.send_signal(signal.SIGHUP))

    assert status(server, key) == 200
    site.write("k", "")
    pipe.say("nonsense: 1\n")
    assert until(lambda: status(server, key) == 401)


@pytest.mark.parametrize("text", ["", GIRAFFES])
def test_end_meanwhile(slow, text):
    """Told to end while it reads: it does, and nothing of it comes into force."""
    site, server, pipe = slow  # noqa: F811
    server.process.send_signal(signal.SIGTERM)
    assert until(lambda: site.events("drain") == 1)
    pipe.say(text)
    assert server.process.wait(60) == 0
    assert site.events("end") == 1
    assert site.events("policy") == site.events("configuration") == 0


def test_admin_waits(site, upstream):  # noqa: F811
    """The answer comes when all is in force; a client that left changes nothing."""
    admin = site.key("--scopes", "admin")
    base = "keys: k\nadmin: {listen: 127.0.0.1:%d}\n"
    port = free_port()
    server = site.serve("policy: p.yaml\n" + base % port, "--upstream", upstream.url)
    site.write("c.yaml", "policy: pipe.yaml\n" + base % port)
    url, answers = f"http://127.0.0.1:{port}/admin/reload", []

    def reload(seconds):
        try:
            answers.append(httpx.post(url, headers=admin, timeout=seconds))
        except httpx.TimeoutException:
            answers.append(None)

    asking = threading.Thread(target=reload, args=(120,))
    pipe = Pipe(site.folder / "pipe.yaml", asking.start)
    reload(0.2)
    assert answers == [None]
    pipe.say(GIRAFFES)
    asking.join(60)
    assert answers[1].status_code == 200 and answers[1].json()["policy"] == {"ok": True}
    assert until(lambda: site.events("configuration") == 2)  # for the one who left
    site.write("pipe.yaml", "nonsense: 1\n")
    reload(120)
    assert answers[2].status_code == 409 and "pipe.yaml:1:1" in answers[2].json()["policy"]["reason"]
