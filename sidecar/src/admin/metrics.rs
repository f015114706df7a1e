//! `GET /metrics`: what there is to count, for Prometheus.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};

use super::Admin;
use crate::telemetry::{prometheus, readings};

/// Everything, as OpenMetrics text. Of callers nothing is in it but how many they are.
pub(super) async fn metrics(State(admin): State<Admin>) -> Response {
    match prometheus::text_of(readings::read(&admin.enforcer)) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
