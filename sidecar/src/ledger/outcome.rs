//! What came of a permitted request: a second entry, written when its answer has ended. A request
//! without one was never answered: the gate ended first.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use aws_lc_rs::digest::{Context as Digest, SHA256};
use axum::body::{Body, Bytes};
use data_encoding::HEXLOWER;
use http::{Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::{DecisionRecord, Ledger, entry::Entry, kept::Kept};
use crate::{
    authz::AuditLevel,
    limits::Meter,
    rejection::Rejection,
    telemetry::{ANSWERED, BROKEN_OFF, Flight},
};

/// What came of a request.
#[derive(Debug, Serialize)]
pub(crate) struct OutcomeRecord {
    pub(super) request_id: Uuid,
    pub(super) subject: Option<String>,
    pub(super) principal: Option<String>,
    pub(super) at: Timestamp,
    /// `answered`, `broken-off` when the caller or the upstream left before the end, or the reason
    /// why the upstream's answer was not relayed.
    pub(super) outcome: &'static str,
    /// The upstream's HTTP status, once it answered.
    pub(super) upstream_status: Option<u16>,
    /// What the caller was sent.
    pub(super) bytes: u64,
    /// SHA-256 of that, in hexadecimal digits.
    pub(super) result_digest: Option<String>,
    /// What the caller was sent, if the policy that permitted it wants it kept.
    pub(super) result: Option<Kept>,
    /// From the decision to the end of the answer, in microseconds.
    pub(super) answered_after_us: u64,
}

/// An outcome being made. Dropped, it is written.
pub(crate) struct OpenOutcome {
    ledger: Ledger,
    decided: Instant,
    /// Nothing where nothing is kept.
    digest: Option<Digest>,
    record: OutcomeRecord,
    /// Counts what passes on budgets; nothing where no limit does.
    meter: Option<Meter>,
    /// Ends with it; nothing where the decision could not be put on record.
    flight: Option<Flight>,
}

/// A body that is followed as it passes.
struct Followed {
    body: Body,
    outcome: OpenOutcome,
}

impl OpenOutcome {
    pub(super) fn new(
        ledger: Ledger,
        of: &DecisionRecord,
        audit: AuditLevel,
        flight: Option<Flight>,
    ) -> Self {
        let record = OutcomeRecord {
            request_id: of.request_id,
            subject: of.subject.clone(),
            principal: of.principal.clone(),
            at: Timestamp::now(),
            outcome: BROKEN_OFF,
            upstream_status: None,
            bytes: 0,
            result_digest: None,
            result: (audit >= AuditLevel::Full).then(Kept::default),
            answered_after_us: 0,
        };
        let digest = ledger.is_open().then(|| Digest::new(&SHA256));
        Self { ledger, decided: Instant::now(), digest, record, meter: None, flight }
    }

    /// What passes also counts here.
    pub(crate) fn counted_by(mut self, meter: Option<Meter>) -> Self {
        self.meter = meter;
        self
    }

    /// The upstream has begun to answer.
    pub(crate) fn upstream_answered(&mut self, status: StatusCode) {
        self.record.upstream_status = Some(status.as_u16());
        if let Some(flight) = &mut self.flight {
            flight.upstream_answered(status);
        }
    }

    /// There is no answer.
    pub(super) fn failed(&mut self, rejection: &Rejection) {
        self.record.outcome = rejection.reason();
        if *rejection == Rejection::UpstreamUnreachable {
            self.ledger.telemetry.upstream_is_away();
        }
        if let Some(flight) = &mut self.flight {
            flight.failed(rejection.reason());
        }
    }

    /// Follows what the caller gets: the answer to its end, or that there is none.
    pub(crate) fn follow(
        mut self,
        answered: Result<Response<Body>, Rejection>,
    ) -> Result<Response<Body>, Rejection> {
        match answered {
            Ok(response) => {
                if let Some(flight) = &mut self.flight {
                    flight.answered(response.status());
                }
                Ok(response
                    .map(|body| Body::new(Followed { body, outcome: self }.ended_if_empty())))
            }
            Err(rejection) => {
                self.failed(&rejection);
                Err(rejection)
            }
        }
    }

    fn passed(&mut self, bytes: &Bytes) {
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
        }
        if let Some(result) = &mut self.record.result {
            result.add(bytes);
        }
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if let Some(meter) = &self.meter {
            meter.count(count);
        }
        self.record.bytes = self.record.bytes.saturating_add(count);
    }
}

impl Drop for OpenOutcome {
    fn drop(&mut self) {
        self.record.at = Timestamp::now();
        let elapsed = self.decided.elapsed().as_micros();
        self.record.answered_after_us = u64::try_from(elapsed).unwrap_or(u64::MAX);
        if let Some(digest) = self.digest.take().filter(|_| self.record.bytes > 0) {
            self.record.result_digest = Some(HEXLOWER.encode(digest.finish().as_ref()));
        }
        self.ledger.telemetry.outcomes.count(self.record.outcome);
        self.ledger.telemetry.answer_bytes.add(self.record.bytes);
        self.ledger.append_soon(|| Entry::of_outcome(&self.record));
    }
}

impl Followed {
    /// A body that has ended already is asked for nothing.
    fn ended_if_empty(mut self) -> Self {
        if self.body.is_end_stream() {
            self.outcome.record.outcome = ANSWERED;
        }
        self
    }
}

impl HttpBody for Followed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(bytes) = frame.data_ref() {
                    self.outcome.passed(bytes);
                }
                if self.body.is_end_stream() {
                    self.outcome.record.outcome = ANSWERED;
                }
            }
            Poll::Ready(None) => self.outcome.record.outcome = ANSWERED,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
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
