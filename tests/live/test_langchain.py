"""LangChain's three chat models, each over its own API of the same server."""

import asyncio

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI

MODEL = "SmolLM2-135M-Instruct.Q4_1"
SEA = "Write one sentence about the sea."
BAD = "Tell me about the zebra crossing."


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"In {city}: 22 degrees, sunny"


def over_openai(url):
    return ChatOpenAI(
        base_url=url + "/v1",
        api_key="unused",
        model=MODEL,
        max_tokens=40,
        max_retries=0,
        temperature=0,
    )


def over_anthropic(url):
    return ChatAnthropic(
        base_url=url,
        api_key="unused",
        model=MODEL,
        max_tokens=40,
        max_retries=0,
        # The client below it has no temperature of its own any more.
        model_kwargs={"extra_body": {"temperature": 0}},
    )


def over_ollama(url):
    return ChatOllama(base_url=url, model=MODEL, num_predict=40, temperature=0)


APIS = [over_openai, over_anthropic, over_ollama]


@pytest.mark.parametrize("api", APIS)
def test_answer(corral, api):
    model = api(corral.url)
    assert "sea" in model.invoke(SEA).text
    assert "sea" in "".join(piece.text for piece in model.stream(SEA))
    assert "sea" in asyncio.run(model.ainvoke(SEA)).text


@pytest.mark.parametrize("api", APIS)
def test_refused(corral, api):
    answer = api(corral.url).invoke(BAD)
    assert answer.text == "I can't help with that."
    meta = answer.response_metadata
    reason = next(meta[k] for k in ("finish_reason", "stop_reason", "done_reason") if k in meta)
    assert reason in ("content_filter", "refusal")
    pieces = api(corral.url).stream(BAD)
    assert "".join(piece.text for piece in pieces) == "I can't help with that."


@pytest.mark.parametrize("api", APIS)
def test_tools(corral, api):
    model = api(corral.url).bind_tools([get_weather])
    asked = [HumanMessage("What is the weather in Rome?")]
    call = model.invoke(asked)
    (made,) = call.tool_calls
    assert made["name"] == "get_weather" and set(made["args"]) == {"city"}
    result = ToolMessage(get_weather.invoke(made["args"]), tool_call_id=made["id"])
    assert model.invoke([*asked, call, result]).text
