"""Every sampling option, log probabilities and several choices, as the official
client asks for them."""

import math

import openai
import pytest

from conftest import RULES, SECRET
from test_answers import ask, join

REFUSAL = "I can't help with that."


def spell(entries):
    return b"".join(bytes(e.bytes or []) for e in entries)


def test_logprobs(corral):
    answer = ask(corral, logprobs=True, top_logprobs=3)
    choice = answer.choices[0]
    assert spell(choice.logprobs.content).decode() == choice.message.content
    assert choice.logprobs.refusal is None
    for entry in choice.logprobs.content:
        assert entry.token.encode() == bytes(entry.bytes)
        # Greedy: the likeliest was taken.
        assert entry.logprob == entry.top_logprobs[0].logprob
        assert entry.token == entry.top_logprobs[0].token
        logprobs = [r.logprob for r in entry.top_logprobs]
        assert logprobs == sorted(logprobs, reverse=True) and len(logprobs) == 3
        assert sum(map(math.exp, logprobs)) <= 1.0001
    alone = ask(corral, logprobs=True).choices[0]
    assert all(e.top_logprobs == [] for e in alone.logprobs.content)
    assert ask(corral).choices[0].logprobs is None


def test_logprobs_streamed(corral):
    whole = ask(corral, logprobs=True, top_logprobs=2).choices[0]
    stream = ask(corral, logprobs=True, top_logprobs=2, stream=True)
    entries, released = [], ""
    for chunk in stream:
        choice = chunk.choices[0]
        released += choice.delta.content or ""
        if choice.logprobs:
            entries += choice.logprobs.content
        # Never ahead of the text.
        assert released.encode().startswith(spell(entries))
    assert [e.token for e in entries] == [e.token for e in whole.logprobs.content]
    for got, want in zip(entries, whole.logprobs.content):
        assert math.isclose(got.logprob, want.logprob, abs_tol=0.05)


def test_logprobs_of_emoji(corral):
    """A token may be a part of a character: its bytes say which."""
    answer = ask(
        corral,
        "Repeat exactly: \U0001f600\U0001f680",
        logprobs=True,
        logit_bias={},
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "e", "schema": {"enum": ["\U0001f680\u20ac"]}},
        },
    )
    choice = answer.choices[0]
    assert choice.message.content == '"\U0001f680\u20ac"'
    assert spell(choice.logprobs.content).decode() == choice.message.content
    assert len(choice.logprobs.content) > 3


def test_logit_bias(corral):
    whole = ask(corral, logprobs=True, max_tokens=8)
    token = run_tokenize(":")
    only = ask(corral, max_tokens=6, logit_bias={str(token): 100})
    assert only.choices[0].message.content == "::::::"
    # The model's own probabilities do not show the bias.
    told = ask(corral, max_tokens=1, logit_bias={str(token): 100}, logprobs=True)
    assert told.choices[0].logprobs.content[0].logprob < -3
    first = whole.choices[0].logprobs.content[0].token
    banned = ask(corral, max_tokens=8, logit_bias={str(run_tokenize(first)): -100})
    assert not banned.choices[0].message.content.startswith(first)


def run_tokenize(text):
    import json

    from conftest import run

    tokens = json.loads(run("tokenize", "--json", text).stdout)["tokens"]
    assert len(tokens) == 1
    return tokens[0] if isinstance(tokens[0], int) else tokens[0]["id"]


def test_other_options(corral):
    plain = ask(corral).choices[0].message.content
    hot = ask(corral, temperature=2, extra_body={"top_k": 1})
    assert hot.choices[0].message.content == plain
    hot = ask(corral, temperature=2, extra_body={"min_p": 1})
    assert hot.choices[0].message.content == plain
    varied = ask(
        corral,
        max_tokens=24,
        logprobs=True,
        extra_body={"repeat_penalty": 10, "repeat_last_n": -1},
    )
    tokens = [e.token for e in varied.choices[0].logprobs.content]
    assert len(set(tokens)) == len(tokens)


def test_choices(corral):
    answer = ask(corral, "Tell me a story.", n=3, temperature=1.0, seed=7, max_tokens=20)
    assert [c.index for c in answer.choices] == [0, 1, 2]
    texts = [c.message.content for c in answer.choices]
    assert len(set(texts)) == 3
    assert answer.usage.completion_tokens > 40
    # The first is what it would be alone; all of it can be had again.
    alone = ask(corral, "Tell me a story.", temperature=1.0, seed=7, max_tokens=20)
    assert alone.choices[0].message.content[:12] == texts[0][:12]
    assert alone.usage.prompt_tokens == answer.usage.prompt_tokens
    text = {0: "", 1: "", 2: ""}
    ends, order = {}, []
    for chunk in ask(
        corral,
        "Tell me a story.",
        n=3,
        temperature=1.0,
        seed=7,
        max_tokens=20,
        stream=True,
    ):
        (choice,) = chunk.choices
        text[choice.index] += choice.delta.content or ""
        order.append(choice.index)
        if choice.finish_reason:
            assert choice.index not in ends
            ends[choice.index] = choice.finish_reason
    assert set(ends) == {0, 1, 2}
    assert [t[:12] for t in text.values()] == [t[:12] for t in texts]


def test_choices_share_the_prompt(corral):
    """Several answers cost one reading of the prompt."""
    question = "Here is a long text. " * 40 + "What does it say?"
    answer = ask(corral, question, n=4, max_tokens=4)
    assert answer.usage.prompt_tokens < 400
    assert len({c.message.content for c in answer.choices}) == 1
    again = ask(corral, question, n=2, max_tokens=4)
    assert again.usage.prompt_tokens_details.cached_tokens > 150


def test_input_refused(corral):
    answer = ask(corral, "Tell me about the zebra crossing.", n=2, logprobs=True)
    for choice in answer.choices:
        assert choice.message.content == REFUSAL
        assert choice.finish_reason == "content_filter"
        assert choice.logprobs is None
        assert choice.corral["checks"]


@pytest.fixture()
def server(start, policies, upstream):
    return start("--policy", policies("upstream", RULES), "--upstream", upstream.url)


def test_upstream(server, upstream):
    answer = ask(server, "Hi", n=2, logprobs=True, top_logprobs=2, logit_bias={"5": 1})
    assert len(upstream.requests) == 2
    for sent in upstream.requests:
        assert sent["logprobs"] and sent["top_logprobs"] == 2
        assert sent["logit_bias"] == {"5": 1} and "n" not in sent
    for choice in answer.choices:
        assert choice.message.content == "Hello there."
        assert spell(choice.logprobs.content) == b"Hello there."
        assert choice.logprobs.content[0].top_logprobs[1].token == "other"


@pytest.mark.parametrize("size", [1, 3, 7])
@pytest.mark.parametrize("stream", [False, True])
def test_upstream_logprobs_are_judged(server, upstream, size, stream):
    whole = f"Use {SECRET} to log in."
    upstream.pieces = [whole[i : i + size] for i in range(0, len(whole), size)]
    if stream:
        text, chunks = join(ask(server, "Hi", stream=True, logprobs=True))
        entries = [
            e for c in chunks if c.choices[0].logprobs for e in c.choices[0].logprobs.content
        ]
    else:
        choice = ask(server, "Hi", logprobs=True).choices[0]
        text = choice.message.content
        entries = choice.logprobs.content if choice.logprobs else []
    assert SECRET[:6] not in text
    assert b"Use ".startswith(spell(entries))


def test_too_many(corral):
    with pytest.raises(openai.BadRequestError) as e:
        ask(corral, n=9)
    assert e.value.param == "n" and "8" in e.value.message
