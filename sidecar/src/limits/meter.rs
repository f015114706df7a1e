//! Counts what a call yields, as it passes to the caller.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes};
use http::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::Backend;

/// Counts bytes on budgets.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(super) backend: Backend,
    pub(super) keys: Vec<Box<str>>,
}

struct Metered {
    body: Body,
    meter: Meter,
}

impl Meter {
    /// The answer, counted.
    pub(crate) fn on(self, answer: Response<Body>) -> Response<Body> {
        answer.map(|body| Body::new(Metered { body, meter: self }))
    }
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(bytes) = frame.data_ref()
        {
            let bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            self.meter.backend.count(&self.meter.keys, bytes);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
