//! How a text is cut to be streamed: the same text always in the same pieces.

/// Words, each with the blanks before it; a long one in several pieces.
pub(super) fn of_text(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut blank = true;
    for (at, letter) in text.char_indices() {
        let ends = letter.is_whitespace() && !blank || at - start >= LONGEST_OF_TEXT;
        if ends {
            pieces.extend(text.get(start..at));
            start = at;
        }
        blank = letter.is_whitespace();
    }
    pieces.extend(text.get(start..).filter(|rest| !rest.is_empty()));
    pieces
}

/// A few letters each, as providers cut arguments: never where JSON would be cut.
pub(super) fn of_arguments(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for (at, _) in text.char_indices() {
        if at - start >= LONGEST_OF_ARGUMENTS {
            pieces.extend(text.get(start..at));
            start = at;
        }
    }
    pieces.extend(text.get(start..).filter(|rest| !rest.is_empty()));
    pieces
}

/// In bytes, give or take one letter.
const LONGEST_OF_TEXT: usize = 16;
const LONGEST_OF_ARGUMENTS: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_put_together_are_the_text() {
        for text in [
            "",
            " ",
            "one",
            " one  two\n\nthree ",
            "äöü ".repeat(9).as_str(),
            "丂".repeat(50).as_str(),
        ] {
            assert_eq!(of_text(text).concat(), text);
            assert_eq!(of_arguments(text).concat(), text);
            assert!(of_text(text).iter().chain(&of_arguments(text)).all(|piece| !piece.is_empty()));
        }
    }

    #[test]
    fn a_piece_is_a_word_or_a_few_letters() {
        assert_eq!(of_text("Let me see: 552.00"), ["Let", " me", " see:", " 552.00"]);
        assert_eq!(
            of_arguments(r#"{"customer_id":"A"}"#),
            [r#"{"custo"#, r#"mer_id""#, r#":"A"}"#]
        );
    }
}
