//! What is open.

use axum::{Json, extract::State};
use jiff::Timestamp;
use serde::Serialize;

use super::{Admin, Operator};
use crate::watch::{Finding, Undelivered};

/// What `GET /findings` tells.
#[derive(Serialize)]
pub(super) struct Findings {
    /// How many there are.
    open: usize,
    /// The worst of them first.
    findings: Vec<Finding>,
    /// What the webhook could not deliver; `null` without one.
    webhook: Option<Undelivered>,
}

/// `GET /findings`: they name principals, so that they are for operators alone.
pub(super) async fn open(_: Operator, State(admin): State<Admin>) -> Json<Findings> {
    let ledger = &admin.enforcer.ledger;
    let mut findings = ledger.watch().all_open_findings(Timestamp::now());
    let open = findings.len();
    findings.truncate(MAX_TOLD);
    Json(Findings {
        open,
        findings,
        webhook: ledger.webhook().map(|webhook| webhook.undelivered()),
    })
}

/// More than anybody reads at once; some 500 KiB.
const MAX_TOLD: usize = 1_000;
