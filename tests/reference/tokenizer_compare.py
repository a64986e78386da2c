"""Compare `corral tokenize` with the reference tokenizers on a large corpus.

    pip install tokenizers==0.23.3 tiktoken==0.14.0 sentencepiece==0.2.3 gguf==0.19.0 \\
        regex==2026.11.19
    python tests/reference/tokenizer_compare.py KIND SOURCE VOCAB.gguf [FILE...]

KIND and SOURCE are those of tokenizer_vocab.py, which made VOCAB.gguf, or
`smollm` and the default model twice. The corpus is the same each time: texts
of tokenizer_corpus.py, generated Unicode, long runs, bytes that are not UTF-8,
and the FILEs: text, or rows of JSON (.jsonl, .jsonl.gz), of which every string
is taken. What is not valid UTF-8 no library takes; there the reference is the
plain loop below, which is compared with the library as well.

CORRAL names the program (build/corral). Prints one line and ends with 1 when a
text has other tokens.
"""

import gzip
import itertools
import json
import os
import random
import subprocess
import sys
import time

import regex

import tokenizer_corpus
from tokenizer_golden import GPT2, LLAMA, known

BATCH = 20000


# --- the corpus -----------------------------------------------------------------

def strings_of(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings_of(item)


def from_file(path):
    """Rows of strings, or text in pieces of about 4 KB, cut anywhere."""
    if ".jsonl" in path:
        with (gzip.open if path.endswith(".gz") else open)(path, "rt") as file:
            for line in file:
                yield from (s for s in strings_of(json.loads(line)) if len(s) > 8)
        return
    text = open(path, "rb").read().decode("utf-8", "replace")
    rng = random.Random(path)
    at = 0
    while at < len(text):
        end = at + rng.randrange(1, 8000)
        yield text[at:end]
        at = end


def generated(rng, count):
    """Strings over one or two blocks of Unicode, with ASCII between."""
    for _ in range(count):
        blocks = [rng.choice([rng.randrange(0x3000), rng.randrange(0x11000),
                              rng.randrange(0x20000), rng.randrange(0x10FF00)])
                  for _ in range(2)]
        text = []
        for _ in range(rng.randrange(1, 200)):
            if rng.random() < 0.3:
                text.append(rng.choice(tokenizer_corpus.ALPHABET))
            else:
                c = rng.choice(blocks) + int(rng.expovariate(1 / 20))
                text.append(chr(min(c, 0x10FFFF)) if not 0xD800 <= c < 0xE000 else "x")
        yield "".join(text)


CJK = "".join(chr(c) for c in range(0x4E00, 0x9FA0, 7))
RUNS = [
    ("a", 100000), (" ", 100000), ("7", 100000), ("\n", 100000), ("!", 100000), ("é", 50000),
    ("\U0001f600", 30000), ("ab", 50000), (" a", 50000), ("\t", 50000), ("=", 50000), ("क्", 30000),
    ("e\u0301", 30000), ("\u0301", 30000), ("ก็", 20000), ("的", 50000), ("A", 50000),
    ("\u2581", 50000), ("abcdefghijklmnopqrstuvwxyz", 4000), ("0123456789", 8000), (" \n", 30000),
    ("\r\n", 30000), ("<0x41>", 5000), ("</s>", 5000), ("the", 30000), (CJK, 20),
]


def mangled(rng, count, texts):
    """Texts with bytes changed, dropped or repeated, and plain noise."""
    for _ in range(count):
        data = bytearray(rng.choice(texts)[:200].encode())
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(data) + 1)
            if rng.random() < 0.4:
                del data[at:at + rng.randrange(1, 3)]
            else:
                data[at:at] = bytes(rng.choice([rng.randrange(256), 0x80 + rng.randrange(128)])
                                    for _ in range(rng.randrange(1, 4)))
        yield bytes(data)
    for _ in range(count // 4):
        yield bytes(rng.randrange(256) for _ in range(rng.randrange(60)))


def corpus(paths):
    rng = random.Random(20)
    small = [text * repeat for _, text, repeat in tokenizer_corpus.texts()]
    yield from (t.encode() for t in small)
    yield from (t.encode() for t in generated(rng, 20000))
    yield from ((t * n).encode() for t, n in RUNS)
    yield from mangled(rng, 4000, [t for t in small if t])
    for path in paths:
        yield from (t.encode("utf-8", "replace") for t in from_file(path))


# --- the references ---------------------------------------------------------------

def plain_merge(symbols, rank):
    """The loop that every BPE is: the best pair, the leftmost of equals."""
    while True:
        ranks = [rank(a, b) for a, b in zip(symbols, symbols[1:])]
        best = min((r for r in ranks if r is not None), default=None)
        if best is None:
            return symbols
        at = ranks.index(best)
        symbols[at:at + 2] = [symbols[at] + symbols[at + 1]]


def characters(data):
    """Of bytes that are no UTF-8, each is a character: U+DC80 and up."""
    return data.decode("utf-8", "surrogateescape")


def to_bytes(text):
    return text.encode("utf-8", "surrogateescape")


class Bpe:
    """By a list of pairs; whole: a piece that is a token is that token."""

    def __init__(self, tokens, merges, split, whole):
        self.ids, self.split, self.whole = tokens, split, whole
        self.ranks = {pair: i for i, pair in enumerate(merges)}

    def plain(self, data):
        ids = []
        for piece in self.split(characters(data)):
            piece = to_bytes(piece)
            if self.whole and piece in self.ids:
                ids.append(self.ids[piece])
                continue
            symbols = [bytes([b]) for b in piece if bytes([b]) in self.ids]
            ids += [self.ids[s] for s in plain_merge(symbols, lambda a, b: self.ranks.get((a, b)))]
        return ids


def split_digits(text):
    for part in regex.split(r"(\p{N})", text):
        yield from [part] if regex.fullmatch(r"\p{N}", part) else regex.findall(GPT2, part)


def huggingface(vocab, merges, digits):
    from tokenizers import Tokenizer, models, pre_tokenizers

    t = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    steps = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True))
    t.pre_tokenizer = pre_tokenizers.Sequence(steps)
    return lambda texts: [e.ids for e in t.encode_batch_fast(texts, add_special_tokens=False)]


def spelled(vocab, merges, split):
    """A Bpe of tokens and merges in GPT-2's alphabet."""
    from tokenizer_vocab import byte_alphabet

    back = {letter: byte for byte, letter in byte_alphabet().items()}

    def raw(text):
        return bytes(back[c] for c in text)

    return Bpe({raw(t): i for t, i in vocab.items()}, [(raw(a), raw(b)) for a, b in merges], split,
               False)


def open_smollm(source):
    import gguf

    fields = gguf.GGUFReader(source).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    vocab = {t: i for i, t in enumerate(tokens) if types[i] == 1}
    return huggingface(vocab, merges, True), spelled(vocab, merges, split_digits).plain


def open_gpt2(source):
    vocab = json.load(open(source + "/encoder.json"))
    del vocab["<|endoftext|>"]
    lines = open(source + "/vocab.bpe", encoding="utf-8").read().split("\n")[1:]
    merges = [tuple(line.split(" ")) for line in lines if line]
    return (huggingface(vocab, merges, False),
            spelled(vocab, merges, lambda text: regex.findall(GPT2, text)).plain)


def open_llama3(source):
    import tiktoken
    from tokenizer_vocab import llama3_merges, llama3_ranks

    ranks = llama3_ranks(source)
    t = tiktoken.Encoding("llama3", pat_str=LLAMA, mergeable_ranks=ranks, special_tokens={})
    plain = Bpe(ranks, llama3_merges(ranks), lambda text: regex.findall(LLAMA, text), True).plain
    return lambda texts: t.encode_ordinary_batch(texts, num_threads=1), plain


def open_spm(source):
    import sentencepiece

    p = sentencepiece.SentencePieceProcessor(model_file=source)
    ids = range(p.get_piece_size())
    normal = {p.id_to_piece(i): i for i in ids if not (
        p.is_unknown(i) or p.is_control(i) or p.is_unused(i) or p.is_byte(i))}
    in_bytes = {int(p.id_to_piece(i)[3:5], 16): i for i in ids if p.is_byte(i)}
    score = {text: p.get_score(i) for text, i in normal.items()}

    def rank(a, b):
        return -score[a + b] if a + b in score else None

    def plain(data):
        out = []
        text = "\u2581" + characters(data).replace(" ", "\u2581") if data else ""
        for piece in plain_merge(list(text), rank):
            if piece in normal:
                out.append(normal[piece])
            else:
                out += [in_bytes[b] for b in to_bytes(piece)]
        return out

    return lambda texts: p.encode(texts), plain


# --- comparing ----------------------------------------------------------------------

def ours(program, vocab, batch):
    lines = "".join('{"hex":"%s"}\n' % data.hex() for data in batch)
    done = subprocess.run([program, "tokenize", "-m", vocab, "--jsonl"], input=lines.encode(),
                          stdout=subprocess.PIPE, check=False)
    return [json.loads(line).get("tokens") for line in done.stdout.splitlines()]


def valid(data):
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def expected(batch, library, plain, plain_too):
    """What the library says; what the loop says where the library cannot, and
    for some short texts both, which must agree where they know the same letters."""
    texts = [valid(data) for data in batch]
    told = iter(library([t for t in texts if t is not None]))
    ids = [plain(data) if t is None else list(next(told)) for t, data in zip(texts, batch)]
    for t, data, i in zip(texts, batch, ids):
        if t is not None and len(t) < 300 and plain_too.random() < 0.02 and known(t):
            assert plain(data) == i, "the loop and the library differ: %r" % t
    return ids


def main():
    kind, source, vocab, *paths = sys.argv[1:]
    program = os.environ.get("CORRAL", "build/corral")
    library, plain = {"smollm": open_smollm, "gpt2": open_gpt2, "llama3": open_llama3,
                      "spm": open_spm}[kind](source)
    plain_too = random.Random(3)
    texts = size = tokens = bad = invalid = 0
    start = time.time()
    documents = corpus(paths)
    while batch := list(itertools.islice(documents, BATCH)):
        got = ours(program, vocab, batch)
        assert len(got) == len(batch)
        for data, a, b in zip(batch, got, expected(batch, library, plain, plain_too)):
            texts, size, tokens = texts + 1, size + len(data), tokens + len(b)
            invalid += valid(data) is None
            if a != b:
                bad += 1
                if bad <= 5:
                    at = next((i for i, (x, y) in enumerate(zip(a or [], b)) if x != y), -1)
                    print("differs at token %d: %r" % (at, data[:120]), file=sys.stderr)
    print("%s: %d texts (%d not UTF-8), %d bytes, %d tokens, %d differ (%.0f s)" %
          (kind, texts, invalid, size, tokens, bad, time.time() - start))
    sys.exit(bad > 0)


main()
