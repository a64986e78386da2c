"""The inline `moderation` parameter of chat and responses, by the real client."""


import pytest

from conftest import RULES

SCORE = {"model": "omni-moderation-latest"}


def policy(input_="score", output="score"):
    return {**SCORE, "policy": {"input": {"mode": input_}, "output": {"mode": output}}}


def shadowed(policies):
    """Rules that see and do nothing."""
    return policies("shadowed", RULES.replace("policy: live", "policy: live\nmode: shadow"))


@pytest.fixture()
def shadow(policies, upstream, start):
    return start("--policy", shadowed(policies), "--upstream", upstream.url)


def ask(server, text="hello", moderation=SCORE, **options):
    return server.client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": text}], moderation=moderation, **options
    )


def test_not_asked_for(shadow, upstream):
    answer = shadow.client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "hi"}]
    )
    assert answer.moderation is None


def test_score(shadow, upstream):
    """Nothing is blocked, and both sides say what was found."""
    upstream.pieces = ["A zebra", " crossing."]
    answer = ask(shadow, "hello")
    assert answer.choices[0].message.content == "A zebra crossing."
    found = answer.moderation
    assert found.input.type == found.output.type == "moderation_results"
    assert [r.flagged for r in found.input.results] == [False]
    assert [r.flagged for r in found.output.results] == [True]
    result = found.output.results[0]
    assert result.type == "moderation_result" and result.model == found.output.model
    assert set(result.categories) == set(result.category_scores) >= {"violence", "S1", "INJ"}
    assert "moderation" not in upstream.requests[0]


def test_block_input(shadow, upstream):
    answer = ask(shadow, "the zebra crossing", policy("block"))
    assert answer.choices[0].finish_reason == "content_filter"
    assert answer.choices[0].message.content == "I can't help with that."
    assert answer.moderation.input.results[0].flagged
    assert answer.moderation.output.type == "error"
    assert answer.moderation.output.code == "not_judged"
    assert answer.model_extra["corral"]["checks"] == ["no-stripes"]
    assert upstream.requests == []


@pytest.mark.parametrize("stream", [False, True])
def test_block_output(shadow, upstream, stream):
    """Not a byte of it comes, although the policy itself lets it pass."""
    upstream.pieces = ["First a word. ", "Then the zebra", " crossing."]
    answer = ask(shadow, "hello", policy("score", "block"), stream=stream)
    if stream:
        chunks = list(answer)
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        reasons = [c.choices[0].finish_reason for c in chunks if c.choices]
        found = [c.moderation for c in chunks if c.moderation]
        assert reasons[-1] == "content_filter" and len(found) == 1
        assert found[0].output.results[0].flagged
    else:
        text = answer.choices[0].message.content
        assert answer.moderation.output.results[0].flagged
    assert text == "I can't help with that."


def test_block_passes_the_harmless(shadow, upstream):
    chunks = list(ask(shadow, "hello", policy("block", "block"), stream=True))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "Hello there."
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"


def test_stream_order(shadow, upstream):
    """One moderation chunk, behind the choices and before the usage."""
    chunks = list(ask(shadow, "hello", stream=True, stream_options={"include_usage": True}))
    kinds = ["m" if c.moderation else "u" if c.usage else "c" for c in chunks]
    assert kinds[-2:] == ["m", "u"] and kinds.count("m") == 1
    assert chunks[-2].choices == []


def test_policy_is_not_weakened(policies, upstream, start):
    server = start("--policy", policies("live", RULES), "--upstream", upstream.url)
    answer = ask(server, "the zebra crossing", policy("score", "score"))
    assert answer.choices[0].finish_reason == "content_filter"
    assert answer.moderation.input.results[0].flagged
    assert upstream.requests == []


def test_each_choice(shadow, upstream):
    answer = ask(shadow, "hello", n=2)
    assert len(answer.moderation.output.results) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_responses(shadow, upstream, stream):
    upstream.pieces = ["A zebra", " crossing."]
    answer = shadow.client.responses.create(
        model="m", input="hello", moderation=policy("block", "score"), stream=stream
    )
    if stream:
        events = list(answer)
        assert events[-1].type == "response.completed"
        answer = events[-1].response
    assert answer.output_text == "A zebra crossing."
    assert answer.moderation.input.type == "moderation_result"
    assert not answer.moderation.input.flagged
    assert answer.moderation.output.flagged


def test_responses_block(shadow, upstream):
    answer = shadow.client.responses.create(
        model="m", input="the zebra crossing", moderation=policy("block")
    )
    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "content_filter"
    assert answer.moderation.input.flagged
    assert answer.moderation.output.type == "error"


@pytest.mark.parametrize(
    "field, moderation",
    [
        ("moderation", 1),
        ("moderation.model", {}),
        ("moderation.policy.input.mode", policy("allow")),
        ("moderation.policy.output", {**SCORE, "policy": {"output": "block"}}),
    ],
)
@pytest.mark.parametrize("route", ["/v1/chat/completions", "/v1/responses"])
def test_wrong(shadow, route, field, moderation):
    body = {"model": "m", "messages": [{"role": "user", "content": "a"}], "input": "a"}
    answer = shadow.http.post(route, json={**body, "moderation": moderation})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == field


def test_classified(default_corral):
    """With the guard model the scores are probabilities."""
    answer = ask(default_corral, "What is the capital of France?", max_tokens=8)
    scores = answer.moderation.input.results[0].category_scores
    assert all(0 <= s <= 1 for s in scores.values())
    assert any(s > 0 for s in scores.values())
    out = answer.moderation.output.results[0].category_scores
    assert any(s > 0 for s in out.values())
