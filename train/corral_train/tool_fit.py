"""Train the adapter for tool calling: LoRA on every layer, cross entropy on the
assistant's turns alone. Seeded; goes on from its checkpoint."""
import argparse
import os
import random
import time

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from . import export, tool_dialogues
from .fit import rate
from .guard import pad
from .llama import Llama, fastest_dtype
from .tokens import Chat

MICRO_TOKENS = 2048


def micro_batches(chat, seed):
    """Conversations of like length, so that little is padding; a tree alone."""
    source = tool_dialogues.draw(seed, chat)
    while True:
        drawn = sorted((next(source) for _ in range(24)), key=lambda d: len(d[0]))
        packs, pack = [], []
        for d in drawn:
            if pack and (len(pack) + 1) * len(d[0]) > MICRO_TOKENS:
                packs.append(pack)
                pack = []
            pack.append(d)
        packs.append(pack)
        # Else the first step of each draw has the short ones, the last the long.
        random.Random(len(packs[0][0][0])).shuffle(packs)
        yield from packs


def seen_by(pack, device):
    """What is added to the scores: a token sees the common beginning and what
    stands before it in its own branch."""
    part, _ = pad([d[3] for d in pack], device)
    causal = torch.ones(part.shape[1], part.shape[1], dtype=torch.bool, device=device).tril()
    own = (part[:, :, None] == part[:, None]) | (part[:, None] == 0)
    return torch.zeros(own.shape, device=device).masked_fill_(~(own & causal), float("-inf"))[:, None]


def loss_of(model, weights, pack):
    """The sum over the learned tokens, and how many they are."""
    ids, _ = pad([d[0] for d in pack], model.device)
    learned, _ = pad([d[1] for d in pack], model.device)
    positions, _ = pad([d[2] for d in pack], model.device)
    hidden = model.normed(model.forward(ids, positions, weights, mask=seen_by(pack, model.device)))
    wanted = learned[:, 1:].bool()
    logits = hidden[:, :-1][wanted] @ model.embed.float().t()
    return F.cross_entropy(logits, ids[:, 1:][wanted], reduction="sum"), int(wanted.sum())


def begin_from(model, path):
    """Go on from an exported file, with exactly its numbers."""
    import gguf

    r = gguf.GGUFReader(path)
    export.load_lora(model, {t.name: gguf.dequantize(t.data, t.tensor_type).astype(np.float32)
                             for t in r.tensors})


def main():
    p = argparse.ArgumentParser(prog="train/run --kind tools")
    p.add_argument("--data", help="not used: the conversations are written by script")
    p.add_argument("--base", required=True)
    p.add_argument("--work", required=True, help="folder of checkpoints")
    p.add_argument("--rank", type=int, default=16)
    p.add_argument("--alpha", type=float, default=32)
    p.add_argument("--lr", type=float, default=8e-4)
    p.add_argument("--lr-b", type=float, default=3.0, help="B's rate over A's (LoRA+)")
    p.add_argument("--tokens", type=int, default=1_500_000)
    p.add_argument("--minutes", type=float, default=1e9, help="end by then, cooled down")
    p.add_argument("--step-tokens", type=int, default=4096, help="between two updates")
    p.add_argument("--init", help="an adapter file of the same rank to go on from")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    a = p.parse_args()

    torch.set_num_threads(a.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    os.makedirs(a.work, exist_ok=True)
    path = f"{a.work}/tools.pt"
    chat, model = Chat(a.base), Llama(a.base, device, fastest_dtype(device))
    model.add_lora(a.rank, a.alpha, a.seed)
    if a.init:
        begin_from(model, a.init)
    params = {f"{n}.{k}": v for n, one, two in model.lora_parameters()
              for k, v in (("A", one), ("B", two))}
    adam = torch.optim.AdamW(
        [{"params": [v for k, v in params.items() if k.endswith(end)], "factor": factor}
         for end, factor in ((".A", 1.0), (".B", a.lr_b))],
        lr=a.lr, betas=(0.9, 0.99), weight_decay=0.0)
    seen, step, micro, spent = 0, 0, 0, 0.0
    if os.path.exists(path):
        saved = torch.load(path, map_location=device, weights_only=True)
        for k, v in params.items():
            v.data.copy_(saved["params"][k])
        adam.load_state_dict(saved["adam"])
        seen, step, micro, spent = saved["seen"], saved["step"], saved["micro"], saved["spent"]
        print(f"tools: going on at step {step}, {seen} tokens", flush=True)
    source = micro_batches(chat, a.seed)
    for _ in range(micro):
        next(source)

    def save():
        torch.save({"params": {k: v.detach() for k, v in params.items()}, "adam": adam.state_dict(),
                    "seen": seen, "step": step, "micro": micro, "spent": spent,
                    "rank": a.rank, "alpha": a.alpha, "seed": a.seed}, path + ".new")
        os.replace(path + ".new", path)

    bar = tqdm(total=a.tokens, initial=seen, unit="tok", mininterval=20, desc="tools")
    began, last_save = time.time() - spent, time.time()
    losses = []
    while True:
        spent = time.time() - began
        share = max(seen / a.tokens, spent / 60 / a.minutes)
        if share >= 1:
            break
        for group in adam.param_groups:
            group["lr"] = a.lr * group["factor"] * rate(share, step)
        weights, taken, total, learned = model.weights_merged(), 0, 0.0, 0
        while taken < a.step_tokens:
            pack = next(source)
            micro += 1
            loss, count = loss_of(model, weights, pack)
            (loss / (a.step_tokens / 4)).backward()
            taken += sum(len(d[0]) for d in pack)
            total += loss.item()
            learned += count
        torch.nn.utils.clip_grad_norm_(params.values(), 1.0)
        adam.step()
        adam.zero_grad(set_to_none=True)
        step += 1
        seen += taken
        bar.update(taken)
        losses.append(total / learned)
        if step % 10 == 0:
            print(f"\ntools: step {step} tokens {seen} loss {sum(losses[-10:]) / 10:.4f} "
                  f"{seen / (time.time() - began):.0f} tok/s", flush=True)
        if time.time() - last_save > 150:
            save()
            last_save = time.time()
    bar.close()
    save()
    print(f"tools: done, step {step}, {seen} tokens", flush=True)


if __name__ == "__main__":
    main()
