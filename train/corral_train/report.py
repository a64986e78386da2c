"""The tables of the model card: dev, and the rows by hand that were held out.
Everything with the combiner is cross-validated; the floor is the n-gram tier
alone."""
import numpy as np

from . import combine
from .data import LABELS


def quality(y, s):
    from sklearn.metrics import average_precision_score, roc_auc_score

    if y.all() or not y.any():
        return "   -  ", "   -  "
    return f"{average_precision_score(y, s):.3f}", f"{roc_auc_score(y, s):.3f}"


LANGS = ("en", "de", "fr", "it", "pt", "hi", "es", "th")


def by_part(title, parts, y, ng, lm, p, passed):
    unsafe, b = y[:, 0] == 1, passed[:, 0, 1]
    print(f"\n### {title}\n")
    print("| rows | n | unsafe | n-grams AUPRC / AUROC | adapter alone | combined (cross-validated) "
          "| FPR, recall at balanced |\n|---|---|---|---|---|---|---|")
    for name, k in parts:
        cells = [" / ".join(quality(unsafe[k], s[k])) for s in (ng[:, 0], lm[:, 0], p[:, 0])]
        print(f"| {name} | {k.sum()} | {unsafe[k].sum()} | {' | '.join(cells)} "
              f"| {b[k & ~unsafe].mean():.3f}, {b[k & unsafe].mean():.3f} |")


def calibration(p, unsafe):
    ece = 0.0
    for lo in np.arange(0, 1, 0.1):
        k = (p >= lo) & (p < lo + 0.1)
        if k.any():
            ece += k.mean() * abs(p[k].mean() - unsafe[k].mean())
    print(f"\nCalibration error of P(unsafe), ten bins: {ece:.3f}")


def levels(title, y, p, passed):
    unsafe, inj = y[:, 0] == 1, y[:, 15] == 1
    print(f"\n### {title}\n")
    print("| level | unsafe: FPR, recall | unsafe or any hazard: FPR, recall "
          "| INJ: FPR, recall |\n|---|---|---|---|")
    for i, level in enumerate(("strict", "balanced", "loose")):
        whole = combine.blocks(passed, p, level)
        print(f"| {level} | {passed[~unsafe, 0, i].mean():.3f}, {passed[unsafe, 0, i].mean():.3f} "
              f"| {whole[~unsafe].mean():.3f}, {whole[unsafe].mean():.3f} "
              f"| {passed[~inj, 15, i].mean():.3f}, {passed[inj, 15, i].mean():.3f} |")


def by_category(title, y, p, passed):
    unsafe, inj = y[:, 0] == 1, y[:, 15] == 1
    print(f"\n### {title}\n")
    print("| label | rows | AUPRC / AUROC | recall of the unsafe label at balanced "
          "| its own threshold: FPR on safe rows, recall |\n|---|---|---|---|---|")
    for l in range(1, 16):
        k = y[:, l] == 1
        others = ~inj if l == 15 else ~unsafe
        print(f"| {LABELS[l]} | {k.sum()} | {' / '.join(quality(k, p[:, l]))} "
              f"| {passed[k, 0, 1].mean():.3f} "
              f"| {passed[others, l, 1].mean():.3f}, {passed[k, l, 1].mean():.3f} |")


def by_source(title, source, y, p, passed):
    unsafe, b = y[:, 0] == 1, passed[:, 0, 1]
    print(f"\n### {title}\n")
    print("| source | safe | FPR | unsafe | recall | AUPRC / AUROC |\n|---|---|---|---|---|---|")
    for s in sorted(set(source)):
        k = source == s
        safe, bad = k & ~unsafe, k & unsafe
        fpr = f"{b[safe].mean():.3f}" if safe.any() else "-"
        recall = f"{b[bad].mean():.3f}" if bad.any() else "-"
        print(f"| {s} | {safe.sum()} | {fpr} | {bad.sum()} | {recall} "
              f"| {' / '.join(quality(unsafe[k], p[k, 0]))} |")


def show(kind, rows, is_dev, y, w, ng, lm):
    p, passed = combine.cross_validated(lm, ng, y, w, rows, is_dev)
    lang, role, source = (np.array([r[k] for r in rows]) for k in ("lang", "role", "source"))
    everything = np.ones(len(rows), bool)
    parts = [("all", everything), ("all but S6 of users and in-the-wild", w[:, 0] == 1)]
    parts += [(x, lang == x) for x in LANGS] + [(x, role == x) for x in ("user", "agent")]
    d = is_dev
    by_part(f"{kind}: label unsafe on dev, by language and role", [(n, k[d]) for n, k in parts],
            y[d], ng[d], lm[d], p[d], passed[d])
    calibration(p[d, 0], y[d, 0] == 1)
    levels(f"{kind}: operating points on dev (cross-validated)", y[d], p[d], passed[d])
    by_category(f"{kind}: dev by category (cross-validated)", y[d], p[d], passed[d])
    by_source(f"{kind}: dev by source at balanced (cross-validated)", source[d], y[d], p[d], passed[d])
    h = ~is_dev
    by_part(f"{kind}: label unsafe on the held-out rows by hand", [(n, k[h]) for n, k in parts
                                                                   if k[h].any()],
            y[h], ng[h], lm[h], p[h], passed[h])
    levels(f"{kind}: operating points on the held-out rows by hand", y[h], p[h], passed[h])
