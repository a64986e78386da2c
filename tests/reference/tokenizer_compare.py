"""Compare `corral tokenize` with the reference tokenizers on a large corpus.

    python tests/reference/tokenizer_compare.py KIND SOURCE VOCAB.gguf [FILE...]

KIND and SOURCE are those of tokenizer_vocab.py, which made VOCAB.gguf, or
`smollm` and the default model twice. The corpus is the same each time: texts
of tokenizer_corpus.py, generated Unicode, long runs, bytes that are not UTF-8,
and the FILEs: text, or rows of JSON (.jsonl, .jsonl.gz), of which every string
is taken. What must be installed, and who is right about bytes that are no UTF-8,
says tokenizer_reference.py.

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

import tokenizer_corpus
from tokenizer_reference import ids_of, known, open_reference, valid

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


def corpus(paths):
    rng = random.Random(20)
    small = [text * repeat for _, text, repeat in tokenizer_corpus.texts()]
    yield from (t.encode() for t in small)
    yield from (t.encode() for t in generated(rng, 20000))
    yield from ((t * n).encode() for t, n in RUNS)
    yield from tokenizer_corpus.mangled(rng, 4000, [t for t in small if t])
    for path in paths:
        yield from (t.encode("utf-8", "replace") for t in from_file(path))


# --- comparing ----------------------------------------------------------------------

def ours(program, vocab, batch):
    lines = "".join('{"hex":"%s"}\n' % data.hex() for data in batch)
    done = subprocess.run([program, "tokenize", "-m", vocab, "--jsonl"], input=lines.encode(),
                          stdout=subprocess.PIPE, check=False)
    return [json.loads(line).get("tokens") for line in done.stdout.splitlines()]


def check_loop(plain, data, ids, rng):
    """For some short texts the loop must agree with the library, where both
    know the same letters."""
    if len(data) < 300 and rng.random() < 0.02:
        text = valid(data)
        if text is not None and known(text):
            assert plain(data) == ids, "the loop and the library differ: %r" % text


def main():
    kind, source, vocab, *paths = sys.argv[1:]
    program = os.environ.get("CORRAL", "build/corral")
    reference = open_reference(kind, source)
    plain_too = random.Random(3)
    texts = size = tokens = bad = invalid = 0
    start = time.time()
    documents = corpus(paths)
    while batch := list(itertools.islice(documents, BATCH)):
        got = ours(program, vocab, batch)
        assert len(got) == len(batch)
        for data, a, b in zip(batch, got, ids_of(reference, batch)):
            check_loop(reference[1], data, b, plain_too)
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
