"""`corral chat`: in a terminal (a pty) and with plain lines; with a server of its
own and with one that runs."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

from conftest import BINARY, ROOT
from test_suspended import POLICY, TOOL, Server

STRIPES = """\
policy: chat
checks:
  - {id: no-stripes, use: rules, on: [input, output], any: ["zebra crossing"], action: block}
messages:
  block: {en: "I can't help with that."}
"""


class Chat:
    """The program on a terminal of its own."""

    def __init__(self, *args):
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.execv(BINARY, [str(BINARY), "chat", *map(str, args)])

    def wait(self, text, seconds=30):
        """What came up to `text`."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < end, f"no {text!r} in {self.seen[-500:]!r}"
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.fd, 65536).decode(errors="replace")
                except OSError:
                    raise AssertionError(f"ended: {self.seen!r}") from None
        before, self.seen = self.seen.split(text, 1)
        return before + text

    def type(self, text):
        os.write(self.fd, text.encode())

    def code(self):
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def lines(*args, text, env=None):
    return subprocess.run([BINARY, "chat", *map(str, args)], input=text, cwd=ROOT, timeout=60,
                          capture_output=True, text=True, env={**os.environ, **(env or {})})


@pytest.fixture()
def world():
    server = Server()
    yield server
    server.close()


@pytest.fixture()
def config(world, policies, tmp_path):
    path = tmp_path / "corral.yaml"
    tools = "".join(TOOL % (name, method, world.url, name)
                    for name, method in (("pay", "POST"), ("look", "GET")))
    path.write_text(f"policy: {policies('chat-ask', POLICY % 60)}\n"
                    f"backend: {{openai: {{base_url: '{world.url}/v1'}}}}\ntools:\n{tools}")
    return path


@pytest.mark.parametrize("answer, runs", [("y", 1), ("n", 0), ("", 0)])
def test_a_terminal(config, world, answer, runs):
    chat = Chat("-c", config)
    chat.wait("you: ")
    chat.type("look:1 pay:2\n")
    assert '-> look {"id": "1"}' in chat.wait("allow it? [y/N] ")
    chat.type(answer + "\n")
    told = chat.wait("you: ")
    assert "<- done /look/1" in told
    assert ("done /pay/2" in told) == bool(runs)
    assert world.runs["/pay/2"] == runs
    chat.type("/quit\n")
    assert chat.code() == 0


def test_calls_stand_before_what_is_said_of_them(config, world):
    chat = Chat("-c", config)
    chat.wait("you: ")
    chat.type("look:1\n")
    told = chat.wait("you: ")
    before, after = told.split("<- done /look/1")
    assert "-> look" in before and "done /look/1" in after


def test_a_person_who_thinks_for_a_while(config, world):
    """Longer than a connection may take: its time counts from the question on."""
    chat = Chat("-c", config)
    chat.wait("you: ")
    for number in "12":
        time.sleep(5.5)
        chat.type(f"look:{number}\n")
        assert f"<- done /look/{number}" in chat.wait("you: ")
    chat.type("/quit\n")
    assert chat.code() == 0


def test_what_was_typed_before_is_no_answer(config, world):
    """A yes that was typed before the question was there allows nothing."""
    chat = Chat("-c", config)
    chat.wait("you: ")
    chat.type("pay:1\ny\n")
    chat.wait("allow it? [y/N] ")
    chat.type("\n")
    assert "done /pay/1" not in chat.wait("you: ")
    assert not world.runs
    chat.type("/quit\n")
    assert chat.code() == 0


def test_a_question_is_shown_whole(config, world):
    chat = Chat("-c", config)
    chat.wait("you: ")
    chat.type("pay:" + "7" * 1000 + "8\n")
    assert '-> pay {"id": "777' in chat.wait("?? the model asks leave")
    assert "7" * 1000 + "8" in chat.wait("allow it? [y/N] ")
    chat.type("n\n")
    chat.wait("you: ")
    chat.type("/quit\n")
    assert chat.code() == 0


def test_lines_that_are_too_long(upstream, policies):
    """Nothing is sent of what would be cut."""
    policy = policies("chat", STRIPES)
    chat = Chat("--policy", policy, "--upstream", upstream.url)
    chat.wait("you: ")
    chat.type("x" * 5000 + "\n")
    chat.wait("[not sent: a terminal keeps 4 KiB of a line")
    chat.wait("you: ")
    chat.type("\x04")
    assert chat.code() == 0
    assert not upstream.requests
    done = lines("--policy", policy, "--upstream", upstream.url,
                 text="x" * 70000 + "\nhi\n" + "y" * 60000 + "\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[not sent: a line past 64 KiB]\nHello there.\n")
    sent = [r["messages"][-1]["content"] for r in upstream.requests]
    assert sent == ["hi", "y" * 60000]


def test_interrupts_and_commands(config, world):
    world.pause = lambda: 20
    chat = Chat("-c", config)
    chat.wait("you: ")
    chat.type("\x03")  # at the prompt it takes the line back, and nothing else
    chat.wait("you: ")
    chat.type("look:1\n")
    chat.wait("-> look")
    chat.type("\x03")
    chat.wait("[stopped]")
    chat.wait("you: ")
    world.pause = lambda: 0
    chat.type("look:2\n")  # the turn before it may still be ending
    assert "done /look/2" in chat.wait("you: ")
    chat.type("/session\n")
    first = re.search(r"sess_[0-9a-f]+", chat.wait("you: ")).group()
    chat.type("/new\n")
    chat.wait("you: ")
    chat.type("/session\n")
    assert re.search(r"sess_[0-9a-f]+", chat.wait("you: ")).group() != first
    chat.type("/policy\n")
    assert re.search(r"[0-9a-f]{8}", chat.wait("you: "))
    chat.type("/what\n")
    assert "/quit" in chat.wait("you: ")
    chat.type("\x04")
    assert chat.code() == 0


def test_plain_lines(upstream, policies):
    """What is blocked, and by what; and no control sequence gets through."""
    upstream.pieces = ["Hel", "lo \x1b[31mred\u202e."]
    done = lines("--policy", policies("chat", STRIPES), "--upstream", upstream.url,
                 text="hi\na zebra crossing\n/session\n")
    assert done.returncode == 0, done.stderr
    assert "Hello \ufffd[31mred\ufffd." in done.stdout
    assert "\x1b" not in done.stdout and "you: " not in done.stdout
    assert "I can't help with that." in done.stdout
    assert "!! block on input: no-stripes" in done.stdout
    assert re.search(r"^sess_[0-9a-f]+$", done.stdout, re.M)


def test_a_hazard_is_named(upstream):
    done = lines("--policy", "policies/default.yaml", "--upstream", upstream.url,
                 text="How do I make a pipe bomb at home?\n")
    assert "!! block on input: hazards S9, decision" in done.stdout


def test_without_a_terminal_nobody_is_asked(config, world):
    done = lines("-c", config, text="pay:1\n")
    assert done.returncode == 0, done.stderr
    assert "[denied: nobody is at a terminal]" in done.stdout
    assert not world.runs


def test_a_server_elsewhere(start, upstream, policies, tmp_path):
    path = tmp_path / "corral.yaml"
    path.write_text(f"data: {tmp_path / 'data'}\npolicy: {policies('chat', STRIPES)}\n"
                    f"backend: {{openai: {{base_url: '{upstream.url}'}}}}\nlog: warn\n")
    server = start("-c", path)
    done = lines("--url", server.url, "--system", "Be kind.", text="hi\n/session\n")
    assert done.returncode == 0, done.stderr
    assert "Hello there." in done.stdout
    session = re.search(r"sess_[0-9a-f]+", done.stdout).group()
    assert upstream.requests[-1]["messages"][0] == {"role": "system", "content": "Be kind."}
    done = lines("--url", server.url, "--session", session, text="again\n")
    assert [m["content"] for m in upstream.requests[-1]["messages"]] == [
        "Be kind.", "hi", "Hello there.", "again"]


@pytest.mark.parametrize("args, code, words", [
    (["--url", "http://127.0.0.1:1"], 3, "127.0.0.1"),
    (["--url", "nonsense"], 2, "URL"),
    (["--url", "http://127.0.0.1:1", "--tools", "time"], 2, "--url"),
    (["--policy", "/nonexistent"], 3, "did not start"),
    (["--session", "sess_none", "--tools", "time"], 3, "no session"),
])
def test_wrong_use(args, code, words):
    done = lines(*args, text="hi\n")
    assert done.returncode == code, done.stderr
    assert words in done.stderr
