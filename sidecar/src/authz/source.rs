//! Policy files as written: read, checked for what Cedar's readers would not survive, parsed, and
//! given their own ids.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    path::{Path, PathBuf},
};

use cedar_policy::{Policy, PolicyId, PolicySet};
use miette::Diagnostic;

use crate::config::PolicyConfig;

/// Why policies cannot be used. The whole set is refused; nothing of it is in force.
#[derive(Debug)]
pub struct PolicyError {
    file: PathBuf,
    line: Option<usize>,
    what: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, "`: {}", self.what)
    }
}

impl std::error::Error for PolicyError {}

impl PolicyError {
    pub(super) fn new(file: &Path, what: impl fmt::Display) -> Self {
        Self { file: file.to_owned(), line: None, what: what.to_string() }
    }

    /// A complaint of Cedar's, with the line that it points at.
    pub(super) fn at(file: &Path, text: &str, complaint: &dyn Diagnostic) -> Self {
        let offset = complaint.labels().and_then(|mut l| l.next()).map(|label| label.offset());
        let line = offset.and_then(|o| text.get(..o)).map(|before| before.lines().count().max(1));
        let mut what = complaint.to_string();
        if let Some(help) = complaint.help() {
            what = format!("{what} ({help})");
        }
        Self { file: file.to_owned(), line, what: what.replace('\n', " ") }
    }
}

/// One policy file: its text, and its policies under their own ids.
pub(super) struct PolicyFile {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) policies: Vec<Policy>,
}

fn policy_paths(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "cedar") && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Reads every `*.cedar` file in `directory`, in order of their names; not its subfolders.
pub(super) fn read_all(directory: &Path) -> Result<Vec<PolicyFile>, PolicyError> {
    let paths = policy_paths(directory)
        .map_err(|cause| PolicyError::new(directory, format!("cannot be read: {cause}")))?;
    let files: Vec<PolicyFile> = paths.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    require_distinct_ids(&files)?;
    if files.iter().all(|file| file.policies.is_empty()) {
        return Err(PolicyError::new(
            directory,
            "holds no policy, so nothing could ever be permitted",
        ));
    }
    Ok(files)
}

/// Tells one state of the files from another; of what cannot be read, that it cannot.
pub(super) fn fingerprint(config: &PolicyConfig) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut paths = policy_paths(&config.directory).unwrap_or_default();
    paths.push(config.schema.clone());
    for path in paths {
        path.hash(&mut hasher);
        std::fs::read(&path).ok().hash(&mut hasher);
    }
    hasher.finish()
}

fn read(path: &Path) -> Result<PolicyFile, PolicyError> {
    let text = bounded_text(path)?;
    let set: PolicySet =
        text.parse().map_err(|errors: cedar_policy::ParseErrors| match errors.iter().next() {
            Some(first) => PolicyError::at(path, &text, first),
            None => PolicyError::new(path, &errors),
        })?;
    if set.templates().next().is_some() {
        return Err(PolicyError::new(path, "holds a template; only static policies are served"));
    }
    let mut policies = Vec::new();
    for policy in set.policies() {
        policies.push(named(policy).map_err(|what| {
            let written = policy.to_cedar().unwrap_or_default();
            let head = written.lines().next().unwrap_or_default();
            PolicyError::new(path, format!("{what} (in the policy that starts `{head}`)"))
        })?);
    }
    policies.sort_by(|a, b| a.id().cmp(b.id()));
    Ok(PolicyFile { path: path.to_owned(), text, policies })
}

/// The policy under the id that its annotation gives; Cedar itself would number them.
fn named(policy: &Policy) -> Result<Policy, String> {
    if let Some((name, _)) = policy.annotations().find(|(n, _)| !KNOWN_ANNOTATIONS.contains(n)) {
        return Err(format!("annotation `@{name}` is not known and would have no effect"));
    }
    match policy.annotation("id") {
        Some(id) if is_kebab_case(id) => Ok(policy.new_id(PolicyId::new(id))),
        _ => Err("every policy needs `@id(\"kebab-case-name\")`; records name it".to_owned()),
    }
}

fn require_distinct_ids(files: &[PolicyFile]) -> Result<(), PolicyError> {
    let mut seen: BTreeMap<&PolicyId, &Path> = BTreeMap::new();
    for file in files {
        for policy in &file.policies {
            if let Some(earlier) = seen.insert(policy.id(), &file.path) {
                let what = format!(
                    "policy id `{}` is used already in `{}`",
                    policy.id(),
                    earlier.display()
                );
                return Err(PolicyError::new(&file.path, what));
            }
        }
    }
    Ok(())
}

/// Reads a file of Cedar text and refuses what could overflow the stack of Cedar's readers: they
/// recurse with every bracket and with every link of an operator chain, and an overflow ends the
/// process.
pub(super) fn bounded_text(path: &Path) -> Result<String, PolicyError> {
    let unreadable = |cause: io::Error| PolicyError::new(path, format!("cannot be read: {cause}"));
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE_BYTES {
        return Err(PolicyError::new(path, format!("is larger than {MAX_FILE_BYTES} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let max_statement = match path.extension() {
        Some(extension) if extension == "cedar" => MAX_STATEMENT_BYTES,
        // A schema is one long statement, and only its brackets nest.
        _ => usize::MAX,
    };
    match excess(&text, max_statement) {
        None => Ok(text),
        Some((line, what)) => {
            Err(PolicyError { file: path.to_owned(), line: Some(line), what: what.to_owned() })
        }
    }
}

/// The line at which `text` goes beyond the bounds, and how.
fn excess(text: &str, max_statement: usize) -> Option<(usize, &'static str)> {
    let (mut depth, mut statement, mut line) = (0_usize, 0_usize, 1_usize);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        statement += character.len_utf8();
        match character {
            '\n' => line += 1,
            '/' if characters.peek() == Some(&'/') => {
                while characters.peek().is_some_and(|&c| c != '\n') {
                    characters.next();
                }
            }
            '"' => {
                while let Some(inner) = characters.next() {
                    statement += inner.len_utf8();
                    match inner {
                        '\\' => drop(characters.next()),
                        '\n' => line += 1,
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ';' => statement = 0,
            _ => {}
        }
        if depth > MAX_NESTING {
            return Some((line, "brackets are nested too deeply"));
        }
        if statement > max_statement {
            return Some((line, "a policy is longer than 16 KiB; split it"));
        }
    }
    None
}

fn is_kebab_case(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= 100
        && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// What a policy's annotations may say; others would be read by nobody.
const KNOWN_ANNOTATIONS: [&str; 2] = ["id", "description"];
/// A thousand policies and more.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// Cedar's readers have been seen to fail at 250.
const MAX_NESTING: usize = 64;
/// Bounds every chain of operators, on which Cedar's readers and its evaluator recurse.
const MAX_STATEMENT_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn policies_in(text: &str) -> Result<Vec<PolicyFile>, String> {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("a.cedar"), text).unwrap();
        read_all(home.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn policies_bear_their_own_ids() {
        let files = policies_in(
            r#"@id("second") permit (principal, action, resource);
               @id("first") @description("why") forbid (principal, action, resource);"#,
        )
        .unwrap();
        let ids: Vec<String> = files[0].policies.iter().map(|p| p.id().to_string()).collect();
        assert_eq!(ids, ["first", "second"]);
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_place() {
        for (text, part) in [
            ("", "holds no policy"),
            ("permit (principal, action, resource);", "needs `@id("),
            (r#"@id("Not Kebab") permit (principal, action, resource);"#, "needs `@id("),
            (r#"@id("a") @mood("sour") permit (principal, action, resource);"#, "@mood"),
            ("\n\n@id(\"a\") permit (principal, action resource);", "a.cedar:3"),
            (r#"@id("a") permit (principal == ?principal, action, resource);"#, "template"),
            (
                r#"@id("a") permit (principal, action, resource);
                   @id("a") permit (principal, action, resource);"#,
                "used already",
            ),
        ] {
            let told = policies_in(text).map(drop).unwrap_err();
            assert!(told.contains(part), "{part} in {told}");
        }
    }

    #[test]
    fn text_that_would_overflow_a_reader_is_refused_before_it_is_read() {
        let policy = |condition: &str| {
            format!(r#"@id("a") permit (principal, action, resource) when {{ {condition} }};"#)
        };
        let deep = policy(&format!("{}true{}", "(".repeat(5_000), ")".repeat(5_000)));
        let long = policy(&vec!["true"; 5_000].join(" || "));
        let winding = policy(&format!("{}true{}", "if true then ".repeat(5_000), " else true"));
        for text in [deep, long, winding] {
            let told = policies_in(&text).map(drop).unwrap_err();
            assert!(told.contains("nested") || told.contains("16 KiB"), "{told}");
        }
    }

    #[test]
    fn brackets_in_strings_and_comments_do_not_nest() {
        let text = format!(
            "// {}\n@id(\"a\") permit (principal, action, resource) when {{ principal.id == \"{}\\\"\" }};",
            "(".repeat(500),
            "(".repeat(500)
        );
        assert!(policies_in(&text).is_ok());
    }
}
