"""The combiner of the adapter's and the n-gram tier's logits, and the
thresholds. The combiner is fitted on dev and the rows by hand that were held
out: on dev alone, whose sources the n-gram tier knows, it trusts that tier too
much for words that nobody has seen. The thresholds are dev's. What is reported
is cross-validated: five folds, rows that share a prompt in one fold.

z_l = sum_i C[l][i] f_i,
f = (lm_0 .. lm_15, ng_l, e lm_l, e ng_l, e, a, a lm_l, a ng_l, s lm_l, s ng_l, s, 1),
e = P(English), a = 1 when an answer is judged and 0 when anything else is, s = the
share of letters that are not Latin: of Hindi and Thai the base model knows too
little. The other labels' logits tell a rare hazard from its neighbours.
"""
import re

import numpy as np

from .data import LABELS

FOLDS = 5
FEATURES = 27
# What a held-out row by hand that is not English counts beside one of dev: there are
# more of them than of dev's rows in most languages, and they are harder.
HELD_OTHERS = 0.3
# Share of safe rows (INJ: of rows without injection) that may pass each threshold.
RATES_UNSAFE = {"strict": 0.12, "balanced": 0.052, "loose": 0.015}
RATES_CATEGORY = {"strict": 0.01, "balanced": 0.005, "loose": 0.002}
RATES_INJ = {"strict": 0.03, "balanced": 0.01, "loose": 0.0015}


def sigmoid(x):
    return 1 / (1 + np.exp(-np.clip(x, -60, 60)))


def features(lm, ng, answer, label):
    """(rows, 27) for one label; ng is (rows, 4), as Ngrams.signals gives them."""
    e, a, s = sigmoid(ng[:, 2]), answer.astype(float), ng[:, 3]
    n = ng[:, 1] if label == 15 else ng[:, 0]
    z = lm[:, label]
    return np.column_stack([lm, n, e * z, e * n, e, a, a * z, a * n, s * z, s * n, s,
                            np.ones_like(e)])


def prior(label):
    """What the weights are drawn towards, the shrunken plain logit, and how
    strongly: rare labels more, INJ to itself alone."""
    start, ridge = np.zeros(FEATURES), np.full(FEATURES, 10.0)
    start[label], start[16] = 0.9, 0.1
    ridge[label], ridge[16:] = 2.0, (2.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 0.05)
    if label == 15:
        ridge[:15] = ridge[20:23] = 1e6
    return start, ridge * (4 if 1 <= label <= 14 else 1)


def logistic(x, y, w, ridge, start):
    """Weighted logistic regression by Newton, drawn towards `start`."""
    c = start.copy()
    for _ in range(50):
        p = sigmoid(x @ c)
        g = x.T @ (w * (p - y)) + ridge * (c - start)
        h = (x * (w * p * (1 - p))[:, None]).T @ x + np.diag(ridge)
        step = np.linalg.solve(h, g)
        c -= step
        if np.abs(step).max() < 1e-7:
            break
    return c


def fit(lm, ng, answer, y, w):
    """(16, 27)."""
    return np.stack([logistic(features(lm, ng, answer, l), y[:, l], w[:, l], ridge, start)
                     for l in range(16) for start, ridge in [prior(l)]])


def apply(c, lm, ng, answer):
    return sigmoid(np.stack([features(lm, ng, answer, l) @ c[l] for l in range(16)], 1))


def thresholds(p, y, w):
    """(16, 3): strict, balanced, loose, on P of each label."""
    out = np.zeros((16, 3))
    safe = y[:, 0] == 0
    for l in range(16):
        rates = RATES_UNSAFE if l == 0 else RATES_INJ if l == 15 else RATES_CATEGORY
        negative = (y[:, 15] == 0) if l == 15 else safe & (w[:, 0] > 0)
        for k, level in enumerate(("strict", "balanced", "loose")):
            out[l, k] = np.quantile(p[negative, l], 1 - rates[level])
        # A category alone never blocks below an even chance.
        if 1 <= l <= 14:
            out[l] = np.maximum(out[l], (0.3, 0.5, 0.7))
    return np.clip(out, 0.001, 0.999)


def groups(rows):
    """A number for each prompt: rows that share one stay in one fold."""
    seen = {}
    return np.array([seen.setdefault(re.sub(r"\s+", " ", r["prompt"].lower())[:200], len(seen))
                     for r in rows])


def answers(rows):
    return np.array([r["role"] == "agent" for r in rows])


def weighed(w, rows, is_dev):
    """What the rows count when the combiner is fitted."""
    less = ~is_dev & np.array([r["lang"] != "en" for r in rows])
    return w * np.where(less, HELD_OTHERS, 1.0)[:, None]


def cross_validated(lm, ng, y, w, rows, is_dev, seed=1):
    """P of every row from a combiner that never saw its group, and whether each
    label's thresholds (of the same folds' dev rows) are passed: (rows, 16, 3)."""
    g, a, weight = groups(rows), answers(rows), weighed(w, rows, is_dev)
    fold = np.random.default_rng(seed).permutation(g.max() + 1)[g] % FOLDS
    p, passed = np.zeros((len(rows), 16)), np.zeros((len(rows), 16, 3), bool)
    for f in range(FOLDS):
        held = fold == f
        c = fit(lm[~held], ng[~held], a[~held], y[~held], weight[~held])
        k = ~held & is_dev
        t = thresholds(apply(c, lm[k], ng[k], a[k]), y[k], w[k])
        p[held] = apply(c, lm[held], ng[held], a[held])
        passed[held] = p[held][:, :, None] >= t[None]
    return p, passed


def blocks(passed, p, level, default_policy=True):
    """Which rows are blocked at one level. The default policy only flags S6."""
    k = ("strict", "balanced", "loose").index(level)
    labels = [l for l in range(1, 15) if not (default_policy and LABELS[l] == "S6")]
    top = p[:, 1:15].argmax(1) + 1
    unsafe = passed[:, 0, k]
    if default_policy:
        unsafe = unsafe & (LABELS.index("S6") != top)
    return unsafe | passed[:, labels, k].any(1)
