"""The official Python SDK lists the tools of a server and calls some of them.

Argument: a JSON object with the URL of the MCP endpoint, a bearer token, a mode ("auto" or "legacy")
and the calls. Prints one JSON object.
"""

import asyncio
import json
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def answer(client, call):
    try:
        result = await client.call_tool(call["name"], call["arguments"])
    except Exception as error:
        return {"refused": str(error)}
    text = "".join(part.text for part in result.content)
    return {"refused" if result.is_error else "text": text}


async def main(task):
    headers = {"authorization": f"Bearer {task['token']}"}
    async with httpx2.AsyncClient(headers=headers) as http:
        transport = streamable_http_client(task["url"], http_client=http)
        async with Client(transport, mode=task["mode"]) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            answers = [await answer(client, call) for call in task["calls"]]
            print(json.dumps({"protocol": client.protocol_version, "tools": tools, "answers": answers}))


asyncio.run(main(json.loads(sys.argv[1])))
