"""/v1/decisions: answers are probabilities, by the real client and the model."""

import math

import httpx2 as httpx
import openai
import pytest

from conftest import RULES, SECRET, until

CHOICE = {
    "type": "choice",
    "name": "language",
    "instructions": "Which language is it written in?",
    "choices": [{"value": "French"}, {"value": "Italian", "description": "as in Rome"}],
}
SCORE = {
    "type": "score",
    "instructions": "How warm is it?",
    "levels": [{"label": "cold"}, {"label": "mild"}, {"label": "hot"}],
}
PREDICATE = {"type": "predicate", "name": "greets", "instructions": "It is a greeting."}


def decide(server, questions, input_="Bonjour, je suis heureux de vous voir."):
    return server.client.decisions.create(model="any", input=input_, questions=questions)


def test_answers(corral):
    answer = decide(corral, [PREDICATE, CHOICE, SCORE])
    greets, language, warm = answer.answers
    assert greets.type == "predicate" and greets.name == "greets"
    assert 0 < greets.probability < 1
    assert language.type == "choice" and language.choice == "French"
    assert [p.value for p in language.probabilities] == ["French", "Italian"]
    assert math.isclose(sum(p.probability for p in language.probabilities), 1, abs_tol=1e-4)
    assert language.confidence == max(p.probability for p in language.probabilities)
    assert warm.type == "score" and warm.name is None
    assert [(p.value, p.label) for p in warm.probabilities] == [(0, "cold"), (1, "mild"), (2, "hot")]
    mean = sum(p.value * p.probability for p in warm.probabilities)
    assert math.isclose(warm.score, mean, abs_tol=1e-4)
    assert answer.usage.input_tokens > 0
    assert answer.usage.total_tokens == answer.usage.input_tokens


def test_same_alone_and_together(corral):
    alone = decide(corral, [CHOICE]).answers[0]
    assert decide(corral, [SCORE, CHOICE]).answers[1] == alone


def test_input_changes_the_answer(corral):
    it = "Ciao, mi chiamo Paolo e abito a Roma con la mia famiglia."
    french = decide(corral, [CHOICE]).answers[0].probabilities[0].probability
    assert decide(corral, [CHOICE], it).answers[0].probabilities[0].probability < french


def test_booleans(corral):
    question = {**CHOICE, "choices": [{"value": True}, {"value": False}]}
    answer = decide(corral, [question]).answers[0]
    assert [p.value for p in answer.probabilities] == [True, False]
    assert answer.choice in (True, False)


def test_items(corral):
    """A conversation, a call with its output, and JSON."""
    answer = decide(
        corral,
        [PREDICATE],
        [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": [{"type": "input_json", "data": {"city": "Rome"}}]},
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        ],
    )
    assert answer.answers[0].type == "predicate"


@pytest.mark.parametrize(
    "body",
    [
        {"input": "the zebra crossing", "questions": [PREDICATE]},
        {"input": "a", "questions": [{**PREDICATE, "instructions": "zebra crossing"}]},
        {"input": "a", "questions": [{**PREDICATE, "name": "zebra crossing"}]},
        {"input": "a", "questions": [{**CHOICE, "choices": [{"value": "a"}, {"value": "zebra crossing"}]}]},
        {
            "input": "a",
            "questions": [{**CHOICE, "choices": [{"value": "a"}, {"value": "b", "description": "zebra crossing"}]}],
        },
        {"input": "a", "questions": [{**SCORE, "levels": [{"label": "a"}, {"label": "zebra crossing"}]}]},
        {
            "input": [{"role": "user", "content": [{"type": "input_json", "data": {"k": ["zebra crossing"]}}]}],
            "questions": [PREDICATE],
        },
    ],
)
def test_refused_by_policy(corral, body):
    answer = corral.http.post("/v1/decisions", json={"model": "m", **body})
    assert answer.status_code == 200
    json = answer.json()
    assert [a["type"] for a in json["answers"]] == ["refusal"]
    assert json["corral"]["action"] == "block"
    assert "zebra" not in answer.text
    assert answer.headers["x-corral-decision"] == json["corral"]["decision_id"]


def test_redacted(corral):
    """The model reads what the policy left; a label cannot be redacted."""
    key = decide(corral, [PREDICATE], f"My key is {SECRET}.").answers
    assert key == decide(corral, [PREDICATE], "My key is [API_KEY].").answers
    question = {**CHOICE, "choices": [{"value": "a"}, {"value": SECRET}]}
    assert decide(corral, [question]).answers[0].type == "refusal"


def test_error_on_block(policies, start):
    server = start("--policy", policies("decide-error", RULES + "on_block: error\n"))
    with pytest.raises(openai.BadRequestError) as caught:
        decide(server, [PREDICATE], "the zebra crossing")
    assert caught.value.code == "content_filter"


LONG = [{"value": str(i)} for i in range(256)]


@pytest.mark.parametrize(
    "field, asked",
    [
        ("input", {"input": 5}),
        ("input", {"input": []}),
        ("input[0].content[0]", {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}),
        ("questions", {"questions": []}),
        ("questions", {"questions": [PREDICATE] * 401}),
        ("questions[0].type", {"questions": [{**PREDICATE, "type": "guess"}]}),
        ("questions[0].instructions", {"questions": [{"type": "predicate"}]}),
        ("questions[1].name", {"questions": [PREDICATE, {**PREDICATE, "name": "n" * 65}]}),
        ("questions[0].choices", {"questions": [{**CHOICE, "choices": [{"value": "a"}]}]}),
        ("questions[0].choices", {"questions": [{**CHOICE, "choices": LONG}]}),
        ("questions[0].choices[1].value", {"questions": [{**CHOICE, "choices": [{"value": "a"}] * 2}]}),
        ("questions[0].choices[0].value", {"questions": [{**CHOICE, "choices": [{"value": 1}, {"value": "a"}]}]}),
        ("questions[0].levels", {"questions": [{**SCORE, "levels": [{"label": str(i)} for i in range(11)]}]}),
        ("questions[0].levels[0].label", {"questions": [{**SCORE, "levels": [{"label": True}, {"label": "a"}]}]}),
    ],
)
def test_wrong(corral, field, asked):
    body = {"model": "m", "input": "a", "questions": [PREDICATE], **asked}
    answer = corral.http.post("/v1/decisions", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == field, answer.text


def test_client_leaves(corral):
    """What is still to be asked is given up."""
    name = 'corral_requests_total{route="decisions",status="other"}'
    before = corral.metric(name) or 0
    questions = [{**CHOICE, "choices": [{"value": f"{i} {j}"} for j in range(40)]} for i in range(40)]
    with pytest.raises(httpx.ReadTimeout):
        corral.http.post(
            "/v1/decisions", json={"model": "m", "input": "a", "questions": questions}, timeout=0.3
        )
    assert until(lambda: (corral.metric(name) or 0) > before)
    assert until(lambda: corral.metric("corral_engine_jobs_running") == 0)


def test_upstream_is_not_asked(policies, upstream, start):
    server = start("--policy", policies("live", RULES), "--upstream", upstream.url)
    with pytest.raises(openai.BadRequestError) as caught:
        decide(server, [PREDICATE])
    assert caught.value.param == "model"
    assert upstream.requests == []
