"""The official OpenAI library talks to the rehearsed model.

Argument: a JSON object with the base URLs of one that plays well and of one that fails, the key,
prompts, tools and results of tools. Prints one JSON object: what the library made of the answers.
"""

import json
import sys
import time

import openai


def client(url, **options):
    return openai.OpenAI(base_url=url, **{"api_key": task["key"], "max_retries": 0, **options})


def calls(message):
    return [
        {"id": call.id, "tool": call.function.name, "arguments": call.function.arguments}
        for call in message.tool_calls or []
    ]


def converse(url, prompt, stream):
    """Asks, tells what became of the calls, and yields the calls and the last word."""
    messages = [{"role": "user", "content": prompt}]
    model, made = client(url), []
    while True:
        asked = {"model": task["model"], "messages": messages, "tools": task["tools"]}
        if stream:
            with model.chat.completions.stream(**asked, stream_options={"include_usage": True}) as events:
                pieces = sum(event.type == "chunk" for event in events)
                answer = events.get_final_completion()
        else:
            answer, pieces = model.chat.completions.create(**asked), 1
        message = answer.choices[0].message
        if not message.tool_calls:
            return {
                "calls": made,
                "answer": message.content,
                "pieces": pieces,
                "model": answer.model,
                "finish": answer.choices[0].finish_reason,
                "usage": answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0,
            }
        made.append(calls(message))
        messages.append({
            "role": "assistant",
            "content": message.content,
            "tool_calls": [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.function.name, "arguments": call.function.arguments},
                }
                for call in message.tool_calls
            ],
        })
        for call in message.tool_calls:
            content = task["results"][call.function.name]
            messages.append({"role": "tool", "tool_call_id": call.id, "content": content})


def failure(act):
    """What the library raises."""
    try:
        act()
    except Exception as error:
        return {"class": type(error).__name__, "status": getattr(error, "status_code", None)}


def ask(prompt, stream=False, url=None, **options):
    model = client(url or task["faulty"], **options)
    messages = [{"role": "user", "content": prompt}]
    answer = model.chat.completions.create(model=task["model"], messages=messages, stream=stream)
    if not stream:
        return answer.choices[0].message.content
    return "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)


def retried():
    """A 429 that says when to come back, and an answer after that."""
    began = time.monotonic()
    answer = ask("once limited", max_retries=1)
    return {"answer": answer, "waited": time.monotonic() - began >= 1.0}


def report():
    good = task["good"]
    return {
        "scenarios": {
            name: [converse(good, prompt, stream) for stream in (False, True)]
            for name, prompt in task["prompts"].items()
        },
        "models": [[model.id, model.owned_by] for model in client(good).models.list()],
        "one_model": client(good).models.retrieve(task["model"]).id,
        "failures": {
            **{prompt: failure(lambda: ask(prompt)) for prompt in task["faults"]},
            **{f"{prompt}, streamed": failure(lambda: ask(prompt, stream=True)) for prompt in task["faults"]},
            "other key": failure(lambda: ask("hello", url=good, api_key="other")),
            "other model": failure(
                lambda: client(good).chat.completions.create(model="gpt-4.1", messages=[{"role": "user", "content": "x"}])
            ),
            "no messages": failure(lambda: client(good).chat.completions.create(model=task["model"], messages=[])),
            "too slow": failure(lambda: ask("slow", timeout=0.2)),
        },
        "retried": retried(),
    }


task = json.loads(sys.argv[1])
print(json.dumps(report()))
