"""What OpenAI's clients ask for beside chats: completions, the older functions,
and verdicts alone."""

import openai
import pytest

from conftest import SECRET

BAD = "the zebra crossing"
WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


def complete(corral, prompt, **options):
    return corral.client.completions.create(
        model="any", prompt=prompt, **{"temperature": 0, "max_tokens": 6, **options}
    )


# ---- completions ----


def test_completion(corral):
    answer = complete(corral, "The capital of France is")
    assert answer.object == "text_completion"
    assert "Paris" in answer.choices[0].text
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 6


def test_no_template(corral):
    """The prompt is all that the model reads."""
    answer = complete(corral, "Hello")
    assert answer.usage.prompt_tokens == 1
    assert len(complete(corral, "One, two,", max_tokens=None).choices[0].text) > 0


def test_several_prompts(corral):
    prompts = ["One two three", "The sky is"]
    answer = complete(corral, prompts, n=2, echo=True)
    assert [c.index for c in answer.choices] == [0, 1, 2, 3]
    for i, choice in enumerate(answer.choices):
        assert choice.text.startswith(prompts[i // 2])
    # each prompt is counted once, each answer by itself
    alone = [complete(corral, p, n=2).usage for p in prompts]
    assert answer.usage.prompt_tokens == sum(u.prompt_tokens for u in alone)
    assert answer.usage.completion_tokens == 4 * 6
    assert answer.choices[0].text == prompts[0] + complete(corral, prompts[0]).choices[0].text


def test_logprobs(corral):
    choice = complete(corral, "The capital of France is", logprobs=3).choices[0]
    found = choice.logprobs
    assert "".join(found.tokens) == choice.text
    assert len(found.token_logprobs) == len(found.top_logprobs) == 6
    for token, value, top, offset in zip(
        found.tokens, found.token_logprobs, found.top_logprobs, found.text_offset
    ):
        assert choice.text[offset:].startswith(token)
        assert len(top) == 3 and max(top.values()) == pytest.approx(value)


@pytest.mark.parametrize("logprobs", [None, 2])
def test_streamed(corral, logprobs):
    asked = {"n": 2, "logprobs": logprobs}
    whole = complete(corral, "The capital of France is", **asked)
    texts, offsets, usage = ["", ""], [[], []], None
    for chunk in complete(
        corral,
        "The capital of France is",
        stream=True,
        stream_options={"include_usage": True},
        **asked,
    ):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.text
            if choice.logprobs:
                offsets[choice.index] += choice.logprobs.text_offset
    assert texts == [c.text for c in whole.choices]
    assert usage.total_tokens == whole.usage.total_tokens
    if logprobs:
        assert offsets == [c.logprobs.text_offset for c in whole.choices]


@pytest.mark.parametrize("stream", [False, True])
def test_blocked(corral, stream):
    answer = complete(corral, BAD, echo=True, stream=stream)
    chunks = list(answer) if stream else [answer]
    text = "".join(c.text for chunk in chunks for c in chunk.choices)
    assert text == "I can't help with that."
    assert chunks[-1].choices[0].finish_reason == "content_filter"
    shown = chunks[-1].choices[0] if stream else answer
    assert shown.corral["checks"] == ["no-stripes"]


def test_redacted(corral):
    """What the policy takes out of a prompt is not echoed either."""
    text = complete(corral, f"My key is {SECRET}", echo=True).choices[0].text
    assert text.startswith("My key is [") and SECRET not in text


@pytest.mark.parametrize(
    "field, asked",
    [
        ("prompt", {"prompt": ["a"] * 9}),
        ("n", {"prompt": ["a", "b"], "n": 5}),
        ("best_of", {"prompt": "a", "best_of": 3}),
        ("logprobs", {"prompt": "a", "logprobs": 6}),
        ("logprobs", {"prompt": "a", "logprobs": 1, "echo": True}),
        ("prompt", {"prompt": ""}),
        ("max_tokens", {"prompt": "a", "max_tokens": 0}),
    ],
)
def test_refused(corral, field, asked):
    with pytest.raises(openai.BadRequestError) as caught:
        complete(corral, **asked)
    assert caught.value.body["param"] == field


# ---- functions, as they were before tools ----


def ask_weather(corral, messages, **options):
    return corral.client.chat.completions.create(
        model="any", messages=messages, functions=[WEATHER], temperature=0, **options
    )


def test_functions(corral):
    question = {"role": "user", "content": "What is the weather in Paris?"}
    forced = {"function_call": {"name": "get_weather"}}
    choice = ask_weather(corral, [question], **forced).choices[0]
    assert choice.finish_reason == "function_call"
    assert choice.message.tool_calls is None
    assert choice.message.function_call.name == "get_weather"
    assert "Paris" in choice.message.function_call.arguments
    said = ""
    for chunk in ask_weather(corral, [question], stream=True, **forced):
        if chunk.choices[0].delta.function_call:
            said += chunk.choices[0].delta.function_call.arguments
        end = chunk.choices[0].finish_reason
    assert said == choice.message.function_call.arguments
    assert end == "function_call"
    call = choice.message.model_dump(exclude_none=True)
    result = {"role": "function", "name": "get_weather", "content": "22 degrees, sunny"}
    answer = ask_weather(corral, [question, call, result], max_tokens=40).choices[0]
    assert "22" in answer.message.content


# ---- verdicts alone ----


def check(corral, status=200, **body):
    answer = corral.http.post("/v1/guard/check", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_check_text(corral):
    assert check(corral, text="Hello")["action"] == "allow"
    text = f"say {BAD} and {SECRET}"
    verdict = check(corral, text=text)
    assert verdict["action"] == "block"
    assert verdict["checks"] == ["no-stripes", "keys"]
    spans = {f["check"]: text[f["start"] : f["end"]] for f in verdict["findings"]}
    assert spans == {"no-stripes": "zebra crossing", "keys": SECRET}
    assert "zebra" not in str(verdict) and SECRET not in str(verdict)


@pytest.mark.parametrize(
    "channel, body",
    [
        ("input", {"text": BAD}),
        ("output", {"text": BAD, "channel": "output", "prompt": "Hi"}),
        ("input", {"messages": [{"role": "user", "content": BAD}]}),
        ("input", {"messages": [{"role": "user", "content": "Hi"}],
                   "tools": [{"type": "function", "function": {"name": "f", "description": BAD}}]}),
        ("tool_call", {"tool_call": {"name": "f", "arguments": {"a": [BAD]}}}),
        ("tool_call", {"tool_call": {"name": "f", "arguments": '{"a": "zebra\\u0020crossing"}'}}),
        ("tool_result", {"tool_result": BAD}),
        ("tool_result", {"tool_result": {"name": "f", "content": BAD}}),
    ],
)  # fmt: skip
def test_check_channels(corral, channel, body):
    verdict = check(corral, **body)
    assert verdict["action"] == "block"
    assert {f["channel"] for f in verdict["findings"]} == {channel}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": "a", "messages": []},
        {"text": 7},
        {"text": "a", "channel": "sideways"},
        {"text": "a", "prompt": "b"},
        {"tool_call": {"name": "f", "arguments": "no JSON"}},
        {"tool_call": {"arguments": {}}},
        {"tool_result": {"name": "f"}},
        {"messages": "a"},
        {"text": "a", "policy": "another"},
    ],
)
def test_check_refused(corral, body):
    assert check(corral, 400, **body)["error"]["type"] == "invalid_request_error"
