// A certified OpenID provider as an issuer for the gate, with nothing in it made for the gate:
// oidc-provider with client credentials, resource indicators and RS256 access tokens (RFC 9068).
//
// Prints its issuer identifier, then serves until it is killed.

import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const scopes = ["customer:read", "ticket:create", "account:calculate", "security:read"];
const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const key = { ...privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256", kid: "first" };

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: "robot",
        client_secret: "a secret of some length",
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
        scope: scopes.join(" "),
      },
    ],
    scopes,
    jwks: { keys: [key] },
    cookies: { keys: ["unused"] },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        getResourceServerInfo: (_context, resource) => ({
          scope: scopes.join(" "),
          audience: resource,
          // Opaque tokens for those who want to be asked about them.
          accessTokenFormat: resource.endsWith("/opaque") ? "opaque" : "jwt",
          jwt: { sign: { alg: "RS256" } },
        }),
      },
    },
  });
  server.on("request", provider.callback());
  console.log(issuer);
});
