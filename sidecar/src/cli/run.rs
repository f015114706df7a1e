//! `cedargate run`: prepare everything, bind, say where, serve, drain.

use std::{net::TcpListener, path::Path, process::ExitCode};

use tokio::signal::unix::{SignalKind, signal};

use super::{complain, load, misused};
use crate::{Gate, run as serve};

pub(super) async fn run(path: &Path, server: Option<Vec<String>>) -> ExitCode {
    let config = match load(path, server) {
        Ok(config) => config,
        Err(error) => return complain(&error, misused()),
    };
    let gate = match Gate::prepare(&config).await {
        Ok(gate) => gate,
        Err(error) => return complain(&error, misused()),
    };
    let address = config.address();
    let listener = match TcpListener::bind(address) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!(
                "cedargate: cannot listen on `{address}` (`listener.address`): {error}; stop what listens there, or choose another address"
            );
            return misused();
        }
    };
    // Before the first line that says we serve, so that a signal sent after it is not missed.
    let stop = match stop_signal() {
        Ok(stop) => stop,
        Err(error) => return complain(&error, ExitCode::FAILURE),
    };
    let resource = config.resource_identifier();
    tracing::info!(%address, resource, policies = gate.summary(), "serving");
    match serve(gate, listener, stop).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error, ExitCode::FAILURE),
    }
}

/// Resolves at SIGTERM or SIGINT.
fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
