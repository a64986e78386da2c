"""An HTTP server of a test's own: a model, or the world outside."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class LocalServer:
    """On a free port, until close()."""

    def __init__(self, handler):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.host}"
        # The argument: how often it looks whether it is to end, in seconds.
        threading.Thread(
            target=self.server.serve_forever, args=[0.01], daemon=True
        ).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class ModelHandler(BaseHTTPRequestHandler):
    """Of a server that speaks for a model."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def stream(self, delta, finish, between=lambda: None):
        """One chat completion: all that it says, then how it ended."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        for choice in (
            {"index": 0, "delta": delta, "finish_reason": None},
            {"index": 0, "delta": {}, "finish_reason": finish},
        ):
            chunk = {
                "id": "up",
                "object": "chat.completion.chunk",
                "created": 1,
                "model": "m",
                "choices": [choice],
            }
            self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
            if choice["finish_reason"] is None:
                between()
        self.wfile.write(b"data: [DONE]\n\n")
