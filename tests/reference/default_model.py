"""Make tests/unit/data/default.golden: logits of the default model by
transformers in float32, on the weights that the GGUF dequantises to.

    pip install torch transformers accelerate gguf
    python tests/reference/default_model.py [model.gguf]"""
import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

DATA = pathlib.Path(__file__).parents[1] / "unit" / "data"
TEXTS = [
    "Hello",
    "The capital of France is",
    "<|im_start|>user\nWhat is the capital of Italy?<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|>user\nHow many legs does a spider have?<|im_end|>\n<|im_start|>assistant\n",
    "def fibonacci(n):\n    if n < 2:\n        return n\n    return",
    "Der schnelle braune Fuchs springt über den",
    "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16",
    "In the beginning the Universe was created. " * 12,
    "Water boils at 100 degrees Celsius at sea level, and at a lower temperature on a mountain. " * 16,
    "".join(f"{i} squared is {i * i}. " for i in range(1, 120)),
]


def main():
    path = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else
                        pathlib.Path.home() / ".cache/corral/SmolLM2-135M-Instruct.Q4_1.gguf")
    load = dict(gguf_file=path.name)
    tokenizer = AutoTokenizer.from_pretrained(path.parent, **load)
    model = AutoModelForCausalLM.from_pretrained(path.parent, dtype=torch.float32, **load).eval()
    pick = torch.Generator().manual_seed(3)
    sample = torch.randperm(model.config.vocab_size, generator=pick)[:200].sort().values
    with open(DATA / "default.golden", "w") as f, torch.no_grad():
        for text in TEXTS:
            ids = tokenizer(text, return_tensors="pt").input_ids
            logits = model(ids).logits[0, -1]
            top = logits.topk(20)
            f.write(f"case {ids.numel()} {' '.join(map(str, ids[0].tolist()))}\n")
            for name, index in ("top", top.indices), ("sample", sample):
                f.write(f"{name} {len(index)}" + "".join(
                    f" {i} {logits[i]:.4f}" for i in index.tolist()) + "\n")
            print(ids.numel(), tokenizer.decode(top.indices[:3]).split("\n"))


main()
