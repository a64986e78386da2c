"""False positives on long-form safe texts, made of dev's safe rows: the
greatest of several windows must not turn a long text into a hazard."""
import argparse

import numpy as np
import torch

from . import combine, data, export, score
from .ngrams import Ngrams


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--data", required=True)
    p.add_argument("--base", required=True)
    p.add_argument("--models", required=True)
    p.add_argument("--count", type=int, default=90)
    a = p.parse_args()
    rows = data.long_rows(data.read_rows(a.data, "dev"), a.count, 5)
    ngrams = Ngrams.load(f"{a.models}/ngrams.gguf")
    ng = np.stack([ngrams.signals(r["prompt"]) for r in rows])
    unsafe = np.array([r["label"] == "unsafe" for r in rows])
    for name in ("guard", "guard-activated"):
        guard, c, t = export.load(f"{a.models}/{name}.gguf", a.base)
        p_all = combine.apply(c, score.score(guard, rows), ng, combine.answers(rows))
        hit = p_all[:, 0] >= t[0, 1]
        print(f"{name}: long-form at balanced: FPR {hit[~unsafe].mean():.3f} of {(~unsafe).sum()}, "
              f"recall with one unsafe text inside {hit[unsafe].mean():.3f} of {unsafe.sum()}")


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
