"""Every call that the default model makes is valid under its schema: a sample of
what tests/live/valid_calls.py does at length, and the check itself."""

import pytest

from valid_calls import TOOLS, case, fault, sample


def test_sample(corral):
    calls, faults = sample(corral, 32)
    assert not faults
    assert calls["required"] > 3 and calls["named"] > 3 and calls["none"] == 0


def calls_of(*calls):
    return {"tool_calls": [{"function": {"name": n, "arguments": a}} for n, a in calls]}


GOOD = ("set_heating", '{"room":"kitchen","degrees":21.5}')


@pytest.mark.parametrize(
    "choice, message",
    [
        ("none", calls_of(GOOD)),
        ("required", {"content": "no"}),
        ("auto", calls_of(GOOD, GOOD)),
        ("auto", calls_of(("rm", "{}"))),
        ("auto", calls_of(("set_heating", '{"room":"kitchen","degrees":30}'))),
        ("auto", calls_of(("set_heating", '{"room":"Kitchen","degrees":20}'))),
        ("auto", calls_of(("set_heating", '{"room":"kitchen"'))),
        ({"type": "function", "function": {"name": "stop_all"}}, calls_of(GOOD)),
    ],
)
def test_faults_are_seen(choice, message):
    tools = [{"function": {"name": name}} for name in TOOLS]
    request = {"tool_choice": choice, "parallel_tool_calls": False, "tools": tools}
    assert fault(request, message)
    assert fault({**request, "tool_choice": "auto"}, calls_of(GOOD)) is None


def test_cases_are_many():
    kinds = {str(case(n, 1)["tool_choice"]) for n in range(100)}
    assert kinds >= {"auto", "required", "none"} and len(kinds) > 5
