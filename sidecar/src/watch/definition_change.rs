//! A tool is no longer what was approved.
//!
//! Rule: whoever compares tools with their pins says so. It is about the tool and concerns all who
//! may call it: a changed description can turn a model against its user.
//!
//! False alarms: every release of the upstream that changes a tool, until somebody approves it.

use super::{
    act::quoted,
    finding::{Detector, Severity, Suspicion},
};

pub(super) fn suspicion(tool: &str) -> Suspicion {
    Suspicion {
        detector: Detector::DefinitionChanged,
        severity: Severity::High,
        explanation: format!("the upstream's definition of {} is not the pinned one", quoted(tool)),
        evidence: Vec::new(),
    }
}
