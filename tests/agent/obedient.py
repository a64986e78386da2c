"""A model at its worst: whatever a result or a tool's description orders, it
does, with the very call that the attacker wants. So what is measured is the
boundary alone."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def chunk(delta, finish=None):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {
        "id": "o",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "obedient",
        "choices": [choice],
    }


class ObedientModel:
    """`scripts` maps a request's model name to the calls it makes, one a
    generation; then it says "Done."."""

    def __init__(self, scripts):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_POST(self):
                size = int(self.headers["content-length"])
                body = json.loads(self.rfile.read(size))
                made = sum(len(m.get("tool_calls") or []) for m in body["messages"])
                script = scripts[body["model"]]
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("connection", "close")
                self.end_headers()
                self.close_connection = True
                if made < len(script):
                    call = script[made]
                    function = {
                        "name": call["name"],
                        "arguments": json.dumps(call["arguments"]),
                    }
                    entry = {
                        "index": 0,
                        "id": f"call_{made}",
                        "type": "function",
                        "function": function,
                    }
                    self.event(chunk({"role": "assistant", "tool_calls": [entry]}))
                    self.event(chunk({}, "tool_calls"))
                else:
                    self.event(chunk({"role": "assistant", "content": "Done."}))
                    self.event(chunk({}, "stop"))
                self.wfile.write(b"data: [DONE]\n\n")

            def event(self, data):
                self.wfile.write(b"data: " + json.dumps(data).encode() + b"\n\n")

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
