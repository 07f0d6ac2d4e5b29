#!/usr/bin/env python3
"""LoRA training speed of Transformers + PEFT on a card: what `cloister bench train` is compared with, on the same card
within the same hour. Weights are random, of the shapes of `cloister bench make-model`, made on the card, so nothing is
fetched. Needs torch, transformers and peft, and bitsandbytes for --bits 4. Prints one JSON line.

  peft_cuda.py --shape llama-8b [--row 2048] [--batch 1] [--steps 8] [--bits 16|4] [--checkpointing] [--attention sdpa]
"""
import argparse, importlib.util, json, os, time

os.environ["HF_HUB_OFFLINE"] = "1"
SHAPES = {  # layers, width, heads, key-value heads, inner width, vocabulary, tied, base of the rotation
    "smollm2-135m": (30, 576, 9, 3, 1536, 49152, True, 1e5),
    "llama-1.7b": (24, 2048, 32, 32, 8192, 49152, True, 1.3e5),
    "llama-8b": (32, 4096, 32, 8, 14336, 128256, False, 5e5),
}
ap = argparse.ArgumentParser()
ap.add_argument("--shape", choices=SHAPES, required=True)
ap.add_argument("--layers", type=int, default=0, help="in place of the shape's")
ap.add_argument("--row", type=int, default=2048, help="tokens of a row")
ap.add_argument("--batch", type=int, default=1, help="rows of a step")
ap.add_argument("--steps", type=int, default=8, help="measured, after two that warm up")
ap.add_argument("--rank", type=int, default=16)
ap.add_argument("--bits", type=int, default=16, choices=(16, 4))
ap.add_argument("--attention", default="sdpa")
ap.add_argument("--checkpointing", action="store_true")
ap.add_argument("--device", default="cuda")
a = ap.parse_args()

missing = [m for m in ["torch", "transformers", "peft"] + ["bitsandbytes"] * (a.bits == 4) if importlib.util.find_spec(m) is None]
if missing:
    raise SystemExit(f"not measured: this machine has no {', '.join(missing)}")

import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from transformers import LlamaConfig, LlamaForCausalLM

layers, width, heads, kv, ffn, vocab, tied, base = SHAPES[a.shape]
config = LlamaConfig(num_hidden_layers=a.layers or layers, hidden_size=width, num_attention_heads=heads, num_key_value_heads=kv,
                     intermediate_size=ffn, vocab_size=vocab, tie_word_embeddings=tied, max_position_embeddings=8192)
if hasattr(config, "rope_parameters") and config.rope_parameters:
    config.rope_parameters["rope_theta"] = base
else:
    config.rope_theta = base
config._attn_implementation = a.attention
torch.manual_seed(0)
torch.set_default_dtype(torch.bfloat16)
with torch.device(a.device):
    model = LlamaForCausalLM(config)
torch.set_default_dtype(torch.float32)


def quantise(module):
    """Puts bitsandbytes' 4-bit matrices in place of the linear layers, as load_in_4bit does."""
    import bitsandbytes as bnb
    for name, child in module.named_children():
        if isinstance(child, torch.nn.Linear) and name != "lm_head":
            new = bnb.nn.Linear4bit(child.in_features, child.out_features, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4")
            new.weight = bnb.nn.Params4bit(child.weight.data.cpu(), requires_grad=False, quant_type="nf4")
            setattr(module, name, new.to(a.device))
        else:
            quantise(child)


if a.bits == 4:
    quantise(model)
    model.is_loaded_in_4bit = True
    model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=a.checkpointing)
elif a.checkpointing:
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.enable_input_require_grads()
model = get_peft_model(model, LoraConfig(
    r=a.rank, lora_alpha=2 * a.rank, lora_dropout=0.0, task_type="CAUSAL_LM",
    target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]))
params = [p for p in model.parameters() if p.requires_grad]
for p in params:
    p.data = p.data.float()
opt = torch.optim.AdamW(params, lr=2e-4, fused=a.device == "cuda")
wait = torch.cuda.synchronize if a.device == "cuda" else lambda: None
model.train()
model.config.use_cache = False
for step in range(a.steps + 2):
    if step == 2:
        wait()
        start = time.time()
    x = torch.randint(0, vocab, (a.batch, a.row), device=a.device)
    with torch.autocast(a.device, dtype=torch.bfloat16):
        loss = model(input_ids=x, labels=x).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(params, 1.0)
    opt.step()
    opt.zero_grad()
wait()
seconds = time.time() - start
out = {"trainer": "peft", "shape": a.shape, "layers": config.num_hidden_layers, "bits": a.bits, "row": a.row, "batch": a.batch,
       "checkpointing": a.checkpointing, "attention": a.attention, "tokens_per_s": round(a.steps * a.batch * a.row / seconds, 1),
       "loss": round(loss.item(), 4)}
if a.device == "cuda":
    out["card"] = torch.cuda.get_device_name()
    out["max_gpu_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
print(json.dumps(out))
