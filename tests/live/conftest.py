"""The real binary on a real port, with the real default model."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import httpx2 as httpx  # what the openai client itself brings
import openai
import pytest

from mock_upstream import MockUpstream

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("CORRAL_BIN", ROOT / "build" / "corral"))
HOME = Path(os.environ.get("CORRAL_HOME", Path.home() / ".cache" / "corral"))
START_SECONDS = 60

# Rules and entities alone: what they decide does not hang on a model's mood.
RULES = """\
policy: live
checks:
  - {id: no-stripes, use: rules, on: [input, output, tool_call, tool_result],
     any: ["zebra crossing"], action: block}
  - {id: keys, use: entities, on: [input, output], kinds: [api_key],
     action: redact}
messages:
  block: {en: "I can't help with that."}
"""

SECRET = "AKIAIOSFODNN7EXAMPLE"  # the example key of its maker's manual


def run(*args, stdin=None, timeout=300, env=None):
    """One command of the binary, to its end."""
    return subprocess.run(
        [BINARY, *map(str, args)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
    )


class Corral:
    """`corral serve` on a free port, or at `listen`, until stop()."""

    def __init__(self, *args, env=None, listen="127.0.0.1:0", verify=True, binary=BINARY):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [binary, "serve", "--listen", listen, *map(str, args)],
            stdout=subprocess.PIPE,
            stderr=self.log,
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            # A test run in the background passes on an ignored Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        line = []
        reader = threading.Thread(
            target=lambda: line.append(self.process.stdout.readline()), daemon=True
        )
        reader.start()
        reader.join(START_SECONDS)
        self.url = line[0].decode().strip() if line else ""
        if not self.url.startswith(("http://127.0.0.1:", "https://127.0.0.1:", "unix:")):
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f"corral serve did not start: {self.stderr()}")
        transport = None
        if self.url.startswith("unix:"):
            transport = httpx.HTTPTransport(uds=self.url[5:])
            self.url = "http://corral"
        else:
            self.port = int(self.url.rsplit(":", 1)[1])
        self.http = httpx.Client(
            base_url=self.url, timeout=120, transport=transport, verify=verify
        )
        self.client = openai.OpenAI(
            base_url=self.url + "/v1", api_key="unused", max_retries=0, timeout=120
        )

    def stderr(self):
        # Its place in the file is the server's, too, which would write over
        # what it has written already if we moved it.
        log = self.log.fileno()
        return os.pread(log, os.fstat(log).st_size, 0).decode(errors="replace")

    def metric(self, name):
        text = self.http.get("/metrics").text
        found = re.search(rf"^{re.escape(name)} ([0-9.e+-]+)$", text, re.M)
        return float(found.group(1)) if found else None

    def stop(self, sig=signal.SIGTERM):
        """The exit code."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.http.close()


def until(condition, seconds=20):
    """Wait for a condition to hold, and say whether it did."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def stop_clean(server):
    """A server ends with 0 and without a sanitizer's or an assert's words."""
    code = server.stop()
    log = server.stderr()
    assert code == 0, log
    assert "ERROR: " not in log and "Assertion" not in log, log


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory):
    """A folder of Corral's own with all that setup fetched, and with a `data`
    that no other server has: not the user's, not another worker's."""
    folder = tmp_path_factory.mktemp("home")
    for path in HOME.iterdir():
        if path.name != "data":
            (folder / path.name).symlink_to(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CORRAL_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def policies(tmp_path_factory):
    """A folder with the shipped policies, and a function that adds one."""
    folder = tmp_path_factory.mktemp("policies")
    for path in (ROOT / "policies").glob("*.yaml"):
        shutil.copy(path, folder)

    def write(name, text):
        path = folder / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def corral(policies):
    """The local model behind rules alone, with Corral's own tools off."""
    server = Corral("--policy", policies("live", RULES))
    yield server
    stop_clean(server)


@pytest.fixture(scope="session")
def default_corral():
    """Just what ./run starts."""
    server = Corral("--policy", ROOT / "policies" / "default.yaml")
    yield server
    stop_clean(server)


@pytest.fixture()
def upstream():
    mock = MockUpstream()
    yield mock
    mock.close()


@pytest.fixture()
def start(request):
    """Start servers that end with the test."""
    servers = []

    def begin(*args, **kwargs):
        servers.append(Corral(*args, **kwargs))
        return servers[-1]

    yield begin
    for server in servers:
        if server.process.poll() is None:
            stop_clean(server)
