"""Writes what TRL's own trainers make of a few pairs on a tiny random llama.

    python make.py [FOLDER]      (PyTorch, Transformers, PEFT, TRL and gguf; on a CPU, some seconds)

    tiny.gguf      the model, F32, the rows of q and k as llama.cpp wants them
    adapter.gguf   LoRA matrices, none of them zero
    trl.json       the batches as token ids with the mask of trained tokens; loss and metrics of DPOTrainer and KTOTrainer,
                   and the gradient of every LoRA matrix, in GGUF's names and order of rows

The losses are not written out here: they are DPOTrainer._compute_loss and KTOTrainer._compute_loss. The model computes in
float64, so what differs from it is the other side's.
"""

import json
import os
import sys
import tempfile

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", CUDA_VISIBLE_DEVICES="")

import gguf
import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer

WIDTH, LAYERS, HEADS, KV, DIM, FFN, VOCAB, RANK, ALPHA, BETA = 16, 2, 4, 2, 8, 24, 40, 2, 3, 0.3
NAMES = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output", "gate_proj": "ffn_gate",
         "up_proj": "ffn_up", "down_proj": "ffn_down"}
WORDS = [f"w{i}" for i in range(VOCAB - 2)] + ["</s>", "<pad>"]


def tokenizer():
    t = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="w0"))
    t.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=t, eos_token="</s>", pad_token="<pad>")


def base():
    torch.manual_seed(1)
    config = LlamaConfig(hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS, num_key_value_heads=KV,
                         head_dim=DIM, intermediate_size=FFN, vocab_size=VOCAB, max_position_embeddings=128,
                         rms_norm_eps=1e-5, tie_word_embeddings=False, pad_token_id=VOCAB - 1, eos_token_id=VOCAB - 2,
                         bos_token_id=None, attn_implementation="eager")
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_((1 + 0.1 * torch.randn(p.shape)) if "norm" in name else 0.35 * torch.randn(p.shape))
    return model.float().double()  # values of float32


def randomise(model):
    """Gives every LoRA matrix values of float32, B no zeros, the same ones for each trainer."""
    torch.manual_seed(2)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_" in name:
                p.data = (0.3 * torch.randn(p.shape)).float().double()


def place(name):
    """blk.1.attn_q.weight.lora_a of base_model.model.model.layers.1.self_attn.q_proj.lora_A.default.weight."""
    parts = name.split(".")
    at = parts.index("layers")
    kind = ".lora_" + next(p for p in parts if p.startswith("lora_"))[-1].lower() if "lora" in name else ""
    return f"blk.{parts[at + 1]}.{NAMES[parts[at + 3]]}.weight{kind}"


def rows(name, value):
    """q and k, and B of their adapters, with the two halves of a head interleaved, as llama.cpp's converter does."""
    v = value.detach().numpy()
    heads = {"attn_q": HEADS, "attn_k": KV}.get(name.split(".")[2])
    if heads is None or name.endswith("lora_a"):
        return v
    return v.reshape(heads, 2, v.shape[0] // heads // 2, v.shape[1]).swapaxes(1, 2).reshape(v.shape)


def write_model(model, path):
    w = gguf.GGUFWriter(path, "llama")
    for key, value in [("context_length", 128), ("embedding_length", WIDTH), ("block_count", LAYERS), ("feed_forward_length", FFN),
                       ("attention.head_count", HEADS), ("attention.head_count_kv", KV), ("attention.key_length", DIM),
                       ("attention.value_length", DIM), ("rope.dimension_count", DIM)]:
        w.add_uint32("llama." + key, value)
    w.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    w.add_float32("llama.rope.freq_base", 10000.0)
    fixed = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}
    for name, p in model.named_parameters():
        if name in fixed:
            target, value = fixed[name], p.detach().numpy()
        elif "layernorm" in name:
            target = f"blk.{name.split('.')[2]}.{'attn' if 'input' in name else 'ffn'}_norm.weight"
            value = p.detach().numpy()
        else:
            target = place(name)
            value = rows(target, p)
        w.add_tensor(target, value.astype(np.float32))
    finish(w)


def write_adapter(model, path):
    w = gguf.GGUFWriter(path, "llama")
    w.add_string("general.type", "adapter")
    w.add_string("adapter.type", "lora")
    w.add_float32("adapter.lora.alpha", ALPHA)
    for name, p in model.named_parameters():
        if "lora_" in name:
            w.add_tensor(place(name), rows(place(name), p).astype(np.float32))
    finish(w)


def finish(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def text(random, n):
    return " ".join(f"w{i}" for i in random.integers(0, VOCAB - 2, n))


def short(v):
    """Seven digits, which is what a float32 has."""
    return [float(f"{x:.7g}") for x in v.ravel()]


def run(trainer):
    """One batch through the trainer's own collator and loss, and the gradients."""
    randomise(trainer.model)
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.model.train()
    loss = trainer._compute_loss(trainer.model, batch, False)
    loss.backward()
    gradients = {place(n): short(rows(place(n), p.grad))
                 for n, p in trainer.model.named_parameters() if "lora_" in n}
    metrics = {k: v[-1] for k, v in trainer._metrics["train"].items() if k.startswith(("rewards/", "logps/", "kl"))}
    return batch, {"loss": loss.item(), "metrics": metrics, "gradients": gradients}


def sequences(batch, prefix=""):
    ids, mask, seen = (batch[prefix + k] for k in ("input_ids", "completion_mask", "attention_mask"))
    return [{"tokens": i[a == 1].tolist(), "mask": m[a == 1].tolist()} for i, m, a in zip(ids, mask, seen)]


def settings(config, folder, **more):
    return config(output_dir=folder, per_device_train_batch_size=4, use_cpu=True, bf16=False, report_to=[], beta=BETA,
                  gradient_checkpointing=False, **more)


def lora():
    return LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=list(NAMES), task_type="CAUSAL_LM")


def main(out):
    random = np.random.default_rng(3)
    pairs = [{"prompt": text(random, 4 + i), "chosen": " " + text(random, 3 + i % 2), "rejected": " " + text(random, 5 - i)} for i in range(4)]
    single = [{"prompt": text(random, 3 + i), "completion": " " + text(random, 2 + i), "label": i != 1} for i in range(4)]
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        t = DPOTrainer(base(), args=settings(DPOConfig, folder), train_dataset=Dataset.from_list(pairs), processing_class=tokenizer(),
                       peft_config=lora())
        batch, result["dpo"] = run(t)
        result["dpo"] |= {"beta": BETA, "sequences": sequences(batch)}
        write_model(base(), os.path.join(out, "tiny.gguf"))
        write_adapter(t.model, os.path.join(out, "adapter.gguf"))
        t = KTOTrainer(base(), args=settings(KTOConfig, folder, desirable_weight=0.8, undesirable_weight=1.5), train_dataset=Dataset.from_list(single),
                       processing_class=tokenizer(), peft_config=lora())
        batch, result["kto"] = run(t)
        result["kto"] |= {"beta": BETA, "desirable": 0.8, "undesirable": 1.5, "labels": batch["label"].tolist(),
                          "sequences": sequences(batch), "mismatched": sequences(batch, "KL_")}
    with open(os.path.join(out, "trl.json"), "w") as f:
        json.dump(result, f)
    for k, v in result.items():
        print(k, v["loss"], v["metrics"])


main(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__)))
