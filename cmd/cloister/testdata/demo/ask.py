"""Asks two models the same three questions through OpenAI's client: ask.py BASE_URL BASE TUNED"""
import sys

from openai import OpenAI

client = OpenAI(base_url=sys.argv[1], api_key="none")
for question in (
    "What time do you open on a Tuesday?",
    "Could you tell me which room the lab is in?",
    "How long can I park for free?",
):
    print(f"\n{question}")
    for model in sys.argv[2:]:
        reply = client.chat.completions.create(
            model=model,
            messages=[
                {"role": "system", "content": "You are the front desk of Brackenfold Clinic."},
                {"role": "user", "content": question},
            ],
            temperature=0,
            max_tokens=60,
        )
        text = " ".join(reply.choices[0].message.content.split())
        print(f"  {model:10}  {text}")
print(f"\n(the last answer has the id {reply.id})")
