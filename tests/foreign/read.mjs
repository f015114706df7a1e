// How the official TypeScript SDKs read a message: `@modelcontextprotocol/sdk` (version 1) and
// `@modelcontextprotocol/core` (version 2).
//
// Reads one body a line, base64. Prints one JSON object a line: for each of them what it makes of
// the body, null where it refuses it.

import { createInterface } from "node:readline";
import { JSONRPCMessageSchema as version2 } from "@modelcontextprotocol/core";
import { JSONRPCMessageSchema as version1 } from "@modelcontextprotocol/sdk/types.js";

/** As their servers do: a batch is a message after the other. */
async function reading(schema, body) {
  try {
    const text = await new Request("http://localhost/", { method: "POST", body }).text();
    const decoded = JSON.parse(text);
    return plain(Array.isArray(decoded) ? decoded.map((item) => schema.parse(item)) : schema.parse(decoded));
  } catch {
    return null;
  }
}

/** JSON that every reader reads the same: numbers by their bits, strings by their code units. */
function plain(value, depthLeft = 100) {
  if (depthLeft === 0) return "#deeper";
  if (typeof value === "number") return { "#double": bits(value) };
  if (typeof value === "string") return text(value);
  if (Array.isArray(value)) return value.map((item) => plain(item, depthLeft - 1));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [text(name), plain(member, depthLeft - 1)]));
}

function bits(number) {
  const bytes = new DataView(new ArrayBuffer(8));
  bytes.setFloat64(0, number + 0); // Zero has no sign.
  return bytes.getBigUint64(0).toString(16).padStart(16, "0");
}

function text(string) {
  if (string.isWellFormed()) return string;
  return "#utf16 " + Array.from({ length: string.length }, (_, at) => string.charCodeAt(at).toString(16).padStart(4, "0")).join("");
}

for await (const line of createInterface({ input: process.stdin })) {
  const body = Buffer.from(line, "base64");
  const read = { "typescript 1": await reading(version1, body), "typescript 2": await reading(version2, body) };
  console.log(JSON.stringify(read));
}
