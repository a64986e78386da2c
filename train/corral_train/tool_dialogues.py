"""Conversations with tools, as the engine's ChatML template writes them
(agent/template_chatml.c): what is learned are the assistant's turns. One list of
tools serves several requests, since it is most of the tokens."""
import json
import os
import random

from . import tool_builtin, tool_catalogue
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
CHAINED_WEB = ["Search the web for {words} and open the first result.", "Find a page about {words} and read it.",
               "Look up {words} online, then tell me what the first hit says.",
               "Google {words} and summarise the top page."]
CHAINED_SUM = [("How many rows does {table} have, times {by}?", "*"),
               ("Take the number of {table} in the database and divide it by {by}.", "/"),
               ("Count the entries of the table {table} and add {by}.", "+"),
               ("Each of the {table} rows costs {by} cents. What do all cost?", "*")]
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


def chained(own, rng):
    """A request of two steps: the second call needs what the first one found."""
    search, fetch = own.get("web_search"), own.get("web_fetch")
    query, sums = own.get("sql_query"), own.get("calculator")
    if search and fetch and (not (query and sums) or rng.random() < 0.5):
        words, title, url, text = rng.choice(search.requests.web)
        said = rng.choice(CHAINED_WEB).format(words=words)
        first = (search, {search.key: words}, f"1. {title}\n   {url}\n   {text[:24]}...\n")
        second = (fetch, {fetch.key: url}, f"{url}\n\n# {title}\n\n{text}")
        answer = f"{text} ({url})"
    elif query and sums:
        table = rng.choice(tool_builtin.DATABASES[query.database]).split()[2]
        count, by = rng.randint(3, 400), rng.randint(2, 40)
        said, sign = rng.choice(CHAINED_SUM)
        said = said.format(table=table, by=by)
        first = (query, {query.key: f"SELECT count(*) FROM {table}"}, f"count(*)\n{count}")
        total = tool_builtin.calculated(f"{count} {sign} {by}")
        second = (sums, {sums.key: f"{count} {sign} {by}"}, total)
        answer = f"There are {count}, so that makes {total}."
    else:
        return None
    turns = [("user", spoken(said, rng), False)]
    for tool, arguments, result in (first, second):
        turns += [("assistant", call_text([(tool.name, arguments)]), True),
                  ("user", result_text([result]), False)]
    return turns + [("assistant", answer, True)]


def branch(offers, absent, plain, rng):
    """One way in which a conversation about these tools goes on."""
    what, turns = rng.random(), []
    asking = [o for o in offers if isinstance(o, Offer) and o.tool.missing]
    if what < 0.06:
        turns = chained({o.name: o for o in offers if isinstance(o, tool_builtin.Own)}, rng) or []
    elif what < 0.09 and asking:
        said, back = rng.choice(rng.choice(asking).tool.missing)
        turns = [("user", spoken(said, rng), False), ("assistant", back, True)]
    elif what < 0.14:
        turns = [("user", spoken(absent.request(rng)[0], rng), False),
                 ("assistant", rng.choice(NO_TOOL), True)]
    elif what < 0.30:
        p = rng.choice(plain)
        turns = [("user", p["question"], False), ("assistant", p["answer"], True)]
    if not turns:
        round_called(offers, rng, turns)
        if len(turns) == 4 and rng.random() < 0.4:
            turns = turns[:2]
    return turns


def tree(tools, plain, own, rng, count=24):
    """(system turn, [turns]): what is offered, most of the tokens, is read once,
    and each branch goes on from it as if there were no other."""
    declared, requests, others, chat = own
    if rng.random() < 0.7:
        mine = declared if rng.random() < 0.5 else rng.sample(declared, rng.randint(2, 6))
        drawn = rng.sample(others, rng.choice((0, 0, 1, 2, 3)) if len(mine) < 7 else rng.choice((0, 0, 0, 1, 2)))
        offers = [tool_builtin.Own(d, requests, rng) for d in mine] + [Offer(t, rng) for t in drawn]
        absent = Offer(rng.choice([t for t in others if t not in drawn]), rng)
        plain = plain + chat * 3
    else:
        drawn = rng.sample(tools, rng.choice((1, 2, 2, 3, 3, 4, 5, 6)) + 1)
        offers, absent = [Offer(t, rng) for t in drawn[:-1]], Offer(drawn[-1], rng)
    rng.shuffle(offers)
    lines = "".join("\n" + json.dumps(o.declaration(), ensure_ascii=False) for o in offers)
    return rng.choice(SYSTEMS) + BEFORE + lines + BEHIND, \
        [branch(offers, absent, plain, rng) for _ in range(count)]


def encode_turn(chat, role, text, learn):
    head, body = chat.open[role], chat.encode(text)
    return head + body + chat.close, [0] * len(head) + [int(learn)] * (len(body) + 1) + \
        [0] * (len(chat.close) - 1)


def encode_tree(chat, system, branches, limit=1536):
    """(token ids, 1 where the token is learned, positions, branch of each token,
    0 being the common beginning); whole branches up to the limit."""
    ids, learned = encode_turn(chat, "system", system, False)
    begin = len(ids)
    positions, part = list(range(begin)), [0] * begin
    for number, turns in enumerate(branches, 1):
        more, learn = [], []
        for role, text, wanted in turns:
            one, other = encode_turn(chat, role, text, wanted)
            more, learn = more + one, learn + other
        if len(ids) + len(more) > limit:
            continue
        ids, learned = ids + more, learned + learn
        positions += range(begin, begin + len(more))
        part += [number] * len(more)
    return ids, learned, positions, part


def encode(chat, turns, limit=1024):
    """A conversation, as encode_tree() has a tree with one branch."""
    ids, learned = [], []
    for role, text, learn in turns:
        one, other = encode_turn(chat, role, text, learn)
        if len(ids) + len(one) > limit:
            break
        ids, learned = ids + one, learned + other
    return ids, learned, list(range(len(ids))), [0] * len(ids)


def draw(seed, chat, which="catalogue"):
    """An endless row of conversations and trees, encoded."""
    tools, plain, rng = tool_catalogue.read(which), plain_answers(), random.Random(seed)
    own = tool_builtin.read(), tool_builtin.Requests(), tool_builtin.others(tools), tool_builtin.plain()
    while True:
        if rng.random() < 0.75:
            yield encode_tree(chat, *tree(tools, plain, own, rng))
        else:
            yield encode(chat, dialogue(tools, plain, rng))
