"""The script of a tutorial of 2023, with only the address changed.

    python openai028.py http://127.0.0.1:8080/v1 MODEL train.jsonl

Needs the client openai 0.28.1. MODEL may be an OpenAI name such as
gpt-3.5-turbo. It uploads, trains, polls, reads events, chats, and asserts
what it sees. The learning rate that the tutorial gives as the multiplier must
be noticed.
"""

import json
import sys
import time
import urllib.request

import openai

openai.api_base, model, path = sys.argv[1:4]
openai.api_key = "sk-any"
question = [{"role": "user", "content": "What do you do?"}]


def refused(kind, call, words=""):
    """Checks that a call raises an error of a kind with these words."""
    try:
        call()
    except kind as error:
        assert words in str(error), error
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


# Files.
file = openai.File.create(file=open(path, "rb"), purpose="fine-tune")
assert file.status == "processed" and file["object"] == "file", file
assert openai.File.retrieve(file.id).bytes == file.bytes
assert file.id in [f.id for f in openai.File.list().data]
with open(path, "rb") as data:
    assert openai.File.download(file.id) == data.read()
refused(
    openai.error.InvalidRequestError,
    lambda: openai.File.create(file=b"question,answer\n", purpose="fine-tune"),
    "Expected file to have JSONL format",
)
print("uploaded", file.id)

# The job.
job = openai.FineTuningJob.create(
    training_file=file.id,
    model=model,
    suffix="client-old",
    hyperparameters={"n_epochs": 1, "batch_size": 4, "learning_rate_multiplier": 2e-5},
)
assert job["object"] == "fine_tuning.job" and job.error is None and job.model == model, job
assert job.id in [j.id for j in openai.FineTuningJob.list(limit=10).data]
print("created", job.id)
while job.status not in ("succeeded", "failed", "cancelled"):
    assert job.status in ("validating_files", "queued", "running"), job.status
    time.sleep(0.5)
    job = openai.FineTuningJob.retrieve(job.id)
assert job.status == "succeeded", job.error
assert job.error is None and job.trained_tokens > 0, job
assert job.hyperparameters.n_epochs == 1 and job.hyperparameters.batch_size == 4, job.hyperparameters
tuned = job.fine_tuned_model
assert tuned.startswith("ft:"), tuned
print("trained", tuned)

events = openai.FineTuningJob.list_events(id=job.id, limit=1000).data
messages = [e.message for e in events]
assert messages[-1] == f"Created fine-tuning job: {job.id}", messages
assert f"New fine-tuned model created: {tuned}" in messages, messages
assert any("looks like a learning rate" in e.message and e.level == "warn" for e in events), messages
assert any(e.type == "metrics" and e.data.train_loss > 0 for e in events), messages
page = openai.FineTuningJob.list_events(id=job.id, limit=2)
assert page.has_more and [e.id for e in page.data] == [e.id for e in events[:2]], page
result = openai.File.download(job.result_files[0]).decode()
assert result.startswith("step,train_loss"), result
refused(openai.error.InvalidRequestError, lambda: openai.FineTuningJob.cancel(job.id))
print("read", len(events), "events")

# Chat with the tuned model.
assert openai.Model.retrieve(tuned).id == tuned
assert tuned in [m.id for m in openai.Model.list().data]
answer = openai.ChatCompletion.create(model=tuned, messages=question, temperature=0, max_tokens=24)
text = answer["choices"][0]["message"]["content"]
assert text and answer.usage.completion_tokens > 0, answer
pieces = []
for chunk in openai.ChatCompletion.create(model=tuned, messages=question, temperature=0, max_tokens=24, stream=True):
    pieces.append(chunk.choices[0].delta.get("content") or "")
assert "".join(pieces) == text, (pieces, text)
old = openai.ChatCompletion.create(engine=tuned, messages=question, temperature=0, max_tokens=24)
assert old.choices[0].message.content == text, old
print("answered", len(pieces), "pieces")

# The simple endpoint of the tutorial, and a judgement of its answer.
root = openai.api_base[: -len("/v1")] if openai.api_base.endswith("/v1") else openai.api_base


def post(route, body):
    request = urllib.request.Request(
        root + route, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return json.load(response)


simple = post("/api/chat", {"message": "What do you do?", "model": tuned})
assert simple["response"] and simple["id"], simple
saved = post("/v1/feedback", {"id": simple["id"], "rating": "up", "comment": "good"})
assert saved["rating"] == 5 and saved["answer_id"] == simple["id"], saved

# Errors.
refused(openai.error.InvalidRequestError, lambda: openai.ChatCompletion.create(model="ft:nobody", messages=question))
refused(
    openai.error.InvalidRequestError,
    lambda: openai.FineTune.create(training_file=file.id, model="ada"),
    "fine_tuning/jobs",
)
assert openai.File.delete(file.id).deleted
refused(openai.error.InvalidRequestError, lambda: openai.File.retrieve(file.id), "No such File object")
print("OK")
