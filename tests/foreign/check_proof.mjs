// Checks what `cedargate audit prove` prints with nothing but Node's own cryptography: RFC 9162
// section 2.1.3.2, https://c2sp.org/signed-note, https://c2sp.org/tlog-checkpoint.
//
//   node check_proof.mjs KEY < proof.json

import { createHash, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();
const fail = (what) => {
  console.error(what);
  process.exit(1);
};

const [, origin, , keyText] = process.argv[2].match(/^(.+?)\+([0-9a-f]{8})\+(.+)$/);
const keyBytes = Buffer.from(keyText, "base64");
const keyId = sha256(origin, "\n", keyBytes).subarray(0, 4);
const prefix = Buffer.from("302a300506032b6570032100", "hex"); // SubjectPublicKeyInfo of Ed25519
const key = createPublicKey({ key: Buffer.concat([prefix, keyBytes.subarray(1)]), format: "der", type: "spki" });

for (const proof of JSON.parse(readFileSync(0, "utf8"))) {
  const [body, signatures] = proof.checkpoint.split("\n\n");
  const signature = Buffer.from(signatures.match(/^\u2014 (\S+) (\S+)/)[2], "base64");
  if (!signature.subarray(0, 4).equals(keyId)) fail("another key's signature");
  if (!verify(null, Buffer.from(body + "\n"), key, signature.subarray(4))) fail("the signature is wrong");
  const [name, size, root] = body.split("\n");
  if (name !== origin) fail("another ledger's");

  let hash = sha256(Buffer.of(0), proof.leaf);
  let [node, last] = [BigInt(proof.index), BigInt(size) - 1n];
  if (node > last) fail("beyond the tree");
  for (const beside of proof.path.map((hex) => Buffer.from(hex, "hex"))) {
    if (last === 0n) fail("the path is too long");
    if (node % 2n === 1n || node === last) {
      hash = sha256(Buffer.of(1), beside, hash);
      while (node % 2n === 0n && node !== 0n) [node, last] = [node >> 1n, last >> 1n];
    } else {
      hash = sha256(Buffer.of(1), hash, beside);
    }
    [node, last] = [node >> 1n, last >> 1n];
  }
  if (last !== 0n || !hash.equals(Buffer.from(root, "base64"))) fail("not in the tree");

  const leaf = JSON.parse(proof.leaf);
  if (leaf.seq !== proof.index) fail("in another's place");
  const committed = sha256(Buffer.from(proof.salt, "hex"), proof.personal).toString("hex");
  if (committed !== leaf.commitment) fail("about somebody else");
  console.log(`${leaf.kind} ${leaf.request_id}`);
}
