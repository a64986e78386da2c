"""Text to token ids, and a row to the ChatML prompt that the guard reads."""
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from .llama import gguf_field

SUFFIX = "guard\nSafe under the policy? Verdict:"


class Chat:
    """The GGUF's own vocabulary. Texts never become control tokens: those are
    put in by id, and each piece is tokenised alone."""

    def __init__(self, path):
        import gguf

        reader = gguf.GGUFReader(path)
        tokens = gguf_field(reader, "tokenizer.ggml.tokens")
        merges = gguf_field(reader, "tokenizer.ggml.merges")
        if gguf_field(reader, "tokenizer.ggml.pre") != "smollm":
            raise ValueError("the base model's pre-tokeniser is not smollm")
        vocab = {t: i for i, t in enumerate(tokens)}
        bpe = models.BPE(vocab=vocab, merges=[tuple(m.split(" ")) for m in merges])
        self.bpe = Tokenizer(bpe)
        self.bpe.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
        self.bpe.decoder = decoders.ByteLevel()
        self.template = gguf_field(reader, "tokenizer.chat_template") or ""
        self.start, self.end = vocab["<|im_start|>"], vocab["<|im_end|>"]
        self.open = {role: [self.start] + self.encode(role + "\n")
                     for role in ("system", "user", "assistant")}
        self.close = [self.end] + self.encode("\n")
        self.suffix = self.close + [self.start] + self.encode(SUFFIX)

    def encode(self, text):
        return self.bpe.encode(text, add_special_tokens=False).ids

    def encode_batch(self, texts):
        return [e.ids for e in self.bpe.encode_batch(texts, add_special_tokens=False)]

    def system(self, text):
        """The turn that stands in front of a conversation; nothing for None."""
        return self.open["system"] + self.encode(text) + self.close if text else []

    def context(self, prompt, response=None):
        """The conversation up to the last token of the judged text, from the
        token ids of its pieces."""
        ids = self.open["user"] + prompt
        if response is not None:
            ids = ids + self.close + self.open["assistant"] + response
        return ids


def windows(ids, size=512, overlap=128):
    """The windows in which a long text is judged; the last may be shorter, but
    always holds more than the overlap."""
    if len(ids) <= size:
        return [ids]
    return [ids[at:at + size] for at in range(0, len(ids) - overlap, size - overlap)]
