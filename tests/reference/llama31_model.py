"""Make tests/unit/data/llama31.gguf, a tiny random model shaped as Llama 3.1
(grouped heads, an untied head, its RoPE scaling), and llama31.golden, its
logits by transformers in float64, within and beyond the original context.

    python tests/reference/llama31_model.py   # torch, transformers, gguf, numpy

The scaling reaches us as the tensor rope_freqs, made here as llama.cpp's
converter makes it; transformers computes its own from the configuration."""
import math
import pathlib

import gguf
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

DATA = pathlib.Path(__file__).parents[1] / "unit" / "data"
HEADS, KV_HEADS, HEAD, VOCAB = 4, 2, 32, 260
ORIGINAL, CONTEXT = 64, 512
SCALING = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
               original_max_position_embeddings=ORIGINAL)
CONFIG = LlamaConfig(
    vocab_size=VOCAB, hidden_size=HEADS * HEAD, intermediate_size=160, num_hidden_layers=2,
    num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, max_position_embeddings=CONTEXT,
    rms_norm_eps=1e-5, rope_theta=500.0, rope_scaling=SCALING, tie_word_embeddings=False)
NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
         "post_attention_layernorm": "ffn_norm"}


def rope_factors():
    """What each pair's speed is divided by."""
    out = []
    for i in range(HEAD // 2):
        length = 2 * math.pi * CONFIG.rope_theta ** (2 * i / HEAD)
        low = ORIGINAL / SCALING["low_freq_factor"]
        high = ORIGINAL / SCALING["high_freq_factor"]
        if length < high:
            out.append(1.0)
        elif length > low:
            out.append(SCALING["factor"])
        else:
            smooth = (ORIGINAL / length - 1.0) / (4.0 - 1.0)
            out.append(1 / ((1 - smooth) / SCALING["factor"] + smooth))
    return np.array(out, np.float32)


def tensor_name(name):
    ends = {"model.embed_tokens.weight": "token_embd.weight",
            "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}
    if name in ends:
        return ends[name]
    _, _, block, *part, _ = name.split(".")
    return f"blk.{block}.{NAMES['.'.join(part)]}.weight"


def adjacent(w, heads):
    """From halves of a head that turn together to pairs side by side."""
    return w.reshape(heads, 2, HEAD // 2, -1).swapaxes(1, 2).reshape(w.shape)


def main():
    torch.manual_seed(11)
    model = LlamaForCausalLM(CONFIG).double().eval()
    rng = np.random.default_rng(11)
    with torch.no_grad():
        for p in model.parameters():  # numbers that F16 holds exactly
            spread = rng.normal(0, .15, p.shape) if p.dim() > 1 else rng.uniform(.5, 1.5, p.shape)
            p.copy_(torch.from_numpy(spread.astype(np.float16).astype(np.float64)))
    out = gguf.GGUFWriter(DATA / "llama31.gguf", "llama")
    out.add_block_count(CONFIG.num_hidden_layers)
    out.add_embedding_length(CONFIG.hidden_size)
    out.add_feed_forward_length(CONFIG.intermediate_size)
    out.add_context_length(CONTEXT)
    out.add_head_count(HEADS)
    out.add_head_count_kv(KV_HEADS)
    out.add_rope_freq_base(CONFIG.rope_theta)
    out.add_layer_norm_rms_eps(CONFIG.rms_norm_eps)
    out.add_vocab_size(VOCAB)
    for name, p in model.state_dict().items():
        w = p.numpy()
        if "q_proj" in name:
            w = adjacent(w, HEADS)
        if "k_proj" in name:
            w = adjacent(w, KV_HEADS)
        out.add_tensor(tensor_name(name), w.astype(np.float16 if w.ndim > 1 else np.float32))
    out.add_tensor("rope_freqs.weight", rope_factors())
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()

    with open(DATA / "llama31.golden", "w") as f:
        for n in (5, ORIGINAL, ORIGINAL + 1, 200, 450):
            ids = rng.integers(0, VOCAB, n)
            with torch.no_grad():
                logits = model(torch.from_numpy(ids)[None]).logits[0, -1].double().numpy()
            best = int(np.argmax(logits))
            f.write(f"case {n} {' '.join(map(str, ids))}\ntop 1 {best} {logits[best]:.5f}\n")
            f.write(f"sample {len(logits)}" + "".join(
                f" {i} {v:.4f}" for i, v in enumerate(logits)) + "\n")


main()
