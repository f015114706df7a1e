//! Ids of calls, such that a conversation can go on with any provider.

use std::collections::HashSet;

use super::{Call, Conversation, Message, frames::Draft};

/// The calls of a new turn of `conversation`: an id that every provider takes and that no other
/// call of the conversation has is kept, any other is replaced.
pub(super) fn settled(drafts: &[Draft], conversation: &Conversation) -> Result<Vec<Call>, String> {
    let mut given = HashSet::new();
    if drafts.iter().any(|draft| !draft.id.is_empty() && !given.insert(draft.id.as_str())) {
        return Err("two of its calls have one id".to_owned());
    }
    let mut taken: HashSet<String> =
        calls(conversation).map(|call| call.id.clone()).chain(given_ids(drafts)).collect();
    let before: HashSet<&str> = calls(conversation).map(|call| call.id.as_str()).collect();
    let mut next = 0;
    let call = |draft: &Draft| {
        let id = if is_portable(&draft.id) && !before.contains(draft.id.as_str()) {
            draft.id.clone()
        } else {
            own_id(&mut taken, &mut next)
        };
        let arguments =
            if draft.arguments.is_empty() { "{}".to_owned() } else { draft.arguments.clone() };
        Call { id, tool: draft.tool.clone(), arguments }
    };
    Ok(drafts.iter().map(call).collect())
}

/// The id under which Mistral is told of the call that has this place in the conversation: it
/// takes nine letters and digits, and nothing else.
pub(super) fn of_nine_digits(place: usize) -> String {
    format!("{place:09}")
}

/// All calls of a conversation, in order.
pub(super) fn calls(conversation: &Conversation) -> impl Iterator<Item = &Call> {
    conversation.messages().iter().flat_map(|message| match message {
        Message::Assistant(turn) => turn.calls.as_slice(),
        _ => &[],
    })
}

fn given_ids(drafts: &[Draft]) -> impl Iterator<Item = String> + '_ {
    drafts.iter().map(|draft| draft.id.clone())
}

fn own_id(taken: &mut HashSet<String>, next: &mut usize) -> String {
    loop {
        *next += 1;
        let id = format!("c{next:08}");
        if taken.insert(id.clone()) {
            return id;
        }
    }
}

/// What OpenAI and Anthropic take both.
fn is_portable(id: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=64).contains(&id.len()) && id.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Turn, Usage};

    fn draft(id: &str) -> Draft {
        Draft { id: id.to_owned(), tool: "add".to_owned(), ..Draft::default() }
    }

    fn after(ids: &[&str]) -> Conversation {
        let mut conversation = Conversation::under("x");
        let call =
            |id: &&str| Call { id: (*id).to_owned(), tool: "add".into(), arguments: "{}".into() };
        conversation.answered(Turn {
            by: "a/b".parse().unwrap(),
            text: String::new(),
            calls: ids.iter().map(call).collect(),
            usage: Usage::default(),
            signatures: Vec::new(),
        });
        conversation
    }

    fn ids(drafts: &[Draft], conversation: &Conversation) -> Vec<String> {
        settled(drafts, conversation).unwrap().into_iter().map(|call| call.id).collect()
    }

    #[test]
    fn what_every_provider_takes_is_kept() {
        let drafts = [draft("call_1"), draft("toolu_01-x")];
        assert_eq!(ids(&drafts, &after(&["call_0"])), ["call_1", "toolu_01-x"]);
    }

    #[test]
    fn what_one_would_refuse_or_mistake_is_replaced() {
        let long = "r".repeat(65);
        for id in ["", "call#add#0", "call 1", "ü", long.as_str(), "call_0", "c00000001"] {
            let before = after(&["call_0", "c00000001"]);
            assert_eq!(ids(&[draft(id)], &before), ["c00000002"], "{id}");
        }
        let drafts = [draft(""), draft("c00000001"), draft("")];
        assert_eq!(ids(&drafts, &after(&[])), ["c00000002", "c00000001", "c00000003"]);
    }

    #[test]
    fn two_calls_of_one_id_are_refused() {
        assert!(settled(&[draft("call_1"), draft("call_1")], &after(&[])).is_err());
        assert!(settled(&[draft(""), draft("")], &after(&[])).is_ok());
    }
}
