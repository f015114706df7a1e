//! What limits leave, told with the answer in `_meta["cedargate/limits"]`. The rest of an answer that
//! needs no other change stays as it was written, and is not read for it.

use serde_json::value::RawValue;

use super::{
    list,
    outline::Outline,
    revision::{tree, unreadable},
};
use crate::{
    message::json::{Json, Object},
    rejection::Rejection,
};

/// What a caller is told.
#[derive(Debug)]
pub(super) struct Budget {
    /// JSON.
    left: String,
}

impl Budget {
    pub(super) fn of(left: String) -> Self {
        Self { left }
    }

    /// Tells it in a result, in the place of what the upstream might say under the name.
    pub(super) fn tell(&self, result: &mut Object) -> Result<(), Rejection> {
        let left = Json::Object(tree(self.left.as_bytes())?);
        match list::member(result, "_meta")? {
            Some(Json::Object(meta)) => {
                if list::member(meta, META_LIMITS)?.is_some() {
                    meta.remove(META_LIMITS);
                }
                meta.set(META_LIMITS, left);
            }
            // What stands there instead is between the upstream and its client.
            Some(other) if !matches!(other, Json::Null) => {}
            _ => {
                let mut meta = Object::default();
                meta.set(META_LIMITS, left);
                result.set("_meta", Json::Object(meta));
            }
        }
        Ok(())
    }

    /// The message `text` with it, written into the place where `raw`, its result, has or could have
    /// its `_meta`. Nothing where that takes a closer look.
    pub(super) fn told_in(
        &self,
        text: &[u8],
        raw: &RawValue,
        result: &Outline<'_>,
    ) -> Result<Option<Vec<u8>>, Rejection> {
        let left = &self.left;
        let (holder, told) = match result.get("_meta")? {
            None if result.has("_meta") => return Ok(None),
            None => (raw, format!(r#""_meta":{{"{META_LIMITS}":{left}}}"#)),
            Some(meta) => {
                let Some(members) = result.object("_meta")? else { return Ok(None) };
                if members.get(META_LIMITS)?.is_some() || members.has(META_LIMITS) {
                    return Ok(None);
                }
                (meta, format!(r#""{META_LIMITS}":{left}"#))
            }
        };
        let inside = holder.get().strip_prefix('{').map(str::trim_ascii_start);
        let separator = if inside.is_some_and(|inside| inside.starts_with('}')) { "" } else { "," };
        let at = place_in(text, holder).ok_or_else(|| unreadable("its result is elsewhere"))?;
        let (before, after) = text.split_at(at);
        Ok(Some([before, told.as_bytes(), separator.as_bytes(), after].concat()))
    }
}

/// Where in `text` the members of an object begin that was read out of it.
fn place_in(text: &[u8], object: &RawValue) -> Option<usize> {
    let offset = object.get().as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    text.get(offset).filter(|&&byte| byte == b'{').map(|_| offset + 1)
}

/// Where a client finds what limits leave it.
const META_LIMITS: &str = "cedargate/limits";

#[cfg(test)]
mod tests {
    use super::*;

    const LEFT: &str = r#"{"remaining":2}"#;

    /// As text, and through the tree.
    fn told(result: &str) -> (Option<String>, String) {
        let text = format!(r#" {{"id":1,"result": {result},"jsonrpc":"2.0"}}"#);
        let budget = Budget::of(LEFT.to_owned());
        let outline = Outline::read(text.as_bytes()).unwrap();
        let raw = outline.get("result").unwrap().unwrap();
        let inner = Outline::read(raw.get().as_bytes()).unwrap();
        let quick = budget.told_in(text.as_bytes(), raw, &inner).unwrap();
        let mut tree = tree(text.as_bytes()).unwrap();
        let Some(Json::Object(result)) = tree.get_mut("result") else { panic!() };
        budget.tell(result).unwrap();
        let mut slow = Vec::new();
        tree.write(&mut slow);
        (quick.map(|text| String::from_utf8(text).unwrap()), String::from_utf8(slow).unwrap())
    }

    #[test]
    fn it_is_told_and_nothing_else_is_touched() {
        for (result, quickly, wanted) in [
            ("{}", true, r#"{"_meta":{"cedargate/limits":{"remaining":2}}}"#),
            ("{ }", true, r#"{"_meta":{"cedargate/limits":{"remaining":2}}}"#),
            (r#"{"a":[1]}"#, true, r#"{"a":[1],"_meta":{"cedargate/limits":{"remaining":2}}}"#),
            (r#"{"_meta":{}}"#, true, r#"{"_meta":{"cedargate/limits":{"remaining":2}}}"#),
            (
                r#"{"_meta": {"x":1},"b":2}"#,
                true,
                r#"{"_meta":{"cedargate/limits":{"remaining":2},"x":1},"b":2}"#,
            ),
            // The upstream's own word.
            (
                r#"{"_meta":{"cedargate/limits":{"remaining":99}}}"#,
                false,
                r#"{"_meta":{"cedargate/limits":{"remaining":2}}}"#,
            ),
            (
                r#"{"_meta":{"cedargate/limits":null}}"#,
                false,
                r#"{"_meta":{"cedargate/limits":{"remaining":2}}}"#,
            ),
            (r#"{"_meta":null}"#, false, r#"{"_meta":{"cedargate/limits":{"remaining":2}}}"#),
            (r#"{"_meta":7}"#, false, r#"{"_meta":7}"#),
        ] {
            let (quick, slow) = told(result);
            let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            assert_eq!(quick.is_some(), quickly, "{result}");
            for told in quick.iter().chain([&slow]) {
                assert_eq!(read(told)["result"], read(wanted), "{told}");
                assert_eq!(
                    told.matches("cedargate/limits").count(),
                    wanted.matches("cedar").count()
                );
            }
        }
    }

    #[test]
    fn a_name_that_differs_in_case_alone_is_refused() {
        let text = br#"{"result":{"_Meta":{}}}"#;
        let outline = Outline::read(text).unwrap();
        let raw = outline.get("result").unwrap().unwrap();
        let inner = Outline::read(raw.get().as_bytes()).unwrap();
        assert!(Budget::of(LEFT.to_owned()).told_in(text, raw, &inner).is_err());
    }
}
