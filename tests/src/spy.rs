//! Stands between the gate and its upstream and records every byte on its way there.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use dev_certificates::LocalAuthority;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A relay over TLS on both sides.
#[derive(Debug, Clone)]
pub struct Spy {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<u8>>>,
}

/// What the spy had seen at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    connections: usize,
    bytes: usize,
}

impl Spy {
    /// Relays to `upstream`.
    pub(crate) async fn start(authority: &LocalAuthority, upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let spy = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            seen: Arc::default(),
        };
        let acceptor = TlsAcceptor::from(Arc::new(server_config(authority)));
        let connector = TlsConnector::from(Arc::new(client_config(authority)));
        let watching = spy.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                watching.connections.fetch_add(1, Ordering::SeqCst);
                let (watching, acceptor, connector) =
                    (watching.clone(), acceptor.clone(), connector.clone());
                tokio::spawn(async move {
                    drop(watching.relay(stream, acceptor, connector, upstream).await);
                });
            }
        });
        spy
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything that went upstream so far, as text.
    pub fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }

    /// How much has reached the upstream by now.
    pub fn mark(&self) -> Mark {
        Mark {
            connections: self.connections.load(Ordering::SeqCst),
            bytes: self.seen.lock().unwrap().len(),
        }
    }

    async fn relay(
        &self,
        downstream: TcpStream,
        acceptor: TlsAcceptor,
        connector: TlsConnector,
        upstream: SocketAddr,
    ) -> std::io::Result<()> {
        let (mut from_gate, mut to_gate) = tokio::io::split(acceptor.accept(downstream).await?);
        let name = ServerName::from(upstream.ip());
        let upstream = connector.connect(name, TcpStream::connect(upstream).await?).await?;
        let (mut from_upstream, mut to_upstream) = tokio::io::split(upstream);
        let there = async {
            let mut buffer = vec![0; 16 * 1024];
            loop {
                let read = from_gate.read(&mut buffer).await?;
                let chunk = buffer.get(..read).unwrap_or_default();
                self.seen.lock().unwrap().extend_from_slice(chunk);
                if read == 0 {
                    return to_upstream.shutdown().await;
                }
                to_upstream.write_all(chunk).await?;
            }
        };
        let back = async { tokio::io::copy(&mut from_upstream, &mut to_gate).await.map(drop) };
        tokio::select! {
            outcome = there => outcome,
            outcome = back => outcome,
        }
    }
}

fn server_config(authority: &LocalAuthority) -> ServerConfig {
    let identity = authority.issue("spy").unwrap();
    let chain = vec![CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
    ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap()
}

fn client_config(authority: &LocalAuthority) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let certificate = authority.certificate_pem().as_bytes();
    roots.add(CertificateDer::from_pem_slice(certificate).unwrap()).unwrap();
    ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}
