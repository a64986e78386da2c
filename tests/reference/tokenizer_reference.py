"""The tokenizers that ours must equal: those of the published libraries, and for
bytes that are no UTF-8, which no library takes, the plain loops that define
them. Sources are those of tokenizer_vocab.py.

    pip install tokenizers==0.23.3 tiktoken==0.14.0 sentencepiece==0.2.3 gguf==0.19.0 \\
        regex==2026.11.19
"""

import json

import regex

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
         r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def known(text):
    """Both libraries must know every point: their Unicode versions differ."""
    from tokenizers import Regex, pre_tokenizers

    split = pre_tokenizers.Split(Regex(r"\p{L}|\p{N}"), "removed")
    for c in text:
        ours = not split.pre_tokenize_str(c)
        if ours != bool(regex.match(r"\p{L}|\p{N}", c)):
            return False
    return True


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


def valid(data):
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def ids_of(reference, batch):
    """The ids of each of many texts: what the library says, and what the loop
    says where the library cannot."""
    library, plain = reference
    texts = [valid(data) for data in batch]
    told = iter(library([t for t in texts if t is not None]))
    return [plain(data) if t is None else list(next(told)) for t, data in zip(texts, batch)]


def open_reference(kind, source):
    """(library, loop): the ids of a list of texts; the ids of some bytes."""
    return {"smollm": open_smollm, "gpt2": open_gpt2, "llama3": open_llama3,
            "spm": open_spm}[kind](source)
