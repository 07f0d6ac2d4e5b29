#!/usr/bin/env python3
"""The PyTorch side of `make oracle`: oracle.py DIR

DIR holds, written by oracle_test.go:
  case.json    {"base": FILE.gguf, "rows": [ROW], "steps": [{"rate": R, "rows": [ROW]}], "bf16": BOOL}, ROW = {"tokens",
               "targets"}; targets[i] is the token to predict at i, -1 means no loss there; "bf16" asks for "losses_bf16"
  adapter/     a PEFT folder that Cloister exported, B not zero
  start/       another one, B zero: where the curve begins

and gets:
  saved/       the adapter as PEFT saves it
  gradients/   d(loss)/dA and d(loss)/dB of `rows`, as a PEFT folder
  result.json  {"loss", "logits": {position: [vocabulary]} of the first row with the adapter, "losses": one for each step,
               "losses_bf16": the same steps as PEFT trains in bf16, which takes a CPU without BF16 half an hour}

Loss is the sum over all targets of a batch divided by their number. Everything but "losses_bf16" is float32; each row is
run by itself, so there is no padding, no packing and no mask. Weights are dequantised by gguf-py and put into Transformers'
model here, by rules that share nothing with Cloister's.
"""
import json, os, shutil, sys

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_WAIT_POLICY"] = "passive"  # threads that wait leave the cores to others
import numpy as np
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from peft import PeftModel
from safetensors.torch import save_file
import transformers

NAMES = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
         "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
         "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm", "attn_qkv": "self_attn.qkv_proj", "ffn_gate_inp": "mlp.gate"}
FUSED = NAMES | {"ffn_up": "mlp.gate_up_proj"}
GEMMA = NAMES | {"post_attention_norm": "post_attention_layernorm", "ffn_norm": "pre_feedforward_layernorm", "post_ffw_norm": "post_feedforward_layernorm"}
# GGUF's architecture -> Transformers' family of classes, and the names of what is in a layer
FAMILIES = {"llama": ("Llama", NAMES), "mixtral": ("Mixtral", NAMES), "qwen2": ("Qwen2", NAMES), "qwen3": ("Qwen3", NAMES), "qwen3moe": ("Qwen3Moe", NAMES),
            "phi3": ("Phi3", FUSED), "gemma3": ("Gemma3", GEMMA)}


def special(arch, meta, head_dim):
    """What an architecture's configuration has besides the common shape."""
    if arch == "llama":
        return {"attention_bias": False, "mlp_bias": False}
    if arch == "mixtral":
        return {"num_local_experts": meta("expert_count"), "num_experts_per_tok": meta("expert_used_count")}
    if arch == "qwen3moe":
        return {"num_experts": meta("expert_count"), "num_experts_per_tok": meta("expert_used_count"), "moe_intermediate_size": meta("expert_feed_forward_length"),
                "norm_topk_prob": True, "mlp_only_layers": [], "decoder_sparse_step": 1}
    if arch == "phi3":
        return {"pad_token_id": None, "bos_token_id": None, "eos_token_id": None}
    if arch == "gemma3":
        every = meta("attention.sliding_window_pattern")
        rope = lambda key, default: {"rope_type": "default", "rope_theta": float(meta(key, default))}
        return {"query_pre_attn_scalar": head_dim, "sliding_window": meta("attention.sliding_window"),
                "layer_types": ["full_attention" if (i + 1) % every == 0 else "sliding_attention" for i in range(meta("block_count"))],
                "rope_parameters": {"full_attention": rope("rope.freq_base", 1e6), "sliding_attention": rope("rope.freq_base_swa", 1e4)}}
    return {}


def base_model(path):
    """A float32 model of Transformers with the weights of a GGUF file."""
    r = GGUFReader(path)
    prefix = r.fields["general.architecture"].contents()
    meta = lambda key, default=None: r.fields[f"{prefix}.{key}"].contents() if f"{prefix}.{key}" in r.fields else default
    arch = "mixtral" if prefix == "llama" and meta("expert_count") else prefix
    classes, names = FAMILIES[arch]
    heads = meta("attention.head_count")
    kv = meta("attention.head_count_kv", heads)
    head_dim = meta("attention.key_length", meta("embedding_length") // heads)
    weights = {t.name: dequantize(t.data, t.tensor_type) for t in r.tensors}
    tied = "output.weight" not in weights
    shape = dict(
        vocab_size=weights["token_embd.weight"].shape[0], hidden_size=meta("embedding_length"), intermediate_size=meta("feed_forward_length"),
        num_hidden_layers=meta("block_count"), num_attention_heads=heads, num_key_value_heads=kv,
        head_dim=head_dim, rms_norm_eps=float(meta("attention.layer_norm_rms_epsilon")),
        rope_parameters={"rope_type": "default", "rope_theta": float(meta("rope.freq_base", 10000.0))}, max_position_embeddings=meta("context_length"),
        tie_word_embeddings=tied, attn_implementation="eager")
    config = getattr(transformers, classes + ("TextConfig" if arch == "gemma3" else "Config"))(**(shape | special(arch, meta, head_dim)))
    if arch == "gemma3" and config.num_hidden_layers >= 34:  # those that also see pictures
        vision = transformers.SiglipVisionConfig(hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14)
        config = transformers.Gemma3Config(text_config=config.to_dict(), vision_config=vision.to_dict(), mm_tokens_per_image=4, tie_word_embeddings=tied)
        config._attn_implementation = "eager"
        model, inside, outside = transformers.Gemma3ForConditionalGeneration(config).float(), "model.language_model.", ("model.vision_tower.", "model.multi_modal_projector.")
    else:
        model, inside, outside = getattr(transformers, classes + "ForCausalLM")(config).float(), "model.", ()
    state = {inside + "embed_tokens.weight": weights["token_embd.weight"], inside + "norm.weight": weights["output_norm.weight"],
             "lm_head.weight": weights["token_embd.weight" if tied else "output.weight"]}
    experts = {}
    for name, w in weights.items():
        if not name.startswith("blk."):
            continue
        _, layer, part, kind = name.split(".")
        if part.endswith("_exps"):
            experts[layer, part] = w
            continue
        if arch in ("llama", "mixtral") and part in ("attn_q", "attn_k"):  # neighbours back into halves
            n = heads if part == "attn_q" else kv
            w = w.reshape(n, w.shape[0] // n // 2, 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)
        state[f"{inside}layers.{layer}.{names[part]}.{kind}"] = w
    for (layer, part), w in experts.items():
        at = f"{inside}layers.{layer}.mlp.experts."
        if part == "ffn_gate_exps":
            state[at + "gate_up_proj"] = np.concatenate([w, experts[layer, "ffn_up_exps"]], axis=1)
        elif part == "ffn_down_exps":
            state[at + "down_proj"] = w
    if arch == "gemma3":  # llama.cpp's converter adds the 1 that Gemma's norms multiply by
        state = {k: v - 1 if "norm" in k else v for k, v in state.items()}
    state = {k: torch.from_numpy(np.array(v, dtype=np.float32)) for k, v in state.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert all(name.startswith(outside) for name in missing) and not unexpected, (missing, unexpected)
    return model


def backward(model, rows):
    """Adds the gradient of the mean loss over all targets of the rows, and returns the loss."""
    n = sum(t >= 0 for row in rows for t in row["targets"])
    total = 0.0
    for row in rows:
        logits = model(input_ids=torch.tensor([row["tokens"]])).logits[0].float()
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(row["targets"]), ignore_index=-1, reduction="sum") / n
        loss.backward()
        total += loss.item()
    return total


def curve(model, steps):
    """Trains, and returns the loss of each step. The adapter stays float32, as PEFT keeps it on any base."""
    params = [p for p in model.parameters() if p.requires_grad]
    assert params and all(p.dtype == torch.float32 for p in params)
    optimiser = torch.optim.AdamW(params, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    losses = []
    for step in steps:
        optimiser.zero_grad()
        losses.append(backward(model, step["rows"]))
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        for group in optimiser.param_groups:
            group["lr"] = step["rate"]
        optimiser.step()
    return losses


def main(folder):
    at = lambda name: os.path.join(folder, name)
    case = json.load(open(at("case.json")))
    model = PeftModel.from_pretrained(base_model(case["base"]), at("adapter"), is_trainable=True)
    model.save_pretrained(at("saved"))
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert trained and all("lora_" in n for n in trained)
    result = {"loss": backward(model, case["rows"])}
    os.makedirs(at("gradients"), exist_ok=True)
    shutil.copy(at("saved/adapter_config.json"), at("gradients"))
    save_file({n.replace(".default", ""): p.grad.contiguous() for n, p in trained.items()}, at("gradients/adapter_model.safetensors"))
    with torch.no_grad():
        tokens = case["rows"][0]["tokens"]
        logits = model(input_ids=torch.tensor([tokens])).logits[0]
        result["logits"] = {i: [round(float(v), 6) for v in logits[i]] for i in (len(tokens) // 2, len(tokens) - 1)}

    for name, dtype in [("losses", torch.float32)] + [("losses_bf16", torch.bfloat16)] * case.get("bf16", False):
        base = model.unload()
        for p in base.parameters():
            p.data = p.data.to(dtype)
        model = PeftModel.from_pretrained(base, at("start"), is_trainable=True)
        result[name] = curve(model, case["steps"])
    with open(at("result.json"), "w") as f:
        json.dump(result, f)


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(int(os.environ.get("THREADS", os.cpu_count())))
    main(sys.argv[1])
