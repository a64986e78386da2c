"""A collector of spans, as an operator would run one: OTLP over HTTP, in JSON."""

import json
import threading
from http.server import BaseHTTPRequestHandler

from local_server import LocalServer


class Collector(LocalServer):
    """Keeps what came; `status` is its answer, `hold` cleared keeps it silent."""

    def __init__(self):
        self.bodies, self.headers, self.status = [], [], 200
        self.hold = threading.Event()
        self.hold.set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.hold.wait(30)
                collector.headers.append((self.path, dict(self.headers)))
                if collector.status == 200:
                    collector.bodies.append(json.loads(body))
                self.send_response(collector.status)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

        super().__init__(Handler)
        self.endpoint = self.url + "/v1/traces"

    def spans(self):
        return [
            span
            for body in list(self.bodies)
            for resource in body["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]

    def named(self, start):
        return [s for s in self.spans() if s["name"].startswith(start)]

    def close(self):
        self.hold.set()
        super().close()


def attributes(span):
    """By key; each value is checked to be of one kind that OTLP knows."""
    found = {}
    for a in span.get("attributes", []):
        ((kind, value),) = a["value"].items()
        if kind == "intValue":
            value = int(value)
        elif kind == "arrayValue":
            value = [v["stringValue"] for v in value["values"]]
        else:
            assert kind == "stringValue", a
        assert a["key"] not in found
        found[a["key"]] = value
    return found
