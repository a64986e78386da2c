#!/usr/bin/env python3
"""Whether the default model picks the right one of Corral's own tools when all
seven are on offer: builtin_requests.jsonl, written by hand, is in no training.

    tests/agent/builtins.py [--corral build/corral] [--misses] [--json FILE]

Prints the share of requests with the right tool (or rightly none), by tool.
Exit 1 when it is below its bar.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import calls

BAR = 0.85
# In no training conversation.
TABLES = """CREATE TABLE guests (id INTEGER, name TEXT, country TEXT);
CREATE TABLE bookings (guest INTEGER, room INTEGER, nights INTEGER, rate REAL);
"""


class Offer:
    def __init__(self, function):
        self.function = function

    def declaration(self):
        return {"type": "function", "function": self.function}


def offers():
    path = calls.ROOT / "train/corral_train/tools/builtin.json"
    out = [Offer(f) for f in json.loads(path.read_text(encoding="utf-8"))]
    for one in out:
        if one.function["name"] == "sql_query":
            one.function["description"] += TABLES
    return out


def run(url, requests, misses):
    good = {}
    for r in requests:
        message = calls.ask(url, [{"role": "user", "content": r["text"]}], offers())
        called = [c["function"]["name"] for c in message.get("tool_calls") or []]
        right = called == ([r["tool"]] if r["tool"] else [])
        good.setdefault(r["tool"] or "none", []).append(right)
        if misses and not right:
            print(f"{r['tool']}: {r['text']}\n    {message.get('tool_calls') or message.get('content')}", flush=True)
    return good


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--corral", default=str(calls.ROOT / "build/corral"))
    p.add_argument("--misses", action="store_true", help="print them")
    p.add_argument("--json")
    a = p.parse_args()
    path = pathlib.Path(__file__).with_name("builtin_requests.jsonl")
    requests = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        policy = pathlib.Path(folder) / "none.yaml"
        policy.write_text(calls.POLICY)
        server = subprocess.Popen([a.corral, "serve", "--listen", "127.0.0.1:0", "--policy", str(policy)],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            url = server.stdout.readline().strip()
            if not url:
                sys.exit("builtins.py: the server did not start")
            good = run(url, requests, a.misses)
        finally:
            server.terminate()
            server.wait()
    for tool, each in good.items():
        print(f"{tool:20} {sum(each):3} of {len(each)}")
    total, right = sum(map(len, good.values())), sum(map(sum, good.values()))
    print(f"{'right tool, or none':20} {right / total:.1%} of {total}")
    if a.json:
        pathlib.Path(a.json).write_text(json.dumps({"choice": [right / total, total]}) + "\n")
    return int(right / total < BAR)


if __name__ == "__main__":
    sys.exit(main())
