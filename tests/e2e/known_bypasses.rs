//! How gates and proxies elsewhere were passed by, each tried on this one. Nothing of it reaches the
//! upstream; what the upstream says in an odd form does not reach the caller.
//!
//! | report | what passed | shown by |
//! | --- | --- | --- |
//! | CVE-2025-6514 (mcp-remote) | an upstream's challenge led clients astray | `upstream_faults::answers_that_are_none_become_502` |
//! | CVE-2025-49596, CVE-2025-66416, CVE-2026-34742, CVE-2026-42559, CVE-2026-63118 | pages of other origins, rebound names | `heads::only_exact_origins_may_call`, `heads::only_exact_hosts_are_ours`, `edge` |
//! | CVE-2026-46519 (Kubernetes server) | what is not listed could be called | `requests::what_is_not_listed_cannot_be_called` |
//! | ToolHive #5745, #5931 | batches were judged by nobody and on no record | `requests::a_batch_is_refused_and_on_record` |
//! | ToolHive c2e27a705 (#3406) | methods that the map did not know | `requests::a_method_outside_the_map_is_refused` |
//! | ToolHive 8a05eddd5, Tyk #8539 | media types written otherwise | `requests::a_media_type_is_judged_or_refused` |
//! | ToolHive #5257, #5304, 92c70db24, 39d0d14cd, 7eb3f34f9 | lists in odd forms came through whole | `answers` |
//! | ToolHive bacac58ac | two URIs became one entity | `requests::uris_are_entities_to_the_letter` |
//! | ToolHive e14bb31db, docker/mcp-gateway #414, AISVS #182, Envoy #45202 | `Name` beside `name` | `requests::a_name_in_another_case_is_no_second_name` |
//! | ToolHive 9bde3e4a3, a6a0d4c4d | refusals left no record | `refusals::every_refusal_is_on_record_with_its_reason` |
//! | ToolHive 965969972, agentgateway 23120382c, CVE-2026-110279 | the caller's credentials went upstream | `heads::nothing_of_the_callers_head_goes_upstream` |
//! | GHSA-g53w-w6mj-hrpp (Kuadrant) | a header switched the check off | `heads::no_header_switches_anything_off` |
//! | CVE-2026-53709, CVE-2026-77825 (ContextForge) | default secrets, paths that start alike | `seed_defects`, `heads::paths_that_start_alike_are_other_paths` |
//! | agentgateway 63de5278a, Cedar | a forbid that errors forbids nothing | `requests::a_forbid_that_fails_forbids` |
//! | CVE-2026-55772 (CedarJava) | `__entity` in arguments became an entity | `requests::arguments_never_become_entities` |
//! | CVE-2026-29791 (agentgateway) | arguments reached path and head | `heads::nothing_of_the_callers_head_goes_upstream` |
//! | CVE-2026-25536, CVE-2026-111770 (TypeScript SDK) | answers were matched by id across clients | `answers::callers_with_the_same_id_get_their_own_answers` |
//! | CVE-2026-116685 (Python SDK) | redirects were followed with credentials | `answers::a_redirect_is_followed_nowhere` |
//! | CVE-2026-108586 (1MCP) | a caller's own filter widened its scope | `requests::nothing_that_a_caller_adds_widens_what_it_may_do` |
//! | agentgateway 1.4.0 | a truncated body was judged | `smuggling::bodies::a_body_beyond_the_limit_is_never_judged` |
//! | CVE-2025-54576, CVE-2026-34457, CVE-2026-40575, CVE-2026-76835 (oauth2-proxy) | query, `User-Agent`, `X-Forwarded-Uri` | `heads::no_header_switches_anything_off`, `heads::paths_that_start_alike_are_other_paths` |
//! | CVE-2025-64484 (oauth2-proxy) | names with underscores | `heads::nothing_of_the_callers_head_goes_upstream` |
//! | CVE-2026-40574 (oauth2-proxy) | authorities with several `@` | `heads::only_exact_hosts_are_ours` |
//! | CVE-2025-48865 (Fabio) | `Connection` took headers away | `heads::no_header_can_be_named_away` |
//! | CVE-2026-73552 (Envoy) | bytes beyond ASCII in headers | `heads::bytes_beyond_ascii_are_no_name` |
//! | CVE-2026-73553, CVE-2026-40912 | `;` and encoded paths | `edge::framing::targets_and_methods_that_are_not_the_endpoints_reach_nobody` |
//! | CVE-2025-64763, CVE-2026-73547 (Envoy) | CONNECT | the same |
//! | CVE-2024-45808 (Envoy) | line breaks in the log | `requests::what_is_on_record_is_one_line` |
//! | CVE-2026-85595 (Traefik) | an unknown user had an empty secret | `token_refusals`, `seed_defects` |
//! | CVE-2026-105297 (Pingora) | heads without a limit | `edge::framing::a_head_that_is_too_large_or_has_too_many_lines_is_refused` |

/// What the upstream says in an odd form.
mod answers;
/// Lines, hosts, paths and headers.
mod heads;
/// What is asked.
mod requests;

use harness::{Caller, Stack, scripted::Scripted};
use serde_json::{Value, json};

const SCOPES: &str = "customer:read ticket:create account:calculate security:read";
const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
