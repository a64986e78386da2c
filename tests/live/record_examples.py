#!/usr/bin/env python3
"""Record anew the examples of docs/agent.md: every tool, set up as the page says,
is called in the real program, and what the model would read is put back.

    ~/.cache/corral/test-venv/bin/python tests/live/record_examples.py

The page's addresses are those of small servers here while it runs."""

import json
import os
import re
import sqlite3
import sys
import tempfile
from pathlib import Path

import yaml

from conftest import ROOT, RULES, Corral
from test_tools import Caller
from test_tools_out import World

PAGE = ROOT / "docs" / "agent.md"
WITH_EXAMPLE = ROOT / "build" / "tests" / "corral_with_example"

# A picture of one grey point.
DOT = (
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c636800000082008177cd72b60000000049454e44ae426082"
)

# By the name over the recording: the tool's name and the arguments of each call.
CALLS = {
    "calculator": [
        ("calculator", {"expression": "(17 + 4) * 3 ^ 2"}),
        ("calculator", {"expression": "1 / 0"}),
    ],
    "time": [
        ("time", {"timezone": "Asia/Tokyo"}),
        ("time", {"timezone": "Tokyo"}),
    ],
    "code_interpreter": [
        (
            "code_interpreter",
            {"code": "import statistics as s\nx = [2, 4, 4, 4, 5, 5, 7, 9]\ns.pstdev(x)"},
        ),
        ("code_interpreter", {"code": "max(x) - s.mean(x)"}),
        ("code_interpreter", {"code": "open('/etc/passwd')"}),
        ("code_interpreter", {"code": f"open('dot.png', 'wb').write(bytes.fromhex('{DOT}'))"}),
    ],
    "file_search": [
        ("file_search", {"query": "where is the otter?"}),
        ("file_search", {"query": "heron"}),
    ],
    "sql_query": [
        ("shop", {"query": "SELECT item, sum(n) AS sold FROM sale GROUP BY item"}),
        ("shop", {"query": "DELETE FROM sale"}),
    ],
    "web_fetch": [
        ("web_fetch", {"url": "http://wiki.corp.example/herons"}),
        ("web_fetch", {"url": "http://169.254.169.254/latest/meta-data/"}),
    ],
    "web_search": [("web_search", {"query": "grey herons"})],
    "http": [
        ("order_status", {"number": "A-17", "language": "it"}),
        ("order_status", {"number": "B-1"}),
    ],
    "distance": [
        ("distance", {"from": [41.9, 12.5], "to": [45.46, 9.19]}),
        ("distance", {"from": [41.9, 12.5], "to": [145, 9.19]}),
    ],
    "mcp": [("peer__add", {"a": 2, "b": 40})],
}


def world(pages):
    made = World()
    made.pages = pages
    return made


class Setting:
    """The folders, the database and the servers that the page speaks of."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "notes" / "deep").mkdir(parents=True)
        (folder / "notes" / "deep" / "c.md").write_text(
            "\n".join([*map(str, range(1, 11)), "the otter swims", "12", "13"])
        )
        with sqlite3.connect(folder / "shop.db") as db:
            db.execute("CREATE TABLE sale (item TEXT, n INTEGER)")
            db.executemany("INSERT INTO sale VALUES (?, ?)", [("tea", 3), ("pot", 7)])
        page = (
            "<title>Herons</title><h1>Herons</h1><p>They stand, and <b>wait</b>."
            "<p hidden>Tell nobody.</p><ul><li>grey<li>purple</ul>"
            "<a href='/otters'>Otters</a>"
        )
        found = {
            "title": "Grey heron",
            "url": "https://birds.example/grey",
            "content": "A wader of ponds.",
        }
        order = {"state": "on its way", "day": "Tuesday"}
        wiki = world({"/herons": (200, "text/html", page)})
        search = world(
            {"/search": (200, "application/json", json.dumps({"results": [found]}))}
        )
        shop = world(
            {"/api/orders/A-17": (200, "application/json", json.dumps(order))}
        )
        self.worlds = [wiki, search, shop]
        self.names = {
            "wiki.corp.example": wiki.host,
            "http://127.0.0.1:8888": search.url,
            "https://shop.example.org": shop.url,
        }

    def here(self, text):
        for name, address in self.names.items():
            text = text.replace(name, address)
        return text

    def there(self, text):
        for name, address in self.names.items():
            text = text.replace(address, name)
        return text

    def close(self):
        for w in self.worlds:
            w.close()


def configuration(page, setting, upstream):
    """All tools, with the options that the page gives them."""
    tools = ["calculator", "time"]
    for block in re.findall(r"^```yaml\n(tools:\n.*?)^```", page, re.S | re.M):
        tools += yaml.safe_load(setting.here(block))["tools"]
    folder = setting.folder
    (folder / "policy.yaml").write_text(RULES)
    path = folder / "corral.yaml"
    path.write_text(
        json.dumps(
            {
                "policy": "policy.yaml",
                "backend": {"openai": {"base_url": upstream.url}},
                "data": "data",
                "tools": tools,
                "mcp": [
                    {
                        "name": "peer",
                        "command": [sys.executable, str(ROOT / "tests/live/mcp_peer.py")],
                    }
                ],
            }
        )
    )
    return path


def told(server, upstream, calls):
    """What the model reads after each call, without the fences."""
    upstream.calls = calls
    answer = server.http.post(
        "/v1/chat/completions",
        json={"model": "m", "messages": [{"role": "user", "content": "go"}]},
    )
    assert answer.status_code == 200, answer.text
    results = [m["content"] for m in upstream.requests[-1]["messages"] if m["role"] == "tool"]
    assert len(results) == len(calls), answer.text
    return [re.fullmatch(r"\[data from [^\n]*\]\n(.*)\n\[\w+\]", r, re.S)[1] for r in results]


def shown(name, arguments, result):
    text = f"> {name} {json.dumps(arguments, ensure_ascii=False)}\n{result}"
    return "\n".join("    " + line.rstrip() if line.strip() else "" for line in text.splitlines())


def record(page):
    """The page's recordings by name, each as lines of Markdown."""
    upstream = Caller()
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(Path(folder))
        server = None
        try:
            os.environ.setdefault("SHOP_TOKEN", "open-sesame")
            config = configuration(page, setting, upstream)
            server = Corral("-c", config, binary=WITH_EXAMPLE)
            out = {}
            for name, calls in CALLS.items():
                local = [(tool, json.loads(setting.here(json.dumps(a)))) for tool, a in calls]
                results = told(server, upstream, local)
                out[name] = setting.there(
                    "\n".join(
                        shown(tool, arguments, result)
                        for (tool, arguments), result in zip(local, results)
                    )
                )
            return out
        finally:
            if server:
                server.stop()
            setting.close()
            upstream.close()


PLACE = re.compile(r"^( *)<!-- recorded: (\w+) -->\n(.*?)^ *<!-- end -->\n", re.S | re.M)


def recorded(page):
    """What the page has now, by name."""
    return {m[2]: re.sub(rf"^{m[1]}", "", m[3], flags=re.M).strip("\n") for m in PLACE.finditer(page)}


def replaced(page, recordings):
    def place(m):
        body = re.sub(r"^(?=.)", m[1], recordings[m[2]], flags=re.M)
        return f"{m[1]}<!-- recorded: {m[2]} -->\n\n{body}\n\n{m[1]}<!-- end -->\n"

    return PLACE.sub(place, page)


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(replaced(text, record(text)), encoding="utf-8")
    print(f"{PAGE}: {len(CALLS)} recordings")
