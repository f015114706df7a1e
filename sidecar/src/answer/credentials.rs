//! Credentials in what comes back.

use super::revision::{Revised, Revision};
use crate::{
    message::{Origin, TargetKind},
    watch::{About, SeenIn},
};

impl Revision {
    /// In what reaches the caller. Lists tell what there is, and have examples. What is found is about
    /// what was asked for, not about who asked: who can write where others read could have these
    /// refused.
    pub(super) fn look_for_credentials(&self, revised: &Revised, text: &[u8]) {
        let relayed = match revised {
            Revised::AsItIs => text,
            Revised::Changed(relayed) => relayed,
            Revised::LeftOut => return,
        };
        let of_server = |asked: &Origin| asked.method.target == TargetKind::Server;
        if !self.answers.as_ref().is_some_and(of_server) {
            let what = (relayed, SeenIn::Results);
            self.gate.ledger.look_for_credentials(|| self.about(), self.request_id, what);
        }
    }

    fn about(&self) -> About {
        let asked = self.answers.as_ref().and_then(|asked| asked.target.as_ref());
        match asked {
            Some((TargetKind::Tool | TargetKind::Task, name)) => About::Tool(name.clone()),
            Some((_, name)) => About::Target(name.clone()),
            None => About::Target(self.method.name.to_owned()),
        }
    }
}
