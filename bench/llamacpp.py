"""llama.cpp through the low-level calls of llama-cpp-python, so that Python
costs nothing that matters: one call a step, and no sampling."""

import ctypes
import os
import time
from pathlib import Path

import llama_cpp as L
import numpy as np

HOME = Path(os.environ.get("CORRAL_HOME", Path.home() / ".cache" / "corral"))
ROOT = Path(__file__).resolve().parents[1]
CORRAL = Path(os.environ.get("CORRAL_BIN", ROOT / "build" / "corral"))
MODEL = HOME / "SmolLM2-135M-Instruct.Q4_1.gguf"

FORMATS = {
    "F32": L.LLAMA_FTYPE_ALL_F32,
    "F16": L.LLAMA_FTYPE_MOSTLY_F16,
    "BF16": L.LLAMA_FTYPE_MOSTLY_BF16,
    "Q4_0": L.LLAMA_FTYPE_MOSTLY_Q4_0,
    "Q4_1": L.LLAMA_FTYPE_MOSTLY_Q4_1,
    "Q5_0": L.LLAMA_FTYPE_MOSTLY_Q5_0,
    "Q5_1": L.LLAMA_FTYPE_MOSTLY_Q5_1,
    "Q8_0": L.LLAMA_FTYPE_MOSTLY_Q8_0,
    "Q2_K": L.LLAMA_FTYPE_MOSTLY_Q2_K,
    "Q3_K_M": L.LLAMA_FTYPE_MOSTLY_Q3_K_M,
    "Q4_K_M": L.LLAMA_FTYPE_MOSTLY_Q4_K_M,
    "Q5_K_M": L.LLAMA_FTYPE_MOSTLY_Q5_K_M,
    "Q6_K": L.LLAMA_FTYPE_MOSTLY_Q6_K,
    "IQ4_NL": L.LLAMA_FTYPE_MOSTLY_IQ4_NL,
}

PROMPT = 64  # before decoding, as in cli/bench_model.c
TOGETHER = 8


@L.llama_log_callback
def _quiet(level, text, user):
    pass


L.llama_log_set(_quiet, ctypes.c_void_p(0))
L.llama_backend_init()


def requantise(source, name, folder=None):
    """The model in another format, made once and kept. Straight from the
    blocks of `source`, so both engines read the same file."""
    folder = Path(folder or HOME / "peers")
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / f"{Path(source).stem}.as.{name}.gguf"
    if out.exists() and out.stat().st_mtime > Path(source).stat().st_mtime:
        return out
    params = L.llama_model_quantize_default_params()
    params.ftype = FORMATS[name]
    params.allow_requantize = True
    params.nthread = 0
    part = out.with_suffix(".part")
    if L.llama_model_quantize(
        str(source).encode(), str(part).encode(), ctypes.byref(params)
    ):
        raise SystemExit(f"llama.cpp cannot make {name} of {source}")
    part.rename(out)
    return out


class Model:
    def __init__(self, path):
        params = L.llama_model_default_params()
        self.handle = L.llama_model_load_from_file(str(path).encode(), params)
        if not self.handle:
            raise SystemExit(f"llama.cpp cannot load {path}")
        self.vocab = L.llama_model_get_vocab(self.handle)
        self.size = L.llama_vocab_n_tokens(self.vocab)

    def close(self):
        L.llama_model_free(self.handle)

    def tokenise(self, text):
        raw = text.encode()
        out = (L.llama_token * (len(raw) + 16))()
        count = L.llama_tokenize(
            self.vocab, raw, len(raw), out, len(out), False, False
        )
        if count < 0:
            raise SystemExit("llama.cpp cannot tokenise the text")
        return list(out[:count])


class Context:
    """One context with its batch. `flash` is whether its attention is the
    fused one, `unified` whether sequences share one cache."""

    def __init__(
        self, model, positions, threads, flash, sequences=1, unified=False, batch=512
    ):
        params = L.llama_context_default_params()
        params.n_ctx = positions * sequences
        params.n_batch = params.n_ubatch = batch
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = 1 if flash else 0
        params.kv_unified = unified
        params.no_perf = True
        self.model = model
        self.handle = L.llama_init_from_model(model.handle, params)
        if not self.handle:
            raise SystemExit("llama.cpp cannot make a context")
        self.memory = L.llama_get_memory(self.handle)
        self.batch = L.llama_batch_init(batch, 0, sequences)

    def close(self):
        L.llama_batch_free(self.batch)
        L.llama_free(self.handle)

    def clear(self):
        L.llama_memory_clear(self.memory, False)

    def decode(self, tokens, positions, sequences, logits):
        b = self.batch
        b.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            b.token[i] = token
            b.pos[i] = positions[i]
            b.n_seq_id[i] = 1
            b.seq_id[i][0] = sequences[i]
            b.logits[i] = logits[i]
        if L.llama_decode(self.handle, b) != 0:
            raise SystemExit("llama.cpp failed in a step")
        L.llama_synchronize(self.handle)

    def prompt(self, tokens, sequence=0):
        count = len(tokens)
        self.decode(
            tokens, range(count), [sequence] * count, [0] * (count - 1) + [1]
        )

    def logits(self, index):
        at = L.llama_get_logits_ith(self.handle, index)
        return np.ctypeslib.as_array(at, shape=(self.model.size,))


def _some_tokens(model, count, seed):
    draw = np.random.default_rng(seed)
    return [int(t) for t in draw.integers(300, min(model.size, 48000), count)]


def prefill_tok_s(context, count):
    """A prompt in one batch, with the logits of its last token."""
    tokens = _some_tokens(context.model, count, 1)
    context.clear()
    start = time.perf_counter()
    context.prompt(tokens)
    context.logits(-1)
    return count / (time.perf_counter() - start)


def decode_tok_s(context, steps, sequences=1):
    """Steps of one token for each sequence, behind a prompt. The tokens are
    given, as in llama-bench: nothing is sampled."""
    context.clear()
    for i in range(sequences):
        context.prompt(_some_tokens(context.model, PROMPT, i), i)
    tokens = _some_tokens(context.model, sequences, 99)
    ids, logits = list(range(sequences)), [1] * sequences
    start = time.perf_counter()
    for step in range(steps):
        context.decode(tokens, [PROMPT + step] * sequences, ids, logits)
        context.logits(sequences - 1)
    return steps * sequences / (time.perf_counter() - start)
