"""The bypass matrix: the same forbidden text in every field that a client or an
upstream can fill, streamed and not. A new field of a surface is a new row.

What must become of a row's text:

  judged   the request is refused, or the answer filtered, by the policy
  refused  the field has a form that the text breaks, or does not exist here:
           an error before anything is sent on
  dropped  nothing reads the field, so nobody judges it: its text reaches
           neither the model nor the client. The row says why.
"""

import json

import pytest

from conftest import Corral

BAD = "zebra crossing"
HIDDEN = "zebra \\u0063ross\\u0069ng"  # the same, as JSON may write it
ONE_WORD = "zebracrossing"  # where a blank cannot stand
POLICY = """\
policy: bypass
checks:
  - {id: no-stripes, use: rules, any: ["zebra crossing", "zebracrossing"],
     on: [input, output, tool_call, tool_result], action: block}
"""
USER = {"role": "user", "content": "Hello"}


def messages(*list_):
    return {"messages": [*list_]}


def user(content, **fields):
    return messages({"role": "user", "content": content, **fields})


def called(name="look", arguments="{}", id="c1", result="fine", answers="c1"):
    """A call in the conversation's past, and its result."""
    call = {
        "id": id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }
    return messages(
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": answers, "content": result},
    )


def function_call(name="look", arguments="{}", result="fine", answers=None):
    """The older form of a call, and its result."""
    call = {"name": name, "arguments": arguments}
    return messages(
        USER,
        {"role": "assistant", "content": None, "function_call": call},
        {"role": "function", "name": answers or name, "content": result},
    )


def tool(name="look", description="Looks.", **schema):
    function = {
        "name": name,
        "description": description,
        "parameters": {"type": "object", **schema},
    }
    return {**messages(USER), "tools": [{"type": "function", "function": function}]}


def argument(**schema):
    return tool(properties={"place": {"type": "string", **schema}})


def plain(**fields):
    return {**messages(USER), **fields}


def format_(schema, **fields):
    return plain(
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, **fields},
        }
    )


def text_of(type_, key="text"):
    return {"type": type_, key: BAD}


REQUESTS = [
    # messages
    ("user", "judged", user(BAD)),
    ("system", "judged", messages({"role": "system", "content": BAD}, USER)),
    ("developer", "judged", messages({"role": "developer", "content": BAD}, USER)),
    ("assistant", "judged", messages(USER, {"role": "assistant", "content": BAD}, USER)),
    ("prefill", "judged", messages(USER, {"role": "assistant", "content": BAD})),
    ("earlier turn", "judged", messages(
        {"role": "user", "content": BAD}, {"role": "assistant", "content": "No."}, USER)),
    ("first of two user turns", "judged", messages({"role": "user", "content": BAD}, USER)),
    ("long ago", "judged", messages(
        {"role": "user", "content": BAD},
        *[{"role": r, "content": "x"} for r in ("assistant", "user") * 40])),
    ("system turn at the end", "judged", messages(USER, {"role": "system", "content": BAD})),
    ("first part", "judged", user([text_of("text"), {"type": "text", "text": "b"}])),
    ("last part", "judged", user([{"type": "text", "text": "b"}, text_of("text")])),
    ("system part", "judged", messages({"role": "system", "content": [text_of("text")]}, USER)),
    ("refusal part", "judged", messages(
        USER, {"role": "assistant", "content": [text_of("refusal", "refusal")]}, USER)),
    ("tool result part", "judged", called(result=[text_of("text")])),
    ("image part", "refused", user([{"type": "image_url", "image_url": {"url": BAD}}])),
    ("audio part", "refused", user([{"type": "input_audio", "input_audio": {"data": BAD}}])),
    ("file part", "refused", user([{"type": "file", "file": {"filename": BAD}}])),
    ("role", "refused", messages({"role": BAD, "content": "Hello"})),
    ("content as an object", "refused", user({"text": BAD})),
    # no model is shown who wrote a turn, nor what it thought or refused before
    ("name of an author", "dropped", user("Hello", name=BAD)),
    ("reasoning_content", "dropped", messages(
        USER, {"role": "assistant", "content": "Hi.", "reasoning_content": BAD}, USER)),
    ("refusal of a message", "dropped", messages(
        USER, {"role": "assistant", "content": "Hi.", "refusal": BAD}, USER)),
    ("audio of a message", "dropped", messages(
        USER, {"role": "assistant", "content": "Hi.", "audio": {"id": BAD}}, USER)),
    ("unknown field of a message", "dropped", user("Hello", thoughts=BAD)),
    ("tool_calls of a user", "dropped", user("Hello", tool_calls=[{"id": BAD}])),
    # tool calls of the past
    ("call arguments", "judged", called(arguments=json.dumps({"place": BAD}))),
    ("call arguments, escaped", "judged", called(arguments='{"place": "%s"}' % HIDDEN)),
    ("key of call arguments", "judged", called(arguments=json.dumps({BAD: 1}))),
    ("deep in call arguments", "judged", called(arguments=json.dumps({"a": [[{"b": [BAD]}]]}))),
    ("call name", "judged", called(name=BAD)),
    ("call id", "judged", called(id=BAD, answers=BAD)),
    ("id that a result answers", "refused", called(answers=BAD)),
    ("tool result", "judged", called(result=BAD)),
    ("arguments that are not JSON", "refused", called(arguments=BAD)),
    ("arguments of a function_call", "judged", function_call(arguments='{"a": "%s"}' % BAD)),
    ("arguments of a function_call, not JSON", "refused", function_call(arguments=BAD)),
    ("name of a function_call", "judged", function_call(name=BAD)),
    ("function result", "judged", function_call(result=BAD)),
    ("name of a function result", "refused", function_call(answers=BAD)),
    # tools
    ("tool description", "judged", tool(description=BAD)),
    ("tool name", "judged", tool(name=ONE_WORD)),
    ("tool name with a blank", "refused", tool(name=BAD)),
    ("name of a parameter", "judged", tool(properties={BAD: {"type": "string"}})),
    ("description of a parameter", "judged", argument(description=BAD)),
    ("title of a parameter", "judged", argument(title=BAD)),
    ("enum of a parameter", "judged", argument(enum=["a", BAD])),
    ("const of a parameter", "judged", argument(const=BAD)),
    ("default of a parameter", "judged", argument(default=BAD)),
    ("example of a parameter", "judged", argument(examples=[BAD])),
    ("pattern of a parameter", "judged", argument(pattern=BAD)),
    ("$defs of a tool", "judged", tool(**{"$defs": {BAD: {"type": "string"}}})),
    ("unknown key of a schema", "judged", argument(**{"x-note": BAD})),
    ("required of a tool", "judged", tool(required=[BAD])),
    ("description of a function", "judged", plain(
        functions=[{"name": "f", "description": BAD}])),
    ("parameter of a function", "judged", plain(
        functions=[{"name": "f", "parameters": {"properties": {BAD: {}}}}])),
    ("function_call", "refused", plain(
        functions=[{"name": "f"}], function_call={"name": BAD})),
    ("type of a tool", "refused", plain(tools=[{"type": BAD, "function": {"name": "f"}}])),
    ("tool_choice", "refused", plain(tool_choice={"function": {"name": BAD}})),
    # no model is shown what is not in the schema
    ("unknown field of a tool", "dropped", {
        **messages(USER), "tool_choice": "none",
        "tools": [{"type": "function", "note": BAD, "function": {"name": "f", "note": BAD}}]}),
    # the form of the answer
    ("name in a format", "judged", format_({"type": "object", "properties": {BAD: {}}})),
    ("enum of a format", "judged", format_({"enum": [BAD]})),
    ("const of a format", "judged", format_({"const": BAD})),
    ("description in a format", "judged", format_({"type": "object", "description": BAD})),
    # the schema goes on under a name of ours and without the words about it
    ("name of a format", "dropped", format_({"type": "object"}, name=BAD)),
    ("description of a format", "dropped", format_({"type": "object"}, description=BAD)),
    ("type of a format", "refused", plain(response_format={"type": BAD})),
    ("stop", "judged", plain(stop=BAD)),
    ("one of several stops", "judged", plain(stop=["x", BAD])),
    ("key of logit_bias", "refused", plain(logit_bias={BAD: 1})),
    ("prediction", "refused", plain(prediction={"type": "content", "content": BAD})),
    ("web_search_options", "refused", plain(web_search_options={"where": BAD})),
    # an upstream gets it where its model is not named by the configuration
    ("model", "judged", plain(model=BAD)),
    # what an upstream may read, however it is named
    ("user id", "judged", plain(user=BAD)),
    ("safety_identifier", "judged", plain(safety_identifier=BAD)),
    ("prompt_cache_key", "judged", plain(prompt_cache_key=BAD)),
    ("metadata", "judged", plain(metadata={"a": BAD, BAD: "a"})),
    ("unknown field", "judged", plain(hint=BAD)),
]  # fmt: skip


def prompt(**fields):
    return {"prompt": "Hello", **fields}


# /v1/completions, which asks nothing of an upstream
COMPLETIONS = [
    ("prompt", "judged", {"prompt": BAD}),
    ("prompt in a list", "judged", {"prompt": [BAD]}),
    ("prompt, echoed", "judged", {"prompt": BAD, "echo": True}),
    ("last of several prompts", "judged", {"prompt": ["Hello", "Hi", BAD]}),
    ("prompt as tokens", "refused", {"prompt": [1, 2, 3]}),
    ("prompts as tokens", "refused", {"prompt": [[1, 2], [3]]}),
    ("prompt in an object", "refused", {"prompt": {"text": BAD}}),
    ("suffix", "refused", prompt(suffix=BAD)),
    ("stop", "judged", prompt(stop=["x", BAD])),
    ("key of logit_bias", "refused", prompt(logit_bias={BAD: 1})),
    ("model", "judged", prompt(model=BAD)),
    # what an upstream may read, however it is named
    ("user id", "dropped", prompt(user=BAD)),
    # of the chat API: no model is shown them here
    ("messages", "dropped", prompt(**user(BAD))),
    ("tools", "dropped", prompt(**tool(description=BAD))),
    ("response_format", "dropped", prompt(**format_({"enum": [BAD]}))),
    ("unknown field", "dropped", prompt(hint=BAD)),
]  # fmt: skip


class Server:
    def __init__(self, corral, upstream=None):
        self.http, self.upstream = corral.http, upstream

    def ask(self, body, stream):
        path = "/v1/completions" if "prompt" in body else "/v1/chat/completions"
        return self.http.post(
            path,
            json={"model": "m", "max_tokens": 1, "temperature": 0, "stream": stream, **body},
        )


@pytest.fixture(scope="module")
def local(policies):
    server = Corral("--policy", policies("bypass", POLICY))
    yield Server(server)
    assert server.stop() == 0


@pytest.fixture(scope="module")
def remote(policies):
    from mock_upstream import MockUpstream

    mock = MockUpstream()
    server = Corral("--policy", policies("bypass", POLICY), "--upstream", mock.url)
    yield Server(server, mock)
    assert server.stop() == 0
    mock.close()


def events(answer):
    """The JSON values of an answer, whole or streamed."""
    if not answer.headers["content-type"].startswith("text/event-stream"):
        return [answer.json()]
    lines = [l[6:] for l in answer.text.split("\n") if l.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def texts(values):
    """All that a client could read: each field's text over all events, by the
    field's place, and every other string."""
    found = {}

    def walk(value, place):
        if isinstance(value, dict):
            for key, child in value.items():
                found[place, "keys"] = found.get((place, "keys"), "") + "\n" + key
                walk(child, (place, key))
        elif isinstance(value, list):
            for child in value:
                walk(child, place)
        elif isinstance(value, str):
            found[place] = found.get(place, "") + value

    for value in values:
        walk(value, ())
    return list(found.values())


def shows(answer):
    said = texts(events(answer))
    return any(word in text for text in said for word in ("zebra", "crossing", HIDDEN))


def finish(answer):
    ends = [
        choice["finish_reason"]
        for event in events(answer)
        for choice in event.get("choices", [])
        if choice.get("finish_reason")
    ]
    return ends[-1] if ends else None


def prompt_tokens(server, body):
    return server.ask(body, False).json()["usage"]["prompt_tokens"]


def without(value):
    """The same request with other words in the place of the forbidden ones."""
    text = json.dumps(value)
    for word in (BAD, HIDDEN, json.dumps(HIDDEN)[1:-1], ONE_WORD):
        text = text.replace(word, "x")
    return json.loads(text)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("where", ["local", "remote"])
@pytest.mark.parametrize("name, fate, body", REQUESTS, ids=[r[0] for r in REQUESTS])
def test_request(request, name, fate, body, where, stream):
    server = request.getfixturevalue(where)
    if server.upstream:
        server.upstream.requests.clear()
    answer = server.ask(body, stream)
    sent = json.dumps(server.upstream.requests) if server.upstream else "[]"
    if fate == "judged":
        assert answer.status_code == 200, answer.text
        assert finish(answer) == "content_filter", answer.text
        assert sent == "[]"
    elif fate == "refused":
        assert answer.status_code == 400, answer.text
        assert sent == "[]"
    else:
        assert answer.status_code == 200, answer.text
        assert finish(answer) in ("stop", "length"), answer.text
        assert "zebra" not in sent and "crossing" not in sent
        assert not shows(answer)
        if not server.upstream:
            assert prompt_tokens(server, body) == prompt_tokens(server, without(body))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name, fate, body", COMPLETIONS, ids=[r[0] for r in COMPLETIONS])
def test_completion(request, name, fate, body, stream):
    test_request(request, name, fate, body, "local", stream)


def test_rows_are_right(local, remote):
    """Without the words, what is judged passes: it is they that were found."""
    for name, fate, body in REQUESTS + COMPLETIONS:
        if fate == "judged":
            server = local if "prompt" in body else remote
            answer = server.ask(without(body), False)
            # A name or an id of one letter breaks no rule either.
            assert answer.status_code == 200, (name, answer.text)
            assert finish(answer) != "content_filter", name


# ---- what an upstream says ----


def delta(finish=None, index=0, **fields):
    return {"choices": [{"index": index, "delta": fields, "finish_reason": finish}]}


def call_delta(index=0, finish=None, **fields):
    return delta(finish, tool_calls=[{"index": index, **fields}])


def call(id="c1", name="look", arguments="{}"):
    """A whole call, its name and arguments over several deltas."""
    half, quarter = len(name) // 2, len(arguments) // 2
    return [
        call_delta(id=id, type="function", function={"name": name[:half]}),
        call_delta(function={"name": name[half:], "arguments": arguments[:quarter]}),
        call_delta(function={"arguments": arguments[quarter:]}, finish="tool_calls"),
    ]


def token(text, **fields):
    return {"token": text, "logprob": -0.5, "bytes": list(text.encode()), **fields}


def with_logprobs(said, *entries, key="content"):
    event = delta(content=said)
    event["choices"][0]["logprobs"] = {key: list(entries)}
    return [event, delta("stop")]


STOP = delta("stop")
HI = delta(content="Hi.")

ANSWERS = [
    ("content", "judged", [delta(content=BAD), STOP]),
    ("content in pieces", "judged", [delta(content=c) for c in BAD] + [STOP]),
    ("content of the last chunk", "judged", [HI, delta("stop", content=" " + BAD)]),
    ("a message instead of a delta", "judged", [
        {"choices": [{"index": 0, "message": {"content": BAD}, "finish_reason": "stop"}]}]),
    ("content of another index", "judged", [delta(content=BAD, index=1), STOP]),
    ("call name", "judged", call(name=ONE_WORD)),
    ("call arguments", "judged", call(arguments=json.dumps({"place": BAD}))),
    ("call arguments, escaped", "judged", call(arguments='{"place": "%s"}' % HIDDEN)),
    ("key of call arguments", "judged", call(arguments=json.dumps({BAD: 1}))),
    ("call id", "judged", call(id=BAD)),
    ("second call", "judged", [
        call_delta(id="a", function={"name": "look", "arguments": "{}"}),
        call_delta(1, id="b", function={"name": "look", "arguments": '{"a":"%s"}' % BAD}),
        delta("tool_calls")]),
    # an error: the upstream does not keep to the protocol
    ("second choice", "refused", [
        {"choices": [delta(content="Hi.")["choices"][0], delta(content=BAD)["choices"][0]]}, STOP]),
    ("arguments that are not JSON", "refused", call(arguments=BAD)),
    ("an error", "refused", [{"error": {"message": BAD, "code": BAD}}]),
    ("no end", "refused", [delta(content="Hi.", thoughts=BAD)]),
    # not part of what a client gets, so none of it is sent
    ("content parts", "dropped", [delta(content=[{"type": "text", "text": BAD}]), HI, STOP]),
    ("reasoning_content", "dropped", [delta(reasoning_content=BAD), HI, STOP]),
    ("reasoning", "dropped", [delta(reasoning=BAD), HI, STOP]),
    ("refusal", "dropped", [delta(refusal=BAD), HI, STOP]),
    ("annotations", "dropped", [delta(annotations=[{"url": BAD}]), HI, STOP]),
    ("audio", "dropped", [delta(audio={"transcript": BAD}), HI, STOP]),
    ("role", "dropped", [delta(role=BAD), HI, STOP]),
    ("legacy function_call", "dropped", [
        delta(function_call={"name": "f", "arguments": BAD}), HI, STOP]),
    ("unknown field of a delta", "dropped", [delta(thoughts=BAD, **{BAD: 1}), HI, STOP]),
    ("unknown field of a choice", "dropped", [
        {"choices": [{"index": 0, "delta": {"content": "Hi."}, "note": BAD}]}, STOP]),
    ("unknown field of a call", "dropped", [
        call_delta(id="a", note=BAD, function={"name": "look", "arguments": "{}", "x": BAD}),
        delta("tool_calls")]),
    ("type of a call", "dropped", [
        call_delta(id="a", type=BAD, function={"name": "look", "arguments": "{}"}),
        delta("tool_calls")]),
    ("an event's own fields", "dropped", [
        {**HI, "id": BAD, "object": BAD, "model": BAD, "system_fingerprint": BAD,
         "service_tier": BAD, "usage": {"note": BAD}}, STOP]),
    ("finish_reason", "dropped", [HI, delta(BAD)]),
    # log probabilities are told of released text only
    ("a token that was not said", "dropped", with_logprobs("Hi.", token(BAD))),
    ("the bytes of a token", "dropped", with_logprobs("Hi.", {
        **token("Hi."), "bytes": list(BAD.encode())})),
    ("the name of a token", "dropped", with_logprobs("Hi.", {
        **token(BAD), "bytes": list(b"Hi.")})),
    ("a rival", "dropped", with_logprobs("Hi.", token("Hi.", top_logprobs=[token(BAD)]))),
    ("a rival that ends a match", "dropped", with_logprobs("zebra fish", token("zebra"),
        token(" fish", top_logprobs=[token(" crossing")]))),
    ("the name of a rival", "dropped", with_logprobs("Hi.", token("Hi.", top_logprobs=[
        {**token(BAD), "bytes": list(b"x")}]))),
    ("a rival too long for a token", "dropped", with_logprobs("Hi.", token("Hi.", top_logprobs=[
        token("long " * 30 + "zebra")]))),
    ("tokens of a refusal", "dropped", with_logprobs("Hi.", token(BAD), key="refusal")),
    ("unknown field of a token", "dropped", with_logprobs("Hi.", token("Hi.", note=BAD))),
]  # fmt: skip

TOOLS = tool()["tools"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("sse", [False, True], ids=["json", "sse"])
@pytest.mark.parametrize("name, fate, said", ANSWERS, ids=[r[0] for r in ANSWERS])
def test_answer(remote, name, fate, said, sse, stream):
    if not sse and len(said) > 1 and not mergeable(said):
        pytest.skip("needs several events")
    remote.upstream.raw = said if sse else merged(said)
    remote.upstream.sse = sse
    try:
        body = plain(
            tools=TOOLS, logprobs=True, top_logprobs=5, max_tokens=50
        )
        answer = remote.ask(body, stream)
    finally:
        remote.upstream.raw, remote.upstream.sse = None, True
    if fate == "judged":
        assert answer.status_code == 200, answer.text
        assert finish(answer) == "content_filter", answer.text
        assert "tool_calls" not in answer.text
    elif fate == "refused" and answer.status_code == 200:
        assert "error" in events(answer)[-1], answer.text
    elif fate == "refused":
        assert answer.status_code in (502, 503), answer.text
    else:
        assert answer.status_code == 200, answer.text
        assert finish(answer) in ("stop", "length", "tool_calls"), answer.text
    said_first = "zebra" if name == "a rival that ends a match" else None
    if said_first:
        assert "crossing" not in answer.text
    else:
        assert not shows(answer), answer.text


def mergeable(said):
    return all(len(event.get("choices", [])) == 1 for event in said)


def merged(said):
    """The answer of a server that does not stream: what the events come to."""
    if len(said) == 1 or not mergeable(said):
        return said[0]
    message, out = {}, {"index": 0, "finish_reason": None}
    whole = {"choices": [out]}
    for event in said:
        choice = event["choices"][0]
        whole.update({k: v for k, v in event.items() if k != "choices"})
        out.update({k: v for k, v in choice.items() if k != "delta" and v is not None})
        for key, value in choice.get("delta", choice.get("message", {})).items():
            add(message, key, value)
    out["message"] = message
    return whole


def add(message, key, value):
    if key == "tool_calls":
        calls = message.setdefault(key, [])
        for piece in value:
            while len(calls) <= piece.get("index", 0):
                calls.append({})
            for name, part in piece.items():
                if name == "function":
                    function = calls[piece.get("index", 0)].setdefault(name, {})
                    for k, v in part.items():
                        function[k] = function.get(k, "") + v
                else:
                    calls[piece.get("index", 0)][name] = part
    elif isinstance(value, str) and isinstance(message.get(key), str):
        message[key] += value
    else:
        message.setdefault(key, value)


@pytest.mark.parametrize("words", [BAD, "ZEBRA\u200b crossing", "ｚｅｂｒａ ｃｒｏｓｓｉｎｇ"])
def test_moderations(remote, words):
    for body in ({"input": words}, {"input": ["Hello", words]},
                 {"input": [{"type": "text", "text": words}]}):
        answer = remote.http.post("/v1/moderations", json=body)
        if answer.status_code == 400:
            continue  # a form that is not read
        assert any(r["flagged"] for r in answer.json()["results"]), (body, answer.text)
