//! What a detector noticed, in words, with the records that show it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Something odd about a principal or a tool. It decides nothing: operators read it, and policies
/// may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// Unique, ordered by time (UUID version 7); stays while the finding is open.
    pub(crate) id: Uuid,
    /// Who noticed.
    pub(crate) detector: Detector,
    /// How much it should worry; never falls while the finding is open.
    pub(crate) severity: Severity,
    /// About whom or what.
    pub(crate) about: About,
    /// One sentence for an operator. Callers' own words in it are cut short and escaped.
    pub(crate) explanation: String,
    /// `request_id`s of the decision records that show it, oldest first, the newest sixteen.
    pub(crate) evidence: Vec<Uuid>,
    /// When it was noticed first.
    pub(crate) at: Timestamp,
    /// When it is over, unless it is noticed again.
    pub(crate) expires: Timestamp,
}

/// Every detector, by the code that policies and operators know it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Detector {
    /// What one provider's model was refused is tried through another.
    ProviderShopping,
    /// Policy refuses one principal many times in a short time.
    RefusalBurst,
    /// One principal tries the names of tools.
    ToolEnumeration,
    /// One principal tries what arguments a tool takes.
    ArgumentProbing,
    /// Calls come far faster than this principal's usually do.
    RateSpike,
    /// One token or principal acts from many places or through many clients.
    ManyAddresses,
    /// A tool and an hour that this principal has never used before, together.
    UnusualActivity,
    /// A tool is no longer what was approved.
    DefinitionChanged,
    /// Arguments or results hold what looks like a credential.
    CredentialSeen,
}

/// How much a finding should worry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Worth a look when there is time; honest work does this now and then.
    Low,
    /// Worth a look today.
    Medium,
    /// Probably an attack or a leak.
    High,
    /// Certainly harm, if it is what it looks like.
    Critical,
}

/// About whom or what a finding is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum About {
    /// As policies call the caller.
    Principal(String),
    /// By its name.
    Tool(String),
    /// A resource or prompt, by its URI or name.
    Target(String),
}

/// What a detector has to say about one record.
#[derive(Debug)]
pub(super) struct Suspicion {
    pub(super) detector: Detector,
    pub(super) severity: Severity,
    pub(super) explanation: String,
    /// Oldest first.
    pub(super) evidence: Vec<Uuid>,
}

impl Detector {
    pub(crate) const ALL: [Self; 9] = [
        Self::ProviderShopping,
        Self::RefusalBurst,
        Self::ToolEnumeration,
        Self::ArgumentProbing,
        Self::RateSpike,
        Self::ManyAddresses,
        Self::UnusualActivity,
        Self::DefinitionChanged,
        Self::CredentialSeen,
    ];

    /// Kebab-case and stable.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::ProviderShopping => "provider-shopping",
            Self::RefusalBurst => "refusal-burst",
            Self::ToolEnumeration => "tool-enumeration",
            Self::ArgumentProbing => "argument-probing",
            Self::RateSpike => "rate-spike",
            Self::ManyAddresses => "many-addresses",
            Self::UnusualActivity => "unusual-activity",
            Self::DefinitionChanged => "definition-changed",
            Self::CredentialSeen => "credential-seen",
        }
    }
}

impl Severity {
    pub(crate) const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// In lower case.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detector_is_written_as_its_code() {
        for detector in Detector::ALL {
            let written = serde_json::to_value(detector).unwrap();
            assert_eq!(written, detector.code());
        }
        for severity in Severity::ALL {
            assert_eq!(serde_json::to_value(severity).unwrap(), severity.code());
        }
    }
}
