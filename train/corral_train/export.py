"""The adapter file that the engine reads (GGUF v3)."""
import numpy as np

from .data import LABELS
from .llama import FUSED

LEVELS = ("strict", "balanced", "loose")


def adapter_writer(path, model):
    import gguf

    w = gguf.GGUFWriter(path, "llama")
    w.add_type("adapter")
    w.add_string("adapter.type", "lora")
    w.add_float32("adapter.lora.alpha", model.alpha)
    return w


def add_lora(w, model, quant):
    """q8_0 is used where a row is a multiple of its block of 32."""
    import gguf

    def add(name, array):
        array = np.ascontiguousarray(array, np.float32)
        if quant == "q8_0" and array.shape[1] % 32 == 0:
            w.add_tensor(name, gguf.quantize(array, gguf.GGMLQuantizationType.Q8_0),
                         raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        else:
            w.add_tensor(name, array.astype(np.float16))

    for i, layer in enumerate(model.layers):
        for name, parts in FUSED.items():
            fused = layer[name]
            a, b = fused.A.detach().cpu().numpy(), fused.B.detach().cpu().numpy()
            for part, (rows, cols) in zip(parts, fused.blocks()):
                add(f"blk.{i}.{part}.weight.lora_a", a[cols])
                add(f"blk.{i}.{part}.weight.lora_b", b[rows])


def close(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def write(path, guard, base_name, combiner, thresholds, quant="f16", details=None):
    """`combiner` (16, 27) and `thresholds` (16, 3) may be those of a first fit."""
    import gguf

    w = adapter_writer(path, guard.model)
    w.add_string("corral.guard.kind", guard.kind)
    w.add_uint32("corral.guard.version", 1)
    w.add_string("corral.guard.base", base_name)
    w.add_string("corral.guard.template", "chatml")
    w.add_array("corral.guard.labels", LABELS)
    w.add_key_value("corral.guard.suffix_tokens", [int(t) for t in guard.suffix],
                    gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.UINT32)
    w.add_uint32("corral.guard.window_tokens", 512)
    w.add_uint32("corral.guard.overlap_tokens", 128)
    for key, value in (details or {}).items():
        w.add_string(key, value)
    add_lora(w, guard.model, quant)
    w.add_tensor("head.weight", guard.head.detach().cpu().numpy().astype(np.float32))
    w.add_tensor("head.bias", guard.bias.detach().cpu().numpy().astype(np.float32))
    w.add_tensor("guard.combiner", np.ascontiguousarray(combiner, np.float32))
    # One row of 16 for each level in the file, one row of 3 for each label here.
    w.add_tensor("guard.thresholds", np.ascontiguousarray(thresholds.T, np.float32))
    close(w)


def calibrate(path, combiner, thresholds):
    """Another combiner and thresholds in an exported file, in place: they also
    change with the n-gram tier, when the checkpoint may be long gone."""
    import gguf

    r = gguf.GGUFReader(path, "r+")
    for name, value in (("guard.combiner", combiner), ("guard.thresholds", thresholds.T)):
        data = next(t.data for t in r.tensors if t.name == name)
        data[...] = np.asarray(value, np.float32).reshape(data.shape)
    r.data.flush()


def load_lora(model, tensors):
    """The adapter's numbers from a file's tensors by name, float32."""
    import torch

    with torch.no_grad():
        for i, layer in enumerate(model.layers):
            for name, parts in FUSED.items():
                fused = layer[name]
                for part, (rows, cols) in zip(parts, fused.blocks()):
                    for matrix, where, end in ((fused.A, cols, "a"), (fused.B, rows, "b")):
                        values = torch.from_numpy(tensors[f"blk.{i}.{part}.weight.lora_{end}"])
                        matrix[where] = values.to(matrix.device)


def load(path, base_path, device="cpu", dtype=None):
    """A guard with exactly the numbers of an exported file, and its combiner
    (16, 27) and thresholds (16, 3)."""
    import gguf
    import torch

    from .guard import Guard
    from .llama import gguf_field

    r = gguf.GGUFReader(path)
    t = {x.name: gguf.dequantize(x.data, x.tensor_type).astype(np.float32) for x in r.tensors}
    rank = t["blk.0.attn_q.weight.lora_a"].shape[0]
    guard = Guard(base_path, gguf_field(r, "corral.guard.kind"), rank,
                  gguf_field(r, "adapter.lora.alpha"), 0, device, dtype or torch.bfloat16)
    load_lora(guard.model, t)
    with torch.no_grad():
        guard.head.copy_(torch.from_numpy(t["head.weight"]))
        guard.bias.copy_(torch.from_numpy(t["head.bias"]))
    return guard, t["guard.combiner"], t["guard.thresholds"].T
