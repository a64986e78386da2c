/* adapter.h - a LoRA adapter and its label head, read from a GGUF. Immutable
 * after adapter_open(); any row of a batch may carry one. */
#ifndef CORRAL_ENGINE_ADAPTER_H
#define CORRAL_ENGINE_ADAPTER_H

#include "engine/gguf.h"

struct adapter;
struct model;

/* Tensors `<base tensor>.lora_a` (in, r) and `.lora_b` (r, out), scale
 * alpha/r, optional `head.weight` (embedding, labels) and `head.bias`. Every
 * shape is checked against `model`. `id` is its number in KV keys, from 1. */
MUST_USE struct adapter *adapter_open(const char *path,
                                      const struct model *model, int id,
                                      struct err *err);
void adapter_close(struct adapter *a);

int adapter_id(const struct adapter *a);
int adapter_labels(const struct adapter *a); /* 0: no head */
size_t adapter_bytes(const struct adapter *a);
/* out[adapter_labels] = head.weight * hidden + head.bias */
void adapter_head(const struct adapter *a, const float *hidden, float *out);

#endif
