//! Token sources before issuers that count, lie, refuse and forget.

mod caching;
mod checking;
mod fake;
mod lying;
mod proving;
mod sharing;
mod signing_in;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use reqwest::{Method, Url};

use self::fake::Fake;
use super::*;
use crate::trust::http_client;

const SECRET: &str = "a secret that must not be shown";

fn options() -> Options {
    Options::new(OAuthClient::with_secret("program", SECRET))
}

/// A time that stands still until it is moved.
fn movable() -> (Arc<AtomicU64>, Clock) {
    let time = Arc::new(AtomicU64::new(clock::system()));
    let told = Arc::clone(&time);
    (time, Clock::new(move || told.load(Ordering::SeqCst)))
}

async fn discovered(fake: &Fake, options: Options) -> Result<TokenSource, TokenError> {
    TokenSource::discover(http_client(None).unwrap(), &fake.mcp(), options).await
}

async fn source(fake: &Fake, options: Options) -> Arc<TokenSource> {
    Arc::new(discovered(fake, options).await.unwrap())
}
