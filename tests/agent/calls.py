#!/usr/bin/env python3
"""How well the default model calls tools: a held-out set of tools, phrasings and
questions that its adapter never saw (train/corral_train/tools/held_out*.txt).

    tests/agent/calls.py [--corral build/corral] [--cases 10] [--misses] [--json FILE]

Starts a server, asks it over the API, and prints the share of requests with the
right tool (or rightly none), of calls with every argument right, and of answers
that tell what the tool's result says. Exit 1 when one is below its bar.
"""
import argparse
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "train"))

from corral_train import tool_catalogue  # noqa: E402  (its folder is found above)

# The guard is not what is measured.
POLICY = """policy: nothing
checks:
  - {id: nothing, use: rules, on: [input], any: [zzqxzzq], action: flag}
"""


BARS = {"choice": 0.85, "arguments": 0.70, "answer": 0.80}

# A result of this alone can be told in any words.
STATUS = {"done", "ok", "started"}


def cases(per_tool, seed):
    """[(tools offered, question, the right call or None, result, its values)]"""
    rng = random.Random(seed)
    held_out, known = tool_catalogue.read("held_out"), tool_catalogue.read("catalogue")
    out = []
    for tool in held_out:
        for _ in range(per_tool):
            others = rng.sample([t for t in held_out if t is not tool], rng.randint(0, 2))
            others += rng.sample(known, rng.randint(0, 2))
            right = tool_catalogue.Offer(tool, rng)
            offers = [right] + [tool_catalogue.Offer(t, rng) for t in others]
            rng.shuffle(offers)
            text, arguments, result, _ = right.request(rng)
            out.append((offers, text, (right.name, arguments), result))
    path = ROOT / "train/corral_train/tools/held_out_plain.txt"
    for question in path.read_text(encoding="utf-8").splitlines():
        tools = rng.sample(held_out, rng.randint(1, 3)) + rng.sample(known, rng.randint(0, 2))
        out.append(([tool_catalogue.Offer(t, rng) for t in tools], question, None, None))
    return out


def ask(url, messages, offers):
    body = {"model": "default", "temperature": 0, "max_tokens": 160, "messages": messages,
            "tools": [o.declaration() for o in offers]}
    request = urllib.request.Request(url + "/v1/chat/completions", json.dumps(body).encode(),
                                     {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as r:
        return json.load(r)["choices"][0]["message"]


def same(one, other):
    def plain(x):
        return re.sub(r"\W+", " ", str(x)).strip().lower()
    return set(one) == set(other) and all(
        plain(one[k]) == plain(other[k]) or
        (isinstance(one[k], (int, float)) and one[k] == other[k]) for k in one)


def told(result, answer):
    """Does the answer hold a value of the result?"""
    values = [str(v) for v in json.loads(result).values()]
    digits = re.sub(r"[,\s](?=\d{3})", "", answer)
    return any(v.lower() in answer.lower() or v in digits for v in values)


def run(url, found, misses):
    sums = {"choice": [], "arguments": [], "answer": [], "needless": []}

    def count(what, good, text, *seen):
        sums[what].append(good)
        if misses and good == (what == "needless"):
            print(f"{what}: {text}", *seen, sep="\n    ", flush=True)

    for offers, text, right, result in found:
        messages = [{"role": "user", "content": text}]
        message = ask(url, messages, offers)
        calls = message.get("tool_calls") or []
        if right is None:
            count("choice", not calls, text, calls)
            count("needless", bool(calls), text)
            continue
        call = calls[0]["function"] if calls else None
        count("choice", bool(call) and len(calls) == 1 and call["name"] == right[0], text, right,
              calls or message.get("content"))
        if not call or call["name"] != right[0]:
            count("arguments", False, text)
            continue
        count("arguments", same(json.loads(call["arguments"]), right[1]), text, right[1],
              call["arguments"])
        messages += [{"role": "assistant", "content": None, "tool_calls": calls},
                     {"role": "tool", "tool_call_id": calls[0]["id"], "content": result}]
        if not set(json.loads(result).values()) <= STATUS:
            answer = ask(url, messages, offers).get("content") or ""
            count("answer", told(result, answer), text, result, answer)
    return {k: (sum(v) / len(v) if v else None, len(v)) for k, v in sums.items()}


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--corral", default=str(ROOT / "build/corral"))
    p.add_argument("--cases", type=int, default=10, help="per held-out tool")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--misses", action="store_true", help="print them")
    p.add_argument("--json")
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        policy = pathlib.Path(folder) / "none.yaml"
        policy.write_text(POLICY)
        server = subprocess.Popen([a.corral, "serve", "--listen", "127.0.0.1:0", "--policy", str(policy)],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            url = server.stdout.readline().strip()
            if not url:
                sys.exit("calls.py: the server did not start")
            out = run(url, cases(a.cases, a.seed), a.misses)
        finally:
            server.terminate()
            server.wait()
    names = {"choice": "right tool, or rightly none", "needless": "needless calls",
             "arguments": "every argument right, of requests that need a tool",
             "answer": "answers that tell the result"}
    for key, (share, count) in out.items():
        print(f"{names[key]:52} {share:6.1%}  of {count}" if share is not None else names[key])
    if a.json:
        pathlib.Path(a.json).write_text(json.dumps(out) + "\n")
    return int(any((out[key][0] or 0) < bar for key, bar in BARS.items()))


if __name__ == "__main__":
    sys.exit(main())
