use std::sync::Arc;

use axum_server::tls_rustls::RustlsConfig;
use dev_certificates::LocalAuthority;
use harness::{Stack, scripted::Scripted};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use serde_json::json;

fn lister() -> Scripted {
    Scripted::new(|sent| {
        let tools = json!([{ "name": "get_customer_info" }, { "name": "calculate_account_value" }]);
        sent.result(&json!({ "tools": tools }))
    })
}

#[tokio::test]
async fn an_upstream_behind_a_unix_socket_is_reached() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("mcp.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let upstream = lister();
    let router = upstream.router();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let stack = Stack::with()
        .unguarded()
        .upstream_url("http://mcp.internal/mcp")
        .upstream_settings(&format!("socket = {socket:?}\n"))
        .start()
        .await;
    let reply = stack.caller("customer:read").request("tools/list", json!({})).await;
    assert_eq!(reply.tool_names(), ["get_customer_info"], "{}", reply.body);
    let sent = upstream.sent().pop().unwrap();
    assert_eq!(sent.header("host"), Some("mcp.internal"));
    assert!(sent.header("authorization").unwrap().starts_with("Bearer "), "the gate's assertion");

    std::fs::remove_file(&socket).unwrap();
    let stack_without = Stack::with()
        .upstream_url("http://mcp.internal/mcp")
        .upstream_settings(&format!("socket = {socket:?}\n"))
        .start()
        .await;
    let reply = stack_without.caller("").request("tools/list", json!({})).await;
    assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (502, "upstream-unreachable"));
    stack_without.finish().await;
    stack.finish().await;
}

/// Serves `router` to whoever shows a certificate of `authority`'s; yields its URL.
async fn serve_to_known_clients(authority: &LocalAuthority, router: axum::Router) -> String {
    let mut roots = RootCertStore::empty();
    let pem = authority.certificate_pem().as_bytes();
    roots.add(CertificateDer::from_pem_slice(pem).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let identity = authority.issue("upstream").unwrap();
    let chain = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
    let config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![chain], key)
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("https://{}/mcp", listener.local_addr().unwrap());
    let tls = RustlsConfig::from_config(Arc::new(config));
    let server = axum_server::from_tcp_rustls(listener, tls).unwrap();
    tokio::spawn(async move { server.serve(router.into_make_service()).await.unwrap() });
    url
}

#[tokio::test]
async fn an_upstream_that_asks_for_a_certificate_is_shown_one() {
    let authority = LocalAuthority::generate().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let own = authority.issue("the-gate").unwrap();
    let (certificate, key) = (file("c.pem", &own.certificate_pem), file("k.pem", &own.key_pem));
    let ca = file("ca.pem", authority.certificate_pem());
    let url = serve_to_known_clients(&authority, lister().router()).await;
    let identity = format!("client_certificate = {certificate:?}\nclient_key = {key:?}\n");
    for (shown, status) in [(identity.as_str(), 200), ("", 502)] {
        let stack = Stack::with().upstream_url(&url).upstream_ca(&ca).upstream_settings(shown);
        let stack = stack.start().await;
        let reply = stack.caller("").request("tools/list", json!({})).await;
        assert_eq!(reply.status, status, "{}", reply.body);
        stack.finish().await;
    }
}
