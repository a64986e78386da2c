"""Fit the n-gram tier and say how it does on dev."""
import argparse

import numpy as np

from . import data, ngrams

STRENGTH = {"unsafe": 30.0, "inj": 15.0, "english": 8.0}


def scores(model, rows):
    return np.stack([model.logits(model.row_text(r)) for r in rows])


def main():
    from sklearn.metrics import average_precision_score as ap, roc_auc_score as auc

    p = argparse.ArgumentParser()
    p.add_argument("--data", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--text", choices=("response", "prompt+response"), default="response")
    p.add_argument("--long-rows", type=int, default=900)
    p.add_argument("--c", type=float, default=None, help="try another strength for unsafe")
    a = p.parse_args()
    rows = data.read_rows(a.data, "train")
    # Here the mixed ones only blur: one bad sentence among many words.
    rows += [r for r in data.long_rows(rows, a.long_rows, a.seed) if r["label"] == "safe"]
    rows += data.written_rows(a.seed)
    strength = dict(STRENGTH, **({"unsafe": a.c} if a.c else {}))
    model = ngrams.train(rows, a.text, strength, a.seed)
    model.save(a.out)
    model = ngrams.Ngrams.load(a.out)
    dev = data.read_rows(a.data, "dev")
    z = scores(model, dev)
    y = np.array([r["label"] == "unsafe" for r in dev])
    inj = np.array([bool(r["injection"]) for r in dev])
    en = np.array([r["lang"] == "en" for r in dev])
    agent = np.array([r["role"] == "agent" for r in dev])
    print(f"n-grams ({a.text}): dev unsafe AUPRC {ap(y, z[:, 0]):.4f} AUROC {auc(y, z[:, 0]):.4f}; "
          f"en {ap(y[en], z[en, 0]):.4f} {auc(y[en], z[en, 0]):.4f}; "
          f"others {ap(y[~en], z[~en, 0]):.4f} {auc(y[~en], z[~en, 0]):.4f}; "
          f"agent {ap(y[agent], z[agent, 0]):.4f} {auc(y[agent], z[agent, 0]):.4f}; "
          f"INJ {ap(inj, z[:, 1]):.4f} {auc(inj, z[:, 1]):.4f}; "
          f"English {np.mean((z[:, 2] > 0) == en):.4f} right")


if __name__ == "__main__":
    main()
