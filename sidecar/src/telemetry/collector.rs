//! A collector that takes OTLP over HTTP (OTLP 1, OTLP/HTTP).

use std::{path::PathBuf, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use reqwest::{Certificate, Client, redirect};
use url::Url;

use crate::config::TelemetryConfig;

/// Where telemetry is sent, and with which headers.
#[derive(Clone)]
pub(super) struct Collector {
    http: Client,
    base: Arc<Url>,
}

/// The collector cannot be reached as configured.
#[derive(Debug, thiserror::Error)]
pub enum UnusableTelemetry {
    /// A file that is named cannot be used.
    #[error("cannot use `{path}` (`telemetry.{key}`): {cause}")]
    File {
        /// Which key names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What was wrong, without what the file holds.
        cause: String,
    },
    /// The HTTP client could not be made.
    #[error("cannot make an HTTP client for telemetry: {0}")]
    Client(#[from] reqwest::Error),
}

/// Why the collector did not take something.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTaken {
    #[error("it cannot be reached: {0}")]
    Exchange(#[from] reqwest::Error),
    #[error("it answered {0}")]
    Status(StatusCode),
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Collector {
    pub(super) fn new(config: &TelemetryConfig) -> Result<Self, UnusableTelemetry> {
        let unusable = |key, path: &PathBuf, cause: String| UnusableTelemetry::File {
            key,
            path: path.clone(),
            cause,
        };
        let mut headers = match &config.headers {
            None => HeaderMap::new(),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|cause| cause.to_string());
                let read = text.and_then(|text| headers_in(&text));
                read.map_err(|cause| unusable("headers_file", path, cause))?
            }
        };
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        headers.insert(header::CONTENT_TYPE, protobuf);
        let mut http = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(config.timeout.min(CONNECT_TIMEOUT))
            .timeout(config.timeout)
            .default_headers(headers);
        if let Some(path) = &config.ca {
            let pem = std::fs::read(path).map_err(|cause| cause.to_string());
            let read = pem.and_then(|pem| {
                Certificate::from_pem_bundle(&pem).map_err(|cause| cause.to_string())
            });
            let some = read.and_then(|read| match read.is_empty() {
                true => Err("it holds no certificate".to_owned()),
                false => Ok(read),
            });
            http = http.tls_certs_only(some.map_err(|cause| unusable("ca", path, cause))?);
        }
        let mut base = config.endpoint.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        Ok(Self { http: http.build()?, base: Arc::new(base) })
    }

    /// Sends one message. Of the answer nothing but its status is read.
    pub(super) async fn post(&self, path: &str, body: Vec<u8>) -> Result<(), NotTaken> {
        let mut url = (*self.base).clone();
        url.set_path(&format!("{}{path}", self.base.path()));
        let answer = self.http.post(url).body(body).send().await;
        let status = answer.map_err(reqwest::Error::without_url)?.status();
        if status.is_success() { Ok(()) } else { Err(NotTaken::Status(status)) }
    }
}

/// A header a line, `name: value`; empty lines and those that begin with `#` count for nothing.
fn headers_in(text: &str) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let header = line.split_once(':').and_then(|(name, value)| {
            let mut value = HeaderValue::try_from(value.trim()).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::try_from(name.trim()).ok()?, value))
        });
        let (name, value) = header.ok_or(format!("line {number} is not `name: value`"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_secrets_one_a_line() {
        let read = headers_in("# for the collector\n\nx-api-key: s3cr3t\nTenant:a: b\n").unwrap();
        assert_eq!(
            (read["x-api-key"].as_bytes(), read["tenant"].as_bytes()),
            (&b"s3cr3t"[..], &b"a: b"[..])
        );
        assert!(!format!("{read:?}").contains("s3cr3t"), "{read:?}");
        for (wrong, told) in [("s3cr3t", "line 1"), ("a: b\nx y: s3cr3t", "line 2")] {
            let cause = headers_in(wrong).unwrap_err();
            assert!(cause.contains(told) && !cause.contains("s3cr3t"), "{cause}");
        }
    }
}
