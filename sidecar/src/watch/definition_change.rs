//! A tool is no longer what was approved.
//!
//! Rule: a definition that passes in a list of tools is not the one that `tools.lock` records, nor was
//! one since, and nobody has accepted it. It is about the tool and concerns all who
//! may call it: a changed description can turn a model against its user.
//!
//! False alarms: every release of the upstream that changes a tool, until somebody approves it.

use uuid::Uuid;

use super::{
    act::quoted,
    finding::{Detector, Severity, Suspicion},
};

pub(super) fn suspicion(tool: &str, list: Uuid) -> Suspicion {
    Suspicion {
        detector: Detector::DefinitionChanged,
        severity: Severity::High,
        explanation: format!("the upstream's definition of {} is not the pinned one", quoted(tool)),
        evidence: vec![list],
    }
}
