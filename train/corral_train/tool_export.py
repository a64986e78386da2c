"""The checkpoint of tool_fit.py as the adapter file that the engine reads."""
import argparse

import torch

from . import export
from .llama import Llama


def main():
    p = argparse.ArgumentParser(prog="train/run --kind tools")
    p.add_argument("--base", required=True)
    p.add_argument("--work", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--quant", default="q8_0", choices=("q8_0", "f16"))
    a = p.parse_args()
    saved = torch.load(f"{a.work}/tools.pt", map_location="cpu", weights_only=True)
    model = Llama(a.base)
    model.add_lora(saved["rank"], saved["alpha"], saved["seed"])
    for name, one, two in model.lora_parameters():
        one.data.copy_(saved["params"][name + ".A"])
        two.data.copy_(saved["params"][name + ".B"])
    w = export.adapter_writer(a.out, model)
    w.add_string("corral.agent.kind", "tools")
    w.add_string("corral.agent.template", "chatml")
    w.add_uint32("corral.agent.trained_tokens", int(saved["seen"]))
    export.add_lora(w, model, a.quant)
    export.close(w)
    print(f"{a.out}: step {saved['step']}, {saved['seen']} tokens")


if __name__ == "__main__":
    main()
