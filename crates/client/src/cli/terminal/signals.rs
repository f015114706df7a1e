//! What a person or the system says without words: stop, or end.

use std::{io, time::Duration};

use tokio::signal::unix::{SignalKind, signal};

use crate::agent::Agent;

/// Both from the moment it was made; none is missed between two waits.
#[derive(Debug)]
pub(in crate::cli) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Signals {
    pub(in crate::cli) fn listen() -> io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    pub(in crate::cli) async fn next(&mut self) -> Signal {
        tokio::select! {
            Some(()) = self.terminate.recv() => Signal::Terminate,
            Some(()) = self.interrupt.recv() => Signal::Interrupt,
            else => std::future::pending().await,
        }
    }

    /// Ends the sessions, after an answer that was `stopped` or not; another signal ends the waiting.
    pub(in crate::cli) async fn close(&mut self, agent: Agent, stopped: bool) {
        let close = async {
            if stopped {
                // What cancels a call is on its way to the server, behind it this; a session that is
                // ended at once would take both back.
                drop(tokio::time::timeout(FAREWELL, agent.zones().list()).await);
            }
            agent.close().await;
        };
        tokio::select! {
            () = close => {}
            _ = self.next() => {}
        }
    }
}

impl Signal {
    /// What shells expect of a program that has ended of it.
    pub(in crate::cli) fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

/// A server that says nothing for this long learns of a cancelled call by the end of the connection.
const FAREWELL: Duration = Duration::from_secs(2);
