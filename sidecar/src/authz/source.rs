//! Policy files as written: read, checked for what Cedar's readers would not survive, parsed, and
//! given their own ids.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use cedar_policy::{Policy, PolicyId, PolicySet};

use super::{
    annotations::Annotations,
    problems::{PolicyError, Problem, none_of},
    validation::on_all_cores,
};
use crate::config::PolicyConfig;

/// One policy file: its text, and its policies under their own ids.
pub(super) struct PolicyFile {
    pub(super) path: PathBuf,
    pub(super) text: Arc<str>,
    pub(super) policies: Vec<NamedPolicy>,
}

/// A policy under its own id.
pub(super) struct NamedPolicy {
    pub(super) policy: Policy,
    pub(super) annotations: Annotations,
    /// Where in its file it stands.
    bytes: Range<usize>,
}

impl PolicyFile {
    /// A problem with one of its policies.
    pub(super) fn problem(&self, named: &NamedPolicy, what: impl fmt::Display) -> Problem {
        let head = self.text.get(named.bytes.clone()).unwrap_or_default();
        let length = head.lines().next().map_or(0, str::len);
        let start = named.bytes.start;
        Problem::new(&self.path, what).at(&self.text, start..start + length)
    }

    /// The text of each of its policies.
    pub(super) fn texts(&self) -> impl Iterator<Item = (String, Arc<str>)> {
        self.policies.iter().map(|named| {
            let text = self.text.get(named.bytes.clone()).unwrap_or_default();
            (named.policy.id().to_string(), text.trim().into())
        })
    }

    /// A complaint of the validator's.
    pub(super) fn complaint(&self, complaint: &dyn miette::Diagnostic) -> Problem {
        Problem::of_cedar(&self.path, &self.text, complaint)
    }

    /// The same, at the first mention of `words` in the policy.
    pub(super) fn problem_at(
        &self,
        named: &NamedPolicy,
        words: &str,
        what: impl fmt::Display,
    ) -> Problem {
        let within = self.text.get(named.bytes.clone()).and_then(|text| text.find(words));
        match within.map(|offset| named.bytes.start + offset) {
            Some(start) => {
                Problem::new(&self.path, what).at(&self.text, start..start + words.len())
            }
            None => self.problem(named, what),
        }
    }
}

fn policy_paths(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        // Editors keep notes of their own beside a file.
        if !entry.file_name().as_encoded_bytes().starts_with(b".") && is_cedar(&entry.path()) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn is_cedar(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "cedar")
}

/// Subfolders that hold policies, which nobody reads.
pub(super) fn overlooked(directory: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect::<Vec<_>>()
    };
    let mut folders = entries(directory);
    // Kubernetes keeps versions of a folder in hidden ones.
    let hidden = |path: &Path| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
    };
    folders.retain(|path| {
        !is_cedar(path) && !hidden(path) && entries(path).iter().any(|path| is_cedar(path))
    });
    folders.sort();
    folders
}

/// Reads every `*.cedar` file in `directory`, in order of their names; not its subfolders.
pub(super) fn read_all(directory: &Path) -> Result<Vec<PolicyFile>, PolicyError> {
    let paths = policy_paths(directory)
        .map_err(|cause| PolicyError::new(directory, format!("cannot be read: {cause}")))?;
    let mut problems = Vec::new();
    let mut files = Vec::new();
    for outcome in on_all_cores(&paths, |some| some.iter().map(|path| read(path)).collect()) {
        match outcome {
            Ok((file, of_policies)) => {
                problems.extend(of_policies);
                files.push(file);
            }
            Err(of_file) => problems.extend(of_file),
        }
    }
    problems.extend(repeated_ids(&files));
    if problems.is_empty() && files.iter().all(|file| file.policies.is_empty()) {
        let what = "holds no policy, so nothing could ever be permitted";
        problems.push(Problem::new(directory, what).help(
            "put a `*.cedar` file with at least one `permit` into it; `cedargate policy new TOOL --scope SCOPE` writes one",
        ));
    }
    none_of(problems)?;
    Ok(files)
}

/// Tells one state of the files from another; of what cannot be read, that it cannot.
pub(super) fn fingerprint(config: &PolicyConfig) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut paths = policy_paths(&config.directory).unwrap_or_default();
    paths.extend([&config.schema, &config.lock, &config.entities].map(PathBuf::clone));
    for path in paths {
        path.hash(&mut hasher);
        std::fs::read(&path).ok().hash(&mut hasher);
    }
    hasher.finish()
}

/// A file, and what is wrong with single policies in it; or what is wrong with all of it.
fn read(path: &Path) -> Result<(PolicyFile, Vec<Problem>), Vec<Problem>> {
    let text: Arc<str> = bounded_text(path)?.into();
    let set: PolicySet = text.parse().map_err(|errors: cedar_policy::ParseErrors| {
        let of_cedar = |error| Problem::of_cedar(path, &text, error).or_help(explained);
        errors.iter().map(|error| of_cedar(error)).collect::<Vec<_>>()
    })?;
    if let Some(template) = set.templates().next() {
        let source = template.to_cedar();
        let start = text.find(&source).unwrap_or_default();
        let what = "holds a template; only static policies are served";
        let problem = Problem::new(path, what).at(&text, start..start + source.len());
        return Err(vec![problem.help("write the principal or resource instead of the slot")]);
    }
    let mut file = PolicyFile { path: path.to_owned(), text, policies: Vec::new() };
    let mut problems = Vec::new();
    // As numbered by Cedar, which is the order in which they stand.
    let mut numbered: Vec<&Policy> = set.policies().collect();
    numbered.sort_by_key(|policy| {
        policy.id().to_string().trim_start_matches("policy").parse::<usize>().ok()
    });
    let mut from = 0;
    for policy in numbered {
        let source = policy.to_cedar().unwrap_or_default();
        let found = file.text.get(from..).and_then(|rest| rest.find(&source));
        let start = found.map_or(from, |offset| from + offset);
        let bytes = start..(start + source.len()).min(file.text.len());
        from = bytes.end;
        let annotations = Annotations::of(policy);
        let known = annotations.as_ref().ok().cloned().unwrap_or_default();
        let mut named = NamedPolicy { policy: policy.clone(), annotations: known, bytes };
        if let Err(what) = annotations {
            let annotation = what.split('`').nth(1).unwrap_or_default().to_owned();
            problems.push(file.problem_at(&named, annotation.trim_end_matches(')'), what));
        }
        match policy.annotation("id") {
            Some(id) if is_kebab_case(id) => {
                named.policy = policy.new_id(PolicyId::new(id));
                file.policies.push(named);
            }
            Some(id) => problems.push(
                file.problem_at(&named, &format!("{id:?}"), format!("`{id}` is no id of a policy"))
                    .help("write it in kebab-case: lower-case letters, digits and hyphens, at most 100"),
            ),
            None => problems.push(
                file.problem(&named, "a policy has no `@id`")
                    .help("write `@id(\"some-name\")` in front of it, in kebab-case; records and refusals name it"),
            ),
        }
    }
    Ok((file, problems))
}

/// What to do about an error of Cedar's parser that does not say so itself.
fn explained(what: &str) -> Option<String> {
    what.contains("unexpected end of input").then(|| "a policy ends with `;`".to_owned())
}

fn repeated_ids(files: &[PolicyFile]) -> Vec<Problem> {
    let mut seen: BTreeMap<&PolicyId, (&PolicyFile, &NamedPolicy)> = BTreeMap::new();
    let mut problems = Vec::new();
    for file in files {
        for named in &file.policies {
            let id = named.policy.id();
            if let Some((earlier, _)) = seen.get(id) {
                let what =
                    format!("policy id `{id}` is used already in `{}`", earlier.path.display());
                let problem = file.problem_at(named, &format!("{:?}", id.to_string()), what);
                problems.push(
                    problem.help("ids are unique over all files; records name policies by them"),
                );
            } else {
                seen.insert(id, (file, named));
            }
        }
    }
    problems
}

/// Reads a file of Cedar text and refuses what could overflow the stack of Cedar's readers: they
/// recurse with every bracket and with every link of an operator chain, and an overflow ends the
/// process.
pub(super) fn bounded_text(path: &Path) -> Result<String, Vec<Problem>> {
    let text = bounded(path, MAX_FILE_BYTES)?;
    let max_statement = match path.extension() {
        Some(extension) if extension == "cedar" => MAX_STATEMENT_BYTES,
        // A schema is one long statement, and only its brackets nest.
        _ => usize::MAX,
    };
    match excess(&text, max_statement) {
        None => Ok(text),
        Some((offset, what)) => {
            let text: Arc<str> = text.into();
            Err(vec![Problem::new(path, what).at(&text, offset..offset)])
        }
    }
}

/// Reads a file of so many bytes.
pub(super) fn bounded(path: &Path, max_bytes: u64) -> Result<String, Vec<Problem>> {
    let unreadable = |cause: io::Error| {
        let problem = Problem::new(path, format!("cannot be read: {cause}"));
        vec![problem.help("the gate runs as a user who must be able to read it")]
    };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > max_bytes {
        let problem = Problem::new(path, format!("is larger than {max_bytes} bytes"));
        return Err(vec![problem.help("split it into several files")]);
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count() + 1;
        let problem = Problem::new(
            path,
            format!("is not UTF-8: line {line} holds byte {good} of something else"),
        );
        vec![problem.help("save it as UTF-8")]
    })
}

/// Where `text` goes beyond the bounds, and how.
pub(super) fn excess(text: &str, max_statement: usize) -> Option<(usize, &'static str)> {
    let (mut depth, mut statement) = (0_usize, 0_usize);
    let mut characters = text.char_indices().peekable();
    while let Some((offset, character)) = characters.next() {
        statement += character.len_utf8();
        match character {
            '/' if characters.peek().is_some_and(|(_, next)| *next == '/') => {
                // For Cedar either of the two ends a line.
                while characters.peek().is_some_and(|(_, c)| !matches!(c, '\n' | '\r')) {
                    characters.next();
                }
            }
            '"' => {
                while let Some((_, inner)) = characters.next() {
                    statement += inner.len_utf8();
                    match inner {
                        '\\' => drop(characters.next()),
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
            return Some((offset, "brackets are nested too deeply"));
        }
        if statement > max_statement {
            return Some((offset, "a policy is longer than 16 KiB; split it"));
        }
    }
    None
}

pub(crate) fn is_kebab_case(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= 100
        && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// A thousand policies and more.
pub(super) const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// Cedar's readers have been seen to fail at 250.
const MAX_NESTING: usize = 64;
/// Bounds every chain of operators, on which Cedar's readers and its evaluator recurse.
pub(super) const MAX_STATEMENT_BYTES: usize = 16 * 1024;

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
        let ids: Vec<String> =
            files[0].policies.iter().map(|p| p.policy.id().to_string()).collect();
        assert_eq!(ids, ["second", "first"]);
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_place() {
        for (text, part) in [
            ("", "holds no policy"),
            ("permit (principal, action, resource);", "has no `@id`"),
            (r#"@id("Not Kebab") permit (principal, action, resource);"#, "kebab-case"),
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
    fn a_comment_ends_where_it_ends_for_cedar() {
        let (open, close) = ("(".repeat(5_000), ")".repeat(5_000));
        let text = format!(
            "@id(\"a\") permit (principal, action, resource) when {{ // \r {open}true{close}\n }};"
        );
        assert!(policies_in(&text).map(drop).unwrap_err().contains("nested"));
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
