"""Make tests/unit/data/llamaguard.gguf: a Llama of one layer, with the control
tokens of Llama 3 and 4, which finds a conversation unsafe when "bomb" is in it
and then names S9.

    python tests/reference/llamaguard_model.py        # needs numpy and gguf

Its attention weighs all positions alike and carries one feature from them, so
that what it answers can be told from its prompt. There is nothing random in it
but small noise, which makes no two prompts score the same."""
import pathlib

import gguf
import numpy as np

DATA = pathlib.Path(__file__).parents[1] / "unit" / "data"
WIDTH, HEADS, FEED, CONTEXT = 64, 2, 64, 4096
ALWAYS, BOMB, FOUND = 0, 1, 2  # dimensions of the hidden state
GAIN = 2000.0  # "bomb" once in a prompt of about a thousand tokens is enough


def byte_alphabet():
    """GPT-2's printable stand-ins for the 256 bytes, in its order."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in shown]
    return [chr(b) for b in shown] + [chr(256 + i) for i in range(len(rest))]


MERGES = ["s a", "sa f", "saf e", "u n", "un safe", "b o", "bo m", "bom b"]
CONTROLS = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
            "<|eot_id|>", "<|header_start|>", "<|header_end|>", "<|eot|>"]


def main():
    rng = np.random.default_rng(5)
    tokens = byte_alphabet() + [m.replace(" ", "") for m in MERGES] + CONTROLS
    place = {t: i for i, t in enumerate(tokens)}
    out = gguf.GGUFWriter(DATA / "llamaguard.gguf", "llama")
    out.add_name("tiny guard")
    for add, value in [(out.add_block_count, 1), (out.add_embedding_length, WIDTH),
                       (out.add_feed_forward_length, FEED), (out.add_context_length, CONTEXT),
                       (out.add_head_count, HEADS), (out.add_head_count_kv, HEADS),
                       (out.add_rope_freq_base, 10000.0), (out.add_layer_norm_rms_eps, 1e-5),
                       (out.add_vocab_size, len(tokens)),
                       (out.add_tokenizer_model, "gpt2"), (out.add_tokenizer_pre, "llama-bpe"),
                       (out.add_token_list, tokens), (out.add_token_merges, MERGES),
                       (out.add_token_types, [1] * (256 + len(MERGES)) + [3] * len(CONTROLS)),
                       (out.add_bos_token_id, place["<|begin_of_text|>"]),
                       (out.add_eos_token_id, place["<|eot_id|>"]), (out.add_add_bos_token, False)]:
        add(value)

    def matrix(name, value):
        out.add_tensor(name + ".weight", value.astype(np.float16))

    embed = rng.normal(0, .02, (len(tokens), WIDTH))
    embed[:, [ALWAYS, BOMB, FOUND]] = [1, 0, 0]
    embed[place["bomb"], BOMB] = 1
    square = np.zeros((WIDTH, WIDTH))
    carry, find = square.copy(), square.copy()
    carry[0, BOMB] = 1  # into the first head's first place
    find[FOUND, 0] = GAIN / np.sqrt(WIDTH)
    head = rng.normal(0, .001, (len(tokens), WIDTH))
    head[place["unsafe"], FOUND] = 1
    for token, weight in [("safe", .5), ("<|eot_id|>", .9), ("9", .4), (",", .2)]:
        head[place[token], ALWAYS] = weight
    matrix("token_embd", embed)
    for name, value in [("attn_q", square), ("attn_k", square), ("attn_v", carry),
                        ("attn_output", find)]:
        matrix(f"blk.0.{name}", value)
    for name in ("ffn_gate", "ffn_up", "ffn_down"):
        matrix(f"blk.0.{name}", np.zeros((FEED, WIDTH)))
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        out.add_tensor(name + ".weight", np.ones(WIDTH, np.float32))
    matrix("output", head)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


main()
