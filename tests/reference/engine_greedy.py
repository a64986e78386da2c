"""Greedy answers of the default model to ten prompts, computed in float32 by
plain PyTorch from the dequantised weights: what the engine must say in its
exact mode.

    pip install torch gguf==0.19.0 tokenizers==0.23.3 regex==2026.11.19
    python tests/reference/engine_greedy.py MODEL.gguf > tests/unit/data/engine_greedy.txt

A line: name, 1, the user's message in hex, the ids of the answer (the end
token is among them when it comes within 20 tokens).
"""

import sys

import gguf
import torch
from gguf.quants import dequantize

from tokenizer_golden import runs, smollm

PROMPTS = [
    "What is the capital of France?",
    "Write one sentence about the sea.",
    "2 + 3 =",
    "Name three colours.",
    "Translate to Spanish: good morning",
    "Why is the sky blue?",
    "List two prime numbers.",
    "Who wrote Hamlet?",
    "Write a C function that adds two ints.",
    "Say hello in German: Straße, 你好 \U0001f600",
]


class Model:
    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        field = lambda key: reader.fields["llama." + key].contents()
        self.heads = field("attention.head_count")
        self.kv_heads = field("attention.head_count_kv")
        self.blocks = field("block_count")
        self.eps = field("attention.layer_norm_rms_epsilon")
        self.base = field("rope.freq_base")
        self.weights = {t.name: torch.from_numpy(dequantize(t.data, t.tensor_type).copy())
                        for t in reader.tensors}
        self.size = self.weights["token_embd.weight"].shape[1] // self.heads

    def norm(self, x, name):
        scale = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)
        return x * scale * self.weights[name]

    def rope(self, x, angles):
        even, odd = x[..., 0::2], x[..., 1::2]
        cos, sin = angles.cos()[:, None], angles.sin()[:, None]
        return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)

    def logits(self, ids):
        count = len(ids)
        steps = torch.arange(0, self.size, 2, dtype=torch.float64) / self.size
        angles = torch.outer(torch.arange(count, dtype=torch.float64), self.base ** -steps).float()
        x = self.weights["token_embd.weight"][ids]
        mask = torch.full((count, count), float("-inf")).triu(1)
        for b in range(self.blocks):
            w = lambda name: self.weights["blk.%d.%s.weight" % (b, name)]
            h = self.norm(x, "blk.%d.attn_norm.weight" % b)
            q = self.rope((h @ w("attn_q").T).view(count, self.heads, self.size), angles)
            k = self.rope((h @ w("attn_k").T).view(count, self.kv_heads, self.size), angles)
            v = (h @ w("attn_v").T).view(count, self.kv_heads, self.size)
            group = self.heads // self.kv_heads
            k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
            scores = torch.einsum("qhd,khd->hqk", q, k) / self.size ** 0.5 + mask
            h = torch.einsum("hqk,khd->qhd", scores.softmax(-1), v).reshape(count, -1)
            x = x + h @ w("attn_output").T
            h = self.norm(x, "blk.%d.ffn_norm.weight" % b)
            h = torch.nn.functional.silu(h @ w("ffn_gate").T) * (h @ w("ffn_up").T)
            x = x + h @ w("ffn_down").T
        x = self.norm(x[-1:], "output_norm.weight")
        head = self.weights.get("output.weight", self.weights["token_embd.weight"])
        return (x @ head.T)[0]


def main():
    torch.set_num_threads(1)
    tokenizer, model = smollm(sys.argv[1]), Model(sys.argv[1])
    text = lambda s: tokenizer.encode(s, add_special_tokens=False).ids
    for i, prompt in enumerate(PROMPTS):
        ids = [1] + text("user\n" + prompt) + [2] + text("\n") + [1] + text("assistant\n")
        answer, margin = [], float("inf")
        while len(answer) < 20 and (not answer or answer[-1] not in (0, 2)):
            with torch.no_grad():
                best = model.logits(ids + answer).topk(2)
            margin = min(margin, (best.values[0] - best.values[1]).item())
            answer.append(int(best.indices[0]))
        print("prompt%d\t1\t%s\t%s" % (i, prompt.encode().hex(), runs(answer)), flush=True)
        print("%s: margin %.4f: %r" % (prompt, margin, tokenizer.decode(answer)), file=sys.stderr)


main()
