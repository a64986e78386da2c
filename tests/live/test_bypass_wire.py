"""The bypass matrix of the Anthropic and the Ollama surfaces: as in
test_bypass.py, the same forbidden text in every field that a client can fill,
streamed and not. A new field of a surface is a new row."""

import json

import pytest

from conftest import Corral
from test_bypass import BAD, HIDDEN, ONE_WORD, POLICY, without

HELLO = {"role": "user", "content": "Hello"}

# ---- Anthropic ----


def turns(*list_, **fields):
    return {"messages": [*list_], **fields}


def block(type_, **fields):
    return {"type": type_, **fields}


def user(*blocks):
    return turns({"role": "user", "content": [*blocks]})


def assistant(*blocks):
    return turns(HELLO, {"role": "assistant", "content": [*blocks]}, HELLO)


def used(result="fine", name="look", id="c1", answers="c1", input=None, **fields):
    """A call in the conversation's past, and its result."""
    return turns(
        HELLO,
        {"role": "assistant", "content": [
            block("tool_use", id=id, name=name, input=input or {})]},
        {"role": "user", "content": [
            block("tool_result", tool_use_id=answers, content=result, **fields)]},
    )  # fmt: skip


def plain(**fields):
    return turns(HELLO, **fields)


def tool(name="look", description="Looks.", schema=None, **fields):
    return plain(tools=[{
        "name": name, "description": description,
        "input_schema": {"type": "object", **(schema or {})}, **fields}])  # fmt: skip


def argument(**schema):
    return tool(schema={"properties": {"place": {"type": "string", **schema}}})


TEXT = block("text", text=BAD)
FINE = block("text", text="b")

ANTHROPIC = [
    ("user", "judged", turns({"role": "user", "content": BAD})),
    ("system", "judged", plain(system=BAD)),
    ("system block", "judged", plain(system=[FINE, TEXT])),
    ("system turn", "judged", turns(HELLO, {"role": "system", "content": BAD})),
    ("first block", "judged", user(TEXT, FINE)),
    ("last block", "judged", user(FINE, TEXT)),
    ("assistant", "judged", turns(HELLO, {"role": "assistant", "content": BAD}, HELLO)),
    ("assistant block", "judged", assistant(TEXT)),
    ("prefill", "judged", turns(HELLO, {"role": "assistant", "content": BAD})),
    ("earlier turn", "judged", turns(
        {"role": "user", "content": BAD}, {"role": "assistant", "content": "No."}, HELLO)),
    ("text beside a result", "judged", turns(
        *used()["messages"][:2],
        {"role": "user", "content": [
            block("tool_result", tool_use_id="c1", content="fine"), TEXT]})),
    # shown to no model, but a client may yet send it to another
    ("thinking", "judged", assistant(block("thinking", thinking=BAD, signature="x"), FINE)),
    ("thinking alone", "judged", assistant(block("thinking", thinking=BAD, signature="x"))),
    ("signature of thinking", "dropped", assistant(
        block("thinking", thinking="hm", signature=BAD), FINE)),
    ("redacted thinking", "dropped", assistant(block("redacted_thinking", data=BAD), FINE)),
    ("citations of a text", "dropped", user({**FINE, "citations": [{"cited_text": BAD}]})),
    ("cache_control", "dropped", user({**FINE, "cache_control": {"type": BAD}})),
    ("unknown field of a block", "dropped", user({**FINE, "note": BAD})),
    ("unknown field of a turn", "dropped", turns({**HELLO, "note": BAD})),
    ("name of a turn", "dropped", turns({**HELLO, "name": BAD})),
    ("role", "refused", turns({"role": BAD, "content": "Hello"})),
    ("type of a block", "refused", user(block(BAD))),
    ("image", "refused", user(block("image", source={"type": "base64", "data": BAD}))),
    ("document", "refused", user(block("document", source={"type": "text", "data": BAD}))),
    ("search result", "refused", user(block("search_result", source=BAD, content=[TEXT]))),
    ("server tool use", "refused", assistant(block("server_tool_use", id="a", name=BAD, input={}))),
    ("tool_use of a user", "refused", user(block("tool_use", id="a", name=BAD, input={}))),
    ("thinking of a user", "refused", user(block("thinking", thinking=BAD))),
    ("content as an object", "refused", turns({"role": "user", "content": {"text": BAD}})),
    # calls and results
    ("call input", "judged", used(input={"place": BAD})),
    ("key of a call's input", "judged", used(input={BAD: 1})),
    ("deep in a call's input", "judged", used(input={"a": [[{"b": [BAD]}]]})),
    ("call name", "judged", used(name=BAD)),
    ("call id", "judged", used(id=BAD, answers=BAD)),
    ("id of no call", "refused", used(answers=BAD)),
    ("result", "judged", used(BAD)),
    ("block of a result", "judged", used([FINE, TEXT])),
    ("result that is an error", "judged", used(BAD, is_error=True)),
    ("image of a result", "refused", used([block("image", source={"data": BAD})])),
    ("input that is a text", "refused", used(input=BAD)),
    # tools
    ("tool description", "judged", tool(description=BAD)),
    ("tool name", "judged", tool(name=ONE_WORD)),
    ("tool name with a blank", "refused", tool(name=BAD)),
    ("name of a parameter", "judged", tool(schema={"properties": {BAD: {"type": "string"}}})),
    ("description of a parameter", "judged", argument(description=BAD)),
    ("enum of a parameter", "judged", argument(enum=["a", BAD])),
    ("const of a parameter", "judged", argument(const=BAD)),
    ("unknown key of a schema", "judged", argument(**{"x-note": BAD})),
    # no model is shown what is not in the schema
    ("input_examples", "dropped", tool(input_examples=[{"place": BAD}])),
    ("unknown field of a tool", "dropped", tool(note=BAD)),
    ("type of a tool", "refused", tool(type=BAD)),
    ("tool_choice", "refused", plain(tool_choice={"type": "tool", "name": BAD})),
    ("type of tool_choice", "refused", plain(tool_choice={"type": BAD})),
    # the rest
    ("format schema", "judged", plain(output_config={
        "format": {"type": "json_schema", "schema": {"enum": [BAD]}}})),
    ("type of a format", "refused", plain(output_config={"format": {"type": BAD}})),
    ("effort", "dropped", plain(output_config={"effort": BAD})),
    ("stop", "judged", plain(stop_sequences=["x", BAD])),
    ("model", "judged", plain(model=BAD)),
    ("mcp_servers", "refused", plain(mcp_servers=[{"url": BAD}])),
    ("container", "refused", plain(container=BAD)),
    ("metadata", "dropped", plain(metadata={"user_id": BAD})),
    ("thinking configuration", "dropped", plain(thinking={"type": BAD})),
    ("service_tier", "dropped", plain(service_tier=BAD)),
    ("unknown field", "dropped", plain(hint=BAD)),
]  # fmt: skip


# ---- Ollama ----


def say(role, content=BAD, **fields):
    return {"role": role, "content": content, **fields}


def called(result="fine", name="look", arguments=None, call=None, **fields):
    function = {"name": name, "arguments": arguments or {}}
    return turns(
        HELLO,
        say("assistant", "", tool_calls=[{"function": function, **(call or {})}]),
        say("tool", result, **fields),
    )


def declared(name="look", description="Looks.", schema=None, **fields):
    function = {
        "name": name,
        "description": description,
        "parameters": {"type": "object", **(schema or {})},
    }
    return plain(tools=[{"type": "function", "function": function, **fields}])


def option(**fields):
    return plain(options=fields)


OLLAMA = [
    ("user", "judged", turns(say("user"))),
    ("system", "judged", turns(say("system"), HELLO)),
    ("assistant", "judged", turns(HELLO, say("assistant"), HELLO)),
    ("prefill", "judged", turns(HELLO, say("assistant"))),
    ("earlier turn", "judged", turns(say("user"), say("assistant", "No."), HELLO)),
    ("thinking", "judged", turns(HELLO, say("assistant", "Hi.", thinking=BAD), HELLO)),
    # only an assistant thinks or calls
    ("thinking of a user", "dropped", turns(say("user", "Hello", thinking=BAD))),
    ("calls of a user", "dropped", turns(say("user", "Hello", tool_calls=[{"id": BAD}]))),
    ("unknown field of a message", "dropped", turns(say("user", "Hello", note=BAD))),
    ("role", "refused", turns(say(BAD, "Hello"))),
    ("image", "refused", turns(say("user", "Hello", images=[BAD]))),
    ("content as a list", "refused", turns(say("user", [{"type": "text", "text": BAD}]))),
    ("call arguments", "judged", called(arguments={"place": BAD})),
    ("key of call arguments", "judged", called(arguments={BAD: 1})),
    ("deep in call arguments", "judged", called(arguments={"a": [[{"b": [BAD]}]]})),
    ("call name", "judged", called(name=BAD)),
    ("call id", "judged", called(call={"id": BAD}, tool_call_id=BAD)),
    ("call id that its result leaves out", "judged", called(call={"id": BAD})),
    ("id of no call", "refused", called(tool_call_id=BAD)),
    ("result", "judged", called(BAD)),
    # it only finds the call
    ("tool name of a result", "refused", called(tool_name=BAD)),
    ("name of a result", "refused", called(name="look", **{"tool_name": BAD})),
    ("unknown field of a call", "dropped", called(call={"note": BAD})),
    ("arguments as a text", "refused", called(arguments=BAD)),
    ("tool description", "judged", declared(description=BAD)),
    ("tool name", "judged", declared(name=ONE_WORD)),
    ("tool name with a blank", "refused", declared(name=BAD)),
    ("name of a parameter", "judged", declared(schema={"properties": {BAD: {"type": "string"}}})),
    ("description of a parameter", "judged", declared(
        schema={"properties": {"a": {"type": "string", "description": BAD}}})),
    ("unknown field of a tool", "dropped", declared(note=BAD)),
    ("type of a tool", "refused", plain(tools=[{"type": BAD, "function": {"name": "f"}}])),
    ("format schema", "judged", plain(format={"enum": [BAD]})),
    ("format", "refused", plain(format=BAD)),
    ("think", "refused", plain(think=BAD)),
    ("stop", "judged", option(stop=["x", BAD])),
    ("unknown option", "dropped", option(hint=BAD)),
    ("model", "judged", plain(model=BAD)),
    ("keep_alive", "dropped", plain(keep_alive=BAD)),
    ("unknown field", "dropped", plain(hint=BAD)),
]  # fmt: skip


def prompt(**fields):
    return {"prompt": "Hello", **fields}


GENERATE = [
    ("prompt", "judged", prompt(prompt=BAD)),
    ("system", "judged", prompt(system=BAD)),
    ("format schema", "judged", prompt(format={"enum": [BAD]})),
    ("stop", "judged", prompt(options={"stop": [BAD]})),
    ("model", "judged", prompt(model=BAD)),
    ("template", "refused", prompt(template=BAD)),
    ("suffix", "refused", prompt(suffix=BAD)),
    ("context", "refused", prompt(context=[BAD])),
    ("image", "refused", prompt(images=[BAD])),
    ("think", "refused", prompt(think=BAD)),
    # not of this route
    ("messages", "dropped", prompt(messages=[say("user")])),
    ("tools", "dropped", prompt(tools=[{"type": BAD}])),
    ("unknown field", "dropped", prompt(hint=BAD)),
]


# ---- the surfaces ----


class Anthropic:
    path, rows = "/v1/messages", ANTHROPIC
    body = {"model": "m", "max_tokens": 1, "temperature": 0}

    @staticmethod
    def finish(answer):
        if not answer.headers["content-type"].startswith("text/event-stream"):
            return answer.json()["stop_reason"]
        events = [json.loads(l[6:]) for l in answer.text.split("\n") if l.startswith("data: ")]
        (delta,) = [e["delta"] for e in events if e["type"] == "message_delta"]
        return delta["stop_reason"]

    @staticmethod
    def prompt_tokens(answer):
        usage = answer.json()["usage"]
        return usage["input_tokens"] + usage["cache_read_input_tokens"]

    blocked, fine = "refusal", ("end_turn", "max_tokens", "tool_use")


class Ollama:
    path, rows = "/api/chat", OLLAMA
    body = {"model": "m", "options": {"num_predict": 1, "temperature": 0}}

    @staticmethod
    def finish(answer):
        return json.loads(answer.text.splitlines()[-1])["done_reason"]

    @staticmethod
    def prompt_tokens(answer):
        return answer.json()["prompt_eval_count"]

    blocked, fine = "content_filter", ("stop", "length")


class Generate(Ollama):
    path, rows = "/api/generate", GENERATE


ROWS = [(s, *row) for s in (Anthropic, Ollama, Generate) for row in s.rows]
IDS = [f"{s.__name__}-{row[0]}" for s in (Anthropic, Ollama, Generate) for row in s.rows]


class Server:
    def __init__(self, corral, upstream=None):
        self.http, self.upstream = corral.http, upstream

    def ask(self, surface, body, stream):
        whole = {**surface.body, "stream": stream, **body}
        if "options" in body:
            whole["options"] = {**surface.body["options"], **body["options"]}
        return self.http.post(surface.path, json=whole)


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


def has_words(text):
    return any(word in text for word in ("zebra", "crossing", HIDDEN))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("where", ["local", "remote"])
@pytest.mark.parametrize("surface, name, fate, body", ROWS, ids=IDS)
def test_request(request, surface, name, fate, body, where, stream):
    server = request.getfixturevalue(where)
    if server.upstream:
        server.upstream.requests.clear()
    answer = server.ask(surface, body, stream)
    sent = json.dumps(server.upstream.requests) if server.upstream else "[]"
    if fate == "judged":
        assert answer.status_code == 200, answer.text
        assert surface.finish(answer) == surface.blocked, answer.text
        assert sent == "[]"
    elif fate == "refused":
        assert answer.status_code == 400, answer.text
        assert sent == "[]"
    else:
        assert answer.status_code == 200, answer.text
        assert surface.finish(answer) in surface.fine, answer.text
        assert not has_words(sent) and not has_words(answer.text)
        if not server.upstream:
            one, other = (server.ask(surface, b, False) for b in (body, without(body)))
            assert surface.prompt_tokens(one) == surface.prompt_tokens(other)


@pytest.mark.parametrize("surface", [Anthropic, Ollama, Generate])
def test_rows_are_right(remote, surface):
    """Without the words, what is judged passes: it is they that were found."""
    for name, fate, body in surface.rows:
        if fate == "judged":
            answer = remote.ask(surface, without(body), False)
            assert answer.status_code == 200, (name, answer.text)
            assert surface.finish(answer) in surface.fine, name


SAID = [
    ("content", ["The ", BAD, "."]),
    ("content in pieces", list(BAD)),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("surface", [Anthropic, Ollama, Generate])
@pytest.mark.parametrize("name, pieces", SAID, ids=[s[0] for s in SAID])
def test_answer(remote, surface, name, pieces, stream):
    before, remote.upstream.pieces = remote.upstream.pieces, pieces
    try:
        body = prompt() if surface is Generate else plain()
        answer = remote.ask(surface, body, stream)
    finally:
        remote.upstream.pieces = before
    assert answer.status_code == 200, answer.text
    assert surface.finish(answer) == surface.blocked
    assert "crossing" not in answer.text


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("surface", [Anthropic, Ollama])
@pytest.mark.parametrize("arguments", [
    json.dumps({"place": BAD}), '{"place": "%s"}' % HIDDEN, json.dumps({BAD: 1})])
def test_call(remote, surface, arguments, stream):
    """A call of the model's, with the words in it."""
    function = {"name": "look", "arguments": arguments}
    delta = {"tool_calls": [{"index": 0, "id": "a", "function": function}]}
    remote.upstream.raw = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": "tool_calls"}]}]
    try:
        answer = remote.ask(surface, (tool if surface is Anthropic else declared)(), stream)
    finally:
        remote.upstream.raw = None
    assert answer.status_code == 200, answer.text
    assert surface.finish(answer) == surface.blocked
    assert "zebra" not in answer.text and "look" not in answer.text


def test_thinking_is_shown_to_no_model(local):
    """Thoughts of the past are judged and then left out."""
    with_ = assistant(block("thinking", thinking="hm " * 9, signature="x"), FINE)
    asked = [local.ask(Anthropic, body, False) for body in (with_, assistant(FINE))]
    assert Anthropic.prompt_tokens(asked[0]) == Anthropic.prompt_tokens(asked[1])


def test_count_tokens(local, remote):
    """Only a number comes back, and nothing goes anywhere."""
    body = {"model": "m", **turns({"role": "user", "content": BAD})}
    answer = local.http.post("/v1/messages/count_tokens", json=body)
    assert set(answer.json()) == {"input_tokens"}
    remote.upstream.requests.clear()
    assert remote.http.post("/v1/messages/count_tokens", json=body).status_code == 400
    assert remote.upstream.requests == []
