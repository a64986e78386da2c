"""Golden files of the tokenizer tests, from the `tokenizers` library and from
Python's `regex`, which know nothing of our code.

    pip install tokenizers==0.23.3 gguf==0.19.0 regex==2026.11.19
    python tests/reference/tokenizer_golden.py MODEL.gguf tests/unit/data

tokenizer_smollm.txt: name, repeat, text in hex, ids (`id` or `idxcount`).
pretokenizer.txt: kind, name, repeat, text in hex, sizes of the pieces.
"""

import sys

import gguf
import regex
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from tokenizer_corpus import texts

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
         r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def runs(items):
    out = []
    for item in items:
        if out and out[-1][0] == item:
            out[-1][1] += 1
        else:
            out.append([item, 1])
    return " ".join(str(i) if n == 1 else "%dx%d" % (i, n) for i, n in out)


def smollm(path):
    reader = gguf.GGUFReader(path)
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    types = reader.fields["tokenizer.ggml.token_type"].contents()
    merges = reader.fields["tokenizer.ggml.merges"].contents()
    assert reader.fields["tokenizer.ggml.pre"].contents() == "smollm"
    vocab = {t: i for i, t in enumerate(tokens) if types[i] == 1}
    t = Tokenizer(models.BPE(vocab=vocab, merges=[tuple(m.split(" ")) for m in merges]))
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    ])
    t.decoder = decoders.ByteLevel()
    return t


def pieces(kind, text):
    if kind == "gpt-2":
        return regex.findall(GPT2, text)
    if kind == "llama-bpe":
        return regex.findall(LLAMA, text)
    out = []
    for part in regex.split(r"(\p{N})", text):
        out += [part] if regex.fullmatch(r"\p{N}", part) else regex.findall(GPT2, part)
    return out


def known(text):
    """Both libraries must know every point: their Unicode versions differ."""
    split = pre_tokenizers.Split(Regex(r"\p{L}|\p{N}"), "removed")
    for c in text:
        ours = not split.pre_tokenize_str(c)
        if ours != bool(regex.match(r"\p{L}|\p{N}", c)):
            return False
    return True


def main():
    model, folder = sys.argv[1:]
    tokenizer = smollm(model)
    with open(folder + "/tokenizer_smollm.txt", "w") as out:
        for name, text, repeat in texts():
            ids = tokenizer.encode(text * repeat, add_special_tokens=False).ids
            out.write("%s\t%d\t%s\t%s\n" % (name, repeat, text.encode().hex(), runs(ids)))
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
    main()
