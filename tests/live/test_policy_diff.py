"""`corral policy diff`: which rows fare otherwise under another policy."""

import json

import pytest

from conftest import run

BEFORE = """\
policy: before
checks:
  - {id: beasts, use: rules, on: [input, output], any: ["zebra"], action: block}
  - {id: farm, use: rules, on: [input, output], any: ["horse"], action: redact}
  - {id: noted, use: rules, on: [input], any: ["goat"], action: flag, shadow: true}
"""
AFTER = (
    BEFORE.replace("before", "after")
    .replace("zebra", "lion")
    .replace('"horse"', '"horse", "cow"')
    .replace("shadow: true", "shadow: false")
)
ROWS = [
    {"id": "a", "prompt": "a zebra"},
    {"id": 2, "prompt": "a lion " + "é" * 40},
    {"prompt": "horse and cow"},
    {"prompt": "horse"},
    {"id": "e", "prompt": "a zebra?", "response": "a cow"},
    {"id": "f", "prompt": "a goat"},
    {"id": "g", "prompt": "a cat\nand a dog"},
]


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_text(policies, tmp_path):
    data = tmp_path / "rows.jsonl"
    data.write_text(lines(ROWS))
    r = run("policy", "diff", policies("a", BEFORE), policies("b", AFTER), data)
    assert r.returncode == 1, r.stderr
    assert r.stdout.splitlines() == [
        'line 1 "a": block (beasts) -> allow  "a zebra"',
        'line 2 2: allow -> block (beasts)  "a lion ' + "é" * 26 + '"',
        'line 3: redact (farm) -> redact (farm)  "horse and cow"',
        'line 5 "e": allow -> redact (farm)  "a cow"',
        'line 6 "f": allow -> flag (noted)  "a goat"',
        "block -> allow: 1",
        "redact -> redact: 1",
        "allow -> block: 1",
        "allow -> redact: 1",
        "allow -> flag: 1",
        "7 rows, 5 changed",
    ]


def test_same(policies):
    path = policies("same", BEFORE)
    r = run("policy", "diff", path, path, "-", stdin=lines(ROWS))
    assert (r.returncode, r.stdout) == (0, "7 rows, 0 changed\n"), r.stderr


def test_json_and_more_rows_than_a_batch(policies):
    rows = [{"id": i, "prompt": "zebra" if i % 3 == 0 else "ox"} for i in range(600)]
    a, b = policies("a", BEFORE), policies("b", AFTER)
    r = run("policy", "diff", "--json", a, b, "-", stdin=lines(rows))
    assert r.returncode == 1, r.stderr
    out = json.loads(r.stdout)
    assert out["from"]["policy"] == "before" and out["to"]["policy"] == "after"
    assert out["from"]["revision"] != out["to"]["revision"]
    assert (out["rows"], out["changed"], out["failed"]) == (600, 200, 0)
    assert [c["id"] for c in out["changes"]] == list(range(0, 600, 3))
    assert out["changes"][1] == {
        "line": 4,
        "id": 3,
        "from": {"action": "block", "checks": "beasts"},
        "to": {"action": "allow", "checks": ""},
    }


def test_bad_rows(policies):
    path = policies("a", BEFORE)
    r = run("policy", "diff", path, path, "-", stdin='{"prompt":"x"}\n{"promt":"x"}\n[\n')
    assert r.returncode == 3
    assert r.stdout == "1 rows, 0 changed\n"
    assert "standard input:2: prompt: missing" in r.stderr
    assert "standard input:3:" in r.stderr


def test_no_file_of_rows(policies, tmp_path):
    """What cannot be read is said once, and ends it."""
    path = policies("a", BEFORE)
    r = run("policy", "diff", path, path, tmp_path, timeout=20)
    assert r.returncode == 3 and r.stdout == "0 rows, 0 changed\n"
    assert r.stderr.count("Is a directory") == 1 and len(r.stderr) < 200


def test_bad_lines(policies, tmp_path):
    """Each with its place, none of them the end."""
    data = tmp_path / "rows.jsonl"
    data.write_text(
        '{"prompt": 1}\nnot json\n{"prompt": "a zebra"}\n[]\n{"id": {}, "prompt": "x"}\n{}\n'
        + '{"prompt": "' + "x" * (8 << 20) + '"}\n{"prompt": "a lion"}'
    )
    r = run("policy", "diff", policies("a", BEFORE), policies("b", AFTER), data)
    assert r.returncode == 3
    assert r.stderr.splitlines() == [
        f"corral: {data}:1: prompt: expected a string",
        f"corral: {data}:2: not JSON, at byte 0",
        f"corral: {data}:4: expected a JSON object",
        f"corral: {data}:5: id: expected a string or a number",
        f"corral: {data}:6: prompt: missing",
        f"corral: {data}:7: line past {8 << 20} bytes",
    ]
    assert r.stdout.splitlines()[-1] == "2 rows, 2 changed"


@pytest.mark.parametrize("text", ["", " \n\n"])
def test_no_rows(policies, tmp_path, text):
    """Nothing to compare is not agreement."""
    path, data = policies("same", BEFORE), tmp_path / "empty.jsonl"
    data.write_text(text)
    r = run("policy", "diff", path, path, data)
    assert (r.returncode, r.stdout) == (2, "")
    assert r.stderr == f"corral: {data}: there are no rows to compare\n"
    r = run("policy", "diff", "--json", path, path, "-", stdin=text)
    assert r.returncode == 2 and json.loads(r.stdout)["rows"] == 0
    assert r.stderr == "corral: standard input: there are no rows to compare\n"


def test_no_file(policies, tmp_path):
    path = policies("same", BEFORE)
    r = run("policy", "diff", path, path, tmp_path / "none")
    assert r.returncode == 2 and f"{tmp_path}/none: No such file" in r.stderr
    r = run("policy", "diff", path, path, tmp_path)
    assert r.returncode == 3 and f"{tmp_path}, after line 0: Is a directory" in r.stderr
