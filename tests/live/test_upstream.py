"""Another server writes the answer; the guard is the same."""

import openai
import pytest

from conftest import RULES, SECRET
from test_answers import ask, join


@pytest.fixture()
def server(start, policies, upstream):
    return start("--policy", policies("upstream", RULES), "--upstream", upstream.url)


def test_answer(server, upstream):
    answer = ask(server, "Hi", model="some-model", seed=3)
    assert answer.choices[0].message.content == "Hello there."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == 5
    sent = upstream.requests[0]
    assert sent["messages"][-1] == {"role": "user", "content": "Hi"}
    assert sent["seed"] == 3
    # The client's key is ours to check, and no business of the upstream's.
    assert "authorization" not in {k.lower() for k in upstream.headers[0]}


def test_stream(server):
    text, chunks = join(ask(server, "Hi", stream=True))
    assert text == "Hello there."
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 1000])
@pytest.mark.parametrize("stream", [False, True])
def test_secret_cut_in_pieces(server, upstream, size, stream):
    """However the secret is cut, no part of it arrives."""
    whole = f"Use {SECRET} to log in, please. Good luck."
    upstream.pieces = [whole[i : i + size] for i in range(0, len(whole), size)]
    if stream:
        text, _ = join(ask(server, "Hi", stream=True))
    else:
        text = ask(server, "Hi").choices[0].message.content
    assert text.startswith("Use [") and text.endswith("] to log in, please. Good luck.")
    assert SECRET[:6] not in text and SECRET[-6:] not in text


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_blocked_in_the_middle(server, upstream, size):
    whole = "It is safe to say that the zebra crossing is striped."
    upstream.pieces = [whole[i : i + size] for i in range(0, len(whole), size)]
    text, chunks = join(ask(server, "Hi", stream=True))
    assert "zebra" not in text and "z" not in text.split("I can't")[0][-3:]
    assert chunks[-1].choices[0].finish_reason == "content_filter"
    answer = ask(server, "Hi")
    assert answer.choices[0].finish_reason == "content_filter"
    assert "zebra" not in answer.choices[0].message.content


def test_upstream_error(server, upstream):
    upstream.status = 500
    upstream.body = b'{"error":{"message":"secret detail"}}'
    with pytest.raises(openai.APIStatusError) as e:
        ask(server, "Hi")
    assert e.value.status_code in (502, 503)
    assert "secret detail" not in str(e.value.body)


def test_upstream_breaks_off(server, upstream):
    """An answer that was cut is never passed off as a whole one."""
    upstream.break_after = 2
    with pytest.raises(openai.APIStatusError):
        ask(server, "Hi")
    with pytest.raises(openai.APIError):
        join(ask(server, "Hi", stream=True))


def test_upstream_gone(start, policies):
    server = start(
        "--policy", policies("nobody", RULES), "--upstream", "http://127.0.0.1:9/v1"
    )
    with pytest.raises(openai.APIStatusError) as e:
        ask(server, "Hi")
    assert e.value.status_code in (502, 503)
    assert server.http.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "pieces", [["\x00"], ["\U0001f600 fine"], ["a" * 200000], ["{}", "data: x\n\n"]]
)
def test_odd_text(server, upstream, pieces):
    """Whatever it says arrives as its text or as an error, never as events."""
    upstream.pieces = pieces
    try:
        text, _ = join(ask(server, "Hi", stream=True))
        assert text == "".join(pieces)
    except openai.APIError:
        pass
    assert server.http.get("/healthz").status_code == 200


def test_unknown_members(server, upstream):
    """What Corral does not know goes on as it is, once it has been judged."""
    more = {
        "user": "u-1",
        "metadata": {"ticket": "A-7"},
        "guided_choice": ["yes", "no"],
        "top_a": 0.25,
        "ignore_eos": True,
        "nothing": None,
    }
    ask(server, "Hi", extra_body=more)
    assert {k: upstream.requests[0].get(k, "absent") for k in more} == more


@pytest.mark.parametrize(
    "more",
    [
        {"documents": ["about a zebra crossing"]},
        {"documents": [{"title": {"zebra crossing": 1}}]},
        {"user": "zebra crossing"},
        {"guided_regex": f"({SECRET})"},
    ],
)
def test_unknown_members_are_judged(server, upstream, more):
    answer = ask(server, "Hi", extra_body=more)
    assert answer.choices[0].finish_reason == "content_filter"
    assert upstream.requests == []


@pytest.mark.parametrize(
    "name,value",
    [
        ("Messages", [{"role": "user", "content": "other"}]),
        ("me\u017f\u017fages", [{"role": "user", "content": "other"}]),
        ("chat_template", "{{ 'zebra ' + 'crossing' }}"),
        ("extra_body", {"messages": []}),
        ("prompt_token_ids", [1, 2, 3]),
        ("tokens", list(range(100))),
        ("api_base", "http://127.0.0.1:9"),
    ],
)
def test_members_that_say_it_otherwise(server, upstream, name, value):
    """Nothing that a server could take for the question goes past the guard."""
    ask(server, "Hi", extra_body={name: value})
    assert name not in upstream.requests[0]
    assert upstream.requests[0]["messages"] == [{"role": "user", "content": "Hi"}]
