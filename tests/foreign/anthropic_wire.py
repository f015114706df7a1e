"""The official Anthropic library talks to the rehearsed model.

Argument: a JSON object with the base URLs of one that plays well and of one that fails, the key,
prompts, tools and results of tools. Prints one JSON object: what the library made of the answers.
"""

import json
import sys
import time

import anthropic


def client(url, **options):
    return anthropic.Anthropic(base_url=url, **{"api_key": task["key"], "max_retries": 0, **options})


def text(answer):
    return "".join(block.text for block in answer.content if block.type == "text")


def converse(url, prompt, stream):
    """Asks, tells what became of the calls, and yields the calls and the last word."""
    messages = [{"role": "user", "content": prompt}]
    model, made = client(url), []
    while True:
        asked = {"model": task["model"], "max_tokens": 1000, "messages": messages, "tools": task["tools"]}
        asked["system"] = [{"type": "text", "text": "Be brief."}]
        if stream:
            with model.messages.stream(**asked) as events:
                pieces = sum(1 for _ in events)
                answer = events.get_final_message()
        else:
            answer, pieces = model.messages.create(**asked), 1
        uses = [block for block in answer.content if block.type == "tool_use"]
        if not uses:
            return {
                "calls": made,
                "answer": text(answer),
                "pieces": pieces,
                "model": answer.model,
                "finish": answer.stop_reason,
                "usage": answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0,
            }
        made.append([{"id": use.id, "tool": use.name, "arguments": json.dumps(use.input)} for use in uses])
        content = [block.model_dump(include={"type", "text", "id", "name", "input"}) for block in answer.content]
        messages.append({"role": "assistant", "content": content})
        results = [
            {"type": "tool_result", "tool_use_id": use.id, "content": task["results"][use.name]} for use in uses
        ]
        messages.append({"role": "user", "content": results})


def failure(act):
    """What the library raises."""
    try:
        act()
    except Exception as error:
        return {"class": type(error).__name__, "status": getattr(error, "status_code", None)}


def ask(prompt, stream=False, url=None, **options):
    model = client(url or task["faulty"], **options)
    asked = {"model": task["model"], "max_tokens": 100, "messages": [{"role": "user", "content": prompt}]}
    if not stream:
        return text(model.messages.create(**asked))
    with model.messages.stream(**asked) as events:
        return events.get_final_text()


def retried():
    """A 429 that says when to come back, and an answer after that."""
    began = time.monotonic()
    answer = ask("once limited", max_retries=1)
    return {"answer": answer, "waited": time.monotonic() - began >= 1.0}


def report():
    good = task["good"]
    create = client(good).messages.create
    hello = [{"role": "user", "content": "hello"}]
    return {
        "scenarios": {
            name: [converse(good, prompt, stream) for stream in (False, True)]
            for name, prompt in task["prompts"].items()
        },
        "models": [[model.id, model.display_name] for model in client(good).models.list()],
        "one_model": client(good).models.retrieve(task["model"]).id,
        "failures": {
            **{prompt: failure(lambda: ask(prompt)) for prompt in task["faults"]},
            **{f"{prompt}, streamed": failure(lambda: ask(prompt, stream=True)) for prompt in task["faults"]},
            "other key": failure(lambda: ask("hello", url=good, api_key="other")),
            "other model": failure(lambda: create(model="claude-sonnet", max_tokens=9, messages=hello)),
            "no messages": failure(lambda: create(model=task["model"], max_tokens=9, messages=[])),
            "too slow": failure(lambda: ask("slow", timeout=0.2)),
        },
        "retried": retried(),
    }


task = json.loads(sys.argv[1])
print(json.dumps(report()))
