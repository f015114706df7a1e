//! Zones: a provider's calls go out under the OAuth client of its zone, so that policy can say which
//! provider's calls may touch what.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;

use crate::{
    model::{Conversation, Heard, Model, ModelError, ModelName, Turn},
    session::{Session, SessionError},
    tools::{Toolbox, UniversalTool},
};

/// One OAuth client's view of the server: its session and the tools it is shown.
#[derive(Debug)]
pub struct Zone {
    session: Session,
    /// Swapped whole when the tools are listed again; read for every turn.
    toolbox: RwLock<Arc<Toolbox>>,
}

/// The zones of a client: one for all providers, and others for some.
#[derive(Debug)]
pub struct Zones {
    common: Arc<Zone>,
    of_provider: BTreeMap<String, Arc<Zone>>,
}

/// A model that is offered the tools of its provider's zone, whatever others of its pool are.
#[derive(Debug)]
struct InZone {
    model: Arc<dyn Model>,
    zone: Arc<Zone>,
}

impl Zone {
    /// The view through this session.
    pub fn new(session: Session) -> Self {
        Self { session, toolbox: RwLock::default() }
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The tools as they were last listed.
    pub fn toolbox(&self) -> Arc<Toolbox> {
        Arc::clone(&self.toolbox.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lists the tools once more.
    pub async fn list(&self) -> Result<(), SessionError> {
        let toolbox = Arc::new(Toolbox::of(&self.session.tools().await?));
        *self.toolbox.write().unwrap_or_else(PoisonError::into_inner) = toolbox;
        Ok(())
    }
}

impl Zones {
    /// One zone for all providers.
    pub fn common(session: Session) -> Self {
        Self { common: Arc::new(Zone::new(session)), of_provider: BTreeMap::new() }
    }

    /// Providers with these names have a zone of their own.
    #[must_use]
    pub fn with(mut self, zone: Zone, providers: impl IntoIterator<Item = String>) -> Self {
        let zone = Arc::new(zone);
        let theirs = providers.into_iter().map(|provider| (provider, Arc::clone(&zone)));
        self.of_provider.extend(theirs);
        self
    }

    /// The zone of a provider.
    pub fn of(&self, provider: &str) -> &Arc<Zone> {
        self.of_provider.get(provider).unwrap_or(&self.common)
    }

    /// `model`, offered the tools of its own zone.
    pub fn place(&self, model: Arc<dyn Model>) -> Arc<dyn Model> {
        let zone = Arc::clone(self.of(model.name().provider()));
        Arc::new(InZone { model, zone })
    }

    /// Lists the tools of every zone once more.
    pub async fn list(&self) -> Result<(), SessionError> {
        for zone in self.all() {
            zone.list().await?;
        }
        Ok(())
    }

    /// Ends the sessions.
    pub async fn close(self) {
        let mut zones = vec![self.common];
        for zone in self.of_provider.into_values() {
            if !zones.iter().any(|known| Arc::ptr_eq(known, &zone)) {
                zones.push(zone);
            }
        }
        for zone in zones {
            // A model may still hold its zone; then the session ends when that is dropped.
            if let Some(zone) = Arc::into_inner(zone) {
                zone.session.close().await;
            }
        }
    }

    fn all(&self) -> Vec<&Arc<Zone>> {
        let mut zones = vec![&self.common];
        for zone in self.of_provider.values() {
            if !zones.iter().any(|known| Arc::ptr_eq(known, zone)) {
                zones.push(zone);
            }
        }
        zones
    }
}

#[async_trait]
impl Model for InZone {
    fn name(&self) -> &ModelName {
        self.model.name()
    }

    async fn turn(
        &self,
        conversation: &Conversation,
        _: &[UniversalTool],
        hear: &mut (dyn for<'a> FnMut(Heard<'a>) + Send),
    ) -> Result<Turn, ModelError> {
        let toolbox = self.zone.toolbox();
        self.model.turn(conversation, toolbox.offered(), hear).await
    }

    async fn probe(&self) -> Result<(), ModelError> {
        self.model.probe().await
    }
}
