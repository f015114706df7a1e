//! Which protocol era a message belongs to: decided from the body, confirmed by the headers.
//!
//! Modern (2026-07-28): every request carries its version in `params._meta` and in
//! `MCP-Protocol-Version`, and the two agree. Legacy: `initialize` first, then the header alone.
//! (MCP 2026-07-28, versioning and transports.)

/// A revision of the protocol that Cedargate serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ProtocolVersion {
    V2025_03_26,
    V2025_06_18,
    V2025_11_25,
    V2026_07_28,
}

/// The era of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// With the version that the header named, if it did.
    Legacy(Option<ProtocolVersion>),
    Modern(ProtocolVersion),
}

impl ProtocolVersion {
    pub(crate) const ALL: [Self; 4] =
        [Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25, Self::V2026_07_28];

    pub(crate) fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str() == text)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    pub(crate) fn is_modern(self) -> bool {
        self >= Self::V2026_07_28
    }
}

impl Era {
    pub(crate) fn is_modern(self) -> bool {
        matches!(self, Self::Modern(_))
    }

    pub(crate) fn version(self) -> Option<ProtocolVersion> {
        match self {
            Self::Legacy(version) => version,
            Self::Modern(version) => Some(version),
        }
    }
}
