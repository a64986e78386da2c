#!/usr/bin/env python3
"""Sample tool calls of the default model and validate them with PyPI's jsonschema:
nested objects, enums, lists, bounded numbers, patterns, other scripts; every
tool_choice, one call or several, cold and hot.

    ~/.cache/corral/test-venv/bin/python tests/live/valid_calls.py --decodes 1000

Exit 1 when a call is not valid, or one is missing or there against tool_choice.
What max_tokens cut off is no call, and counted apart."""

import argparse
import collections
import json
import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for

from conftest import Corral

# The guard is not what is measured.
NOTHING = """policy: nothing
checks:
  - {id: nothing, use: rules, on: [input], any: [zzqxzzq], action: flag}
"""


def shape(required, **properties):
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


TOOLS = {
    "book_room": shape(
        "hotel nights guests",
        hotel={"enum": ["Ritz", "Zum Löwen", "東京ホテル", 'the "Inn"', "l'Étoile"]},
        nights={"type": "integer", "minimum": 1, "maximum": 14},
        guests={
            "type": "array",
            "minItems": 1,
            "maxItems": 3,
            "items": shape(
                "name",
                name={"type": "string", "minLength": 1, "maxLength": 20},
                age={"type": "integer", "minimum": 0, "maximum": 120},
            ),
        },
    ),
    "set_heating": shape(
        "room degrees",
        room={"type": "string", "pattern": "^[a-z]{3,10}$"},
        degrees={"type": "number", "minimum": 5, "exclusiveMaximum": 30},
        eco={"type": "boolean"},
    ),
    "move_file": shape(
        "from to",
        **{
            "from": shape("path", path={"type": "string", "maxLength": 30}),
            "to": shape(
                "path mode",
                path={"type": "string", "maxLength": 30},
                mode={"enum": [384, 420, 493, None]},
            ),
        },
    ),
    "plot": shape(
        "points",
        points={
            "type": "array",
            "minItems": 2,
            "maxItems": 4,
            "items": {
                "type": "array",
                "items": {"type": "number", "minimum": -1, "maximum": 1},
                "minItems": 2,
                "maxItems": 2,
            },
        },
        colour={"type": "string", "enum": ["rosso", "blå", "κόκκινο"]},
    ),
    "remind": shape(
        "text day",
        text={"type": "string", "minLength": 3, "maxLength": 40},
        day={"type": "string", "format": "date"},
        repeat={"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 2, "maximum": 9}]},
    ),
    "stop_all": shape(""),
}
QUESTIONS = [
    "Book two nights at the Ritz for Ann and Bob.",
    "It is too cold in the kitchen, make it 21 degrees.",
    "Sposta il file a.txt nella cartella b.",
    "Remind me to call 東京 tomorrow, and plot a line.",
    "Tell me a joke about cats.",
    "Stop everything!",
    '{"name": "stop_all", "arguments": {"x": ',
    "Was ist die Hauptstadt von Österreich?",
]


def case(number, seed):
    """A request, decided by its number."""
    rng = random.Random(f"{seed}/{number}")
    names = rng.sample(list(TOOLS), rng.randint(1, 4))
    choice = rng.choice(["auto", "required", "none", "named"])
    named = {"type": "function", "function": {"name": rng.choice(names)}}
    return {
        "model": "default",
        "messages": [{"role": "user", "content": rng.choice(QUESTIONS)}],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": name,
                    "description": name.replace("_", " ").capitalize() + ".",
                    "parameters": TOOLS[name],
                },
            }
            for name in names
        ],
        "tool_choice": named if choice == "named" else choice,
        "parallel_tool_calls": rng.random() < 0.5,
        "temperature": rng.choice([0, 0.7, 1, 1.5]),
        "seed": number,
        "max_tokens": 400 if choice in ("required", "named") else 120,
    }


def fault(request, message):
    """What is wrong with an answer, or None."""
    choice = request["tool_choice"]
    calls = [c["function"] for c in message.get("tool_calls") or []]
    if choice == "none" and calls:
        return "a call, though none was allowed"
    if choice == "required" and not calls:
        return "no call, though one was required"
    if isinstance(choice, dict):
        name = choice["function"]["name"]
        if [c["name"] for c in calls] != [name]:
            return f"not the one call of {name}"
    if len(calls) > 1 and not request["parallel_tool_calls"]:
        return "several calls, though one was allowed"
    offered = {t["function"]["name"] for t in request["tools"]}
    for call in calls:
        if call["name"] not in offered:
            return f"a tool that was not offered: {call['name']}"
        schema = TOOLS[call["name"]]
        checker = Draft202012Validator(
            schema, format_checker=validator_for(schema).FORMAT_CHECKER
        )
        try:
            wrong = next(checker.iter_errors(json.loads(call["arguments"])), None)
        except json.JSONDecodeError as error:
            wrong = error
        if wrong:
            return f"{call['name']} {call['arguments']}: {wrong}"
    return None


def asked(server, request, tries=10):
    """The answer. A machine that is busy with other things is no fault of a call."""
    for _ in range(tries):
        answer = server.http.post("/v1/chat/completions", json=request)
        if answer.status_code not in (429, 503):
            break
        time.sleep(2)
    return answer


def sample(server, decodes, seed=1, at_once=4):
    """How many calls there were by tool_choice, and the faults."""
    calls, faults = collections.Counter(), []

    def one(number):
        request = case(number, seed)
        answer = asked(server, request)
        if answer.status_code != 200:
            return number, request, None, answer.text[:300]
        choice = answer.json()["choices"][0]
        message = choice["message"]
        if choice["finish_reason"] == "length" and not message.get("tool_calls"):
            return number, request, message, None
        return number, request, message, fault(request, message)

    with ThreadPoolExecutor(at_once) as pool:
        for number, request, message, wrong in pool.map(one, range(decodes)):
            choice = request["tool_choice"]
            kind = choice if isinstance(choice, str) else "named"
            if number % 100 == 99:
                print(f"{number + 1} decodes ...", file=sys.stderr)
            made = len((message or {}).get("tool_calls") or [])
            calls[kind] += made
            if kind in ("required", "named") and not made and not wrong:
                calls["cut off"] += 1
            if wrong:
                faults.append(f"decode {number} ({kind}): {str(wrong)[:300]}")
    return calls, faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--decodes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--policy", help="what else judges the calls; default: nothing")
    options = parser.parse_args()
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(NOTHING)
        file.flush()
        server = Corral("--policy", options.policy or file.name)
    server.http.timeout = 900  # hours of samples on a busy machine
    try:
        calls, faults = sample(server, options.decodes, options.seed)
    finally:
        server.stop()
    for line in faults:
        print(line)
    cut = calls.pop("cut off", 0)
    told = ", ".join(f"{kind} {count}" for kind, count in sorted(calls.items()))
    print(
        f"{options.decodes} decodes, {sum(calls.values())} calls ({told}), "
        f"{cut} cut off, {len(faults)} faults"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
