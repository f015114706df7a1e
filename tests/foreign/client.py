"""The official Python SDK as a client of the gate: discovers, authorizes, lists, calls, steps up.

Arguments: URL of the MCP endpoint, issuer, client id, client secret, mode ("auto" or "legacy").
Prints one JSON object.
"""

import asyncio
import json
import sys

import httpx2
from mcp import Client
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from storage import Memory


async def main(url, issuer, client_id, client_secret, mode):
    storage = Memory()
    auth = ClientCredentialsOAuthProvider(
        server_url=url, storage=storage, client_id=client_id, client_secret=client_secret, issuer=issuer
    )
    async with httpx2.AsyncClient(auth=auth) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, mode=mode) as client:
            before = sorted(tool.name for tool in (await client.list_tools()).tools)
            customer = await client.call_tool("get_customer_info", {"customer_id": "JOHNDOE123"})
            ticket = await client.call_tool(
                "create_support_ticket",
                {"customer_id": "ABC123", "subject": "s", "description": "d", "priority": "low"},
            )
            print(
                json.dumps(
                    {
                        "protocol": client.protocol_version,
                        "tools": before,
                        "customer": customer.structured_content,
                        "ticket": ticket.structured_content,
                        "scope": storage.tokens.scope,
                    }
                )
            )


asyncio.run(main(*sys.argv[1:]))
