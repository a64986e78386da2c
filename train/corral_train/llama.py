"""The base model in torch, on the GGUF's own weights and layout.

For the llama architecture a GGUF stores the rows of q and k permuted so that
RoPE turns adjacent pairs; everything here keeps that layout, so an adapter
trained here applies to the file's weights as they are.

The frozen weights are merged with the adapter once a step (W + scale * B A,
rounded from f32 so that small changes survive as dither), and the backward
pass computes the gradients of A and B only. That is one large product per
layer and direction instead of three.
"""
import time

import numpy as np
import torch
import torch.nn.functional as F

# module name -> the GGUF tensors whose output rows it stacks
FUSED = {
    "qkv": ("attn_q", "attn_k", "attn_v"),
    "o": ("attn_output",),
    "gu": ("ffn_gate", "ffn_up"),
    "down": ("ffn_down",),
}


def gguf_field(reader, key):
    """The plain Python value of a metadata key, None when it is not there."""
    field = reader.get_field(key)
    return None if field is None else field.contents()


class Fused:
    """One stacked linear layer: frozen f32 rows and the rank-r adapter of each."""

    def __init__(self, weights):
        self.sizes = [w.shape[0] for w in weights]
        self.weight = torch.cat(weights).contiguous()  # f32, frozen
        self.A = self.B = None

    def add_lora(self, rank, generator):
        fan_in = self.weight.shape[1]
        groups = len(self.sizes)
        a = torch.empty(groups * rank, fan_in)
        a.normal_(0.0, fan_in ** -0.5, generator=generator)
        self.rank = rank
        self.A = torch.nn.Parameter(a.to(self.weight.device))
        self.B = torch.nn.Parameter(torch.zeros(self.weight.shape[0], rank,
                                                device=self.weight.device))

    def blocks(self):
        """(output rows, adapter columns) of each stacked tensor."""
        row = 0
        for index, size in enumerate(self.sizes):
            yield slice(row, row + size), slice(index * self.rank, (index + 1) * self.rank)
            row += size

    @torch.no_grad()
    def merged(self, scale, dtype):
        out = self.weight.clone()
        for rows, cols in self.blocks():
            out[rows].addmm_(self.B[rows], self.A[cols], alpha=scale)
        return out.to(dtype)


class LoraLinear(torch.autograd.Function):
    """y = x W'^T for the merged W'; gradients go to x, A and B, never to W'."""

    @staticmethod
    def forward(ctx, x, merged, a, b, fused, scale):
        ctx.save_for_backward(x, merged, a, b)
        ctx.fused, ctx.scale = fused, scale
        return x @ merged.t()

    @staticmethod
    def backward(ctx, dy):
        x, merged, a, b = ctx.saved_tensors
        fused, scale = ctx.fused, ctx.scale
        dy = dy.contiguous()
        dx = dy @ merged if ctx.needs_input_grad[0] else None
        wide = torch.zeros(b.shape[0], a.shape[0], dtype=dy.dtype, device=dy.device)
        for rows, cols in fused.blocks():
            wide[rows, cols] = b[rows].to(dy.dtype)
        da = ((dy @ wide).t() @ x).float() * scale
        full = dy.t() @ (x @ a.to(x.dtype).t())
        db = torch.cat([full[rows, cols] for rows, cols in fused.blocks()])
        return dx, None, da, db.float() * scale, None, None


class RmsNorm(torch.autograd.Function):
    """From the residual stream, which stays f32 (in bf16 this small model
    loses its answers), to the dtype of the products."""

    @staticmethod
    def forward(ctx, x, weight, eps, dtype):
        inv = torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, inv)
        return (x * inv).mul_(weight).to(dtype)

    @staticmethod
    def backward(ctx, dy):
        x, weight, inv = ctx.saved_tensors
        n = x * inv
        g = dy.float() * weight
        dx = g.addcmul_(n, (g * n).mean(-1, keepdim=True), value=-1).mul_(inv)
        return dx, None, None, None


class SwiGlu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gu):
        ctx.save_for_backward(gu)
        g, u = gu.chunk(2, -1)
        return F.silu(g) * u

    @staticmethod
    def backward(ctx, dy):
        (gu,) = ctx.saved_tensors
        g, u = gu.chunk(2, -1)
        s = torch.sigmoid(g)
        gs = g * s
        out = torch.empty_like(gu)
        half = g.shape[-1]
        torch.mul(dy, gs, out=out[..., half:])
        torch.mul(dy * u, s + gs * (1 - s), out=out[..., :half])
        return out


def rope(x, cos, sin):
    """x (batch, heads, length, size), cos and sin (batch or 1, 1, length, size/2)."""
    pairs = x.float().unflatten(-1, (-1, 2))
    a, b = pairs[..., 0], pairs[..., 1]
    turned = torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)
    return turned.to(x.dtype)


class Attend(torch.autograd.Function):
    """Plain attention with grouped heads; `mask` is added to the scores. At the
    lengths trained here this is faster than the fused CPU kernel's backward, and
    it keeps nothing but its inputs and the probabilities."""

    @staticmethod
    def forward(ctx, q, k, v, mask):
        batch, heads, length, size = q.shape
        kv_heads, keys = k.shape[1], k.shape[2]
        q = (q * size ** -0.5).reshape(batch * kv_heads, -1, size)  # a group's heads are neighbours
        k = k.reshape(batch * kv_heads, keys, size)
        v = v.reshape(batch * kv_heads, keys, size)
        scores = (q @ k.transpose(1, 2)).view(batch, heads, length, keys).float()
        p = torch.softmax(scores.add_(mask), -1).to(q.dtype).view(batch * kv_heads, -1, keys)
        ctx.save_for_backward(q, k, v, p)
        ctx.shapes = (batch, heads, kv_heads, length, keys, size)
        return (p @ v).view(batch, heads, length, size)

    @staticmethod
    def backward(ctx, dy):
        q, k, v, p = ctx.saved_tensors
        batch, heads, kv_heads, length, keys, size = ctx.shapes
        dy = dy.reshape(batch * kv_heads, -1, size)
        dv = p.transpose(1, 2) @ dy
        ds = torch._softmax_backward_data(dy @ v.transpose(1, 2), p, -1, p.dtype)
        dq = (ds @ k) * size ** -0.5
        dk = ds.transpose(1, 2) @ q
        return (dq.view(batch, heads, length, size), dk.view(batch, kv_heads, keys, size),
                dv.view(batch, kv_heads, keys, size), None)


def fastest_dtype(device):
    """Of the products with the frozen weights: which of the two is the faster
    differs between CPUs that all have bf16 instructions."""
    if device != "cpu":
        return torch.bfloat16

    def seconds(dtype):
        x, w = torch.randn(1024, 576).to(dtype), torch.randn(1536, 576).to(dtype)
        for _ in range(3):
            F.linear(x, w)
        began = time.perf_counter()
        for _ in range(20):
            F.linear(x, w)
        return time.perf_counter() - began

    return min((torch.bfloat16, torch.float32), key=seconds)


class Llama:
    def __init__(self, path, device="cpu", dtype=torch.bfloat16):
        import gguf

        reader = gguf.GGUFReader(path)
        tensors = {t.name: t for t in reader.tensors}

        def load(name):
            t = tensors[name]
            data = gguf.dequantize(t.data, t.tensor_type).astype(np.float32)
            return torch.from_numpy(np.ascontiguousarray(data)).to(device)

        self.device, self.dtype = torch.device(device), dtype
        self.layers_count = gguf_field(reader, "llama.block_count")
        self.heads = gguf_field(reader, "llama.attention.head_count")
        self.kv_heads = gguf_field(reader, "llama.attention.head_count_kv")
        self.width = gguf_field(reader, "llama.embedding_length")
        self.eps = gguf_field(reader, "llama.attention.layer_norm_rms_epsilon")
        self.head_size = self.width // self.heads
        base = gguf_field(reader, "llama.rope.freq_base") or 10000.0
        self.freqs = (1.0 / base ** (torch.arange(0, self.head_size, 2, dtype=torch.float64)
                                     / self.head_size)).to(device)
        self.embed = load("token_embd.weight").to(dtype)
        self.out_norm = load("output_norm.weight")
        self.layers = []
        for i in range(self.layers_count):
            layer = {name: Fused([load(f"blk.{i}.{part}.weight") for part in parts])
                     for name, parts in FUSED.items()}
            layer["attn_norm"] = load(f"blk.{i}.attn_norm.weight")
            layer["ffn_norm"] = load(f"blk.{i}.ffn_norm.weight")
            self.layers.append(layer)
        self.base = self.weights_base()
        self.scale = 0.0

    def add_lora(self, rank, alpha, seed):
        generator = torch.Generator().manual_seed(seed)
        self.rank, self.alpha, self.scale = rank, float(alpha), alpha / rank
        for layer in self.layers:
            for name in FUSED:
                layer[name].add_lora(rank, generator)

    def lora_parameters(self):
        """(name, A, B) for every stacked layer."""
        for i, layer in enumerate(self.layers):
            for name in FUSED:
                yield f"{i}.{name}", layer[name].A, layer[name].B

    def weights_base(self):
        return [{n: layer[n].weight.to(self.dtype) for n in FUSED} for layer in self.layers]

    def weights_merged(self):
        return [{n: layer[n].merged(self.scale, self.dtype) for n in FUSED}
                for layer in self.layers]

    def rotation(self, positions):
        """cos and sin for positions (batch or 1, length)."""
        angle = positions.to(self.freqs.dtype)[:, None, :, None] * self.freqs
        return angle.cos().float(), angle.sin().float()

    def forward(self, ids, positions, weights, past=None, mask=None, keep=False):
        """Hidden states before output_norm, (batch, length, width).

        `past`: per layer (k, v) in front of these tokens, batch 1 is broadcast.
        `mask`: added to the scores (batch or 1, 1, length, keys); None is plainly causal.
        `keep`: also return this part's own (k, v) per layer.
        """
        train = torch.is_grad_enabled()
        batch, length = ids.shape
        cos, sin = self.rotation(positions)
        x = self.embed[ids].view(batch * length, self.width).float()
        kept = []
        if mask is None:
            causal = torch.full((length, length), float("-inf"), device=ids.device).triu(1)

        def linear(x, layer, name, merged):
            fused = layer[name]
            if train:
                return LoraLinear.apply(x, merged[name], fused.A, fused.B, fused, self.scale)
            return x @ merged[name].t()

        for i, layer in enumerate(self.layers):
            merged = weights[i]
            h = RmsNorm.apply(x, layer["attn_norm"], self.eps, self.dtype)
            qkv = linear(h, layer, "qkv", merged).view(batch, length, -1, self.head_size)
            qkv = qkv.transpose(1, 2)
            turn = self.heads + self.kv_heads
            qk = rope(qkv[:, :turn], cos, sin)
            q, k, v = qk[:, :self.heads], qk[:, self.heads:], qkv[:, turn:]
            if keep:
                kept.append((k, v))
            if past is not None:
                pk, pv = past[i]
                k = torch.cat((pk.expand(batch, -1, -1, -1), k), 2)
                v = torch.cat((pv.expand(batch, -1, -1, -1), v), 2)
            a = Attend.apply(q, k, v, mask if mask is not None else causal)
            a = a.transpose(1, 2).reshape(batch * length, self.width)
            x = x + linear(a, layer, "o", merged)
            h = RmsNorm.apply(x, layer["ffn_norm"], self.eps, self.dtype)
            h = SwiGlu.apply(linear(h, layer, "gu", merged))
            x = x + linear(h, layer, "down", merged)
        x = x.view(batch, length, self.width)
        return (x, kept) if keep else x

    def normed(self, x):
        return RmsNorm.apply(x, self.out_norm, self.eps, torch.float32)
