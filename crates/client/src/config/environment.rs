//! Variables that others use for the same things. Read here and nowhere else.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::ProviderSettings;
use crate::{
    model::{ModelName, provider::KnownProvider},
    secret::Secret,
};

/// The environment, as it was when the program started.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The process's own.
    pub fn of_this_process() -> Self {
        Self(std::env::vars_os().filter_map(text).collect())
    }

    /// These variables and no others.
    pub fn of<const N: usize>(variables: [(&str, &str); N]) -> Self {
        Self(variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }

    /// A variable that is set to something.
    pub fn value(&self, name: &str) -> Option<String> {
        self.0.get(name).filter(|value| !value.trim().is_empty()).cloned()
    }

    /// Where the person keeps configurations (XDG Base Directory).
    pub fn user_folder(&self) -> Option<PathBuf> {
        let own = self.value("XDG_CONFIG_HOME").map(PathBuf::from);
        own.filter(|path| path.is_absolute())
            .or_else(|| self.value("HOME").map(|home| Path::new(&home).join(".config")))
    }

    /// Providers of which a key or a place is known.
    pub(super) fn providers(&self) -> BTreeMap<String, ProviderSettings> {
        let found = KnownProvider::all().iter().filter_map(|known| {
            let first = |names: &[&str]| names.iter().find_map(|name| self.value(name));
            let api_key = first(known.key_variables).map(Secret::new);
            let base_url = first(known.base_url_variables).map(|url| known.from_variable(&url));
            (api_key.is_some() || base_url.is_some()).then(|| {
                let settings = ProviderSettings { base_url, api_key, ..Default::default() };
                (known.name.to_owned(), settings)
            })
        });
        found.collect()
    }

    /// The usual model of each of those providers, the better known first.
    pub(super) fn models(&self) -> Vec<ModelName> {
        let found = self.providers();
        let known = KnownProvider::all().iter().filter(|known| found.contains_key(known.name));
        known
            .filter_map(|known| {
                let variable = format!("{}_MODEL", known.name.to_ascii_uppercase());
                let usual = USUAL_MODELS.iter().find(|(name, _)| *name == known.name);
                let model =
                    self.value(&variable).or_else(|| usual.map(|(_, model)| (*model).to_owned()));
                format!("{}/{}", known.name, model?).parse().ok()
            })
            .collect()
    }

    /// Every variable with this prefix, for settings of our own.
    pub(super) fn with_prefix<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(name, value)| {
            name.strip_prefix(prefix).map(|rest| (rest, value.as_str()))
        })
    }
}

fn text((name, value): (std::ffi::OsString, std::ffi::OsString)) -> Option<(String, String)> {
    Some((name.into_string().ok()?, value.into_string().ok()?))
}

/// Where no variable names one.
const USUAL_MODELS: [(&str, &str); 3] =
    [("openai", "gpt-4.1"), ("anthropic", "claude-sonnet-4-5"), ("gemini", "gemini-2.5-flash")];
