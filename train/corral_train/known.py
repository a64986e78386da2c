"""What a guard already knows of the rows by hand, so that a further stage of
training spends its tokens on the rest.

`python -m corral_train.known` prints the rows as `corral check --jsonl` reads
them; `fit --known` takes its verdicts. (Source of the idea: selective backprop,
Jiang et al. 2019, arXiv 1910.00762.)
"""
import hashlib
import json
import sys

from . import written

# Of a row that the guard gets wholly right, of an unjudged one, of a wholly wrong one.
KNOWN, UNJUDGED, WRONG = 0.25, 1.0, 2.0


def key(row):
    return hashlib.sha256(f"{row['prompt']}\0{row['response'] or ''}".encode()).hexdigest()[:16]


def rates(rows, path):
    """A rate of the draw for each row, from the verdicts at `path`."""
    with open(path, encoding="utf-8") as f:
        verdicts = {v["id"]: v for v in map(json.loads, f)}
    out = []
    for r in rows:
        v = verdicts.get(key(r)) if r["source"].startswith("written_") else None
        if v is None:
            out.append(UNJUDGED)
            continue
        unsafe = abs((r["label"] == "unsafe") - v["score"])
        injection = abs(bool(r["injection"]) - v["categories"].get("INJ", 0))
        out.append(KNOWN + (WRONG - KNOWN) * max(unsafe, injection))
    return out


def main():
    for r in written.rows():
        row = {"id": key(r), "prompt": r["prompt"]}
        if r["response"]:
            row["response"] = r["response"]
        json.dump(row, sys.stdout, ensure_ascii=False)
        print()


if __name__ == "__main__":
    main()
