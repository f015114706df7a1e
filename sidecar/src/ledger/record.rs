//! What is written about one request, while it is made.

use std::net::SocketAddr;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use http::StatusCode;
use uuid::Uuid;

use super::{
    Decision, DecisionRecord, Ledger, entry::Entry, outcome::OpenOutcome, writer::NotWritten,
};
use crate::{
    authz::{AuditLevel, Authorized, Circumstances, Decided, Policies, Shadow, Summary},
    limits::LimitState,
    message::{Envelope, Form, Message},
    rejection::{Asked, Rejection},
    telemetry::{ABANDONED, CalledTool, CallersTrace, Flight, PERMITTED, Step},
    token::Claims,
    watch::{About, SeenIn},
};

/// A record being made. Dropped unwritten, it writes itself: a caller that hangs up half-way is on
/// record too.
#[derive(Debug)]
pub(crate) struct OpenRecord {
    ledger: Ledger,
    /// Until it is forwarded; then it is the outcome's.
    flight: Option<Flight>,
    record: DecisionRecord,
    /// The arguments as they are forwarded; they are kept when the policy that permits says so.
    arguments: Option<String>,
    audit: AuditLevel,
    asked: Asked,
    state: State,
}

/// How far a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// On its way to the ledger: nothing of it can be changed any more.
    Sent,
    /// Everybody has heard of it.
    Told,
}

impl OpenRecord {
    pub(super) fn new(ledger: Ledger, peer: SocketAddr, flight: Flight) -> Self {
        let mut record = DecisionRecord::new(peer);
        record.trace_id = flight.callers_trace().map(CallersTrace::trace_id);
        Self {
            ledger,
            flight: Some(flight),
            record,
            arguments: None,
            audit: AuditLevel::NoneArgs,
            asked: Asked::default(),
            state: State::Open,
        }
    }

    pub(crate) fn request_id(&self) -> Uuid {
        self.record.request_id
    }

    /// To what a refusal has to answer.
    pub(crate) fn asked(&self) -> &Asked {
        &self.asked
    }

    pub(crate) fn caller(&mut self, claims: &Claims) {
        self.in_flight(Flight::caller_is_known);
        self.record.issuer = Some(claims.iss().to_owned());
        self.record.subject = Some(claims.sub().to_owned());
        self.record.client_id = Some(claims.client_id().to_owned());
        self.record.token_id = claims.jti().map(str::to_owned);
        self.record.zone = claims.zone().map(str::to_owned);
    }

    #[cfg(test)]
    pub(super) fn record_subject(&mut self, subject: &str) {
        self.record.subject = Some(subject.to_owned());
    }

    /// The time from now on is that of another step.
    pub(crate) fn enters(&mut self, step: Step) {
        self.in_flight(|flight| flight.enters(step));
    }

    /// Notes how long the body was.
    pub(crate) fn received(&mut self, bytes: usize) {
        self.in_flight(|flight| flight.received(bytes));
    }

    /// Takes the message into the request's trace, where traces are exported.
    pub(crate) fn trace(&mut self, message: &mut Message) {
        if let Some(passed_on) = self.flight.as_mut().and_then(Flight::passed_on) {
            message.pass_on(passed_on);
        }
    }

    /// Notes with which status a refusal is answered.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.in_flight(|flight| flight.answered(status));
    }

    fn in_flight(&mut self, note: impl FnOnce(&mut Flight)) {
        if let Some(flight) = &mut self.flight {
            note(flight);
        }
    }

    /// Notes what is put to policy.
    pub(crate) fn asks(
        &mut self,
        principal: &str,
        message: &Message,
        (policies, circumstances): (&Policies, &Circumstances),
    ) {
        let known = |flight: &Flight, name: &str| flight.telemetry().tool(name, policies);
        self.in_flight(|flight| {
            let tool = message.called_tool().map_or_else(CalledTool::default, |n| known(flight, n));
            flight.calls(tool, message.method().listens());
        });
        self.record.principal = Some(principal.to_owned());
        self.record.provider = circumstances.provider().map(str::to_owned);
        self.record.model = circumstances.model().map(str::to_owned);
        if let Some(arguments) = message.arguments() {
            let mut written = Vec::with_capacity(256);
            arguments.write(&mut written);
            let what = (&written[..], SeenIn::Arguments);
            let about = || About::Principal(principal.to_owned());
            self.ledger.look_for_credentials(about, self.record.request_id, what);
            let of_them = HEXLOWER.encode(digest(&SHA256, &written).as_ref());
            self.record.arguments_digest = Some(of_them);
            self.arguments = String::from_utf8(written).ok();
        }
    }

    pub(crate) fn envelope(&mut self, envelope: &Envelope) {
        let form = match envelope.id() {
            _ if envelope.is_answer() => Form::Response,
            Some(_) => Form::Request,
            None => Form::Notification,
        };
        self.asked.form = Some(form);
        self.asked.id = envelope.id().filter(|_| form == Form::Request).cloned();
        self.asked.modern = envelope.claims_modern();
        // As written; whatever is refused from here on is refused under these names.
        self.record.method = envelope.method().map(shortened);
        self.record.target = envelope.name_or_uri().map(shortened);
        let calls = self.record.calls_a_tool();
        self.in_flight(|flight| {
            flight.traced_by_message(|| envelope.callers_trace());
            // Which one is known once policies are asked.
            flight.calls(if calls { CalledTool::Other } else { CalledTool::None }, false);
        });
        let callers_trace = self.flight.as_ref().and_then(Flight::callers_trace);
        self.record.trace_id = callers_trace.map(CallersTrace::trace_id);
    }

    pub(crate) fn message(&mut self, message: &Message) {
        self.record.method = Some(message.method().name.to_owned());
        self.record.target = message.target_name().map(shortened);
        self.asked.modern = message.era().is_modern();
        self.asked.calls_a_tool = message.method().calls_a_tool();
    }

    /// Notes which policies are asked, and what those in the shadow say.
    pub(crate) fn decided_under(&mut self, policies: &Summary, decided: &Decided) {
        self.ledger.announce(policies);
        self.record.policy_version = Some(policies.version.clone());
        self.record.for_risk = decided.for_risk;
        if let Some(Shadow { policies, flips }) = &decided.shadow {
            self.record.shadow_policies.clone_from(policies);
            self.record.shadow_flips = *flips;
        }
    }

    /// Puts a permitted request on record; only then may it leave.
    pub(crate) async fn permitted(
        &mut self,
        authorized: &Authorized<Message>,
        limits: &[LimitState],
    ) -> Result<(), Rejection> {
        self.record.decision = Decision::Allow;
        self.record.limits = limits.to_vec();
        self.record.policies = authorized.determining_policies().to_vec();
        self.audit = authorized.obligations().audit.unwrap_or(AuditLevel::NoneArgs);
        self.write(PERMITTED).await.map_err(|NotWritten| {
            // It may be written yet, when it is too late.
            let mut outcome = self.outcome_in(None);
            outcome.failed(&Rejection::LedgerUnavailable);
            Rejection::LedgerUnavailable
        })
    }

    /// What comes of it from now on, once it is permitted.
    pub(crate) fn outcome(&mut self) -> OpenOutcome {
        self.in_flight(Flight::forwarded);
        let flight = self.flight.take();
        self.outcome_in(flight)
    }

    fn outcome_in(&self, flight: Option<Flight>) -> OpenOutcome {
        OpenOutcome::new(self.ledger.clone(), &self.record, self.audit, flight)
    }

    /// Puts a refusal on record, and yields what is answered. What goes wrong after a permitted
    /// request has left is no decision any more and is logged as the upstream's.
    pub(crate) async fn refused(&mut self, rejection: Rejection) -> Rejection {
        if self.state != State::Open {
            let (request_id, reason) = (self.record.request_id, rejection.reason());
            tracing::warn!({ request.id = %request_id, reason }, "the upstream's answer was not relayed");
            return rejection;
        }
        self.record.policies = rejection.policies().to_vec();
        self.record.required_scopes = rejection.required_scopes().to_vec();
        self.record.limits = rejection.limits().to_vec();
        match self.write(rejection.reason()).await {
            Ok(()) => rejection,
            Err(NotWritten) => Rejection::LedgerUnavailable,
        }
    }

    /// To the ledger, and when it is there to everybody else. What cannot be written is told all the
    /// same, as the refusal that it becomes.
    async fn write(&mut self, reason: &'static str) -> Result<(), NotWritten> {
        self.close(reason);
        self.state = State::Sent;
        self.enters(Step::Ledger);
        let arguments = self.arguments.take().filter(|_| self.audit >= AuditLevel::Args);
        let written = self.ledger.keep(|| Entry::of(&self.record, arguments)).await;
        self.in_flight(|flight| flight.enters(None));
        if written.is_err() {
            self.record.decision = Decision::Deny;
            self.record.reason = Rejection::LedgerUnavailable.reason();
        }
        self.tell();
        self.state = State::Told;
        written
    }

    fn close(&mut self, reason: &'static str) {
        self.record.reason = reason;
        if let Some(flight) = &mut self.flight {
            flight.enters(None);
            let elapsed = flight.elapsed().as_micros();
            self.record.decided_after_us = u64::try_from(elapsed).unwrap_or(u64::MAX);
            self.record.steps_us = flight.step_times();
            self.record.trace_id = flight.trace_id().or(self.record.trace_id.take());
        }
    }

    fn tell(&mut self) {
        self.ledger.tell(&self.record);
        if let Some(flight) = &mut self.flight {
            flight.decided(&self.record);
        }
    }
}

/// A caller's own words, cut to a length that fits a log.
fn shortened(text: &str) -> String {
    text.chars().take(MAX_RECORDED_CHARACTERS).collect()
}

impl Drop for OpenRecord {
    fn drop(&mut self) {
        if self.state == State::Open {
            self.close(ABANDONED);
            self.ledger.append_soon(|| Entry::of(&self.record, None));
        }
        if self.state == State::Sent && self.record.decision == Decision::Allow {
            // Whoever asked has gone before it was forwarded.
            drop(self.outcome_in(None));
        }
        if self.state != State::Told {
            self.tell();
        }
    }
}

/// As long as any honest name, and most URIs.
const MAX_RECORDED_CHARACTERS: usize = 256;
