"""Corral and llama.cpp on the same work, in turns, in one run: prefill, decode,
and eight sequences together. Prints both and ours / theirs."""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import llamacpp as peer

PARTS = {
    "prefill": "prefill_tok_s",
    "decode": "decode_tok_s",
    "decode8": "decode8_tok_s",
}
LOOK = 16  # steps


def ours(args):
    command = [args.corral, "bench", "--json", "--only", ",".join(args.parts)]
    command += ["-t", str(args.threads), "-m", args.model]
    command += ["--prompt", str(args.prompt), "-n", str(args.tokens)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        raise SystemExit(done.stderr.decode())
    return json.loads(done.stdout)


class Contender:
    """llama.cpp on one file, in each way that it can be set up; the best of
    them stands for it, figure by figure."""

    def __init__(self, name, path, args):
        self.name, self.args = name, args
        self.model = peer.Model(path)
        self.samples = {}
        room = max(args.prompt, peer.PROMPT + args.tokens) + 32
        self.contexts = {
            ("flash" if flash else "plain"): peer.Context(
                self.model, room, args.threads, flash
            )
            for flash in (True, False)
        }
        self.together = {}
        if "decode8_tok_s" in args.figures:
            self.together = {
                f"{'flash' if flash else 'plain'},{'unified' if unified else 'split'}":
                peer.Context(
                    self.model,
                    peer.PROMPT + args.tokens + 32,
                    args.threads,
                    flash,
                    peer.TOGETHER,
                    unified,
                )
                for flash in (True, False)
                for unified in (True, False)
            }

    def runs(self, figure, way, steps):
        """One sample."""
        if figure == "prefill_tok_s":
            return peer.prefill_tok_s(self.contexts[way], self.args.prompt)
        if figure == "decode_tok_s":
            return peer.decode_tok_s(self.contexts[way], steps)
        return peer.decode_tok_s(self.together[way], steps, peer.TOGETHER)

    def choose(self):
        """The best way for each figure, by a short look at each; the first
        prompt only warms it up."""
        self.way = {}
        for figure in self.args.figures:
            ways = self.together if figure == "decode8_tok_s" else self.contexts
            if figure == "prefill_tok_s":
                self.runs(figure, "flash", 0)
            looks = {way: self.runs(figure, way, LOOK) for way in ways}
            self.way[figure] = max(looks, key=looks.get)

    def measure(self):
        for figure, way in self.way.items():
            value = self.runs(figure, way, self.args.tokens)
            self.samples.setdefault(figure, []).append(value)

    def close(self):
        for c in [*self.contexts.values(), *self.together.values()]:
            c.close()
        self.model.close()


def compare(args, name):
    same = name == "same"
    path = args.model if same else peer.requantise(args.model, name)
    contender = Contender(name, path, args)
    contender.choose()
    mine = {figure: [] for figure in args.figures}
    for _ in range(args.rounds):
        figures = ours(args)
        for figure in args.figures:
            mine[figure].append(figures[figure])
        contender.measure()
    contender.close()
    rows = []
    for figure in args.figures:
        theirs = statistics.median(contender.samples[figure])
        median = statistics.median(mine[figure])
        rows.append(
            {
                "figure": figure,
                "peer": f"llama.cpp, {'the same file' if same else name}",
                "format": name,
                "way": contender.way[figure],
                "corral": median,
                "theirs": theirs,
                "ratio": median / theirs,
                "corral_all": mine[figure],
                "theirs_all": contender.samples[figure],
            }
        )
    return rows


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("-m", "--model", default=str(peer.MODEL))
    p.add_argument("-t", "--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument(
        "--formats",
        default="same,Q4_0,Q8_0,BF16,Q4_K_M",
        help="of llama.cpp's file: 'same', or requantised from it",
    )
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--prompt", type=int, default=512)
    p.add_argument("--tokens", type=int, default=128)
    p.add_argument("--only", default=",".join(PARTS), help="some of " + ",".join(PARTS))
    p.add_argument("--corral", default=str(peer.CORRAL), help="the binary")
    p.add_argument("--json", action="store_true")
    args = p.parse_args()

    args.parts = args.only.split(",")
    for part in args.parts:
        if part not in PARTS:
            raise SystemExit(f"no part {part}")
    args.figures = [PARTS[part] for part in args.parts]
    rows = []
    for name in args.formats.split(","):
        if name != "same" and name not in peer.FORMATS:
            raise SystemExit(f"no format {name}")
        rows += compare(args, name)
    if args.json:
        print(json.dumps({"model": args.model, "threads": args.threads, "rows": rows}))
        return
    print(f"{args.model}, {args.threads} threads, median of {args.rounds} rounds")
    print(f"{'figure':15} {'peer':26} {'way':14} {'corral':>8} {'theirs':>8} {'ratio':>6}")
    for r in rows:
        print(
            f"{r['figure']:15} {r['peer']:26} {r['way']:14} "
            f"{r['corral']:8.1f} {r['theirs']:8.1f} {r['ratio']:6.2f}"
        )


if __name__ == "__main__":
    main()
