"""Make tests/unit/data/tiny.gguf, a random Llama with every weight format, and
tiny.golden, its logits by a plain numpy forward pass in float64.

    python tests/reference/tiny_model.py        # needs numpy and gguf

The same seed gives the same files. Formats that the gguf package cannot write
are random blocks with sensible scales: it reads them back all the same."""
import pathlib

import gguf
import numpy as np

DATA = pathlib.Path(__file__).parents[1] / "unit" / "data"
BLOCKS, WIDTH, HEADS, KV_HEADS, HEAD, FEED, CONTEXT = 2, 256, 4, 2, 32, 256, 512
EPSILON, BASE = 1e-5, 10000.0
T = gguf.GGMLQuantizationType
LAYERS = [
    dict(attn_q=T.Q4_K, attn_k=T.Q6_K, attn_v=T.Q8_0, attn_output=T.Q4_0,
         ffn_gate=T.Q4_1, ffn_up=T.Q5_K, ffn_down=T.Q4_K),
    dict(attn_q=T.Q5_0, attn_k=T.F16, attn_v=T.BF16, attn_output=T.IQ4_NL,
         ffn_gate=T.Q2_K, ffn_up=T.Q3_K, ffn_down=T.Q5_1),
]
SIZES = dict(attn_q=(HEADS * HEAD, WIDTH), attn_k=(KV_HEADS * HEAD, WIDTH),
             attn_v=(KV_HEADS * HEAD, WIDTH), attn_output=(WIDTH, HEADS * HEAD),
             ffn_gate=(FEED, WIDTH), ffn_up=(FEED, WIDTH), ffn_down=(WIDTH, FEED))
# Where a block's f16 scales lie, and what makes its values about as large as
# a trained model's.
SCALES = {T.Q2_K: [(80, .02), (82, .01)], T.Q3_K: [(108, .0012)],
          T.Q4_K: [(0, .0003), (2, .002)], T.Q5_K: [(0, .00015), (2, .002)],
          T.Q6_K: [(208, .00006)], T.IQ4_NL: [(0, .0012)]}


def byte_alphabet():
    """GPT-2's printable stand-ins for the 256 bytes, in its order."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in shown]
    return [chr(b) for b in shown] + [chr(256 + i) for i in range(len(rest))]


def weights(rng, kind, shape):
    """Raw bytes for the file, and the floats they stand for."""
    if kind in SCALES:
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        raw = rng.integers(0, 256, (shape[0], shape[1] // elements, size), np.uint8)
        for at, scale in SCALES[kind]:
            d = (scale * rng.uniform(.7, 1.3, raw.shape[:2])).astype(np.float16)
            raw[:, :, at:at + 2] = d.view(np.uint8).reshape(*raw.shape[:2], 2)
        raw = raw.reshape(shape[0], -1)
    else:
        raw = gguf.quants.quantize(
            rng.normal(0, .07, shape).astype(np.float32), kind)
    return raw, gguf.quants.dequantize(raw, kind).astype(np.float64)


def norm(x, w):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPSILON) * w


def turn(x, factors):
    """RoPE on adjacent pairs; x is (position, head, dimension)."""
    i = np.arange(HEAD // 2)
    angle = np.arange(len(x))[:, None] * (BASE ** (-2 * i / HEAD) / factors)
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    out = np.empty_like(x)
    out[..., ::2] = x[..., ::2] * c - x[..., 1::2] * s
    out[..., 1::2] = x[..., ::2] * s + x[..., 1::2] * c
    return out


def forward(w, ids):
    n = len(ids)
    x = w["token_embd"][ids]
    mask = np.triu(np.full((n, n), -np.inf), 1)
    for b in range(BLOCKS):
        g = lambda name: w[f"blk.{b}.{name}"]
        h = norm(x, g("attn_norm"))
        q = turn((h @ g("attn_q").T).reshape(n, HEADS, HEAD), w["rope_freqs"])
        k = turn((h @ g("attn_k").T).reshape(n, KV_HEADS, HEAD), w["rope_freqs"])
        v = (h @ g("attn_v").T).reshape(n, KV_HEADS, HEAD)
        k, v = (np.repeat(a, HEADS // KV_HEADS, 1) for a in (k, v))
        s = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(HEAD) + mask
        p = np.exp(s - s.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        x = x + np.einsum("hqk,khd->qhd", p, v).reshape(n, -1) @ g("attn_output").T
        h = norm(x, g("ffn_norm"))
        gate = h @ g("ffn_gate").T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ g("ffn_up").T)) @ g("ffn_down").T
    return norm(x, w["output_norm"])[-1] @ w["output"].T


def main():
    rng = np.random.default_rng(7)
    tokens = byte_alphabet() + ["he", "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    out = gguf.GGUFWriter(DATA / "tiny.gguf", "llama")
    out.add_name("tiny random Llama")
    for add, value in [(out.add_block_count, BLOCKS), (out.add_embedding_length, WIDTH),
                       (out.add_feed_forward_length, FEED), (out.add_context_length, CONTEXT),
                       (out.add_head_count, HEADS), (out.add_head_count_kv, KV_HEADS),
                       (out.add_key_length, HEAD), (out.add_value_length, HEAD),
                       (out.add_rope_dimension_count, HEAD), (out.add_rope_freq_base, BASE),
                       (out.add_layer_norm_rms_eps, EPSILON), (out.add_vocab_size, len(tokens)),
                       (out.add_tokenizer_model, "gpt2"), (out.add_tokenizer_pre, "gpt-2"),
                       (out.add_token_list, tokens), (out.add_token_merges, ["h e"]),
                       (out.add_token_types, [1] * 257 + [3] * 3),
                       (out.add_bos_token_id, 258), (out.add_eos_token_id, 259),
                       (out.add_add_bos_token, False)]:
        add(value)
    w = {}

    def add(name, kind, shape):
        raw, w[name] = weights(rng, kind, shape)
        out.add_tensor(name + ".weight", raw, raw_dtype=kind)

    def add_vector(name, values):
        w[name] = values.astype(np.float32).astype(np.float64)
        out.add_tensor(name + ".weight", values.astype(np.float32))

    add("token_embd", T.Q8_0, (len(tokens), WIDTH))
    for b, layer in enumerate(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            add_vector(f"blk.{b}.{name}", rng.uniform(.5, 1.5, WIDTH))
        for name, kind in layer.items():
            add(f"blk.{b}.{name}", kind, SIZES[name])
    add_vector("output_norm", rng.uniform(.5, 1.5, WIDTH))
    add("output", T.Q6_K, (len(tokens), WIDTH))
    add_vector("rope_freqs", np.linspace(1, 8, HEAD // 2))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()

    with open(DATA / "tiny.golden", "w") as f:
        for n in (1, 2, 31, 33, 100):
            ids = rng.integers(0, len(tokens), n)
            logits = forward(w, ids)
            best = int(np.argmax(logits))
            f.write(f"case {n} {' '.join(map(str, ids))}\ntop 1 {best} {logits[best]:.5f}\n")
            f.write(f"sample {len(logits)}" + "".join(
                f" {i} {v:.4f}" for i, v in enumerate(logits)) + "\n")
    for name, v in w.items():
        print(f"{name:24} std {v.std():.3f}")


main()
