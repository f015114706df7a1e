//! A file of policies cut into its statements, so that one that nobody can read does not stop the
//! others.

/// One statement as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) text: &'a str,
    /// On which line it begins, from 1.
    pub(super) line: usize,
    /// What stands above it in comments, each with its slashes.
    pub(super) comments: Vec<&'a str>,
}

impl Piece<'_> {
    pub(super) fn first_line(&self) -> String {
        let line = self.text.lines().next().unwrap_or_default().trim_end();
        match line.char_indices().nth(MAX_SHOWN) {
            Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
            None => line.to_owned(),
        }
    }

    /// What it would do, as far as that can be told of what nobody can read.
    pub(super) fn effect(&self) -> Option<&'static str> {
        let code = without_texts(self.text);
        let found = ["permit", "forbid"].map(|effect| (code.find(effect), effect));
        found.into_iter().filter_map(|(at, effect)| Some((at?, effect))).min().map(|(_, e)| e)
    }

    pub(super) fn could_be_deep(&self) -> bool {
        could_be_deep(&without_texts(self.text))
    }

    /// The kind of clause that is none of Cedar's: `guardrails` or `temporal`.
    pub(super) fn foreign_clause(&self) -> Option<&'static str> {
        let code = without_texts(self.text);
        FOREIGN.into_iter().find(|name| {
            code.match_indices(name).any(|(at, _)| {
                let before = code.get(..at).unwrap_or_default();
                let after = code.get(at + name.len()..).unwrap_or_default();
                let keyword = before.trim_end();
                keyword.len() < before.len()
                    && (keyword.ends_with("when") || keyword.ends_with("unless"))
                    && after.trim_start().starts_with('{')
            })
        })
    }
}

/// Whether a statement could have more levels than Cedar's JSON form of it bears: what that takes
/// grows with their square.
fn could_be_deep(code: &str) -> bool {
    let (mut operators, mut accesses) = (0_usize, 0_usize);
    code.chars().any(|character| {
        match character {
            '.' | '[' => accesses += 1,
            '&' | '|' | '+' | '-' | '*' => {
                operators += 1;
                accesses = 0;
            }
            '<' | '>' | '=' | ',' | ';' | '{' | '}' => accesses = 0,
            _ => {}
        }
        operators > MAX_OPERATORS || accesses > MAX_ACCESSES
    })
}

/// The statements of a text. A `;` ends one outside of brackets, or where another begins after it:
/// what lacks a closing bracket takes none of the following with it.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let code = without_texts(text);
    let mut pieces = Vec::new();
    let (mut depth, mut from, mut line) = (0_usize, 0, 1);
    for (offset, byte) in code.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b';' if depth == 0 || code.get(offset + 1..).is_some_and(begins) => {
                let end = offset + 1;
                pieces.extend(piece(text, &code, from, end, line));
                line += code.get(from..end).map_or(0, |passed| passed.matches('\n').count());
                (from, depth) = (end, 0);
            }
            _ => {}
        }
    }
    pieces.extend(piece(text, &code, from, code.len(), line));
    pieces
}

/// Whether what follows is a statement, or nothing.
fn begins(code: &str) -> bool {
    let code = code.trim_start();
    let effect = ["permit", "forbid"].iter().find_map(|effect| code.strip_prefix(effect));
    let is_word = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    code.is_empty() || code.starts_with('@') || effect.is_some_and(is_word)
}

fn piece<'a>(text: &'a str, code: &str, from: usize, end: usize, line: usize) -> Option<Piece<'a>> {
    let own = code.get(from..end)?;
    let start = from + (own.len() - own.trim_start().len());
    let written = text.get(start..end)?.trim_end();
    if written.is_empty() || own.trim() == ";" {
        return None;
    }
    let above = text.get(from..start)?;
    let comments = above.split(['\n', '\r']).map(str::trim).filter(|line| line.starts_with("//"));
    Some(Piece {
        text: written,
        line: line + above.matches('\n').count(),
        comments: comments.collect(),
    })
}

/// The text with blanks for what stands in strings and comments: each byte where it was.
fn without_texts(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let blank = |code: &mut String, c: char| match c {
        '\n' => code.push('\n'),
        other => code.extend(std::iter::repeat_n(' ', other.len_utf8())),
    };
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '/' if characters.peek() == Some(&'/') => {
                code.push(' ');
                // For Cedar either of the two ends a line.
                while let Some(inner) = characters.next_if(|c| !matches!(c, '\n' | '\r')) {
                    blank(&mut code, inner);
                }
            }
            '"' => {
                code.push('"');
                while let Some(inner) = characters.next() {
                    match inner {
                        '"' => {
                            code.push('"');
                            break;
                        }
                        '\\' => {
                            code.push(' ');
                            characters.next().into_iter().for_each(|c| blank(&mut code, c));
                        }
                        other => blank(&mut code, other),
                    }
                }
            }
            other => code.push(other),
        }
    }
    code
}

const FOREIGN: [&str; 2] = ["guardrails", "temporal"];
/// Each character of a chain of operators counts: 700 links of `&&`.
const MAX_OPERATORS: usize = 1400;
/// Of attributes of attributes.
const MAX_ACCESSES: usize = 64;
/// Of a line in a report.
const MAX_SHOWN: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(usize, &str)> {
        pieces(text).into_iter().map(|piece| (piece.line, piece.text)).collect()
    }

    #[test]
    fn statements_are_told_apart() {
        let found = texts(
            "// a; b\npermit (\"x;y\\\";\");\n\n@id(\"q\")\nforbid {; }; // end\n ;\n// nothing",
        );
        assert_eq!(found, [(2, "permit (\"x;y\\\";\");"), (4, "@id(\"q\")\nforbid {; };")]);
    }

    #[test]
    fn what_is_unbalanced_takes_nothing_with_it() {
        let found = texts("permit ((a;\npermit (b);\nforbid )) c;\n@d permit (e;\n// f\n");
        let wanted = ["permit ((a;", "permit (b);", "forbid )) c;", "@d permit (e;"];
        assert_eq!(found.iter().map(|(_, text)| *text).collect::<Vec<_>>(), wanted);
        assert_eq!(texts("permit (\"a"), [(1, "permit (\"a")]);
        assert_eq!(texts("permitted; (x; permitx"), [(1, "permitted;"), (1, "(x; permitx")]);
    }

    #[test]
    fn a_comment_ends_where_cedar_ends_it() {
        assert_eq!(texts("// a\rpermit (b);"), [(1, "permit (b);")]);
        let comments = pieces("// one\n  // two \npermit (b);").remove(0).comments;
        assert_eq!(comments, ["// one", "// two"]);
    }

    #[test]
    fn clauses_that_are_no_cedar_are_found() {
        let clause = |text| pieces(text).remove(0).foreign_clause();
        assert_eq!(clause("permit (a) when\n guardrails { b };"), Some("guardrails"));
        assert_eq!(clause("permit (a) unless temporal{ b };"), Some("temporal"));
        assert_eq!(clause("permit (a) when { temporal == \"when guardrails\" };"), None);
    }
}
