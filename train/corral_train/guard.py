"""The guard: an adapter of one kind and its label head on the base model.

full       the adapter is active on every token; no system turn.
activated  the conversation's KV comes from the bare base model, as the main
           model computes it anyway; the adapter is active from the suffix on.
"""
import numpy as np
import torch

from .data import LABELS
from .llama import Llama
from .tokens import Chat

PROMPT_TOKENS_MAX = 256  # of the prompt that stands in front of a judged response


def pad(rows, device, fill=0):
    length = max(len(r) for r in rows)
    ids = np.full((len(rows), length), fill, np.int64)
    for i, r in enumerate(rows):
        ids[i, :len(r)] = r
    return torch.from_numpy(ids).to(device), torch.tensor([len(r) for r in rows], device=device)


class Guard:
    def __init__(self, base_path, kind, rank=16, alpha=32, seed=1, device="cpu",
                 dtype=torch.bfloat16):
        self.kind = kind
        self.chat = Chat(base_path)
        self.model = Llama(base_path, device, dtype)
        self.model.add_lora(rank, alpha, seed)
        self.suffix = self.chat.suffix
        width = self.model.width
        self.head = torch.nn.Parameter(torch.zeros(len(LABELS), width, device=device))
        self.bias = torch.nn.Parameter(torch.full((len(LABELS),), -2.5, device=device))
        self.prefixes = {}

    def parameters(self):
        """name -> parameter, everything that is trained."""
        out = {"head": self.head, "bias": self.bias}
        for name, a, b in self.model.lora_parameters():
            out[name + ".A"], out[name + ".B"] = a, b
        return out

    def weights(self):
        return self.model.weights_merged()

    def logits(self, contexts, weights, system=()):
        """(rows, 16) for contexts without system turn or suffix; one system turn
        (token ids) for the whole batch."""
        if self.kind == "full":
            return self.logits_full([list(system) + c for c in contexts], weights)
        return self.logits_activated(contexts, weights, tuple(system))

    def logits_full(self, contexts, weights):
        ids, sizes = pad([c + self.suffix for c in contexts], self.model.device)
        positions = torch.arange(ids.shape[1], device=ids.device)[None]
        x = self.model.forward(ids, positions, weights)
        return self.answer(x[torch.arange(len(contexts), device=ids.device), sizes - 1])

    def prefix(self, system):
        """KV of a system turn, computed once: the base model never changes."""
        if system not in self.prefixes:
            ids = torch.tensor([system], device=self.model.device)
            positions = torch.arange(len(system), device=ids.device)[None]
            _, kept = self.model.forward(ids, positions, self.model.base, keep=True)
            self.prefixes[system] = kept
        return self.prefixes[system]

    def logits_activated(self, contexts, weights, system):
        m, device = self.model, self.model.device
        ids, sizes = pad(contexts, device)
        batch, length = ids.shape
        front, tail = len(system), len(self.suffix)
        with torch.no_grad():
            past = self.prefix(system) if front else None
            mask = torch.full((length, length), float("-inf"), device=device).triu(1)
            mask = torch.cat((torch.zeros(length, front, device=device), mask), 1)
            positions = front + torch.arange(length, device=device)[None]
            _, kept = m.forward(ids, positions, m.base, past, mask[None, None], keep=True)
            if front:
                kept = [(torch.cat((pk.expand(batch, -1, -1, -1), k), 2),
                         torch.cat((pv.expand(batch, -1, -1, -1), v), 2))
                        for (pk, pv), (k, v) in zip(past, kept)]
            hidden = torch.arange(length, device=device)[None] >= sizes[:, None]
            mask = torch.zeros(batch, 1, tail, front + length + tail, device=device)
            mask[:, :, :, front:front + length].masked_fill_(hidden[:, None, None], float("-inf"))
            mask[:, :, :, front + length:] = torch.full(
                (tail, tail), float("-inf"), device=device).triu(1)
            positions = front + sizes[:, None] + torch.arange(tail, device=device)[None]
            suffix = torch.tensor(self.suffix, device=device).expand(batch, -1)
        x = m.forward(suffix, positions, weights, kept, mask)
        return self.answer(x[:, -1])

    def answer(self, hidden):
        return self.model.normed(hidden) @ self.head.t() + self.bias
