//! Names under which models can be offered tools.
//!
//! MCP takes any name; OpenAI and Anthropic take 1 to 64 letters, digits, `_` and `-`, and Gemini
//! wants a letter or `_` first.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;

/// `name` itself where every provider takes it, else its readable part and a digest of the whole:
/// the same in every run, and different for different names.
pub(super) fn offered_name(name: &str) -> String {
    if is_fit(name) {
        return name.to_owned();
    }
    let digest = digest(&SHA256, name.as_bytes());
    let mark: String = HEXLOWER.encode(digest.as_ref()).chars().take(MARK).collect();
    let readable = name.chars().map(|c| if fits(c) { c } else { '_' }).take(LONGEST - MARK - 2);
    let readable: String = readable.collect();
    let lead = if readable.starts_with(may_begin) { "" } else { "t" };
    format!("{lead}{readable}_{mark}")
}

fn is_fit(name: &str) -> bool {
    name.len() <= LONGEST && name.starts_with(may_begin) && name.chars().all(fits)
}

fn fits(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

fn may_begin(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

const LONGEST: usize = 64;
/// Hexadecimal digits of the digest: enough that nobody finds two names for one by trying.
const MARK: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_every_provider_takes_are_kept() {
        for name in ["get_customer_info", "a", "_x-1", &"n".repeat(64)] {
            assert_eq!(offered_name(name), name);
        }
    }

    #[test]
    fn other_names_stay_readable() {
        assert_eq!(offered_name("Ünïcode tool/1"), "_n_code_tool_1_507084d784befef8");
        assert!(offered_name("1st").starts_with("t1st_"));
        assert!(offered_name("").starts_with("t_"));
    }

    proptest! {
        #[test]
        fn every_name_becomes_a_fit_one_and_no_two_the_same(one in ".{0,80}", other in ".{0,80}") {
            prop_assert!(is_fit(&offered_name(&one)), "{}", offered_name(&one));
            prop_assert_eq!(one == other, offered_name(&one) == offered_name(&other));
        }
    }
}
