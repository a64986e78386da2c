"""The bypass matrix of /v1/responses, /v1/embeddings and /v1/decisions: as in
test_bypass.py, the same forbidden text in every field that a client can fill. A
new field of a surface is a new row."""

import json

import pytest

from conftest import Corral
from mock_upstream import MockUpstream
from test_bypass import BAD, HIDDEN, ONE_WORD, POLICY, delta, without

HELLO = {"role": "user", "content": "Hello"}

# ---- responses ----


def items(*list_, **fields):
    return {"input": [*list_], **fields}


def said(content, role="user", **fields):
    return items({"type": "message", "role": role, "content": content, **fields}, HELLO)


def part(type_, key="text"):
    return [{"type": type_, key: BAD}]


def called(name="look", arguments="{}", id="c1", output="fine", answers=None, **fields):
    return items(
        HELLO,
        {"type": "function_call", "call_id": id, "name": name, "arguments": arguments, **fields},
        {"type": "function_call_output", "call_id": answers or id, "output": output},
    )


def plain(**fields):
    return {"input": "Hello", **fields}


def tool(name="look", description="Looks.", **schema):
    function = {
        "type": "function",
        "name": name,
        "description": description,
        "parameters": {"type": "object", **schema},
    }
    return plain(tools=[function])


def format_(schema, **fields):
    return plain(text={"format": {"type": "json_schema", "name": "f", "schema": schema, **fields}})


RESPONSES = [
    ("input", "judged", {"input": BAD}),
    ("user", "judged", said(BAD)),
    ("system", "judged", said(BAD, "system")),
    ("developer", "judged", said(BAD, "developer")),
    ("assistant", "judged", said(BAD, "assistant")),
    ("item without a type", "judged", items({"role": "user", "content": BAD})),
    ("input part", "judged", said(part("input_text"))),
    ("output part", "judged", said(part("output_text"), "assistant")),
    ("refusal part", "judged", said(part("refusal", "refusal"), "assistant")),
    ("image part", "refused", said(part("input_image", "image_url"))),
    ("file part", "refused", said(part("input_file", "file_data"))),
    ("role", "refused", said("Hello", BAD)),
    ("instructions", "judged", plain(instructions=BAD)),
    ("call arguments", "judged", called(arguments=json.dumps({"place": BAD}))),
    ("call arguments, escaped", "judged", called(arguments='{"place": "%s"}' % HIDDEN)),
    ("call arguments that are not JSON", "refused", called(arguments=BAD)),
    ("call name", "judged", called(name=BAD)),
    ("call id", "judged", called(id=BAD)),
    ("id that an output answers", "refused", called(answers=BAD)),
    ("call output", "judged", called(output=BAD)),
    ("call output part", "judged", called(output=part("input_text"))),
    ("type of an item", "refused", items({"type": BAD}, HELLO)),
    ("item reference", "refused", items({"type": "item_reference", "id": BAD}, HELLO)),
    ("tool name", "judged", tool(name=ONE_WORD)),
    ("tool description", "judged", tool(description=BAD)),
    ("name of a parameter", "judged", tool(properties={BAD: {"type": "string"}})),
    ("enum of a parameter", "judged", tool(properties={"a": {"enum": [BAD]}})),
    ("type of a tool", "refused", plain(tools=[{"type": BAD}])),
    ("tool of another kind", "refused", plain(tools=[{"type": "web_search", "hint": BAD}])),
    ("tool_choice", "refused", plain(tool_choice={"type": "function", "name": BAD})),
    ("enum of a format", "judged", format_({"enum": [BAD]})),
    ("description in a format", "judged", format_({"type": "object", "description": BAD})),
    ("type of a format", "refused", plain(text={"format": {"type": BAD}})),
    ("model", "judged", plain(model=BAD)),
    ("previous_response_id", "not found", plain(previous_response_id=BAD)),
    ("prompt", "refused", plain(prompt={"id": BAD})),
    ("conversation", "refused", plain(conversation=BAD)),
    ("stored context of our own", "dropped", plain(corral_context=[{"role": "user", "content": BAD}])),
    # what a model thought earlier is shown to none
    ("reasoning item", "dropped", items({"type": "reasoning", "summary": part("summary_text")}, HELLO)),
    # an item's own id is read by nobody
    ("id of an item", "dropped", said("Hello", id=BAD)),
    ("name of a format", "told back", format_({"type": "object"}, name=BAD)),
    # this surface passes on nothing that it does not know
    ("user id", "dropped", plain(user=BAD)),
    ("prompt_cache_key", "dropped", plain(prompt_cache_key=BAD)),
    ("include", "dropped", plain(include=[BAD])),
    ("unknown field", "dropped", plain(hint=BAD)),
    ("messages", "dropped", plain(messages=[{"role": "user", "content": BAD}])),
    ("model of a moderation", "dropped", plain(moderation={"model": BAD})),
    # told back to whoever wrote it, like everything of `tools` and `text`, and
    # shown to no model
    ("metadata", "told back", plain(metadata={"a": BAD})),
]  # fmt: skip

# ---- embeddings ----

EMBEDDINGS = [
    ("input", "judged", {"input": BAD}),
    ("last of a list", "judged", {"input": ["Hello", BAD]}),
    ("model", "judged", {"input": "Hello", "model": BAD}),
    ("tokens", "refused", {"input": [1, 2]}),
    ("an object", "refused", {"input": {"text": BAD}}),
    ("encoding_format", "refused", {"input": "Hello", "encoding_format": BAD}),
    ("dimensions", "refused", {"input": "Hello", "dimensions": BAD}),
    # asked of nobody
    ("user id", "dropped", {"input": "Hello", "user": BAD}),
    ("unknown field", "dropped", {"input": "Hello", "hint": BAD}),
]  # fmt: skip

# ---- decisions: the local model alone ----


def question(**fields):
    return {"input": "Hello", "questions": [{"type": "predicate", "instructions": "It greets.", **fields}]}


def choices(*list_):
    return question(type="choice", choices=[{"value": "a"}, *list_])


def levels(*list_):
    return question(type="score", levels=[{"label": "low"}, *list_])


DECISIONS = [
    ("input", "judged", {**question(), "input": BAD}),
    ("message", "judged", {**question(), **said(BAD)}),
    ("call output", "judged", {**question(), **called(output=BAD)}),
    ("JSON part", "judged", {**question(), **said([{"type": "input_json", "data": {"a": [BAD]}}])}),
    ("key of a JSON part", "judged", {**question(), **said([{"type": "input_json", "data": {BAD: 1}}])}),
    ("instructions", "judged", question(instructions=BAD)),
    ("part of instructions", "judged", question(instructions=part("input_text"))),
    ("JSON of instructions", "judged", question(instructions=[{"type": "input_json", "data": {"a": BAD}}])),
    ("name", "judged", question(name=BAD)),
    ("choice", "judged", choices({"value": BAD})),
    ("description of a choice", "judged", choices({"value": "b", "description": BAD})),
    ("level", "judged", levels({"label": BAD})),
    ("description of a level", "judged", levels({"label": "high", "description": BAD})),
    ("model", "judged", {**question(), "model": BAD}),
    ("type", "refused", question(type=BAD)),
    ("image part", "refused", {**question(), **said(part("input_image", "image_url"))}),
    ("prompt_cache_key", "dropped", {**question(), "prompt_cache_key": BAD}),
    ("safety_identifier", "dropped", {**question(), "safety_identifier": BAD}),
    ("unknown field of a question", "dropped", question(hint=BAD)),
    ("choices of a predicate", "dropped", question(choices=[{"value": BAD}])),
]  # fmt: skip


@pytest.fixture(scope="module")
def local(policies):
    server = Corral("--policy", policies("bypass", POLICY))
    yield server
    assert server.stop() == 0


@pytest.fixture(scope="module")
def mock():
    upstream = MockUpstream()
    yield upstream
    upstream.close()


@pytest.fixture(scope="module")
def remote(policies, mock):
    server = Corral("--policy", policies("bypass", POLICY), "--upstream", mock.url)
    yield server
    assert server.stop() == 0


def shows(text):
    return any(word in text for word in ("zebra", "crossing", HIDDEN))


def last(answer, stream):
    """The response, whole or from the last event of a stream."""
    if not stream or answer.status_code != 200:
        return answer.json()
    lines = [line for line in answer.text.split("\n") if line.startswith("data: ")]
    return json.loads(lines[-1][6:])["response"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("where", ["local", "remote"])
@pytest.mark.parametrize("name, fate, body", RESPONSES, ids=[r[0] for r in RESPONSES])
def test_responses(request, mock, name, fate, body, where, stream):
    server = request.getfixturevalue(where)
    mock.requests.clear()
    sent = {"model": "m", "max_output_tokens": 1, "temperature": 0, "stream": stream, **body}
    answer = server.http.post("/v1/responses", json=sent)
    json_ = last(answer, stream)
    if fate == "judged":
        assert json_["status"] == "incomplete", answer.text
        assert json_["incomplete_details"]["reason"] == "content_filter"
    elif fate == "refused":
        assert answer.status_code == 400, answer.text
    elif fate == "not found":
        assert answer.status_code == 404, answer.text
    else:
        assert answer.status_code == 200, answer.text
        assert "corral" not in json_
    assert not shows(json.dumps(mock.requests))
    if fate not in ("dropped", "told back"):
        assert mock.requests == []
    # An error may repeat a few bytes of a wrong name.
    if fate not in ("told back", "refused"):
        assert not shows(answer.text), answer.text


@pytest.mark.parametrize("where", ["local", "remote"])
@pytest.mark.parametrize("name, fate, body", EMBEDDINGS, ids=[r[0] for r in EMBEDDINGS])
def test_embeddings(request, mock, name, fate, body, where):
    server = request.getfixturevalue(where)
    mock.requests.clear()
    mock.sse, mock.raw = False, {"data": [{"index": 0, "embedding": [1.0], "note": BAD}], "model": BAD}
    try:
        answer = server.http.post("/v1/embeddings", json={"model": "m", **body})
    finally:
        mock.sse, mock.raw = True, None
    if fate == "dropped":
        assert answer.status_code == 200, answer.text
    else:
        assert answer.status_code == 400, answer.text
        code = answer.json()["error"]["code"]
        assert (code == "content_filter") == (fate == "judged"), code
        assert mock.requests == []
    assert not shows(json.dumps(mock.requests)) and not shows(answer.text)


@pytest.mark.parametrize("name, fate, body", DECISIONS, ids=[r[0] for r in DECISIONS])
def test_decisions(local, name, fate, body):
    answer = local.http.post("/v1/decisions", json={"model": "m", **body})
    if fate == "refused":
        assert answer.status_code == 400, answer.text
    else:
        assert answer.status_code == 200, answer.text
        kinds = {a["type"] for a in answer.json()["answers"]}
        assert ("refusal" in kinds) == (fate == "judged")
    if fate == "dropped":  # the model read nothing of it
        same = local.http.post("/v1/decisions", json={"model": "m", **without(body)})
        assert answer.json()["answers"] == same.json()["answers"]
    assert not shows(answer.text), answer.text


def test_rows_are_right(local, remote):
    """Without the words, what is judged passes: it is they that were found."""
    for name, fate, body in RESPONSES:
        if fate == "judged":
            answer = remote.http.post("/v1/responses", json={"model": "m", **without(body)})
            assert answer.json().get("status") == "completed", (name, answer.text)
    for name, fate, body in DECISIONS:
        if fate == "judged":
            answer = local.http.post("/v1/decisions", json={"model": "m", **without(body)})
            kinds = [a["type"] for a in answer.json().get("answers", [])]
            assert kinds and "refusal" not in kinds, (name, answer.text)


# What an upstream says of its answer: a plain word goes through only where no
# rule minds it.
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("field", ["id", "system_fingerprint"])
def test_origin(remote, mock, field, stream):
    event = {**delta("stop", content="Hi."), field: ONE_WORD}
    mock.raw = [event]
    try:
        body = {"model": "m", "messages": [HELLO], "stream": stream}
        answer = remote.http.post("/v1/chat/completions", json=body)
    finally:
        mock.raw = None
    assert answer.status_code == 200 and "Hi." in answer.text
    assert not shows(answer.text)
