"""From checkpoints to shipped files: export, score, fit the combiner and
the thresholds into it, and write the report.

  finish export   checkpoint -> GGUF with a first combiner (usable at once)
  finish fit      logits -> combiner and thresholds of the GGUF, in place
  finish report   the tables of the model card, cross-validated
"""
import argparse
import os

import numpy as np
import torch

from . import combine, data, export, score, written
from .guard import Guard
from .llama import fastest_dtype
from .ngrams import Ngrams

FILES = {"full": "guard.gguf", "activated": "guard-activated.gguf"}
QUANT = {16: "f16", 32: "q8_0"}
PLAIN = np.stack([combine.prior(l)[0] for l in range(16)])
FIRST = np.tile(np.array([0.3, 0.5, 0.7]), (16, 1))


def from_checkpoint(work, kind, base, mean=True):
    saved = torch.load(f"{work}/{kind}.pt", map_location="cpu", weights_only=True)
    guard = Guard(base, kind, saved["rank"], saved["alpha"], saved["seed"])
    with torch.no_grad():
        for name, value in guard.parameters().items():
            value.copy_(saved["mean" if mean else "params"][name])
    details = {"general.name": f"Corral guard, {kind} kind",
               "general.license": "apache-2.0",
               "corral.guard.trained": f"{saved['step']} steps, {saved['seen']} tokens, "
                                       f"seed {saved['seed']}"}
    return guard, details


def do_export(a):
    guard, details = from_checkpoint(a.work, a.kind, a.base, not a.last)
    export.write(f"{a.models}/{FILES[a.kind]}", guard, os.path.basename(a.base), PLAIN, FIRST,
                 QUANT[guard.model.rank], details)


def scores(a, kind, rows):
    """Cached logits of the exported file."""
    path, cache = f"{a.models}/{FILES[kind]}", f"{a.work}/scores-{kind}.npy"
    if not os.path.exists(cache) or os.path.getmtime(cache) < os.path.getmtime(path):
        guard, _, _ = export.load(path, a.base, dtype=fastest_dtype("cpu"))
        np.save(cache, score.score(guard, rows))
    return np.load(cache)


def judged(a, kinds):
    """Dev and the held-out rows by hand, as arrays; which of them are dev's."""
    dev = data.read_rows(a.data, "dev")
    rows = dev + written.held_out()
    is_dev = np.arange(len(rows)) < len(dev)
    y, w = (np.stack(x) for x in zip(*(data.target(r) for r in rows)))
    ngrams = Ngrams.load(f"{a.models}/ngrams.gguf")
    ng = np.stack([ngrams.signals(ngrams.row_text(r)) for r in rows])
    return rows, is_dev, y, w, ng, {k: scores(a, k, rows) for k in kinds}


def do_fit(a):
    rows, is_dev, y, w, ng, lm = judged(a, [a.kind])
    lm = lm[a.kind]
    answer = combine.answers(rows)
    c = combine.fit(lm, ng, answer, y, combine.weighed(w, rows, is_dev))
    t = combine.thresholds(combine.apply(c, lm, ng, answer)[is_dev], y[is_dev], w[is_dev])
    path = f"{a.models}/{FILES[a.kind]}"
    export.calibrate(path, c, t)
    os.utime(f"{a.work}/scores-{a.kind}.npy")  # the adapter is the one just scored
    print(f"{path}: {os.path.getsize(path)} bytes")


def do_report(a):
    from . import report

    kinds = [k for k in FILES if os.path.exists(f"{a.models}/{FILES[k]}")]
    rows, is_dev, y, w, ng, lm = judged(a, kinds)
    for kind in kinds:
        report.show(kind, rows, is_dev, y, w, ng, lm[kind])


def main():
    p = argparse.ArgumentParser(prog="finish")
    p.add_argument("step", choices=("export", "fit", "report"))
    p.add_argument("--data")
    p.add_argument("--base", required=True)
    p.add_argument("--work", required=True)
    p.add_argument("--models", required=True)
    p.add_argument("--kind", choices=tuple(FILES))
    p.add_argument("--last", action="store_true", help="the last weights, not their average")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    {"export": do_export, "fit": do_fit, "report": do_report}[a.step](a)


if __name__ == "__main__":
    main()
