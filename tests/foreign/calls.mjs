// The official TypeScript SDK, of either version, lists the tools of a server and calls some of them.
//
// Argument: a JSON object with the URL of the MCP endpoint, a bearer token, a mode ("auto" or "legacy"
// for version 2, "v1" for version 1, which has no choice) and the calls. Prints one JSON object.

const task = JSON.parse(process.argv[2]);
const [{ Client }, { StreamableHTTPClientTransport }] =
  task.mode === "v1"
    ? [
        await import("@modelcontextprotocol/sdk/client/index.js"),
        await import("@modelcontextprotocol/sdk/client/streamableHttp.js"),
      ]
    : Array(2).fill(await import("@modelcontextprotocol/client"));

const transport = new StreamableHTTPClientTransport(new URL(task.url), {
  requestInit: { headers: { authorization: `Bearer ${task.token}` } },
});
const client = new Client({ name: "foreign", version: "1" }, { versionNegotiation: { mode: task.mode } });
await client.connect(transport);

async function answer(call) {
  try {
    const result = await client.callTool(call);
    const text = result.content.map((part) => part.text).join("");
    return result.isError ? { refused: text } : { text };
  } catch (error) {
    return { refused: error.message };
  }
}

const tools = (await client.listTools()).tools.map((tool) => tool.name);
const answers = [];
for (const call of task.calls) {
  answers.push(await answer(call));
}
const protocol = client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion;
console.log(JSON.stringify({ protocol, tools, answers }));
await client.close();
