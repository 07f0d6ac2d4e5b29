#!/usr/bin/env python3
"""The PyTorch side of `make oracle`: oracle.py DIR

DIR holds, written by oracle_test.go:
  case.json    {"base": FILE.gguf, "rows": [ROW], "steps": [{"rate": R, "rows": [ROW]}]}, ROW = {"tokens", "targets"};
               targets[i] is the token to predict at i, -1 means no loss there
  adapter/     a PEFT folder that Cloister exported, B not zero
  start/       another one, B zero: where the curve begins

and gets:
  saved/       the adapter as PEFT saves it
  gradients/   d(loss)/dA and d(loss)/dB of `rows`, as a PEFT folder
  result.json  {"loss", "logits": {position: [vocabulary]} of the first row with the adapter, "losses": one for each step}

Loss is the sum over all targets of a batch divided by their number. Everything is float32; each row is run by itself, so
there is no padding, no packing and no mask. Weights are dequantised by gguf-py and put into Transformers' model here, by
rules that share nothing with Cloister's.
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
from transformers import LlamaConfig, LlamaForCausalLM

NAMES = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
         "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}


def base_model(path):
    """A float32 LlamaForCausalLM with the weights of a GGUF file."""
    r = GGUFReader(path)
    meta = lambda key, default=None: r.fields["llama." + key].contents() if "llama." + key in r.fields else default
    heads = meta("attention.head_count")
    kv = meta("attention.head_count_kv", heads)
    weights = {t.name: dequantize(t.data, t.tensor_type) for t in r.tensors}
    tied = "output.weight" not in weights
    config = LlamaConfig(
        vocab_size=weights["token_embd.weight"].shape[0], hidden_size=meta("embedding_length"), intermediate_size=meta("feed_forward_length"),
        num_hidden_layers=meta("block_count"), num_attention_heads=heads, num_key_value_heads=kv,
        head_dim=meta("attention.key_length", meta("embedding_length") // heads), rms_norm_eps=float(meta("attention.layer_norm_rms_epsilon")),
        rope_parameters={"rope_type": "default", "rope_theta": float(meta("rope.freq_base", 10000.0))}, max_position_embeddings=meta("context_length"),
        tie_word_embeddings=tied, attention_bias=False, mlp_bias=False, attn_implementation="eager")
    model = LlamaForCausalLM(config).float()
    state = {"model.embed_tokens.weight": weights["token_embd.weight"], "model.norm.weight": weights["output_norm.weight"],
             "lm_head.weight": weights["token_embd.weight" if tied else "output.weight"]}
    for name, w in weights.items():
        if not name.startswith("blk."):
            continue
        _, layer, part, _ = name.split(".")
        if part in ("attn_q", "attn_k"):  # neighbours back into halves
            n = heads if part == "attn_q" else kv
            w = w.reshape(n, w.shape[0] // n // 2, 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)
        state[f"model.layers.{layer}.{NAMES[part]}.weight"] = w
    state = {k: torch.from_numpy(np.array(v, dtype=np.float32)) for k, v in state.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not missing and not unexpected, (missing, unexpected)
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

    model.load_adapter(at("start"), "start", is_trainable=True)
    model.set_adapter("start")
    params = [p for n, p in model.named_parameters() if ".start." in n]
    optimiser = torch.optim.AdamW(params, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    result["losses"] = []
    for step in case["steps"]:
        optimiser.zero_grad()
        result["losses"].append(backward(model, step["rows"]))
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        for group in optimiser.param_groups:
            group["lr"] = step["rate"]
        optimiser.step()
    with open(at("result.json"), "w") as f:
        json.dump(result, f)


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(int(os.environ.get("THREADS", os.cpu_count())))
    main(sys.argv[1])
