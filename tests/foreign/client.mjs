// The official TypeScript SDK as a client of the gate: discovers, authorizes, lists, calls.
//
// Arguments: URL of the MCP endpoint, issuer, client id, client secret, mode ("auto" or "legacy").
// Prints one JSON object.

import { Client, ClientCredentialsProvider, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const [url, issuer, clientId, clientSecret, mode] = process.argv.slice(2);
const authProvider = new ClientCredentialsProvider({ clientId, clientSecret, expectedIssuer: issuer });
const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider });
const client = new Client({ name: "foreign", version: "1" }, { versionNegotiation: { mode } });
await client.connect(transport);
const tools = (await client.listTools()).tools.map((tool) => tool.name).sort();
const customer = await client.callTool({
  name: "get_customer_info",
  arguments: { customer_id: "JOHNDOE123" },
});
const ticket = await client.callTool({
  name: "create_support_ticket",
  arguments: { customer_id: "ABC123", subject: "s", description: "d", priority: "low" },
});
console.log(
  JSON.stringify({
    protocol: client.getNegotiatedProtocolVersion?.() ?? null,
    tools,
    customer: customer.structuredContent,
    ticket: ticket.structuredContent,
  }),
);
await client.close();
