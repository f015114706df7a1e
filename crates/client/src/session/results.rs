//! Results of tools in words for a model.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};

/// The text of a result: structured content when there is any, else its parts, of which what is no
/// text is named. Bounded, since a model reads all of it in every turn from then on.
pub fn text_of(result: &CallToolResult) -> String {
    let text = match &result.structured_content {
        Some(structured) => structured.to_string(),
        None => result.content.iter().map(part).collect::<Vec<_>>().join("\n"),
    };
    if text.is_empty() {
        return "the tool returned nothing".to_owned();
    }
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => {
            let kept = text.get(..end).unwrap_or_default();
            format!("{kept}\n[cut off here; the whole has {} bytes]", text.len())
        }
        None => text,
    }
}

fn part(part: &ContentBlock) -> String {
    match part {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Image(image) => {
            format!("[an image, {}, {} bytes of base64]", image.mime_type, image.data.len())
        }
        ContentBlock::Audio(audio) => {
            format!("[a recording, {}, {} bytes of base64]", audio.mime_type, audio.data.len())
        }
        ContentBlock::Resource(embedded) => match &embedded.resource {
            ResourceContents::TextResourceContents { uri, text, .. } => format!("[{uri}]\n{text}"),
            ResourceContents::BlobResourceContents { uri, blob, .. } => {
                format!("[{uri}, {} bytes of base64]", blob.len())
            }
            _ => "[a resource of an unknown kind]".to_owned(),
        },
        ContentBlock::ResourceLink(link) => format!("[resource {} at {}]", link.name, link.uri),
        _ => "[content of an unknown kind]".to_owned(),
    }
}

/// Characters; some 16,000 tokens.
const LONGEST: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(result: serde_json::Value) -> String {
        text_of(&serde_json::from_value(result).unwrap())
    }

    #[test]
    fn every_kind_of_content_is_put_into_words() {
        for (result, text) in [
            (json!({ "content": [] }), "the tool returned nothing"),
            (json!({ "content": [{ "type": "text", "text": "" }] }), "the tool returned nothing"),
            (
                json!({ "content": [{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }] }),
                "a\nb",
            ),
            (
                json!({ "content": [{ "type": "text", "text": "a" }], "structuredContent": { "n": 1 } }),
                r#"{"n":1}"#,
            ),
            (
                json!({ "content": [{ "type": "image", "data": "AAAA", "mimeType": "image/png" }] }),
                "[an image, image/png, 4 bytes of base64]",
            ),
            (
                json!({ "content": [{ "type": "resource",
                    "resource": { "uri": "a://b", "text": "t", "mimeType": "text/plain" } }] }),
                "[a://b]\nt",
            ),
            (
                json!({ "content": [{ "type": "resource_link", "uri": "a://b", "name": "n" }] }),
                "[resource n at a://b]",
            ),
        ] {
            assert_eq!(told(result.clone()), text, "{result}");
        }
    }

    #[test]
    fn a_long_result_says_that_it_was_cut() {
        let long = "ü".repeat(LONGEST + 1);
        let text = told(json!({ "content": [{ "type": "text", "text": long }] }));
        assert!(text.ends_with(&format!("[cut off here; the whole has {} bytes]", long.len())));
        assert_eq!(text.chars().filter(|&c| c == 'ü').count(), LONGEST);
    }
}
