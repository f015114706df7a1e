//! End to end: real sockets, real TLS, real signatures, real policies, and a spy before the
//! upstream. One file a promise.

#![expect(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "in a test a broken assumption should fail loudly"
)]

/// Whichever model drives it, from whichever server: the gate decides the same.
mod any_model;
/// What must not be linked, what must be documented, what must not be committed.
mod architecture;
/// Rules of the configuration: who counts with whom, and what is told of what is left.
mod call_limits;
/// The client's program: what it prints, and what its exit codes mean.
mod chat_program;
/// `cedargate-chat` at a terminal, and without one.
mod chat_terminal;
/// Clients that are described by a document of their own, and what the issuer fetches.
mod client_documents;
/// The client's tokens: found, shared, renewed, proven.
mod client_tokens;
/// The official conformance suite, through the gate and past it.
mod conformance;
/// The loop between a model and the tools: what a model may do, and what it is told.
mod conversations;
/// Whatever the gate admits, official SDKs read as the gate does.
mod differential;
/// What was promised survives a kill.
mod durability;
/// Connections, hosts and origins.
mod edge;
/// What a caller with the right scopes can do, in both protocol eras.
mod everyday;
/// From a public server to a gate in front of it.
mod first_steps;
/// Official SDKs as foreign clients.
mod foreign_clients;
/// Identity providers that know nothing of the gate.
mod foreign_issuers;
/// Whoever answers in the issuer's place is not believed.
mod hostile_issuers;
/// The issuer refuses what it should.
mod issuer;
/// Several issuers, each with keys, rules and claims of its own.
mod issuers;
/// Issuers: keys that are missing, rotated, asked for in vain.
mod keys;
/// How gates and proxies elsewhere were passed by.
mod known_bypasses;
/// As many calls pass as policies grant, and no more.
mod limits;
/// Lists hold what their reader may use.
mod lists;
/// Official clients through the gate to official servers, each with each.
mod matrix;
/// The ledger: what it keeps, proves, and survives.
mod on_record;
/// The commands about policies, as an operator types them.
mod policy_commands;
/// Editing a policy file changes what is allowed.
mod policy_edits;
/// May they, about arguments: what policies can see, and what they cost nobody.
mod policy_engine;
/// Typical mistakes in policies, and what is said of them.
mod policy_mistakes;
/// Is it their token? Proof of possession.
mod possession;
/// The programs: exit codes, complaints, draining.
mod programs;
/// Every provider's model is decided about alike, and recorded alike.
mod providers_alike;
/// What policy keeps back of results reaches nobody, in no form.
mod redaction;
/// Refusals: status, challenge, body, as documented.
mod refusals;
/// The rehearsed model, read by the libraries of the providers it plays.
mod rehearsed_model;
/// Tokens refused before their time, and tokens about which their issuer must be asked.
mod revocation;
/// The two scenarios of the source material, through the client and the rehearsed model.
mod scenarios;
/// What was wrong with the code of the source material is not wrong with ours.
mod seed_defects;
/// Sessions, tasks and what the upstream asks belong to one principal.
mod sessions;
/// What do they ask: bodies and headers that could be read in two ways.
mod smuggling;
/// Events pass as they come.
mod streams;
/// What operators are told in numbers and traces.
mod telemetry;
/// The caller's token stays at the gate; the upstream gets an assertion.
mod token_containment;
/// The refusal matrix: every way in which a token can be wrong.
mod token_refusals;
/// Who is asking: what makes a token good, and how it arrives.
mod tokens;
/// Upstreams behind a Unix socket, and behind a door that asks for a certificate.
mod transports;
/// The customer server alone serves nobody.
mod unguarded_server;
/// What happens when the upstream is down, slow, redirecting or talking nonsense.
mod upstream_faults;
/// What is odd, whom it concerns, and what it costs.
mod watch;
