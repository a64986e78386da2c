"""Train one kind of adapter: seeded, on the CPU or one GPU, resumed from its
checkpoint. The learning rate follows the share of the token (or time) budget
that is spent, so a run that is told to end earlier still ends cooled down."""
import argparse
import math
import os
import random
import time

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from . import data, export, known, systems
from .guard import PROMPT_TOKENS_MAX, Guard
from .llama import fastest_dtype

MICRO_TOKENS = 1280  # padded; larger falls out of the cache of a small CPU
MICRO_ROWS = 64
MICRO_COUNT = 2
STEP_ROWS = 40       # the loss of a step is its sum of rows over this


class Batches:
    """Endless micro-batches of rows of like length, in seeded random order."""

    def __init__(self, rows, guard, seed, rates):
        self.rows, self.guard, self.seed, self.rates = rows, guard, seed, rates
        chat = guard.chat
        self.prompts = chat.encode_batch([r["prompt"] for r in rows])
        self.responses = chat.encode_batch([r["response"] or "" for r in rows])
        self.sizes = [len(p) + len(r) for p, r in zip(self.prompts, self.responses)]
        self.epoch, self.at, self.order = 0, 0, None

    def context(self, i, rng):
        row, chat = self.rows[i], self.guard.chat
        limit = rng.choices((96, 144, 224, 448), (50, 30, 17, 3))[0]
        unsafe = row["label"] == "unsafe" or row["injection"]
        if row["role"] == "user":
            return chat.context(data.cut(self.prompts[i], unsafe, limit, rng))
        prompt = self.prompts[i][:min(PROMPT_TOKENS_MAX, rng.choice((64, 128, 256)))]
        return chat.context(prompt, data.cut(self.responses[i], unsafe, limit, rng))

    def pool(self, count):
        out = []
        while len(out) < count:
            if self.order is None or self.at >= len(self.order):
                self.order = data.draw_order(self.rows, self.sizes, self.seed + self.epoch,
                                             *self.rates)
                # The tail of an order is what the balance wants least.
                self.order = self.order[:int(len(self.order) * 0.8)]
                self.epoch, self.at = self.epoch + 1, 0
            out.append(int(self.order[self.at]))
            self.at += 1
        return out

    def __iter__(self):
        number = 0
        while True:
            rng = random.Random(self.seed * 1000003 + number)
            number += 1
            made = [(self.context(i, rng), i) for i in self.pool(640)]
            made.sort(key=lambda m: len(m[0]))
            packs, pack = [], []
            for m in made:
                if pack and ((len(pack) + 1) * len(m[0]) > MICRO_TOKENS or
                             len(pack) == MICRO_ROWS):
                    packs.append(pack)
                    pack = []
                pack.append(m)
            packs.append(pack)
            rng.shuffle(packs)
            for pack in packs:
                yield pack, systems.pick(rng)


def loss_of(logits, rows):
    y, w = zip(*(data.target(r) for r in rows))
    y = torch.from_numpy(np.stack(y)).to(logits.device)
    w = torch.from_numpy(np.stack(w)).to(logits.device)
    each = F.binary_cross_entropy_with_logits(logits, y, reduction="none") * w
    return (each[:, 0] + 0.4 * each[:, 1:15].sum(1) + 0.6 * each[:, 15]).sum()


def rate(share, step):
    return min(1.0, (step + 1) / 25) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1, share))))


def probe(guard, rows, contexts):
    """AUROC of `unsafe` on a few dev rows, English and others."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    weights, scores = guard.weights(), []
    with torch.no_grad():
        for at in range(0, len(rows), 16):
            system = () if guard.kind == "full" else guard.chat.system(systems.DEFAULT)
            scores += guard.logits(contexts[at:at + 16], weights, system)[:, 0].tolist()
    scores, y = np.array(scores), np.array([r["label"] == "unsafe" for r in rows])
    en = np.array([r["lang"] == "en" for r in rows])
    return " ".join(f"{name} AUPRC {average_precision_score(y[k], scores[k]):.3f} "
                    f"AUROC {roc_auc_score(y[k], scores[k]):.3f}"
                    for name, k in (("en", en), ("others", ~en)))


def main():
    p = argparse.ArgumentParser(prog="train/run --kind")
    p.add_argument("--data", required=True)
    p.add_argument("--base", required=True)
    p.add_argument("--work", required=True, help="folder of checkpoints")
    p.add_argument("--kind", choices=("full", "activated"), required=True)
    p.add_argument("--rank", type=int, default=16)
    p.add_argument("--alpha", type=float, default=32)
    p.add_argument("--lr", type=float, default=5e-4, help="of A; B and head have their own factor")
    p.add_argument("--lr-b", type=float, default=3.0, help="B's rate over A's (LoRA+)")
    p.add_argument("--tokens", type=int, default=2_400_000)
    p.add_argument("--minutes", type=float, default=1e9, help="end by then, cooled down")
    p.add_argument("--long-rows", type=int, default=1800)
    p.add_argument("--probe-minutes", type=float, default=10, help="0: never look at dev")
    p.add_argument("--english", type=float, default=1.0, help="weight of English rows in the draw")
    p.add_argument("--by-hand", type=float, default=3.0, help="the same of the rows of written/")
    p.add_argument("--known", help="verdicts on the rows by hand: what is known is drawn less")
    p.add_argument("--init", help="an adapter file of the same kind and rank to go on from")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    a = p.parse_args()

    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = fastest_dtype(device)
    os.makedirs(a.work, exist_ok=True)
    path = f"{a.work}/{a.kind}.pt"
    if a.init:
        guard, _, _ = export.load(a.init, a.base, device, dtype)
        if guard.kind != a.kind:
            p.error(f"{a.init} is of the kind {guard.kind}")
    else:
        guard = Guard(a.base, a.kind, a.rank, a.alpha, a.seed, device, dtype)
    rows = data.read_rows(a.data, "train")
    rows += data.long_rows(rows, a.long_rows, a.seed) + data.written_rows(a.seed)
    worth = known.rates(rows, a.known) if a.known else None
    batches = Batches(rows, guard, a.seed, (a.english, a.by_hand, worth))
    dev = data.read_rows(a.data, "dev")
    dev = sorted(random.Random(7).sample(dev, 400), key=lambda r: len(r["prompt"]))
    dev_contexts = []
    for r in dev:
        prompt = guard.chat.encode(r["prompt"])
        dev_contexts.append(guard.chat.context(prompt[:256]) if r["role"] == "user" else
                            guard.chat.context(prompt[:64], guard.chat.encode(r["response"])[:192]))

    params = guard.parameters()
    groups = [
        {"params": [v for k, v in params.items() if k.endswith(".A")], "factor": 1.0},
        {"params": [v for k, v in params.items() if k.endswith(".B")], "factor": a.lr_b},
        {"params": [guard.head, guard.bias], "factor": 1.5},
    ]
    adam = torch.optim.AdamW(groups, lr=a.lr, betas=(0.9, 0.99), weight_decay=0.0)
    mean = {k: v.detach().clone() for k, v in params.items()}
    seen, step, micro, spent = 0, 0, 0, 0.0
    if os.path.exists(path):
        saved = torch.load(path, map_location=device, weights_only=True)
        for k, v in params.items():
            v.data.copy_(saved["params"][k])
        mean = saved["mean"]
        adam.load_state_dict(saved["adam"])
        seen, step, micro, spent = saved["seen"], saved["step"], saved["micro"], saved["spent"]
        print(f"{a.kind}: going on at step {step}, {seen} tokens", flush=True)

    source = iter(batches)
    for _ in range(micro):  # the same draw as before the stop
        next(source)

    def save():
        torch.save({"params": {k: v.detach() for k, v in params.items()}, "mean": mean,
                    "adam": adam.state_dict(), "seen": seen, "step": step, "micro": micro,
                    "spent": spent, "rank": guard.model.rank, "alpha": guard.model.alpha,
                    "kind": a.kind, "seed": a.seed}, path + ".new")
        os.replace(path + ".new", path)

    bar = tqdm(total=a.tokens, initial=seen, unit="tok", mininterval=20, desc=a.kind)
    last_save = last_probe = time.time()
    began, losses = time.time() - spent, []
    while True:
        spent = time.time() - began
        share = max(seen / a.tokens, spent / 60 / a.minutes)
        if share >= 1:
            break
        for group in adam.param_groups:
            group["lr"] = a.lr * group["factor"] * rate(share, step)
        weights, row_count, total = guard.weights(), 0, 0.0
        for _ in range(MICRO_COUNT):
            pack, system = next(source)
            micro += 1
            system = guard.chat.system(system) if a.kind == "activated" else ()
            loss = loss_of(guard.logits([c for c, _ in pack], weights, system),
                           [rows[i] for _, i in pack])
            (loss / STEP_ROWS).backward()
            tokens = sum(len(c) + len(guard.suffix) for c, _ in pack)
            seen += tokens
            bar.update(tokens)
            row_count += len(pack)
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(params.values(), 1.0)
        adam.step()
        adam.zero_grad(set_to_none=True)
        step += 1
        keep = min(0.97, step / (step + 10))
        with torch.no_grad():
            for k, v in params.items():
                mean[k].lerp_(v, 1 - keep)
        losses.append(total / row_count)
        if step % 20 == 0:
            print(f"\n{a.kind}: step {step} tokens {seen} loss {np.mean(losses[-20:]):.4f} "
                  f"rate {rate(share, step):.2f} {seen / (time.time() - began):.0f} tok/s", flush=True)
        now = time.time()
        if now - last_save > 150:
            save()
            last_save = now
        if a.probe_minutes and now - last_probe > 60 * a.probe_minutes:
            print(f"\n{a.kind}: step {step}: {probe(guard, dev, dev_contexts)}", flush=True)
            last_probe = time.time()
    bar.close()
    save()
    print(f"{a.kind}: done, step {step}, {seen} tokens", flush=True)
    if a.probe_minutes:
        print(f"{a.kind}: {probe(guard, dev, dev_contexts)}", flush=True)


if __name__ == "__main__":
    main()
