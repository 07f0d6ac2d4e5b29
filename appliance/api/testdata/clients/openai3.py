"""A fine-tuning script as it is written for OpenAI, with only the address changed.

    python openai3.py http://127.0.0.1:8080/v1 MODEL train.jsonl

Needs the client openai 3.x. It uploads, trains, polls, reads events and
checkpoints, chats with the tuned model, and asserts what it sees.
"""

import sys
import time

import openai
from openai import OpenAI

base_url, model, path = sys.argv[1:4]
client = OpenAI(base_url=base_url, api_key="sk-any", max_retries=0)
question = [
    {"role": "system", "content": "You answer in one short sentence."},
    {"role": "user", "content": "What do you do?"},
]


def refused(kind, call, **expected):
    """Checks that a call raises an error of a kind with these attributes."""
    try:
        call()
    except kind as error:
        for name, value in expected.items():
            assert getattr(error, name) == value, (name, getattr(error, name), value)
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


# Files.
with open(path, "rb") as data:
    file = client.files.create(file=data, purpose="fine-tune")
file = client.files.wait_for_processing(file.id)
assert file.status == "processed" and file.purpose == "fine-tune", file
assert client.files.retrieve(file.id) == file
assert file.id in [f.id for f in client.files.list(purpose="fine-tune")]
with open(path, "rb") as data:
    assert client.files.content(file.id).read() == data.read()
error = refused(
    openai.BadRequestError,
    lambda: client.files.create(file=("t.jsonl", b"question,answer\n"), purpose="fine-tune"),
)
assert "Expected file to have JSONL format" in error.message, error.message
print("uploaded", file.id)

# The job.
refused(
    openai.BadRequestError,
    lambda: client.fine_tuning.jobs.create(training_file="file-nobody", model=model),
    param="training_file",
)
job = client.fine_tuning.jobs.create(
    training_file=file.id,
    model=model,
    suffix="client-three",
    seed=42,
    metadata={"script": "openai3"},
    method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 1, "batch_size": "auto"}}},
)
assert job.object == "fine_tuning.job" and job.error is None and job.fine_tuned_model is None, job
assert job.seed == 42 and job.metadata == {"script": "openai3"}, job
print("created", job.id)
assert job.id in [j.id for j in client.fine_tuning.jobs.list(limit=1)]

while job.status not in ("succeeded", "failed", "cancelled"):
    assert job.status in ("validating_files", "queued", "running"), job.status
    time.sleep(0.5)
    job = client.fine_tuning.jobs.retrieve(job.id)
assert job.status == "succeeded", job.error
assert job.error is None and job.trained_tokens > 0 and job.finished_at >= job.created_at, job
assert job.method.supervised.hyperparameters.n_epochs == job.hyperparameters.n_epochs == 1, job
assert isinstance(job.hyperparameters.batch_size, int), job.hyperparameters
assert job.fine_tuned_model.startswith("ft:") and ":client-three:" in job.fine_tuned_model, job
print("trained", job.fine_tuned_model)

# Events: newest first, and pages of two give the same as one of all.
events = client.fine_tuning.jobs.list_events(job.id, limit=1000).data
assert [e.id for e in client.fine_tuning.jobs.list_events(job.id, limit=2)] == [e.id for e in events]
assert events[-1].message == f"Created fine-tuning job: {job.id}", events[-1]
messages = "\n".join(e.message for e in events)
assert f"New fine-tuned model created: {job.fine_tuned_model}" in messages, messages
metrics = [e for e in events if e.type == "metrics"]
assert metrics and metrics[0].data["step"] == metrics[0].data["total_steps"], metrics[:1]
assert all(e.data["train_loss"] > 0 for e in metrics)
checkpoints = client.fine_tuning.jobs.checkpoints.list(job.id).data
assert checkpoints[0].fine_tuned_model_checkpoint == job.fine_tuned_model, checkpoints
assert all(c.step_number > 0 and c.fine_tuning_job_id == job.id for c in checkpoints)
result = client.files.content(job.result_files[0]).text
assert result.startswith("step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n"), result
refused(openai.BadRequestError, lambda: client.fine_tuning.jobs.cancel(job.id))
print("read", len(events), "events and", len(checkpoints), "checkpoints")

# Chat with the tuned model, which is there without a restart.
assert client.models.retrieve(job.fine_tuned_model).id == job.fine_tuned_model
assert job.fine_tuned_model in [m.id for m in client.models.list()]
answer = client.chat.completions.create(model=job.fine_tuned_model, messages=question, temperature=0, max_tokens=24)
assert answer.choices[0].finish_reason in ("stop", "length"), answer
assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens, answer.usage
assert answer._request_id.startswith("req_"), answer._request_id
text = answer.choices[0].message.content
assert text, answer
stream = client.chat.completions.create(
    model=job.fine_tuned_model, messages=question, temperature=0, max_tokens=24,
    stream=True, stream_options={"include_usage": True},
)
pieces, usage, roles = [], None, 0
for chunk in stream:
    if not chunk.choices:
        usage = chunk.usage
        continue
    assert chunk.usage is None, chunk
    roles += chunk.choices[0].delta.role == "assistant"
    pieces.append(chunk.choices[0].delta.content or "")
assert "".join(pieces) == text, (pieces, text)
assert roles == 1 and usage.completion_tokens == answer.usage.completion_tokens, (roles, usage)

several = client.chat.completions.create(
    model=job.fine_tuned_model, messages=question, n=2, seed=1, max_completion_tokens=8, logprobs=True, top_logprobs=2,
)
assert [c.index for c in several.choices] == [0, 1], several
for choice in several.choices:
    assert "".join(t.token for t in choice.logprobs.content) == choice.message.content, choice
    assert all(len(t.top_logprobs) == 2 and t.logprob <= 0 for t in choice.logprobs.content), choice
again = client.chat.completions.create(
    model=job.fine_tuned_model, messages=question, n=2, seed=1, max_completion_tokens=8,
)
assert [c.message.content for c in again.choices] == [c.message.content for c in several.choices], again
if len(text.split()) > 2:
    stop = text.split()[1]
    short = client.chat.completions.create(
        model=job.fine_tuned_model, messages=question, temperature=0, max_tokens=24, stop=[stop],
    )
    assert stop not in short.choices[0].message.content, short
    assert text.startswith(short.choices[0].message.content) and short.choices[0].finish_reason == "stop", short
print("answered", len(pieces), "pieces")

# Errors.
refused(
    openai.NotFoundError,
    lambda: client.chat.completions.create(model="ft:nobody", messages=question),
    code="model_not_found", param="model",
)
refused(
    openai.BadRequestError,
    lambda: client.chat.completions.create(model=model, messages=question, temperature=3),
    param="temperature",
)
error = refused(
    openai.BadRequestError,
    lambda: client.chat.completions.create(model=model, messages=[{"role": "user", "content": "word " * 200000}], stream=True),
    code="context_length_exceeded",
)
assert error.body["message"].startswith("This model's maximum context length is "), error.body

assert client.files.delete(file.id).deleted
refused(openai.NotFoundError, lambda: client.files.retrieve(file.id))
print("OK")
