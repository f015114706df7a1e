//! `subscriptions/listen` of a modern caller: what the child says without being asked, for as long
//! as the caller listens (MCP 2026-07-28, subscriptions).

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use uuid::Uuid;

use super::{
    CallerKey, Reply, StdioServer,
    call::Call,
    listeners::META_SUBSCRIPTION,
    supervisor::Shared,
    wire::{self, Outcome},
};
use crate::{
    message::json::{Json, Object},
    rejection::Rejection,
};

/// One listener's subscriptions, which end with it.
struct Listening {
    shared: Arc<Shared>,
    key: CallerKey,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.shared.listeners.forget(&self.key, |uri| self.shared.unsubscribe(uri));
    }
}

impl StdioServer {
    /// A stream of what the caller asked for, of which the first event says how much is honoured.
    pub(super) async fn listen_to(
        &self,
        call: &Call<'_>,
        id: &Json,
        caller: &CallerKey,
    ) -> Result<Reply, Rejection> {
        let wanted = call.param("notifications").and_then(Json::as_object);
        let wanted = wanted.ok_or(Rejection::InvalidParams)?;
        // A caller may listen several times at once, so each has a key of its own.
        let key = caller.and(Uuid::new_v4().to_string());
        let news = self.shared.listeners.listen(&key);
        let listening = Listening { shared: Arc::clone(&self.shared), key };
        let mut honoured = Object::default();
        let mut methods = BTreeSet::from(["notifications/resources/updated"]);
        for (list, method) in LISTS {
            if wanted.get(list) == Some(&Json::Bool(true)) {
                honoured.set(list, Json::Bool(true));
                methods.insert(method);
            }
        }
        if let Some(Json::Array(uris)) = wanted.get("resourceSubscriptions") {
            let watched = self.watch(uris, &listening.key);
            let watched = tokio::time::timeout(self.shared.limits.response_timeout, watched).await;
            let watched = watched.map_err(|_| Rejection::UpstreamTooSlow)??;
            honoured.set("resourceSubscriptions", Json::Array(watched));
        }
        let first = stream::iter([acknowledged(id, honoured)]);
        let id = id.clone();
        let news = news.filter_map(move |news| {
            let _held = &listening;
            let event = methods.contains(&*news.method).then(|| news.event(Some(&id)));
            std::future::ready(event)
        });
        Ok(Reply::Events(first.chain(news).boxed()))
    }

    /// Of these resources those that the child tells of.
    async fn watch(&self, uris: &[Json], key: &CallerKey) -> Result<Vec<Json>, Rejection> {
        let mut watched = Vec::new();
        for uri in uris.iter().filter_map(Json::as_str) {
            if let Outcome::Result(_) = self.subscribe_to(uri, key).await? {
                watched.push(Json::from(uri));
            }
        }
        Ok(watched)
    }
}

fn acknowledged(id: &Json, honoured: Object) -> Bytes {
    let mut params = wire::object([("notifications", Json::Object(honoured))]);
    wire::set_meta(&mut params, META_SUBSCRIPTION, id.clone());
    wire::event(&wire::notification("notifications/subscriptions/acknowledged", Some(params)))
}

const LISTS: [(&str, &str); 3] = [
    ("toolsListChanged", "notifications/tools/list_changed"),
    ("promptsListChanged", "notifications/prompts/list_changed"),
    ("resourcesListChanged", "notifications/resources/list_changed"),
];
