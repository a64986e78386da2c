"""Perplexity of the default model in every format that Corral reads, by Corral
and by llama.cpp on the same file and text: windows of 512 tokens, the second
half of each scored. The text is this repository's own prose."""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import llamacpp as peer
import numpy as np

WINDOW = 512
BAR = 0.005  # how far apart the two may be


def prose(windows, model):
    """The manuals, joined, as many tokens as the windows take, and a few more
    so that the last window is whole."""
    docs = sorted((peer.ROOT / "docs").glob("*.md"))
    # Without the page that has these very figures in it.
    parts = [peer.ROOT / "README.md", *(d for d in docs if d.stem != "performance")]
    parts.append(peer.ROOT / "guard" / "models" / "README.md")
    text = "\n\n".join(p.read_text() for p in parts)
    words, low, high = text.split(" "), 0, len(text.split(" "))
    while low < high:
        middle = (low + high) // 2
        if len(model.tokenise(" ".join(words[:middle]))) < windows * WINDOW:
            low = middle + 1
        else:
            high = middle
    return " ".join(words[:low])


def theirs(path, text, threads, flash):
    model = peer.Model(path)
    context = peer.Context(model, WINDOW, threads, flash, batch=WINDOW)
    tokens = model.tokenise(text)
    begins = peer.L.llama_vocab_get_add_bos(model.vocab)
    if begins:
        tokens.insert(0, peer.L.llama_vocab_bos(model.vocab))
    total, count = 0.0, 0
    for at in range(0, len(tokens) - WINDOW + 1, WINDOW):
        window = tokens[at : at + WINDOW]
        if begins:
            window[0] = peer.L.llama_vocab_bos(model.vocab)
        scored = range(WINDOW // 2, WINDOW - 1)
        context.clear()
        context.decode(
            window, range(WINDOW), [0] * WINDOW, [int(i in scored) for i in range(WINDOW)]
        )
        for i in scored:
            logits = context.logits(i).astype(np.float64)
            most = logits.max()
            total += most + np.log(np.exp(logits - most).sum()) - logits[window[i + 1]]
            count += 1
    context.close()
    model.close()
    return float(np.exp(total / count)), count


def ours(binary, path, text, threads, *more):
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as f:
        f.write(text)
        f.flush()
        command = [binary, "perplexity", "-m", path, "-f", f.name, "--json"]
        done = subprocess.run(
            [str(c) for c in command + ["-t", threads, *more]],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    if done.returncode:
        raise SystemExit(done.stderr.decode())
    figures = json.loads(done.stdout)
    return figures["perplexity"], figures["tokens"]


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("-m", "--model", default=str(peer.MODEL))
    p.add_argument("-t", "--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--formats", default=",".join(peer.FORMATS))
    p.add_argument("--windows", type=int, default=12)
    p.add_argument("--flash", action="store_true", help="llama.cpp's fused attention")
    p.add_argument("--exact", action="store_true", help="corral's too: slow")
    p.add_argument("--corral", default=str(peer.CORRAL), help="the binary")
    p.add_argument("--json", action="store_true")
    args = p.parse_args()

    model = peer.Model(args.model)
    text = prose(args.windows, model)
    model.close()
    rows = []
    if not args.json:
        print(f"{'format':8} {'llama.cpp':>10} {'corral':>10} {'apart':>8}", end="")
        print(f" {'exact':>10} {'apart':>8}" if args.exact else "")
    for name in args.formats.split(","):
        path = peer.requantise(args.model, name)
        other, count = theirs(path, text, args.threads, args.flash)
        mine, mine_count = ours(args.corral, path, text, args.threads)
        if count != mine_count:
            raise SystemExit(f"{name}: {count} tokens scored there, {mine_count} here")
        row = {"format": name, "tokens": count, "llama_cpp": other, "corral": mine}
        row["apart"] = mine / other - 1
        line = f"{name:8} {other:10.4f} {mine:10.4f} {row['apart']:+8.2%}"
        if args.exact:
            exact, _ = ours(args.corral, path, text, args.threads, "--exact")
            row |= {"corral_exact": exact, "exact_apart": exact / other - 1}
            line += f" {exact:10.4f} {row['exact_apart']:+8.2%}"
        rows.append(row)
        if not args.json:
            past = "" if abs(row["apart"]) <= BAR else "  past the bar"
            print(line + past, flush=True)
    if args.json:
        print(json.dumps({"model": args.model, "rows": rows}))
    sys.exit(any(abs(row["apart"]) > BAR for row in rows))


if __name__ == "__main__":
    main()
