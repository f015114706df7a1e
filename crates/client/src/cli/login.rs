//! `login`: a person signs in, once.

use std::process::ExitCode;

use anyhow::bail;

use super::{
    connect,
    show::{self, GOOD},
};
use crate::{
    config::{Config, ProofOfClient},
    trust::http_client_to,
};

pub(super) async fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let client = &config.client;
    if client.proof_of_client != ProofOfClient::Person {
        bail!("this OAuth client acts in its own name: nobody needs to sign in");
    }
    if client.token_cache.is_none() {
        bail!("give --token-cache FILE: otherwise nothing is left when this program ends");
    }
    let http = http_client_to(&config.gate, config.ca.as_deref())?;
    let tokens = connect::tokens(config, client, &http).await?;
    tokens.token().await?;
    let scopes: Vec<_> = tokens.scopes().into_iter().collect();
    show::note(GOOD, "signed in", &format!("at {}: {}", tokens.inspect().issuer, scopes.join(" ")));
    Ok(ExitCode::SUCCESS)
}
