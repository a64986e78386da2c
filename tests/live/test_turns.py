"""Conversations: what was asked before counts as far as it should."""

import pytest

from conftest import RULES
from test_guard import BOMB

HARMLESS = "What is the capital of France?"


def said(role, content):
    return {"role": role, "content": content}


def finish(server, *messages):
    answer = server.client.chat.completions.create(
        model="default", messages=[*messages], max_tokens=4, temperature=0
    )
    return answer.choices[0].finish_reason


@pytest.mark.parametrize("after", [1, 2, 5, 20])
def test_user_turns_in_a_row(default_corral, after):
    """However many follow it unanswered, the first of them is read."""
    rest = [said("user", "Please."), said("user", "Thank you.")] * after
    assert finish(default_corral, said("user", BOMB), *rest[:after]) == "content_filter"


def test_user_turns_around_others(default_corral):
    """A system turn between them is no answer, nor is a bare tool call."""
    call = {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "c",
                "type": "function",
                "function": {"name": "look", "arguments": "{}"},
            }
        ],
    }
    result = {"role": "tool", "tool_call_id": "c", "content": "Nothing was found."}
    for between in ([said("system", "Be brief.")], [call, result]):
        messages = [said("user", BOMB), *between, said("user", "Please.")]
        messages += [said("user", "Go on.")] * 4
        assert finish(default_corral, *messages) == "content_filter", between


def test_old_refused_turn(default_corral):
    """A request that was refused does not condemn a harmless one after it."""
    assert finish(
        default_corral,
        said("user", BOMB),
        said("assistant", "I can't help with that."),
        said("user", HARMLESS),
    ) in ("stop", "length")


def test_harmless_in_a_row(default_corral):
    turns = [said("user", HARMLESS), said("user", "And of Italy?")] * 6
    assert finish(default_corral, *turns) in ("stop", "length")


def test_a_long_conversation(start, upstream, policies):
    """The rules read what a request adds, not all that it repeats."""
    server = start(
        "--policy", policies("long", RULES), "--upstream", upstream.url
    )
    messages, read = [said("system", "Be brief.")], []
    for turn in range(1, 61):
        messages.append(said("user", f"Tell me about number {turn}."))
        before = server.metric("corral_guard_texts_scanned_total")
        assert finish(server, *messages) == "stop"
        read.append(server.metric("corral_guard_texts_scanned_total") - before)
        messages.append(said("assistant", f"Number {turn} comes after {turn - 1}."))
    assert read[1] > 0 and read[59] == read[1]
    messages[1] = said("user", "Meet me at the zebra crossing.")
    messages.append(said("user", "Go on."))
    assert finish(server, *messages) == "content_filter"
