//! Whether a provider answers and takes the key, without asking it anything.

use std::time::Duration;

use reqwest::{Client, StatusCode};

use super::{Failure, fault::Faults, provider::Provider};

/// Lists the provider's models. Not every server lists, so that it does not is no failure.
pub(super) async fn probe(
    http: &Client,
    provider: &Provider,
    faults: &Faults,
) -> Result<(), Failure> {
    let asked = tokio::time::timeout(PATIENCE, ask(http, provider, faults)).await;
    asked.unwrap_or(Err(Failure::TimedOut(PATIENCE)))
}

async fn ask(http: &Client, provider: &Provider, faults: &Faults) -> Result<(), Failure> {
    let mut request = http.get(provider.base_url.below(&["models"]));
    for (name, value) in provider.all_headers() {
        request = request.header(name, value);
    }
    let mut answer = request.send().await.map_err(|error| faults.of_http(&error))?;
    let status = answer.status();
    if status.is_success()
        || [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_IMPLEMENTED]
            .contains(&status)
    {
        return Ok(());
    }
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST_ERROR {
            break;
        }
    }
    let body = String::from_utf8_lossy(&body);
    Err(faults.of_status(status, answer.headers(), &body))
}

/// Someone waits for the outcome.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes; of this only the first words are shown.
const LONGEST_ERROR: usize = 16 * 1024;
