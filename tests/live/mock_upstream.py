"""A small OpenAI-compatible server whose every byte a test decides."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler

from local_server import LocalServer


def logprobs(piece):
    """The piece as one token, with itself and another as rivals."""
    tokens = [(piece, -0.5), ("other", -1.5)]
    entries = [
        {"token": t, "logprob": p, "bytes": list(t.encode())} for t, p in tokens
    ]
    return {"content": [{**entries[0], "top_logprobs": entries}]}


def chunk(delta, finish=None):
    return {
        "id": "up-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "mock",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


class MockUpstream(LocalServer):
    """`pieces` are the texts of the answer, one event each; `status` and
    `body` make it fail; `break_after` closes after so many pieces; `pause` is
    waited between pieces. `raw` replaces all of that by events as they are, or,
    without `sse`, by one JSON answer."""

    def __init__(self):
        self.pieces = ["Hello", " there", "."]
        self.status = 200
        self.body = b"{}"
        self.break_after = None
        self.pause = 0.0
        self.whole_pause = 0.0  # before an answer that is no stream
        self.raw = None
        self.choose = None  # the pieces of this answer, if they change
        self.sse = True
        self.extra = {}  # headers of an answer with `status`
        self.get_status = 200  # what a GET is answered with
        self.gets = []  # path and key of each
        self.sent = 0  # pieces of the answer under way
        self.requests = []
        self.paths = []
        self.headers = []
        self.connections = 0  # taken in all
        self.quits = False  # close after each answer, without saying so
        self.gate = None  # a semaphore: each answer waits for its turn
        self.active = 0  # requests under way
        self.most = 0  # of them at one time
        self.lock = threading.Lock()
        self.gone = threading.Event()  # a client left before the end
        mock = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                mock.connections += 1
                super().setup()

            def log_message(self, *args):
                pass

            def do_GET(self):
                mock.gets.append((self.path, self.headers.get("authorization")))
                self.send_response(mock.get_status)
                self.send_header("content-length", "0")
                self.end_headers()

            def do_POST(self):
                with mock.lock:
                    mock.active += 1
                    mock.most = max(mock.most, mock.active)
                try:
                    self.answer()
                finally:
                    with mock.lock:
                        mock.active -= 1

            def answer(self):
                size = int(self.headers["content-length"])
                mock.paths.append(self.path)
                mock.requests.append(json.loads(self.rfile.read(size)))
                mock.headers.append(dict(self.headers))
                if mock.gate:
                    mock.gate.acquire(timeout=30)
                if mock.status != 200:
                    self.send_response(mock.status)
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", str(len(mock.body)))
                    for name, value in mock.extra.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(mock.body)
                    return
                if not mock.sse:
                    time.sleep(mock.whole_pause)
                    self.write_whole(json.dumps(mock.raw).encode())
                    return
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("connection", "close")
                self.end_headers()
                self.close_connection = True
                try:
                    self.write_answer()
                except (BrokenPipeError, ConnectionResetError):
                    mock.gone.set()

            def event(self, data):
                self.wfile.write(b"data: " + json.dumps(data).encode() + b"\n\n")
                self.wfile.flush()

            def write_whole(self, body):
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = mock.quits

            def write_answer(self):
                if mock.raw is not None:
                    for event in mock.raw:
                        self.event(event)
                    self.wfile.write(b"data: [DONE]\n\n")
                    return
                pieces = mock.choose() if mock.choose else mock.pieces
                self.event(chunk({"role": "assistant", "content": ""}))
                for i, piece in enumerate(pieces):
                    if i == mock.break_after:
                        return
                    event = chunk({"content": piece})
                    if mock.requests[-1].get("logprobs"):
                        event["choices"][0]["logprobs"] = logprobs(piece)
                    self.event(event)
                    mock.sent = i + 1
                    if mock.pause:
                        time.sleep(mock.pause)
                self.event(chunk({}, "stop"))
                usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
                self.event({**chunk({}), "choices": [], "usage": usage})
                self.wfile.write(b"data: [DONE]\n\n")

        super().__init__(Handler)
        self.url += "/v1"
