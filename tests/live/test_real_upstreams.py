"""Servers that others wrote behind Corral: llama-cpp-python's, and LiteLLM's
proxy before it. Skipped where tests/live/upstreams/setup has not been run."""

import os
import socket
import subprocess

import anthropic
import httpx2 as httpx
import openai
import pytest

from conftest import HOME, RULES, until

VENV = os.environ.get("CORRAL_UPSTREAMS", HOME / "upstreams-venv")
PYTHON = os.path.join(VENV, "bin", "python")
MODEL = HOME / "SmolLM2-135M-Instruct.Q4_1.gguf"
ASK = {"max_tokens": 12, "temperature": 0, "messages": [{"role": "user", "content": "Say hello."}]}


def has(module):
    return (
        os.path.exists(PYTHON)
        and subprocess.run([PYTHON, "-c", f"import {module}"], capture_output=True).returncode == 0
    )


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answers(url):
    try:
        return httpx.get(url, timeout=1).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def llama():
    if not has("llama_cpp.server"):
        pytest.skip("tests/live/upstreams/setup has not been run")
    port = free_port()
    # `logits_all` lets it tell log probabilities.
    arguments = ["--model", MODEL, "--port", port, "--n_ctx", 1024, "--logits_all", "true", "--verbose", "false"]
    process = subprocess.Popen(
        [PYTHON, "-m", "llama_cpp.server", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://localhost:{port}/v1"
    assert until(lambda: answers(url + "/models"), 60)
    yield url
    process.terminate()
    process.wait(20)


@pytest.fixture(scope="module")
def litellm(llama, tmp_path_factory):
    if not has("litellm.proxy.proxy_server"):
        pytest.skip("tests/live/upstreams/setup has not been run")
    config = tmp_path_factory.mktemp("litellm") / "config.yaml"
    config.write_text(
        "model_list:\n"
        "  - model_name: m\n"
        f"    litellm_params: {{model: openai/m, api_base: {llama}, api_key: unused}}\n"
    )
    port = free_port()
    process = subprocess.Popen(
        [os.path.join(VENV, "bin", "litellm"), "--config", config, "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    assert until(lambda: answers(url + "/health/liveliness"), 90)
    yield url + "/v1"
    process.terminate()
    process.wait(20)


@pytest.fixture(params=["llama", "litellm"])
def server(request, policies, start):
    url = request.getfixturevalue(request.param)
    return start("--policy", policies("live", RULES), "--upstream", url)


def text_of(chunks):
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def test_answer(server):
    whole = server.client.chat.completions.create(model="m", **ASK)
    assert whole.choices[0].message.content and whole.choices[0].finish_reason == "length"
    # llama-cpp-python counts no tokens of a stream, so there the usage is zero.
    chunks = list(server.client.chat.completions.create(model="m", stream=True, **ASK))
    assert text_of(chunks) == whole.choices[0].message.content
    assert len({c.id for c in chunks}) == 1


def test_logprobs(server):
    """Where they are told, the tokens spell the answer."""
    answer = server.client.chat.completions.create(model="m", logprobs=True, top_logprobs=2, **ASK)
    choice = answer.choices[0]
    if choice.logprobs:
        told = b"".join(bytes(t.bytes) for t in choice.logprobs.content)
        assert told.decode() == choice.message.content


def test_refused(server):
    ask = {**ASK, "messages": [{"role": "user", "content": "the zebra crossing"}]}
    answer = server.client.chat.completions.create(model="m", **ask)
    assert answer.choices[0].finish_reason == "content_filter"
    assert answer.choices[0].message.content == "I can't help with that."


def test_stop(server):
    whole = server.client.chat.completions.create(model="m", **ASK).choices[0].message.content
    word = whole.split()[1]
    cut = server.client.chat.completions.create(model="m", stop=[word], **ASK).choices[0]
    assert cut.finish_reason == "stop" and cut.message.content == whole[: whole.index(word)]


def test_other_apis(server):
    claude = anthropic.Anthropic(base_url=server.url, api_key="unused", max_retries=0)
    message = claude.messages.create(model="m", max_tokens=12, messages=ASK["messages"])
    assert message.content[0].text and message.stop_reason == "max_tokens"
    response = server.client.responses.create(model="m", input="Say hello.", max_output_tokens=12)
    assert response.output_text and response.status == "incomplete"


def test_its_error_is_ours(server):
    """It was not started for embeddings, and says so with a 500 of its own."""
    with pytest.raises(openai.InternalServerError) as caught:
        server.client.embeddings.create(model="m", input="hi", encoding_format="float")
    assert caught.value.status_code == 502
