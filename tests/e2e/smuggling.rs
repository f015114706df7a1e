//! Hazards of reading one message in two ways, each seen in some server or SDK. The rows are those of
//! the project's list of such hazards.
//!
//! | row | hazard | shown by |
//! | --- | --- | --- |
//! | 1 | batches | `bodies::a_batch_is_refused_whatever_its_era_and_label` |
//! | 2 | a name that stands twice | `bodies::a_name_that_stands_twice_is_refused_at_any_depth` |
//! | 3 | escaped names | `bodies::escaped_names_are_the_names_they_spell` |
//! | 4 | encodings and media types | `bodies::{bodies_that_two_readers_…, what_is_not_plain_json_…}` |
//! | 5 | NaN, big numbers, half surrogates | `bodies::numbers_and_text_that_readers_round_…` |
//! | 6 | request and response at once | `bodies::a_message_is_one_thing` |
//! | 7 | headers that lie on legacy messages | `headers::headers_that_contradict_the_body_are_refused` |
//! | 8 | headers twice, encoded, cased | `headers::what_may_stand_once_is_refused_when_it_stands_twice` |
//! | 9 | one era taken for the other | `headers::a_message_of_one_era_is_not_taken_for_one_of_the_other` |
//! | 10 | compression | `bodies::what_is_not_plain_json_…`, `headers::no_compressed_answer_is_asked_for` |
//! | 11 | answers as event streams | `lists::lists_are_narrowed_in_whatever_form_they_come`, `known_bypasses::answers` |
//! | 12 | streams taken up again | `sessions::resumption` |
//! | 13 | what the upstream asks | `sessions::questions` |
//! | 14 | requests made again | `requests::a_request_that_is_made_again_is_judged_again`, `sessions::questions` |
//! | 15 | tasks | `sessions::tasks` |
//! | 16 | sessions | `sessions::a_session_is_its_principals` |
//! | 17 | pages of lists | `requests::an_emptied_page_still_leads_to_the_next`, `lists` |
//! | 18 | what exists | `refusals::a_hidden_tool_and_no_tool_look_the_same` |
//! | 19 | other ways to read | `requests::a_resource_is_its_exact_uri_on_every_way_to_it` |
//! | 20 | notifications | `requests::notifications_carry_nothing_past_the_gate` |
//! | 21 | methods, paths, hop-by-hop headers | `requests::other_http_methods_carry_no_message`, `edge::framing`, `known_bypasses::heads` |
//! | 22 | ids | `requests::an_id_is_text_or_a_whole_number_and_comes_back_as_it_was` |
//! | 23 | unknown methods | `requests::methods_nobody_declared_are_refused` |
//! | 24 | where a token may stand | `tokens::a_token_comes_in_one_header_and_nowhere_else`, `token_refusals::forms` |
//! | 25 | redirects, challenges, cookies | `upstream_faults::answers_that_are_none_become_502` |
//! | 26 | answers to something else | `sessions::an_answer_to_something_else_is_not_relayed` |
//! | 27 | arguments in headers | `headers::an_argument_in_a_header_is_an_argument_in_the_body` |
//! | 28 | hanging up | `requests::leaving_cancels_a_modern_request_and_no_legacy_one` |

/// What a body holds.
mod bodies;
/// What the headers say of it.
mod headers;
/// What is asked, and how it ends.
mod requests;

use harness::{Stack, scripted::Scripted};
use reqwest::Method;
use serde_json::{Value, json};

const SCOPES: &str = "customer:read ticket:create account:calculate security:read";

/// Params of a tool call.
fn call(tool: &str, arguments: Value) -> Value {
    json!({ "name": tool, "arguments": arguments })
}

/// The body of a modern request.
fn modern(method: &str, mut params: Value) -> String {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
}
