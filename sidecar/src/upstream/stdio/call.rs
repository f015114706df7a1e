//! One message of a caller, apart from how it came.

use crate::{
    message::{
        Era, Message, RequestId,
        json::{Json, Object},
    },
    telemetry::PassedOn,
};

/// What is asked, in the caller's own words.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    /// As written; a notification has none.
    pub(super) id: Option<&'a Json>,
    pub(super) method: &'static str,
    pub(super) params: Option<&'a Object>,
    pub(super) era: Era,
    /// The trace that the child is told of.
    pub(super) trace: Option<&'a PassedOn>,
}

impl<'a> Call<'a> {
    pub(super) fn of(message: &'a Message) -> Self {
        Self {
            id: message.id().map(RequestId::as_json),
            method: message.method().name,
            params: message.params(),
            era: message.era(),
            trace: message.passed_on(),
        }
    }

    pub(super) fn param(&self, name: &str) -> Option<&'a Json> {
        self.params?.get(name)
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.param(name)?.as_str()
    }
}
