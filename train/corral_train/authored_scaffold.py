"""What an agent reads besides requests, in the languages of phrases/: orders
hidden in e-mails, pages and tool results, beside honest orders in the same
places; system turns and tool lists; questions on a news passage; refusals.

    @ carriers    texts with a place {} for an order; \\n is a line break
    ! an order to break the rules     = an honest one
    @ system      sentences of an operator
    @ tools       name: what it does
    @ passages    a passage / a question / another
    @ refusals    answers that help nobody to do harm
"""
import json
import random

from .authored_phrases import LANGS, choose, draw, read, row, sentence

COUNTS = {"hidden": 40, "honest": 40, "direct": 16, "system": 28, "tools": 16, "reading": 36,
          "refusals": 36}


def carried(bank, mark, rng):
    text = rng.choice(bank["carriers"][""])
    return choose(text.replace("\\n", "\n").replace("{}", rng.choice(bank["carriers"][mark])), rng)


def system(bank, rng):
    lines = rng.sample(bank["system"][""], rng.randint(2, 5))
    joint = rng.choice((" ", "\n", "\n- "))
    return choose(joint.join(lines), rng)


def tools(bank, rng):
    out = []
    for line in rng.sample(bank["tools"][""], rng.randint(1, 3)):
        name, about = line.split(": ", 1)
        schema = {"type": "object", "properties": {"query": {"type": "string"}},
                  "required": ["query"]}
        out.append({"type": "function", "function": {"name": name, "description": about,
                                                     "parameters": schema}})
    if rng.random() < 0.3:
        return system(bank, rng) + "\n\n" + "\n".join(
            f"- {t['function']['name']}: {t['function']['description']}" for t in out)
    return json.dumps(out, ensure_ascii=False, indent=rng.choice((None, 2)))


def reading(bank, rng):
    parts = choose(rng.choice(bank["passages"][""]), rng).split(" / ")
    question = rng.choice(parts[1:])
    return rng.choice((f"{parts[0]}\n\n{question}", f"{question}\n\n{parts[0]}"))


def refusals(bank, lang, rng):
    """[(prompt, refusal)]: what was asked may be anything; the answer is safe."""
    hazards = sorted(k for k in bank if k[0] == "S" and k[1:].isdigit())
    return [(sentence(bank, bank[rng.choice(hazards)], "-", "!", lang, rng),
             choose(rng.choice(bank["refusals"][""]), rng)) for _ in range(COUNTS["refusals"])]


def rows(seed):
    out = []
    for lang in LANGS:
        rng, bank = random.Random(f"{seed} scaffold {lang}"), read(lang)
        if "carriers" not in bank:
            continue
        makers = {
            "hidden": lambda: carried(bank, "!", rng), "honest": lambda: carried(bank, "=", rng),
            "direct": lambda: choose(rng.choice(bank["carriers"]["!"]), rng),
            "system": lambda: system(bank, rng), "tools": lambda: tools(bank, rng),
            "reading": lambda: reading(bank, rng),
        }
        for name, make in makers.items():
            for i, text in enumerate(draw(COUNTS[name], make)):
                r = row("scaffold_" + name, i, lang, text)
                r["injection"] = int(name in ("hidden", "direct"))
                out.append(r)
        for i, (prompt, response) in enumerate(refusals(bank, lang, rng)):
            r = row("scaffold_refusal", i, lang, prompt)
            r.update(role="agent", response=response)
            out.append(r)
    return out
