"""A refusal speaks the language of the user, in every dialect."""

import pytest

from conftest import RULES, Corral, stop_clean

SAYS = {"en": "No.", "it": "Non posso.", "de": "Das geht nicht.", "th": "ไม่ได้"}
ASKS = {
    "en": "Tell me about the zebra crossing",
    "it": "Parlami della zebra crossing, che cosa è?",
    "de": "Was ist eine zebra crossing und wie sieht sie aus?",
    "th": "zebra crossing คืออะไร ช่วยอธิบายหน่อย",
    "fr": "Qu'est-ce que c'est, une zebra crossing ?",  # which the policy lacks
}


@pytest.fixture(scope="module")
def server(policies):
    text = RULES.split("messages:")[0] + "messages:\n  block:\n"
    text += "".join(f"    {k}: {v}\n" for k, v in SAYS.items())
    corral = Corral("--policy", policies("languages", text))
    yield corral
    stop_clean(corral)


def said(server, path, body):
    r = server.http.post(path, json={"model": "x", **body})
    assert r.status_code == 200, r.text
    return r.text


@pytest.mark.parametrize("language", ASKS)
def test_dialects(server, language):
    ask, want = ASKS[language], SAYS.get(language, SAYS["en"])
    turns = {"messages": [{"role": "user", "content": ask}], "max_tokens": 8}
    for path, body in [
        ("/v1/chat/completions", turns),
        ("/v1/chat/completions", {**turns, "stream": True}),
        ("/v1/messages", turns),
        ("/v1/responses", {"input": ask}),
        ("/v1/completions", {"prompt": ask}),
        ("/api/chat", {**turns, "stream": False}),
        ("/api/generate", {"prompt": ask, "stream": False}),
    ]:
        assert want in said(server, path, body), path


def test_last_user_turn(server):
    turns = [
        {"role": "system", "content": "You are helpful, and that is what you are for."},
        {"role": "user", "content": "How are you? What do you do for a living?"},
        {"role": "assistant", "content": "I am fine, what about you?"},
        {"role": "user", "content": ASKS["it"]},
    ]
    assert SAYS["it"] in said(server, "/v1/chat/completions", {"messages": turns})
    # A turn that shows none leaves it to the one before.
    turns += [{"role": "assistant", "content": "!"}, {"role": "user", "content": "zebra crossing"}]
    assert SAYS["it"] in said(server, "/v1/chat/completions", {"messages": turns})
