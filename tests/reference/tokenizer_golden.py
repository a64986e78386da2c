"""Golden files of the tokenizer tests, from libraries that know nothing of our
code: tokenizer_reference.py says which, and what must be installed.

    python tests/reference/tokenizer_golden.py MODEL.gguf FOLDER tests/unit/data

FOLDER is where scripts/setup --test put the published vocabularies.

tokenizer_smollm.txt: name, repeat, text in hex, ids (`id` or `idxcount`).
tokenizer_published.txt: a line for each of those texts: its name, and for gpt2,
    llama3 and spm how many tokens it has and a hash of their ids.
pretokenizer.txt: kind, name, repeat, text in hex, sizes of the pieces.
"""

import struct
import sys

import regex

from tokenizer_corpus import broken, texts
from tokenizer_reference import GPT2, LLAMA, ids_of, known, open_reference, split_digits


def runs(items):
    out = []
    for item in items:
        if out and out[-1][0] == item:
            out[-1][1] += 1
        else:
            out.append([item, 1])
    return " ".join(str(i) if n == 1 else "%dx%d" % (i, n) for i, n in out)


def fnv1a(ids):
    state = 14695981039346656037
    for byte in b"".join(struct.pack("<I", i) for i in ids):
        state = (state ^ byte) * 1099511628211 & (1 << 64) - 1
    return state


def pieces(kind, text):
    if kind == "gpt-2":
        return regex.findall(GPT2, text)
    if kind == "llama-bpe":
        return regex.findall(LLAMA, text)
    return list(split_digits(text))


def write_ids(model, sources, folder):
    rows = [(name, text.encode(), repeat) for name, text, repeat in texts()] + broken()
    data = [text * repeat for _, text, repeat in rows]
    smollm = ids_of(open_reference("smollm", model), data)
    with open(folder + "/tokenizer_smollm.txt", "w") as out:
        for (name, text, repeat), ids in zip(rows, smollm):
            out.write("%s\t%d\t%s\t%s\n" % (name, repeat, text.hex(), runs(ids)))
    others = [ids_of(open_reference(kind, "%s/%s" % (sources, source)), data) for kind, source in (
        ("gpt2", "gpt2"), ("llama3", "llama3.model"), ("spm", "spm.model"))]
    with open(folder + "/tokenizer_published.txt", "w") as out:
        for (name, _, _), *ids in zip(rows, *others):
            out.write(name + "".join("\t%d\t%016x" % (len(i), fnv1a(i)) for i in ids) + "\n")


def write_pieces(folder):
    with open(folder + "/pretokenizer.txt", "w") as out:
        for kind in ("gpt-2", "smollm", "llama-bpe"):
            for name, text, repeat in texts():
                if not known(text):
                    continue
                parts = pieces(kind, text * repeat)
                assert "".join(parts) == text * repeat
                out.write("%s\t%s\t%d\t%s\t%s\n" % (kind, name, repeat, text.encode().hex(),
                                                  runs([len(p.encode()) for p in parts])))


if __name__ == "__main__":
    write_ids(*sys.argv[1:])
    write_pieces(sys.argv[3])
