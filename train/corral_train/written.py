"""Rows written one by one, by hand: written/<topic>-<language>.txt, a text a
line behind its mark, `\\n` for a line break. Apache-2.0, as the project; no line
is taken from an evaluation set, and no text tells how harm is done.

    S2 text             a harmful request or post (S1..S14)
    safe text           a harmless one
    INJ text            an injection; S2+INJ: a harmful one
    S2 text >>> answer  an answer of an assistant; the mark is the answer's

A tenth of the lines, drawn by their text, is held out: `held_out` tells how the
model does on words of this kind that it never saw.
"""
import hashlib
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
MARK = re.compile(r"(safe|S(?:[1-9]|1[0-4])|INJ)(\+INJ)? (.+)")


def parse(line):
    """A row without its id, source and language; ValueError names the line."""
    found = MARK.fullmatch(line)
    if not found:
        raise ValueError(f"no mark: {line[:60]}")
    mark, more, text = found.groups()
    prompt, _, answer = text.replace("\\n", "\n").partition(" >>> ")
    hazards = [mark] if mark[1:].isdigit() else []
    return {"role": "agent" if answer else "user", "prompt": prompt, "response": answer or None,
            "label": "unsafe" if hazards else "safe", "categories": hazards,
            "injection": int(mark == "INJ" or bool(more))}


def held(line):
    return hashlib.sha256(line.encode()).digest()[0] < 26


def read(want_held):
    out = []
    for name in sorted(os.listdir(f"{HERE}/written")):
        topic, lang = name[:-4].rsplit("-", 1)
        with open(f"{HERE}/written/{name}", encoding="utf-8") as f:
            for line in f.read().splitlines():
                if held(line) == want_held:
                    out.append({"id": f"written_{topic}-{lang}-{len(out)}",
                                "source": f"written_{topic}", "lang": lang, **parse(line)})
    return out


def rows():
    return read(False)


def held_out():
    return read(True)
