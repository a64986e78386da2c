"""The tools' adapter was trained with Corral's own tools as they are offered. A
word changed on either side would leave a model reading what it never saw."""

import json
import sqlite3
import sys

import pytest

from conftest import ROOT
from test_tools_out import serve, upstream  # noqa: F401  (fixtures)

sys.path.insert(0, str(ROOT / "train"))

from corral_train import tool_builtin  # noqa: E402  (its folder is found above)


@pytest.fixture()
def offered(serve, upstream, tmp_path):  # noqa: F811
    """What a model is told of all seven, by their names."""
    database = tmp_path / "shop.db"
    with sqlite3.connect(database) as shop:
        for table in tool_builtin.DATABASES["sales"]:
            shop.execute(table)
    server = serve(
        "calculator",
        "time",
        "code_interpreter",
        {"file_search": {"folder": str(tmp_path)}},
        {"sql_query": {"database": str(database)}},
        "web_fetch",
        {"web_search": {"searxng": "http://127.0.0.1:1"}},
    )
    server.call("calculator", expression="1")
    return [tool["function"] for tool in upstream.requests[0]["tools"]]


def test_offered_as_in_training(offered):
    trained = tool_builtin.read()
    for tool in trained:
        if tool["name"] == "sql_query":
            tool["description"] += "".join(t + ";\n" for t in tool_builtin.DATABASES["sales"])
    # The order of keys is what a model reads, too.
    order = {json.dumps(tool) for tool in offered}
    assert order == {json.dumps(tool) for tool in trained}


def test_requests_by_hand_are_held_out():
    """What is measured is no training request."""
    path = ROOT / "tests" / "agent" / "builtin_requests.jsonl"
    asked = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(asked) >= 60
    said = {s for tool in tool_builtin.Requests().says.values() for lines in tool.values()
            for s, _ in lines} | {p["question"] for p in tool_builtin.plain()}  # fmt: skip
    assert not said & {a["text"] for a in asked}
    assert {a["tool"] for a in asked} == {t["name"] for t in tool_builtin.read()} | {None}
