"""`use: examples`: trained by `corral policy train`, refused when it is not,
and good enough on questions whose words were not in the examples."""

import json
import shutil

import pytest

from conftest import ROOT, run

SETS = ROOT / "tests" / "guard" / "banking"
POLICY = """\
policy: bank
checks:
  - {id: banking, use: examples, on: [input], examples: train.jsonl, action: block}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bank")
    shutil.copy(SETS / "train.jsonl", folder)
    path = folder / "bank.yaml"
    path.write_text(POLICY)
    untrained = run("policy", "lint", path)
    assert untrained.returncode == 2
    assert f"{path}:3:57: the examples are not trained" in untrained.stderr
    assert f"corral policy train {path}" in untrained.stderr
    r = run("policy", "train", "--json", path)
    assert r.returncode == 0, r.stderr
    return path, json.loads(r.stdout)


def rows(name="unseen"):
    return [json.loads(line) for line in (SETS / f"{name}.jsonl").open()]


def f1_of(path, texts):
    stdin = "".join(json.dumps({"prompt": r["text"]}) + "\n" for r in texts)
    r = run("check", "--policy", path, "--jsonl", stdin=stdin)
    assert r.returncode == 0, r.stderr
    said = [json.loads(line)["action"] == "block" for line in r.stdout.splitlines()]
    meant = [row["label"] == "block" for row in texts]
    assert len(said) == len(meant)
    hits = sum(s and m for s, m in zip(said, meant))
    wrong = sum(s != m for s, m in zip(said, meant))
    return 2 * hits / (2 * hits + wrong)


def test_held_out(trained):
    _, figures = trained
    assert (figures["block"], figures["allow"], figures["folds"]) == (50, 50, 5)
    assert figures["f1"] >= 0.9, figures


def test_unseen(trained):
    path, _ = trained
    assert len(rows()) == 80
    f1 = f1_of(path, rows())
    assert f1 >= 0.9, f1


def test_near(tmp_path):
    """125 texts of each kind, half of them examples. Some are near the subject:
    questions to other companies, in the words that one uses to a bank."""
    near = rows("unseen_near")
    shown = [row for i, row in enumerate(near) if i // 2 % 2 == 0]
    hidden = [row for i, row in enumerate(near) if i // 2 % 2]
    examples = rows("train") + shown
    assert len(examples) == 136 and len(hidden) + len(rows()) == 114
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in examples))
    path = tmp_path / "bank.yaml"
    path.write_text(POLICY)
    r = run("policy", "train", path)
    assert r.returncode == 0, r.stderr
    f1 = f1_of(path, rows() + hidden)
    assert f1 >= 0.9, f1


def test_again_is_the_same(trained):
    path, _ = trained
    head = path.with_name("bank-banking.head")
    before = head.read_bytes()
    assert run("policy", "train", path).returncode == 0
    assert head.read_bytes() == before


def test_served(trained, start):
    path, _ = trained
    server = start("--policy", path)

    def finish(text):
        answer = server.client.chat.completions.create(
            model="x", max_tokens=4, messages=[{"role": "user", "content": text}]
        )
        return answer.choices[0].finish_reason

    assert finish("How do I change the PIN of my debit card?") == "content_filter"
    assert finish("How do I change the tyre of a bicycle?") == "length"


def test_stale(trained, tmp_path):
    path, _ = trained
    for file in path.parent.iterdir():
        shutil.copy(file, tmp_path)
    mine = tmp_path / "bank.yaml"
    assert run("policy", "lint", mine).returncode == 0
    with (tmp_path / "train.jsonl").open("a") as f:
        f.write('{"text": "one more", "label": "allow"}\n')
    r = run("check", "--policy", mine, "x")
    assert r.returncode == 2
    assert "changed since the training" in r.stderr
    with (tmp_path / "train.jsonl").open("a") as f:
        f.write('{"text": "one more", "label": "block"}\n')
    r = run("policy", "train", mine)
    assert r.returncode == 2
    assert f"{tmp_path}/train.jsonl:102: the same text as in line 101" in r.stderr
    r = run("policy", "train", ROOT / "policies" / "secrets.yaml")
    assert r.returncode == 2
    assert "no check of it has examples" in r.stderr
