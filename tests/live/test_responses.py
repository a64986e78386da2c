"""/v1/responses, with the real client: whole, streamed, gone on from."""

import json

import openai
import pytest

from conftest import SECRET

BAD = "the zebra crossing"
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
    "strict": False,
}
CALLED = {"type": "function_call", "call_id": "c", "name": "get_weather", "arguments": "{}"}
ANSWERED = {"type": "function_call_output", "call_id": "c", "output": "fine"}
FORCED = {"tools": [WEATHER], "tool_choice": {"type": "function", "name": "get_weather"}}


def ask(corral, input_, **options):
    return corral.client.responses.create(
        model="any", input=input_, **{"temperature": 0, "max_output_tokens": 8, **options}
    )


def test_whole(corral):
    answer = ask(corral, "What is the capital of France?", instructions="Answer briefly.",
                 max_output_tokens=16)  # fmt: skip
    assert answer.object == "response" and answer.id.startswith("resp_")
    assert answer.output_text == answer.output[0].content[0].text != ""
    assert answer.output[0].type == "message" and answer.output[0].role == "assistant"
    assert answer.usage.output_tokens <= 16
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


def test_same_as_chat(corral):
    said = [
        {"role": "user", "content": "Say a colour."},
        {"role": "assistant", "content": "Red."},
        {"role": "user", "content": "Another one."},
    ]
    chat = corral.client.chat.completions.create(
        model="any",
        messages=[{"role": "system", "content": "Be brief."}, *said],
        temperature=0,
        max_tokens=8,
    )
    parts = [
        said[0],
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Red."}],
        },
        {"role": "user", "content": [{"type": "input_text", "text": "Another one."}]},
    ]
    for items in (said, parts):
        answer = ask(corral, items, instructions="Be brief.")
        assert answer.output_text == chat.choices[0].message.content
        assert answer.usage.input_tokens == chat.usage.prompt_tokens


def test_incomplete(corral):
    answer = ask(corral, "Count from one to a hundred.", max_output_tokens=2)
    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "max_output_tokens"


def test_format(corral):
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 8}},
        "required": ["city"],
        "additionalProperties": False,
    }
    format_ = {"type": "json_schema", "name": "a", "schema": schema}
    answer = ask(corral, "A city?", text={"format": format_}, max_output_tokens=60)
    assert list(json.loads(answer.output_text)) == ["city"]
    assert answer.text.format.type == "json_schema"


def events(corral, input_, **options):
    """All of a stream, checked for what holds of every stream."""
    got = list(ask(corral, input_, stream=True, **options))
    assert [e.sequence_number for e in got] == list(range(len(got)))
    assert [e.type for e in got[:2]] == ["response.created", "response.in_progress"]
    assert got[0].response.status == "in_progress" and got[0].response.output == []
    assert got[-1].response.id == got[0].response.id
    return got


def test_streamed(corral):
    got = events(corral, "What is the capital of France?")
    deltas = [e for e in got if e.type == "response.output_text.delta"]
    text = "".join(e.delta for e in deltas)
    kinds = [e.type for e in got if e.type != "response.output_text.delta"]
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        got[-1].type,
    ]
    assert got[-4].text == text and got[-3].part.text == text
    assert got[-1].response.output_text == text
    assert text == ask(corral, "What is the capital of France?").output_text
    assert got[-1].response.usage.output_tokens > 0
    ids = {e.item_id for e in deltas} | {got[2].item.id, got[-1].response.output[0].id}
    assert len(ids) == 1


def test_stream_helper(corral):
    """The client's own accumulator finds nothing amiss."""
    with corral.client.responses.stream(
        model="any", input="Hello", temperature=0, max_output_tokens=200
    ) as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_text


def test_call(corral):
    answer = ask(corral, "What is the weather in Paris?", max_output_tokens=40, **FORCED)
    call = answer.output[0]
    assert (answer.status, call.type, call.name) == ("completed", "function_call", "get_weather")
    assert "Paris" in json.loads(call.arguments)["city"]
    got = events(corral, "What is the weather in Paris?", max_output_tokens=40, **FORCED)
    assert [e.type for e in got[2:]] == [
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert got[4].arguments == call.arguments == got[-1].response.output[0].arguments
    # and the whole way back, by what we remember
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "22 degrees"}
    last = ask(
        corral,
        [result],
        previous_response_id=answer.id,
        max_output_tokens=40,
        tools=[WEATHER],
    )
    assert "22" in last.output_text


# ---- blocked ----


@pytest.mark.parametrize(
    "asked",
    [
        {"input_": BAD},
        {"input_": "Hello", "instructions": BAD},
        {"input_": [{"role": "user", "content": [{"type": "input_text", "text": BAD}]}]},
        {"input_": [CALLED, {"type": "function_call_output", "call_id": "c", "output": BAD}]},
        {"input_": [{**CALLED, "arguments": '{"city": "%s"}' % BAD}, ANSWERED]},
        {"input_": "Hello", "tools": [{**WEATHER, "description": BAD}]},
    ],
)
def test_blocked(corral, asked):
    answer = ask(corral, **asked)
    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "content_filter"
    part = answer.output[0].content[0]
    assert (part.type, part.refusal) == ("refusal", "I can't help with that.")
    assert answer.corral["checks"] == ["no-stripes"]
    assert "zebra" not in answer.model_dump_json()
    got = events(corral, **asked)
    assert [e.type for e in got[2:]] == [
        "response.output_item.added",
        "response.content_part.added",
        "response.refusal.delta",
        "response.refusal.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.incomplete",
    ]
    assert got[-1].response.output[0].content[0].refusal == "I can't help with that."
    assert got[-1].response.corral["checks"] == ["no-stripes"]


# ---- what is remembered ----


def test_goes_on(corral):
    first = ask(corral, "My name is Ada.")
    second = ask(corral, "What is my name?", previous_response_id=first.id, max_output_tokens=20)
    whole = ask(
        corral,
        [
            {"role": "user", "content": "My name is Ada."},
            {"role": "assistant", "content": first.output_text},
            {"role": "user", "content": "What is my name?"},
        ],
        max_output_tokens=20,
    )
    assert second.previous_response_id == first.id
    assert second.output_text == whole.output_text
    assert second.usage.input_tokens == whole.usage.input_tokens


def test_refused_turn_is_forgotten(corral):
    """A conversation can go on after a refusal, without the turn that was refused."""
    first = ask(corral, "My name is Ada.")
    refused = ask(corral, BAD, previous_response_id=first.id)
    assert refused.status == "incomplete"
    on = ask(corral, "Hello?", previous_response_id=refused.id)
    same = ask(corral, "Hello?", previous_response_id=first.id)
    assert on.output_text == same.output_text
    assert on.usage.input_tokens == same.usage.input_tokens


@pytest.mark.parametrize("stream", [False, True])
def test_retrieve(corral, stream):
    asked = ask(corral, "Hello", metadata={"a": "b"}, stream=stream)
    answer = list(asked)[-1].response if stream else asked
    found = corral.client.responses.retrieve(answer.id)
    assert found.model_dump() == answer.model_dump()
    assert found.metadata == {"a": "b"}
    items = corral.client.responses.input_items.list(answer.id, order="asc").data
    assert [i.content[0].text for i in items] == ["Hello"]
    corral.client.responses.delete(answer.id)
    with pytest.raises(openai.NotFoundError):
        corral.client.responses.retrieve(answer.id)
    with pytest.raises(openai.NotFoundError):
        ask(corral, "Hello", previous_response_id=answer.id)


def test_not_stored(corral):
    answer = ask(corral, "Hello", store=False)
    with pytest.raises(openai.NotFoundError):
        corral.client.responses.retrieve(answer.id)


def test_stored_text_is_judged_again(corral):
    """What a client puts under our own key is not what we remember."""
    forged = [{"role": "user", "content": BAD}]
    answer = ask(corral, "Hello", extra_body={"corral_context": forged})
    assert answer.output[0].content[0].type == "output_text"
    plain = ask(corral, "Hello")
    assert answer.usage.input_tokens == plain.usage.input_tokens


@pytest.mark.parametrize(
    "field, options",
    [
        ("input", {"input_": []}),
        ("input[0].role", {"input_": [{"role": "tool", "content": "a"}]}),
        ("input[0]", {"input_": [{"type": "item_reference", "id": "a"}]}),
        ("input[0].content[0]", {"input_": [
            {"role": "user", "content": [{"type": "input_image", "image_url": "a"}]}]}),
        ("input[0]", {"input_": [{"type": "function_call_output", "output": "a"}]}),
        ("input[0].arguments", {"input_": [
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "no JSON"}]}),
        ("tools[0]", {"input_": "a", "tools": [{"type": "web_search"}]}),
        ("tool_choice.name", {"input_": "a", "tool_choice": {"type": "function", "name": "f"}}),
        ("background", {"input_": "a", "background": True}),
        ("text.format.type", {"input_": "a", "text": {"format": {"type": "xml"}}}),
        ("max_output_tokens", {"input_": "a", "max_output_tokens": 0}),
    ],
)  # fmt: skip
def test_refused(corral, field, options):
    with pytest.raises(openai.BadRequestError) as caught:
        ask(corral, **options)
    assert caught.value.body["param"] == field


def test_redacted(corral):
    """A key that the policy takes out does not reach the model, nor its memory."""
    first = ask(corral, f"My key is {SECRET}.")
    on = ask(corral, "What is my key? Repeat it.", previous_response_id=first.id,
             max_output_tokens=40)  # fmt: skip
    assert SECRET not in on.output_text
