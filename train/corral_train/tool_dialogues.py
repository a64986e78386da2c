"""Conversations with tools, as the engine's ChatML template writes them
(agent/template_chatml.c): what is learned are the assistant's turns. One list of
tools serves several requests, since it is most of the tokens."""
import json
import os
import random

from . import tool_catalogue
from .tool_catalogue import Offer

SYSTEMS = ["You are a helpful AI assistant named SmolLM, trained by Hugging Face",
           "You are a helpful AI assistant named SmolLM, trained by Hugging Face",
           "You are a helpful assistant.", "You help the customers of a shop.",
           "Answer in short sentences.", "You are the voice of a smart home."]
BEFORE = "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n" \
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>"
BEHIND = "\n</tools>\n\nFor each function call, return a json object with function name and " \
    "arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": " \
    "<function-name>, \"arguments\": <args-json-object>}\n</tool_call>"
LEADS = ["", "", "", "", "", "Please ", "Hey, ", "Hi! ", "Can you help? ", "OK, ", "One more thing: ",
         "And ", "Quick question: ", "I'd like to know: "]
TAILS = ["", "", "", "", "", " Thanks!", " Thank you.", " It's urgent."]
OWN = 0.25  # share of the conversations with two tools or more
JOINTS = [" Also: ", " And ", " Then: ", " ", " After that: ", " And one more: "]
NO_TOOL = ["I'm sorry, none of my tools can do that.", "I have no tool for that, sorry.",
           "I can't do that with the tools that I have."]
FAILED = ["error: the service did not answer", "error: not found", "error: permission denied",
          "error: too many requests"]
SORRY = ["That did not work: {why}.", "I could not do it: {why}.", "Sorry, the tool failed: {why}."]


def own_first(tools, drawn, rng):
    """Corral's own pair is offered more often than chance has it: a product asked
    for with "times" must not be a question about the time."""
    own = [t for t in tools if t.names[0] in ("calculator", "time")]
    others = [t for t in drawn if t not in own]
    offered = own + others[:max(0, len(drawn) - 3)]
    rng.shuffle(offered)
    return offered + others[-1:]


def plain_answers():
    with open(f"{os.path.dirname(__file__)}/tools/plain.jsonl", encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def spoken(text, rng):
    """The same request as another person would type it."""
    lead = rng.choice(LEADS)
    if lead and lead[-2] != ":" and text[:2].istitle() is False and lead == "Please ":
        lead = ""
    text = lead + text + rng.choice(TAILS)
    if rng.random() < 0.12:
        text = text.rstrip("?.!")
    return text


def call_text(calls):
    return "\n".join("<tool_call>\n" + json.dumps({"name": name, "arguments": arguments},
                                                  ensure_ascii=False) + "\n</tool_call>"
                     for name, arguments in calls)


def result_text(results):
    return "\n".join(f"<tool_response>\n{r}\n</tool_response>" for r in results)


def round_called(offers, rng, turns):
    """One request (now and then two in one), its calls, results and answer."""
    chosen = [rng.choice(offers)]
    if rng.random() < 0.12:  # twice the same tool is as likely as another
        chosen.append(rng.choice(chosen + offers) if rng.random() < 0.5 else rng.choice(offers))
    parts = [(o, *o.request(rng)) for o in chosen]
    turns.append(("user", spoken(rng.choice(JOINTS).join(p[1] for p in parts), rng), False))
    turns.append(("assistant", call_text([(o.name, a) for o, _, a, _, _ in parts]), True))
    if len(parts) == 1 and rng.random() < 0.06:
        why = rng.choice(FAILED)
        turns.append(("user", result_text([why]), False))
        turns.append(("assistant", rng.choice(SORRY).format(why=why[7:]), True))
        return
    turns.append(("user", result_text([r for *_, r, _ in parts]), False))
    turns.append(("assistant", " ".join(answer for *_, answer in parts), True))


def dialogue(tools, plain, rng, rounds_max=6):
    """[(role, text, learned)], the first being the system turn."""
    count = rng.choice((1, 1, 2, 2, 3, 3, 4, 5, 6))
    drawn = rng.sample(tools, count + 1)
    if count > 1 and rng.random() < OWN:
        drawn = own_first(tools, drawn, rng)
    offers = [Offer(t, rng) for t in drawn[:count]]
    absent = Offer(drawn[-1], rng)
    lines = "".join("\n" + json.dumps(o.declaration(), ensure_ascii=False) for o in offers)
    turns = [("system", rng.choice(SYSTEMS) + BEFORE + lines + BEHIND, False)]
    for _ in range(rng.randint(1, rounds_max)):
        what = rng.random()
        asking = [o for o in offers if o.tool.missing]
        if what < 0.64:
            round_called(offers, rng, turns)
        elif what < 0.69 and asking:
            said, back = rng.choice(rng.choice(asking).tool.missing)
            turns += [("user", spoken(said, rng), False), ("assistant", back, True)]
        elif what < 0.76:
            turns += [("user", spoken(absent.request(rng)[0], rng), False),
                      ("assistant", rng.choice(NO_TOOL), True)]
        else:
            p = rng.choice(plain)
            turns += [("user", p["question"], False), ("assistant", p["answer"], True)]
    return turns


def encode(chat, turns, limit=1024):
    """(token ids, 1 where the token is learned); whole turns up to the limit."""
    ids, learned = [], []
    for role, text, learn in turns:
        head = chat.open[role]
        body = chat.encode(text)
        more = head + body + chat.close
        if len(ids) + len(more) > limit:
            break
        ids += more
        learned += [0] * len(head) + [int(learn)] * (len(body) + 1) + \
            [0] * (len(chat.close) - 1)
    return ids, learned


def draw(seed, which="catalogue"):
    """An endless row of conversations."""
    tools, plain, rng = tool_catalogue.read(which), plain_answers(), random.Random(seed)
    while True:
        yield dialogue(tools, plain, rng)
