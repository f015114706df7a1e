"""The official Python SDK logs a person in, starting from nothing but the URL of the gate.

401, protected resource metadata, authorization server metadata, registration (or the URL of a client
metadata document), authorization code with PKCE, tools; then a call that needs more scope, for which
it authorizes a second time; then a refresh. The person's browser is played here: it keeps cookies,
reads the forms that the server wrote, and fills them in.

Arguments: URL of the MCP endpoint, user name, password, and the URL of a client metadata document or
"register". Prints one JSON object.
"""

import asyncio
import json
import sys
from html.parser import HTMLParser
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata
from storage import Memory

CALLBACK = "http://localhost:47110/callback"


class Form(HTMLParser):
    """The one form of a page: where it leads, and what is in it already."""

    def __init__(self, page):
        super().__init__()
        self.action = None
        self.hidden = {}
        self.labels = set()
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form":
            self.action = attributes["action"]
        elif tag == "label":
            self.labels.add(attributes["for"])
        elif tag == "input" and attributes.get("type") == "hidden":
            self.hidden[attributes["name"]] = attributes["value"]


class Person:
    """Signs in once, allows whatever is asked for, and remembers what was."""

    def __init__(self, user, password):
        self.fields = {"username": user, "password": password}
        self.browser = httpx2.AsyncClient(follow_redirects=False)
        self.returned = None
        self.signed_in = 0
        self.allowed = []

    async def visit(self, url):
        # What prefetches it, without cookies, does no harm.
        async with httpx2.AsyncClient() as prefetch:
            assert (await prefetch.get(url)).status_code == 200
        asked = parse_qs(urlsplit(url).query)
        while not url.startswith(CALLBACK):
            page = await self.browser.get(url)
            assert page.status_code == 200, page.text
            form = Form(page.text)
            if form.labels:
                assert form.labels == {"username", "password"}
                fields = self.fields
                self.signed_in += 1
            else:
                fields = {"decision": "allow"}
                self.allowed.append(asked["scope"][0])
            reply = await self.browser.post(urljoin(url, form.action), data=form.hidden | fields)
            assert reply.status_code == 303, reply.text
            url = urljoin(url, reply.headers["location"])
        self.returned = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}

    async def come_back(self):
        return AuthorizationCodeResult(
            code=self.returned["code"], state=self.returned["state"], iss=self.returned["iss"]
        )


async def main(url, user, password, document):
    storage, person = Memory(), Person(user, password)
    auth = OAuthClientProvider(
        server_url=url,
        client_metadata=OAuthClientMetadata(
            client_name="login.py",
            redirect_uris=[CALLBACK],
            grant_types=["authorization_code", "refresh_token"],
        ),
        storage=storage,
        redirect_handler=person.visit,
        callback_handler=person.come_back,
        client_metadata_url=None if document == "register" else document,
    )
    async with httpx2.AsyncClient(auth=auth) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, mode="auto") as client:
            before = sorted(tool.name for tool in (await client.list_tools()).tools)
            customer = await client.call_tool("get_customer_info", {"customer_id": "JOHNDOE123"})
            ticket = await client.call_tool(
                "create_support_ticket",
                {"customer_id": "ABC123", "subject": "s", "description": "d", "priority": "low"},
            )
            after = sorted(tool.name for tool in (await client.list_tools()).tools)
            # As if it had expired: the next request refreshes it first.
            stepped_up = storage.tokens
            auth.context.token_expiry_time = 1
            await client.list_tools()
            print(
                json.dumps(
                    {
                        "client_id": storage.client.client_id,
                        "tools": [before, after],
                        "customer": customer.structured_content,
                        "ticket": ticket.structured_content,
                        "allowed": person.allowed,
                        "signed_in": person.signed_in,
                        "refreshed": storage.tokens.access_token != stepped_up.access_token
                        and storage.tokens.refresh_token != stepped_up.refresh_token,
                        "scope": storage.tokens.scope,
                        "access_token": storage.tokens.access_token,
                    }
                )
            )


asyncio.run(main(*sys.argv[1:]))
