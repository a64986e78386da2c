"""Under a service manager, and reloads of everything that can be read again."""

import os
import signal
import socket
import subprocess
import threading
import time

import httpx2 as httpx
import pytest

from conftest import BINARY, ROOT, RULES, run, until
from test_answers import ask

BLOCKED = "a zebra crossing"


class Manager:
    """Listens where systemd would, for what it is told."""

    def __init__(self, path):
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.told = []
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            try:
                self.told.append(self.socket.recv(4096).decode())
            except OSError:
                return


@pytest.fixture()
def manager(tmp_path):
    m = Manager(tmp_path / "notify")
    yield m
    m.socket.close()


def test_told(start, policies, upstream, manager):
    policy = policies("told", RULES)
    server = start("--policy", policy, "--upstream", upstream.url,
                   env={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "200000"})
    assert until(lambda: manager.told and manager.told[0].startswith("READY=1"))
    # Signs of life come on their own, at twice the pace that was asked for.
    assert until(lambda: manager.told.count("WATCHDOG=1") >= 3)
    server.process.send_signal(signal.SIGHUP)
    assert until(lambda: any(t.startswith("RELOADING=1\nMONOTONIC_USEC=") for t in manager.told))
    assert until(lambda: [t for t in manager.told if "WATCHDOG" not in t][-1] == "READY=1")
    server.stop()
    assert "STOPPING=1" in manager.told


def test_a_manager_that_is_not_there(start, policies, upstream, tmp_path):
    server = start("--policy", policies("told", RULES), "--upstream", upstream.url,
                   env={"NOTIFY_SOCKET": str(tmp_path / "nobody"), "WATCHDOG_USEC": "x"})
    assert ask(server).choices
    assert server.stop() == 0


def passed_on(sockets, names, policy, upstream, *args, count=None):
    """A server that finds `sockets` as descriptors 3 and up."""
    env = {**os.environ, "LISTEN_FDS": str(len(sockets) if count is None else count), "LISTEN_FDNAMES": names}

    def become():
        spare = [os.dup(s.fileno()) for s in sockets]
        high = [os.dup2(fd, 100 + i) for i, fd in enumerate(spare)]
        for i, fd in enumerate(high):
            os.dup2(fd, 3 + i)
        os.environ["LISTEN_PID"] = str(os.getpid())

    return subprocess.Popen(
        [BINARY, "serve", "--policy", policy, "--upstream", upstream.url, *args],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=env,
        preexec_fn=become, close_fds=False, text=True,
    )


def listening():
    s = socket.create_server(("127.0.0.1", 0))
    return s, s.getsockname()[1]


def test_sockets_that_are_passed_on(policies, upstream, tmp_path):
    done = run("key", "add", "--file", tmp_path / "k", "--scopes", "admin,chat")
    bearer = {"authorization": "Bearer " + done.stdout.strip()}
    config = tmp_path / "c.yaml"
    config.write_text("listen: 127.0.0.1:1\nkeys: k\nadmin: {listen: 127.0.0.1:2}\n")
    (public, port), (admin, admin_port) = listening(), listening()
    with public, admin:
        # A client may come before the server does.
        early = socket.create_connection(("127.0.0.1", port))
        early.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        server = passed_on([admin, public], "admin:corral.socket", policies("passed", RULES), upstream, "-c", config)
        try:
            assert server.stdout.readline().strip() == f"http://127.0.0.1:{port}"
            early.settimeout(10)
            assert b"200 OK" in early.recv(1000)
            stats = lambda p: httpx.get(f"http://127.0.0.1:{p}/admin/stats", headers=bearer).status_code
            assert stats(admin_port) == 200 and stats(port) == 404
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(20) == 0, server.stderr.read()
        # The socket is the manager's: it goes on listening for the next one.
        socket.create_connection(("127.0.0.1", port)).close()


def test_a_socket_that_lets_others_in(policies, upstream):
    """What the configuration would not listen on is not taken from elsewhere."""
    with socket.create_server(("0.0.0.0", 0)) as public:
        server = passed_on([public], "", policies("passed", RULES), upstream)
        assert server.wait(20) == 2
        assert "lets other machines in without a key" in server.stderr.read()


def test_sockets_that_make_no_sense(policies, upstream):
    with socket.socket() as idle:
        for sockets, count in (([idle], None), ([], "many"), ([], 4000)):
            server = passed_on(sockets, "", policies("passed", RULES), upstream, count=count)
            assert server.wait(20) == 2
            assert "LISTEN_FDS" in server.stderr.read()
