//! From the configuration to something that answers: trust, tokens, sessions, models.

use std::{collections::BTreeSet, io::IsTerminal as _, sync::Arc};

use anyhow::{Context as _, bail};

use super::{
    show::{self, BOLD},
    terminal::Terminal,
};
use crate::{
    agent::{
        Agent,
        zones::{Zone, Zones},
    },
    config::{ClientSettings, Config, ProofOfClient, WireName},
    model::{
        Model, ModelName,
        provider::{BaseUrl, PlainHttp, ProvidedModel, Provider, Wire},
    },
    pool::Pool,
    rehearsed,
    session::{
        Session,
        host::{Host, Nobody},
    },
    token::{Browser, ClientKey, Login, OAuthClient, Options, TokenSource},
    trust::http_client_to,
};

/// Who is there to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Personal {
    /// Somebody at the terminal.
    AtTheTerminal,
    /// Nobody.
    Nobody,
}

/// A conversation with the configured models, through the gate.
pub(super) async fn agent(config: &Config, personal: Personal) -> anyhow::Result<Agent> {
    let models = models(config).await?;
    let providers: Vec<_> = models.iter().map(|model| model.name().provider().to_owned()).collect();
    let providers: Vec<_> = providers.iter().map(String::as_str).collect();
    one_zone(config, &providers)?;
    let zones = zones(config, &providers, personal).await?;
    let mut placed = models.into_iter().map(|model| zones.place(model));
    let first = placed.next().context(NO_MODEL)?;
    // One alone is asked again as well when it fails for a passing reason.
    let model = Arc::new(Pool::of(first, placed.collect()));
    Ok(Agent::new(model, zones, &config.instructions, config.bounds.clone()))
}

/// What was found out in one zone is not told to a provider of another because the first one fails.
fn one_zone(config: &Config, providers: &[&str]) -> anyhow::Result<()> {
    let zone = |name: &&str| config.providers.get(*name).and_then(|provider| provider.zone.clone());
    let zones: BTreeSet<_> = providers.iter().map(zone).collect();
    if zones.len() > 1 {
        bail!("the models are in different zones; ask models of one zone at a time (--model)");
    }
    Ok(())
}

/// The configured models, each for itself.
pub(super) async fn models(config: &Config) -> anyhow::Result<Vec<Arc<dyn Model>>> {
    if config.models.is_empty() {
        bail!(NO_MODEL);
    }
    let mut models: Vec<Arc<dyn Model>> = Vec::with_capacity(config.models.len());
    for name in &config.models {
        models.push(Arc::new(model(config, name).await?));
    }
    Ok(models)
}

/// One of them. Providers are reached over the system's trust, not the gate's authority.
pub(super) async fn model(config: &Config, name: &ModelName) -> anyhow::Result<ProvidedModel> {
    let provider = if name.provider() == REHEARSED {
        rehearsal().await?
    } else {
        provider(config, name.provider())?
    };
    let http = http_client_to(provider.base_url.as_str(), None)?;
    Ok(ProvidedModel::new(http, &provider, name.clone())?)
}

fn provider(config: &Config, name: &str) -> anyhow::Result<Provider> {
    let settings = config.providers.get(name).cloned().unwrap_or_default();
    let known = Provider::known(name);
    let wire = match settings.wire {
        Some(WireName::Openai) => Wire::OpenAi,
        Some(WireName::Anthropic) => Wire::Anthropic,
        Some(WireName::Mistral) => Wire::Mistral,
        Some(WireName::Gemini) => Wire::Gemini,
        None => known.map_or(Wire::OpenAi, |known| known.wire),
    };
    let base_url = settings.base_url.or_else(|| known.map(|known| known.base_url.to_owned()));
    let base_url = base_url.with_context(|| format!("`{name}` has no base URL"))?;
    let mut provider = Provider::at(wire, BaseUrl::parse(&base_url, PlainHttp::Loopback)?);
    provider.api_key = settings.api_key;
    provider.max_tokens = settings.max_tokens;
    Ok(provider)
}

/// The rehearsed model, served by this process to itself.
async fn rehearsal() -> anyhow::Result<Provider> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let base_url = format!("http://{}/v1/", listener.local_addr()?);
    tokio::spawn(async move {
        axum::serve(listener, rehearsed::router(rehearsed::Script::built_in())).await
    });
    Ok(Provider::at(Wire::OpenAi, BaseUrl::parse(&base_url, PlainHttp::Loopback)?))
}

/// Sessions for these providers: one, and one more for each zone that one of them is in.
pub(super) async fn zones(
    config: &Config,
    providers: &[&str],
    personal: Personal,
) -> anyhow::Result<Zones> {
    let mut zones = Zones::common(session_for(config, &config.client, personal).await?);
    for (name, client) in &config.zones {
        let theirs: Vec<String> = providers
            .iter()
            .filter(|provider| {
                config.providers.get(**provider).and_then(|p| p.zone.as_ref()) == Some(name)
            })
            .map(|provider| (*provider).to_owned())
            .collect();
        if !theirs.is_empty() {
            let session = session_for(config, client, personal)
                .await
                .with_context(|| format!("zone `{name}`"))?;
            zones = zones.with(Zone::new(session), theirs);
        }
    }
    Ok(zones)
}

/// A session under this OAuth client, with nobody to be asked.
pub(super) async fn session(config: &Config, client: &ClientSettings) -> anyhow::Result<Session> {
    session_for(config, client, Personal::Nobody).await
}

async fn session_for(
    config: &Config,
    client: &ClientSettings,
    personal: Personal,
) -> anyhow::Result<Session> {
    let http = http_client_to(&config.gate, config.ca.as_deref())?;
    let tokens = Arc::new(tokens(config, client, &http).await?);
    // A person may have to sign in first, which takes longer than opening a session may.
    tokens.token().await?;
    let host: Arc<dyn Host> = match personal {
        Personal::AtTheTerminal => Arc::new(Terminal),
        Personal::Nobody => Arc::new(Nobody),
    };
    Ok(Session::open_for(host, http, &config.gate, tokens, config.era).await?)
}

/// The tokens of this OAuth client.
pub(super) async fn tokens(
    config: &Config,
    client: &ClientSettings,
    http: &reqwest::Client,
) -> anyhow::Result<TokenSource> {
    let options = Options {
        scopes: client.scopes.clone(),
        proof: client.proof,
        issuer: client.issuer.clone(),
        audiences: client.audiences.clone(),
        cache: client.token_cache.clone(),
        ..Options::new(oauth_client(client)?)
    };
    Ok(TokenSource::discover(http.clone(), &config.gate, options).await?)
}

fn oauth_client(client: &ClientSettings) -> anyhow::Result<OAuthClient> {
    let id = || client.id.clone().context(NO_CLIENT);
    Ok(match &client.proof_of_client {
        ProofOfClient::Secret(secret) => OAuthClient::with_secret(id()?, secret.expose()),
        ProofOfClient::PrivateKey { file, key_id } => {
            let pem =
                std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
            OAuthClient::with_private_key(id()?, ClientKey::from_pem(&pem, key_id.clone())?)
        }
        ProofOfClient::Person if !std::io::stderr().is_terminal() => bail!(NO_CLIENT),
        ProofOfClient::Person => OAuthClient::Person(Login {
            client_id: client.id.clone(),
            browser: Browser::Opened,
            show: Arc::new(|url| show::note(BOLD, "Sign in at", url)),
        }),
    })
}

/// Is served by this program to itself.
pub(super) const REHEARSED: &str = "rehearsed";
pub(super) const NO_MODEL: &str = "no model: set OPENAI_API_KEY, ANTHROPIC_API_KEY or GEMINI_API_KEY, or OLLAMA_BASE_URL and OLLAMA_MODEL; or try `--model rehearsed/clerk`, which needs no key";
const NO_CLIENT: &str = "no OAuth client: give --client-id with --client-secret-file or --client-key-file; or, at a terminal, neither, and sign in with a browser";
