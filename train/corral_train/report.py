"""The dev tables of the model card. Everything with the combiner is
cross-validated; the floor is the n-gram tier alone."""
import numpy as np

from . import combine
from .data import LABELS


def quality(y, s):
    from sklearn.metrics import average_precision_score, roc_auc_score

    if y.all() or not y.any():
        return "   -  ", "   -  "
    return f"{average_precision_score(y, s):.3f}", f"{roc_auc_score(y, s):.3f}"


def show(kind, rows, y, w, ng, lm):
    p, passed = combine.cross_validated(lm, ng, y, w, rows)
    unsafe, inj = y[:, 0] == 1, y[:, 15] == 1
    lang = np.array([r["lang"] for r in rows])
    role = np.array([r["role"] for r in rows])
    source = np.array([r["source"] for r in rows])
    everything = np.ones(len(rows), bool)
    print(f"\n### {kind}: label unsafe on dev, by language and role\n")
    print("| rows | n | unsafe | n-grams AUPRC / AUROC | adapter alone | combined (cross-validated) "
          "| FPR, recall at balanced |\n|---|---|---|---|---|---|---|")
    parts = [("all", everything), ("all but S6 of users and in-the-wild", w[:, 0] == 1)]
    parts += [(x, lang == x) for x in ("en", "de", "fr", "it", "pt", "hi", "es", "th")]
    parts += [(x, role == x) for x in ("user", "agent")]
    b = passed[:, 0, 1]
    for name, k in parts:
        cells = [" / ".join(quality(unsafe[k], s[k])) for s in (ng[:, 0], lm[:, 0], p[:, 0])]
        print(f"| {name} | {k.sum()} | {unsafe[k].sum()} | {' | '.join(cells)} "
              f"| {b[k & ~unsafe].mean():.3f}, {b[k & unsafe].mean():.3f} |")
    ece = 0.0
    for lo in np.arange(0, 1, 0.1):
        k = (p[:, 0] >= lo) & (p[:, 0] < lo + 0.1)
        if k.any():
            ece += k.mean() * abs(p[k, 0].mean() - unsafe[k].mean())
    print(f"\nCalibration error of P(unsafe), ten bins: {ece:.3f}")

    print(f"\n### {kind}: operating points (cross-validated)\n")
    print("| level | unsafe: FPR, recall | unsafe or any hazard: FPR, recall "
          "| INJ: FPR, recall |\n|---|---|---|---|")
    for i, level in enumerate(("strict", "balanced", "loose")):
        whole = combine.blocks(passed, p, level)
        print(f"| {level} | {passed[~unsafe, 0, i].mean():.3f}, {passed[unsafe, 0, i].mean():.3f} "
              f"| {whole[~unsafe].mean():.3f}, {whole[unsafe].mean():.3f} "
              f"| {passed[~inj, 15, i].mean():.3f}, {passed[inj, 15, i].mean():.3f} |")

    print(f"\n### {kind}: by category (cross-validated)\n")
    print("| label | rows | AUPRC / AUROC | recall of the unsafe label at balanced "
          "| its own threshold: FPR on safe rows, recall |\n|---|---|---|---|---|")
    for l in range(1, 16):
        k = y[:, l] == 1
        others = ~inj if l == 15 else ~unsafe
        print(f"| {LABELS[l]} | {k.sum()} | {' / '.join(quality(k, p[:, l]))} "
              f"| {passed[k, 0, 1].mean():.3f} "
              f"| {passed[others, l, 1].mean():.3f}, {passed[k, l, 1].mean():.3f} |")

    print(f"\n### {kind}: by source at balanced (cross-validated)\n")
    print("| source | safe | FPR | unsafe | recall | AUPRC / AUROC |\n|---|---|---|---|---|---|")
    for s in sorted(set(source)):
        k = source == s
        safe, bad = k & ~unsafe, k & unsafe
        fpr = f"{b[safe].mean():.3f}" if safe.any() else "-"
        recall = f"{b[bad].mean():.3f}" if bad.any() else "-"
        print(f"| {s} | {safe.sum()} | {fpr} | {bad.sum()} | {recall} "
              f"| {' / '.join(quality(unsafe[k], p[k, 0]))} |")
