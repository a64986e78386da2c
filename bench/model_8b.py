"""Writes a GGUF in the shape of Llama 3.1 8B, in llama.cpp's Q4_K_M mix, with
random weights: 4.9 GB that cost and weigh what the real ones do, for the bench.

    python bench/model_8b.py OUT.gguf

The blocks are random with scales of a sane size, so that no logit overflows;
tensors of one shape share them. The tokenizer is a byte-level BPE of the real
size whose merges are made up. Needs the package `gguf` (bench/peers/setup)."""

import itertools
import string
import sys

import gguf
import numpy as np

LAYERS, WIDTH, FEED, HEADS, KV_HEADS = 32, 4096, 14336, 32, 8
VOCAB, CONTROL = 128256, 256
HEAD = WIDTH // HEADS
BLOCK = 256  # weights in a block of a K-quant
Q4, Q6 = gguf.GGMLQuantizationType.Q4_K, gguf.GGMLQuantizationType.Q6_K


def half(value, count):
    """The bytes of float16 numbers around `value`."""
    draw = np.random.default_rng(count)
    numbers = (value * draw.uniform(0.7, 1.3, count)).astype(np.float16)
    return numbers.view(np.uint8).reshape(count, 2)


def q4_k(rows, columns):
    """scale * q - min, with mean zero and a deviation of about 1/64."""
    count = rows * columns // BLOCK
    blocks = np.random.default_rng(rows).integers(0, 256, (count, 144), np.uint8)
    scale = half(6.5e-5, count)
    blocks[:, 0:2] = scale
    blocks[:, 2:4] = (scale.view(np.float16) * np.float16(7.5)).view(np.uint8)
    return blocks.reshape(rows, -1)


def q6_k(rows, columns):
    count = rows * columns // BLOCK
    blocks = np.random.default_rng(rows).integers(0, 256, (count, 210), np.uint8)
    blocks[:, 192:208] = (blocks[:, 192:208] & 63) + 32  # the groups' scales
    blocks[:, 208:210] = half(1.3e-5, count)
    return blocks.reshape(rows, -1)


def more_bits(layer):
    """Which layers' V and down matrices llama.cpp keeps in six bits."""
    eighth = LAYERS // 8
    return layer < eighth or layer >= 7 * eighth or (layer - eighth) % 3 == 2


def rope_factors():
    """Of Llama 3.1: long waves are slowed down eightfold, short ones stay."""
    speeds = 500000.0 ** -(np.arange(0, HEAD, 2) / HEAD)
    waves = 2 * np.pi / speeds
    blend = np.clip((8192 / waves - 1) / (4 - 1), 0, 1)
    return (1 / ((1 - blend) / 8 + blend)).astype(np.float32)


def byte_letters():
    """The alphabet that GPT-2 writes bytes in."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, next_free = {}, 256
    for byte in range(256):
        letters[byte] = chr(byte) if byte in shown else chr(next_free)
        next_free += byte not in shown
    return letters


def vocabulary():
    """Single bytes, then pairs of letters, then what two of those make."""
    letters = byte_letters()
    tokens, merges = list(letters.values()), []
    known = set(tokens)
    blank, low = letters[ord(" ")], string.ascii_lowercase

    def add(left, right):
        if len(tokens) < VOCAB - CONTROL and left + right not in known:
            known.add(left + right)
            tokens.append(left + right)
            merges.append(f"{left} {right}")

    pairs = ["".join(p) for p in itertools.product(low, repeat=2)]
    for pair in pairs:
        add(*pair)
    for letter in low:
        add(blank, letter)
    for pair in pairs:
        add(blank + pair[0], pair[1])
    for left, right in itertools.product(pairs, pairs):
        add(left, right)
    return tokens, merges


def write_header(w):
    w.add_name("random weights in the shape of Llama 3.1 8B")
    w.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_K_M)
    w.add_block_count(LAYERS)
    w.add_context_length(131072)
    w.add_embedding_length(WIDTH)
    w.add_feed_forward_length(FEED)
    w.add_head_count(HEADS)
    w.add_head_count_kv(KV_HEADS)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_freq_base(500000.0)
    w.add_rope_dimension_count(HEAD)
    w.add_vocab_size(VOCAB)
    w.add_quantization_version(2)


def write_tokenizer(w):
    tokens, merges = vocabulary()
    control = {0: "begin_of_text", 1: "end_of_text", 6: "start_header_id"}
    control |= {7: "end_header_id", 8: "eom_id", 9: "eot_id"}
    for i in range(CONTROL):
        tokens.append(f"<|{control.get(i, f'reserved_special_token_{i}')}|>")
    normal, special = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("llama-bpe")
    w.add_token_list(tokens)
    w.add_token_types([normal] * (VOCAB - CONTROL) + [special] * CONTROL)
    w.add_token_merges(merges)
    w.add_bos_token_id(VOCAB - CONTROL)
    w.add_eos_token_id(VOCAB - CONTROL + 9)
    w.add_add_bos_token(True)


def write_weights(w):
    made = {}

    def matrix(name, rows, columns, kind=Q4):
        if (rows, columns, kind) not in made:
            make = q4_k if kind == Q4 else q6_k
            made[rows, columns, kind] = make(rows, columns)
        w.add_tensor(name, made[rows, columns, kind], raw_dtype=kind)

    ones = np.ones(WIDTH, np.float32)
    matrix("token_embd.weight", VOCAB, WIDTH)
    w.add_tensor("rope_freqs.weight", rope_factors())
    for i in range(LAYERS):
        best = Q6 if more_bits(i) else Q4
        w.add_tensor(f"blk.{i}.attn_norm.weight", ones)
        matrix(f"blk.{i}.attn_q.weight", WIDTH, WIDTH)
        matrix(f"blk.{i}.attn_k.weight", KV_HEADS * HEAD, WIDTH)
        matrix(f"blk.{i}.attn_v.weight", KV_HEADS * HEAD, WIDTH, best)
        matrix(f"blk.{i}.attn_output.weight", WIDTH, WIDTH)
        w.add_tensor(f"blk.{i}.ffn_norm.weight", ones)
        matrix(f"blk.{i}.ffn_gate.weight", FEED, WIDTH)
        matrix(f"blk.{i}.ffn_up.weight", FEED, WIDTH)
        matrix(f"blk.{i}.ffn_down.weight", WIDTH, FEED, best)
    w.add_tensor("output_norm.weight", ones)
    matrix("output.weight", VOCAB, WIDTH, Q6)


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        raise SystemExit(__doc__)
    w = gguf.GGUFWriter(sys.argv[1], "llama")
    write_header(w)
    write_tokenizer(w)
    write_weights(w)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


if __name__ == "__main__":
    main()
