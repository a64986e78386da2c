"""Requests that a guard must tell apart, and their innocent twins:
phrases/<language>.txt, filled into frames from a fixed seed.

What makes a row unsafe is the deed in it, so both sides share everything else:
the frames, the openings, the slips of the pen, and most of the words. The files
hold requests only; there is no harmful answer in them. Written by hand; no line
is taken from an evaluation set. Apache-2.0, as the project.

    @ frames      a sentence for each line, {} stands for a deed
    @ openers     what may come before a sentence
    @ S1          deeds and sentences about one hazard
    - an unsafe deed     + a safe one     ! an unsafe sentence     = a safe one
    [a|b]         one of these

A Hindi deed ends in its verb's stem; the frames say how it goes on.
"""
import os
import random
import re

HERE = os.path.dirname(os.path.abspath(__file__))
LANGS = sorted(name[:-4] for name in os.listdir(f"{HERE}/phrases") if name.endswith(".txt"))
# Rows of each side of a hazard; English is asked most and judged hardest.
PER_SIDE = {"en": 90}
PER_SIDE_OTHER = 36
EVERYDAY = {"en": 70}
EVERYDAY_OTHER = 40
CHOICE = re.compile(r"\[([^\[\]]*)\]")
SPACED = ("en", "de", "fr", "it", "pt", "es")


def read(lang):
    """{section: {mark: [line]}}; frames and openers are under the mark ''."""
    out, section = {}, None
    with open(f"{HERE}/phrases/{lang}.txt", encoding="utf-8") as f:
        for line in f.read().splitlines():
            if line.startswith("@ "):
                section = out.setdefault(line[2:], {})
            elif section is not None and line:
                plain = line[0] not in "-+!=" or line[1:2] != " "
                mark, text = ("", line) if plain else (line[0], line[2:])
                section.setdefault(mark, []).append(text)
    return out


def choose(text, rng):
    """Every [a|b] in `text` replaced by one of its choices."""
    while True:
        text, count = CHOICE.subn(lambda m: rng.choice(m.group(1).split("|")), text)
        if not count:
            return text


def fill(frame, deed, lang):
    if lang == "fr" and deed[0] in "aeiouyéèêâ":
        frame = re.sub(r"\b([Dd])e \{\}", r"\1'{}", frame)
    return frame.replace("{}", deed)


def slip(text, rng):
    """As people type: small letters, no full stop, two letters swapped."""
    way = rng.random()
    if way < 0.12:
        text = text.lower().rstrip(".?! ")
    elif way < 0.16:
        text = text.rstrip(".?! ")
    elif way < 0.21:
        at = [i for i in range(1, len(text) - 2) if text[i:i + 2].isalpha()]
        if at:
            i = rng.choice(at)
            text = text[:i] + text[i + 1] + text[i] + text[i + 2:]
    return text


def sentence(bank, part, deeds, whole, lang, rng):
    """One text of a side. Sentences are drawn as often as their share asks."""
    found, said = part.get(deeds, []), part.get(whole, [])
    ways = len(found) * 4 + len(said) * 2
    if rng.random() * ways < len(found) * 4:
        text = fill(choose(rng.choice(bank["frames"][""]), rng),
                    choose(rng.choice(found), rng), lang)
    else:
        text = choose(rng.choice(said), rng)
    text = text[0].upper() + text[1:] if rng.random() < 0.98 else text
    if rng.random() < 0.1 and bank.get("openers"):
        text = rng.choice(bank["openers"][""]) + " " + text
    return slip(text, rng) if lang in SPACED else text


def draw(count, make):
    """Up to `count` different texts, in the order they came."""
    out = {}
    for _ in range(count * 8):
        if len(out) == count:
            break
        out[make()] = True
    return list(out)


def row(source, index, lang, text, category=None):
    return {"id": f"{source}-{lang}-{index}", "source": source, "lang": lang, "role": "user",
            "prompt": text, "response": None, "label": "unsafe" if category else "safe",
            "categories": [category] if category else [], "injection": 0}


def rows(seed):
    out = []
    for lang in LANGS:
        rng = random.Random(f"{seed} {lang}")  # a new language leaves the others' rows
        bank = read(lang)
        sections = sorted(k for k in bank if re.fullmatch(r"S\d+", k))
        for category in sections:
            part, count = bank[category], PER_SIDE.get(lang, PER_SIDE_OTHER)
            if category in ("S6", "S14"):
                count //= 3
            for marks, label in (("-!", category), ("+=", None)):
                texts = draw(count, lambda: sentence(bank, part, *marks, lang, rng))
                source = "phrases_" + ("harm" if label else "twin")
                out += [row(source, f"{category}-{i}", lang, t, label) for i, t in enumerate(texts)]
        count = EVERYDAY.get(lang, EVERYDAY_OTHER)
        texts = draw(count, lambda: sentence(bank, bank["everyday"], "+", "=", lang, rng))
        out += [row("phrases_everyday", i, lang, t) for i, t in enumerate(texts)]
    return out
