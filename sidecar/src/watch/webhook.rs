//! Findings for whoever is to be woken: posted to a URL, signed as the Standard Webhooks
//! specification says (<https://www.standardwebhooks.com>), never in a request's way.
//!
//! What the receiver does not take is sent again a few times, then given up; what does not fit into
//! the queue is dropped. Both are counted and logged, and the ledger has the finding all the same. A
//! message holds the principal's name and what the finding says, and nothing of arguments or results.

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::{hmac, rand};
use data_encoding::BASE64;
use jiff::Timestamp;
use reqwest::{Certificate, Client, StatusCode, header, redirect};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc;
use url::Url;
use uuid::Uuid;

use super::finding::{Finding, Severity};

/// Where findings are posted.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookConfig {
    pub(crate) url: Url,
    /// Holds `whsec_` and the key in base64.
    pub(crate) secret_file: PathBuf,
    /// Who vouches for the receiver, PEM; else the system's authorities do.
    pub(crate) ca: Option<PathBuf>,
    /// For one attempt.
    #[serde(default = "usual_timeout", with = "humantime_serde")]
    pub(crate) timeout: Duration,
    /// What is less is not sent.
    #[serde(default = "usual_severity")]
    pub(crate) min_severity: Severity,
}

/// The webhook cannot be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum UnusableWebhook {
    /// Its secret cannot be used.
    #[error("cannot use the secret `{path}` (`watch.webhook.secret_file`): {cause}")]
    Secret {
        /// The file.
        path: PathBuf,
        /// What was wrong; nothing of the secret.
        cause: String,
    },
    /// Its certificate authority cannot be used.
    #[error("cannot use the certificate authority `{path}` (`watch.webhook.ca`): {cause}")]
    Authority {
        /// The file.
        path: PathBuf,
        /// What was wrong.
        cause: String,
    },
    /// The HTTP client could not be made.
    #[error("cannot make an HTTP client for `watch.webhook`: {0}")]
    Client(#[source] reqwest::Error),
}

/// Posts findings.
#[derive(Debug)]
pub(crate) struct Webhook {
    url: Url,
    key: hmac::Key,
    client: Client,
    min_severity: Severity,
    first_pause: Duration,
    queue: mpsc::Sender<Finding>,
    /// Taken by whoever delivers. Nothing else happens under the lock.
    waiting: Mutex<Option<mpsc::Receiver<Finding>>>,
    dropped: AtomicU64,
    given_up: AtomicU64,
}

/// What did not reach the receiver since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Undelivered {
    /// There was no room in the queue.
    pub(crate) dropped: u64,
    /// It was not taken, however often it was sent.
    pub(crate) given_up: u64,
}

/// Why one attempt failed; never the URL, which may hold a secret.
#[derive(Debug, thiserror::Error)]
enum NotTaken {
    #[error("{0}")]
    Exchange(reqwest::Error),
    #[error("it answered {0}")]
    Status(StatusCode),
}

impl Webhook {
    /// Reads the secret; asks nobody.
    pub(crate) fn new(config: &WebhookConfig) -> Result<Self, UnusableWebhook> {
        let (queue, waiting) = mpsc::channel(QUEUE);
        Ok(Self {
            url: config.url.clone(),
            key: secret(&config.secret_file)?,
            client: client(config)?,
            min_severity: config.min_severity,
            first_pause: FIRST_PAUSE,
            queue,
            waiting: Mutex::new(Some(waiting)),
            dropped: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
        })
    }

    /// Takes a finding to be posted soon, if it matters enough. Waits for nothing.
    pub(crate) fn offer(&self, finding: &Finding) {
        if finding.severity >= self.min_severity && self.queue.try_send(finding.clone()).is_err() {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::error!(
                { finding.id = %finding.id, dropped },
                "the webhook's queue is full: a finding is not sent"
            );
        }
    }

    pub(crate) fn undelivered(&self) -> Undelivered {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Undelivered { dropped: count(&self.dropped), given_up: count(&self.given_up) }
    }

    /// Posts what is taken, one after the other, and never ends.
    pub(crate) async fn deliver(&self) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut waiting) = waiting {
            while let Some(finding) = waiting.recv().await {
                self.post(&finding).await;
            }
        }
        // Somebody else delivers.
        std::future::pending().await
    }

    async fn post(&self, finding: &Finding) {
        // One for all attempts, so that the receiver can tell what it has seen.
        let id = format!("msg_{}", Uuid::now_v7().simple());
        let body = json!({ "type": "finding.raised", "timestamp": finding.at, "data": finding });
        let body = body.to_string();
        for attempt in 1..=ATTEMPTS {
            match self.attempt(&id, &body).await {
                Ok(()) => return,
                Err(cause) => tracing::warn!(
                    { finding.id = %finding.id, attempt, %cause },
                    "the webhook's receiver did not take a finding"
                ),
            }
            if attempt < ATTEMPTS {
                tokio::time::sleep(self.pause_after(attempt)).await;
            }
        }
        self.given_up.fetch_add(1, Ordering::Relaxed);
        tracing::error!({ finding.id = %finding.id }, "a finding could not be posted");
    }

    async fn attempt(&self, id: &str, body: &str) -> Result<(), NotTaken> {
        let now = Timestamp::now().as_second();
        let request = self
            .client
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", now)
            .header("webhook-signature", self.signature(id, now, body))
            .body(body.to_owned());
        let answer = request.send().await.map_err(|e| NotTaken::Exchange(e.without_url()))?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(NotTaken::Status(status)) }
    }

    fn signature(&self, id: &str, timestamp: i64, body: &str) -> String {
        let tag = hmac::sign(&self.key, format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", BASE64.encode(tag.as_ref()))
    }

    /// Four times as long each time, and by chance up to half as long again: gates that failed
    /// together do not come back together.
    fn pause_after(&self, attempt: u32) -> Duration {
        let pause = self.first_pause * 4_u32.saturating_pow(attempt - 1);
        let mut chance = [0];
        if rand::fill(&mut chance).is_err() {
            return pause;
        }
        pause + pause * u32::from(chance[0]) / 512
    }
}

fn secret(path: &Path) -> Result<hmac::Key, UnusableWebhook> {
    let unusable = |cause: String| UnusableWebhook::Secret { path: path.to_owned(), cause };
    let text = std::fs::read_to_string(path).map_err(|cause| unusable(cause.to_string()))?;
    let key = text.trim().strip_prefix("whsec_").and_then(|key| BASE64.decode(key.as_bytes()).ok());
    let key =
        key.ok_or_else(|| unusable("it must hold `whsec_` and a key in base64".to_owned()))?;
    if !SECRET_BYTES.contains(&key.len()) {
        return Err(unusable("its key must have 24 to 64 bytes".to_owned()));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &key))
}

fn client(config: &WebhookConfig) -> Result<Client, UnusableWebhook> {
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        .connect_timeout(config.timeout)
        .timeout(config.timeout);
    if let Some(path) = &config.ca {
        let unusable = |cause: String| UnusableWebhook::Authority { path: path.clone(), cause };
        let pem = std::fs::read(path).map_err(|e| unusable(e.to_string()))?;
        let authorities =
            Certificate::from_pem_bundle(&pem).map_err(|e| unusable(e.to_string()))?;
        if authorities.is_empty() {
            return Err(unusable("it holds no certificate".to_owned()));
        }
        builder = builder.tls_certs_only(authorities);
    }
    builder.build().map_err(UnusableWebhook::Client)
}

fn usual_timeout() -> Duration {
    Duration::from_secs(5)
}

fn usual_severity() -> Severity {
    Severity::Medium
}

/// Standard Webhooks, "Symmetric": between 24 and 64 bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Some 250 KiB; more findings than anybody reads.
const QUEUE: usize = 256;
/// With the pauses, an attempt now and the last after a minute and a half.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
