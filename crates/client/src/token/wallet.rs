//! Which tokens go with which provider: an OAuth client for each zone, so that policy can tell the
//! zones apart.

use std::{collections::BTreeMap, sync::Arc};

use super::TokenSource;

/// Token sources by provider; whoever has no zone shares one.
#[derive(Debug, Clone)]
pub struct Wallet {
    shared: Arc<TokenSource>,
    by_provider: BTreeMap<String, Arc<TokenSource>>,
}

impl Wallet {
    /// A wallet with one source for every provider.
    pub fn new(shared: Arc<TokenSource>) -> Self {
        Self { shared, by_provider: BTreeMap::new() }
    }

    /// Gives the providers of a zone a source of their own.
    pub fn with_zone<'a>(
        mut self,
        providers: impl IntoIterator<Item = &'a str>,
        tokens: &Arc<TokenSource>,
    ) -> Self {
        let zone = providers.into_iter().map(|name| (name.to_owned(), Arc::clone(tokens)));
        self.by_provider.extend(zone);
        self
    }

    /// The source for calls that this provider's model proposes.
    pub fn for_provider(&self, provider: &str) -> &Arc<TokenSource> {
        self.by_provider.get(provider).unwrap_or(&self.shared)
    }

    /// Every source once, the shared one first.
    pub fn sources(&self) -> Vec<&Arc<TokenSource>> {
        let mut sources = vec![&self.shared];
        for source in self.by_provider.values() {
            if !sources.iter().any(|known| Arc::ptr_eq(known, source)) {
                sources.push(source);
            }
        }
        sources
    }
}
