"""Writes what TRL makes of a teacher's likeliest tokens, with the others as one outcome (its tail bucket).

    python make.py [FOLDER]      (PyTorch and TRL; seconds)

kl.json: logits of teacher and student, targets, k and temperature, and for each row the divergence and the gradient of
alpha·cross-entropy + (1 - alpha)·temperature²·divergence by the student's logits, all computed in float64.
"""

import json
import os
import sys

os.environ.update(HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="")

import torch
from trl.experimental.server_distillation.server_distillation_trainer import _add_tail_bucket, _jsd_divergence

ROWS, VOCAB = 3, 40


def case(k, temperature, alpha):
    teacher, student = ((3 * torch.randn(ROWS, VOCAB)).float().double() for _ in range(2))
    targets = torch.randint(VOCAB, (ROWS,))
    student.requires_grad_()
    top = (teacher / temperature).log_softmax(-1).topk(k)
    mask = torch.ones_like(top.indices, dtype=torch.bool)
    q, support = _add_tail_bucket(top.values, mask)
    p, _ = _add_tail_bucket((student / temperature).log_softmax(-1).gather(-1, top.indices), mask)
    kl = _jsd_divergence(p, q, 0.0, support).sum(-1)
    hard = torch.nn.functional.cross_entropy(student, targets, reduction="none")
    (alpha * hard + (1 - alpha) * temperature**2 * kl).sum().backward()
    short = lambda v: [float(f"{x:.9g}") for x in v.detach().ravel().tolist()]
    return {"k": k, "temperature": temperature, "alpha": alpha, "targets": targets.tolist(), "teacher": short(teacher),
            "student": short(student), "loss": short(hard), "kl": short(kl), "gradient": short(student.grad)}


torch.manual_seed(5)
out = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(out, "kl.json"), "w") as f:
    json.dump([case(1, 1, 0), case(5, 2, 0.3), case(20, 0.7, 0.9)], f)
