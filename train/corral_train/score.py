"""Score rows with an exported adapter as the engine does: windows of 512
tokens with an overlap of 128, each label's greatest logit over the windows."""
import argparse

import numpy as np
import torch

from . import data, export, systems
from .guard import PROMPT_TOKENS_MAX
from .tokens import windows


def contexts_of(guard, row):
    """The contexts of every window of a row's judged text."""
    chat = guard.chat
    prompt = chat.encode(row["prompt"])
    if row["role"] == "user":
        return [chat.context(w) for w in windows(prompt)]
    prompt = prompt[:PROMPT_TOKENS_MAX]
    return [chat.context(prompt, w) for w in windows(chat.encode(row["response"]))]


def system_of(guard):
    return guard.chat.system(systems.DEFAULT) if guard.kind == "activated" else ()


def score(guard, rows, tokens=2048):
    jobs = [(c, i) for i, r in enumerate(rows) for c in contexts_of(guard, r)]
    jobs.sort(key=lambda j: len(j[0]))
    out = np.full((len(rows), 16), -np.inf)
    weights, system = guard.weights(), system_of(guard)
    at = 0
    with torch.no_grad():
        while at < len(jobs):
            end = at + 1
            while end < len(jobs) and end - at < 64 and \
                    (end + 1 - at) * len(jobs[end][0]) <= tokens:
                end += 1
            z = guard.logits([c for c, _ in jobs[at:end]], weights, system).cpu().numpy()
            for (_, i), one in zip(jobs[at:end], z):
                out[i] = np.maximum(out[i], one)
            at = end
    return out


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--data", required=True)
    p.add_argument("--base", required=True)
    p.add_argument("--adapter", required=True)
    p.add_argument("--out", required=True, help=".npy of (rows, 16) logits on dev")
    p.add_argument("--threads", type=int, default=2)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    guard, _, _ = export.load(a.adapter, a.base, device)
    np.save(a.out, score(guard, data.read_rows(a.data, "dev")))


if __name__ == "__main__":
    main()
