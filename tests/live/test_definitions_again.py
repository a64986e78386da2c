"""Definitions of tools, judged again by each policy that comes into force: the
server's, read again, and those of keys."""

import json

import pytest

from conftest import RULES, run, until
from test_mcp import PEER, POISON, offered, python, world  # noqa: F401 (a fixture)

# A description is a document; nothing of this is said in prompts.
READS = RULES.replace("tool_result]", "tool_result, document]")
REFUSES = READS.replace('"zebra crossing"', '"zebra crossing", "add two numbers"')
SERVER = {"name": "peer", "command": python(PEER)}


def tools(corral, caller, headers=None):
    """What a model is told of in a turn that begins now."""
    caller.requests.clear()
    caller.tool = ("peer__fail", {"reason": "x"})
    corral.client.chat.completions.create(
        model="any", messages=[{"role": "user", "content": "Do it."}], extra_headers=headers
    )
    return offered(caller)


def put(tmp_path, text):
    """The policy's folder is watched."""
    (tmp_path / "policies" / "policy.yaml").write_text(text)


def test_policy_read_again(world, tmp_path):  # noqa: F811
    corral = world(SERVER, policy=READS)
    all_of_them = tools(corral, world.caller)
    assert "peer__add" in all_of_them and len(all_of_them) == 4
    put(tmp_path, REFUSES)
    assert until(lambda: corral.stderr().count("event=policy ") == 1)
    assert tools(corral, world.caller) == all_of_them - {"peer__add"}
    assert corral.stderr().count('mcp_tool_refused server=peer tool="add"') == 1
    # Told of it or not, a model cannot call it.
    assert "42" not in corral.call("peer__add", a=40, b=2)
    put(tmp_path, READS)
    assert until(lambda: corral.stderr().count("event=policy ") == 2)
    assert tools(corral, world.caller) == all_of_them
    assert "42" in corral.call("peer__add", a=40, b=2)


def test_refused_at_start(world, tmp_path):  # noqa: F811
    """It waits for a policy that lets it in, and is pinned no sooner."""
    corral = world(SERVER, policy=REFUSES)
    assert "peer__add" not in tools(corral, world.caller)
    pins = json.loads((tmp_path / "data" / "mcp-pins.json").read_text())
    assert "fail" in pins["peer"] and "add" not in pins["peer"]
    put(tmp_path, READS)
    assert until(lambda: corral.stderr().count("event=policy ") == 1)
    assert "peer__add" in tools(corral, world.caller)


def test_turn_under_way(world, tmp_path):  # noqa: F811
    """It ends with the tools that it began with."""
    corral = world(SERVER, policy=READS)
    caller = world.caller
    real, seen = type(caller).raw, []

    def during(self):
        if not seen:
            seen.append(1)
            put(tmp_path, REFUSES)
            assert until(lambda: corral.stderr().count("event=policy ") == 1)
        return real.fget(self)

    try:
        type(caller).raw = property(during, real.fset)
        assert "42" in corral.call("peer__add", a=40, b=2)
    finally:
        type(caller).raw = real
    assert ["peer__add" in str(r["tools"]) for r in caller.requests] == [True, True]
    assert "peer__add" not in tools(corral, caller)


def test_bad_policy_changes_nothing(world, tmp_path):  # noqa: F811
    corral = world(SERVER, policy=READS)
    put(tmp_path, REFUSES + "nonsense: 1\n")
    assert until(lambda: "event=policy_kept" in corral.stderr())
    assert "peer__add" in tools(corral, world.caller)
    assert "mcp_tool_refused" not in corral.stderr()


def test_guard_that_cannot_judge(world, tmp_path):  # noqa: F811
    """A policy that asks a model where there is none: no tool of a stranger is
    let in by that."""
    corral = world(SERVER, policy=READS)
    assert tools(corral, world.caller)
    put(tmp_path, READS.replace(
        "checks:\n", "checks:\n  - {id: h, use: classifier, on: [document], categories: {all: balanced}, action: block}\n"))
    assert until(lambda: corral.stderr().count("event=policy ") == 1)
    assert tools(corral, world.caller) == set()
    assert corral.stderr().count("the guard could not judge its definition") == 4


@pytest.mark.parametrize("first", [True, False])
def test_policy_of_a_key(start, tmp_path, world, first):  # noqa: F811
    """A key with a policy of its own: as it is at start, and added later."""
    (tmp_path / "policies").mkdir(exist_ok=True)
    keys = tmp_path / "k"
    keys.write_text("")
    (tmp_path / "own.yaml").write_text(REFUSES)

    def key(*more):
        done = run("key", "add", "--file", keys, *more)
        assert done.returncode == 0, done.stderr
        return {"authorization": "Bearer " + done.stdout.strip()}

    plain = key()
    own = key("--policy", "own.yaml") if first else None
    corral = world(SERVER, policy=READS, more={"keys": str(keys)})
    if not first:
        seen = corral.stderr().count("event=keys ")
        own = key("--policy", "own.yaml")
        assert until(lambda: corral.stderr().count("event=keys ") > seen)
    assert "peer__add" in tools(corral, world.caller, plain)
    told = tools(corral, world.caller, own)
    assert "peer__add" not in told and "peer__fail" in told


def test_model_judges_again(world, tmp_path):  # noqa: F811
    """A guard model's verdict, which takes its time, in a reload."""
    script = tmp_path / "server.py"
    script.write_text(PEER.read_text().replace("Add two numbers.", POISON))
    head = "policy: probe\nchecks:\n  - {id: h, use: classifier, on: [%s], categories: {INJ: balanced}, action: block}\n"
    corral = world({"name": "peer", "command": python(script)}, policy=head % "input")
    assert "peer__add" in tools(corral, world.caller)
    put(tmp_path, head % "input, tool_definition")
    assert until(lambda: corral.stderr().count("event=policy ") == 1, 60)
    told = tools(corral, world.caller)
    assert "peer__add" not in told and "peer__fail" in told
