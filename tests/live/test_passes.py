"""What an upstream says of its answer goes through; what could carry a text
past the guard does not."""

import anthropic
import pytest

from conftest import RULES
from mock_upstream import chunk


@pytest.fixture()
def server(policies, upstream, start):
    return start("--policy", policies("live", RULES), "--upstream", upstream.url)


def answer(text="Hello.", finish="stop", usage=None, **top):
    """The events of a stream whose chunks have more at the top."""
    events = [chunk({"role": "assistant", "content": ""}), chunk({"content": text})]
    events.append(chunk({}, finish))
    if usage:
        events.append({**chunk({}), "choices": [], "usage": usage})
    return [{**event, **top} for event in events]


def ask(server, **options):
    return server.client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "hi"}], **options
    )


@pytest.mark.parametrize("stream", [False, True])
def test_origin(server, upstream, stream):
    upstream.raw = answer(id="chatcmpl-abc.1", created=1700000000, system_fingerprint="fp_9")
    chunks = list(ask(server, stream=True)) if stream else [ask(server)]
    assert {c.id for c in chunks} == {"chatcmpl-abc.1"}
    assert {c.created for c in chunks} == {1700000000}
    assert {c.system_fingerprint for c in chunks} == {"fp_9"}


@pytest.mark.parametrize(
    "said",
    ["zebra crossing", "a b", "x" * 129, 7, None, "", "é"],
)
def test_origin_without_a_text(server, upstream, said):
    """An id that is none: Corral's own takes its place."""
    upstream.raw = answer(id=said, created="x", system_fingerprint=said)
    got = ask(server)
    assert got.id.startswith("chatcmpl-") and len(got.id) == 33
    assert got.created > 1700000000
    assert got.system_fingerprint is None


def test_origin_is_judged(policies, upstream, start):
    """A rule sees it, however short it is."""
    rules = RULES.replace('any: ["zebra crossing"]', 'any: ["stripes-42"]')
    server = start("--policy", policies("ids", rules), "--upstream", upstream.url)
    upstream.raw = answer(id="stripes-42", system_fingerprint="fp.stripes-42")
    got = ask(server)
    assert got.id.startswith("chatcmpl-") and got.system_fingerprint is None


def test_own_ids_elsewhere(server, upstream):
    """An API that the upstream does not speak, and what is stored by its id."""
    upstream.raw = answer(id="up-7")
    got = server.client.responses.create(model="m", input="hi")
    assert got.id.startswith("resp_") and "up-7" not in got.id
    assert server.client.responses.retrieve(got.id).id == got.id


def test_usage_details(server, upstream):
    upstream.raw = answer(
        usage={
            "prompt_tokens": 9,
            "completion_tokens": 5,
            "total_tokens": 14,
            "prompt_tokens_details": {"cached_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 3},
        }
    )
    usage = ask(server).usage
    assert usage.prompt_tokens_details.cached_tokens == 4
    assert usage.completion_tokens_details.reasoning_tokens == 3
    usage = server.client.responses.create(model="m", input="hi").usage
    assert usage.output_tokens_details.reasoning_tokens == 3


@pytest.mark.parametrize("stream", [False, True])
def test_choices_are_judged_apart(server, upstream, stream):
    """Each of `n` is asked for by itself; one that is refused harms no other."""
    turns = iter([["Fine."], ["zebra", " crossing."], ["Good."]])
    upstream.choose = lambda: next(turns)
    got = ask(server, n=3, stream=stream)
    if stream:
        texts, ends = ["", "", ""], {}
        for c in got:
            for choice in c.choices:
                texts[choice.index] += choice.delta.content or ""
                ends[choice.index] = choice.finish_reason or ends.get(choice.index)
        ends = [ends[i] for i in range(3)]
    else:
        texts = [c.message.content for c in got.choices]
        ends = [c.finish_reason for c in got.choices]
    assert sorted(texts) == ["Fine.", "Good.", "I can't help with that."]
    assert ends[texts.index("I can't help with that.")] == "content_filter"
    assert ends.count("stop") == 2
    assert len(upstream.requests) == 3 and all("n" not in r for r in upstream.requests)


def sequences(server, stops, model="any", text="Count: one two three"):
    client = anthropic.Anthropic(base_url=server.url, api_key="unused", max_retries=0)
    return client.messages.create(
        model=model,
        max_tokens=48,
        messages=[{"role": "user", "content": text}],
        stop_sequences=stops,
    )


def test_stop_sequence_of_upstream(server, upstream):
    """vLLM names the one it met; one that nobody asked for is not passed on."""
    upstream.raw = answer()
    upstream.raw[-1]["choices"][0]["stop_reason"] = "END"
    got = sequences(server, ["STOP", "END"])
    assert (got.stop_reason, got.stop_sequence) == ("stop_sequence", "END")
    got = sequences(server, ["STOP"])
    assert (got.stop_reason, got.stop_sequence) == ("end_turn", None)


def test_stop_sequence_of_engine(corral):
    client = anthropic.Anthropic(base_url=corral.url, api_key="unused", max_retries=0)
    asked = dict(
        model="any", max_tokens=48, extra_body={"temperature": 0}, messages=[{"role": "user", "content": "Say hello."}]
    )
    whole = client.messages.create(**asked).content[0].text
    word = whole.split()[1]
    cut = client.messages.create(**asked, stop_sequences=["~never~", word])
    assert (cut.stop_reason, cut.stop_sequence) == ("stop_sequence", word)
    with client.messages.stream(**asked, stop_sequences=[word]) as stream:
        final = stream.get_final_message()
    assert (final.stop_reason, final.stop_sequence) == ("stop_sequence", word)
