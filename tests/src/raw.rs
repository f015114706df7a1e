//! A connection to the gate on which a test writes what it likes.

use std::{sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::Stack;

/// TLS, and nothing above it.
#[derive(Debug)]
pub struct RawConnection(TlsStream<TcpStream>);

impl RawConnection {
    /// Connects to the gate, offering HTTP/1.1.
    pub async fn open(stack: &Stack) -> std::io::Result<Self> {
        Self::showing(stack, None).await
    }

    /// The same with a certificate and its key, PEM.
    pub async fn showing(stack: &Stack, identity: Option<(&str, &str)>) -> std::io::Result<Self> {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(stack.home().join("ca.pem")).unwrap();
        roots.add(ca).unwrap();
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let tcp = TcpStream::connect(stack.gate()).await?;
        let name = ServerName::from(stack.gate().ip());
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map(Self)
    }

    /// The certificate that the gate shows.
    pub fn certificate(&self) -> Vec<u8> {
        let (_, connection) = self.0.get_ref();
        connection.peer_certificates().unwrap().first().unwrap().to_vec()
    }

    /// Writes these bytes.
    pub async fn write(&mut self, bytes: &str) -> std::io::Result<()> {
        self.0.write_all(bytes.as_bytes()).await?;
        self.0.flush().await
    }

    /// Reads what comes until the gate closes or says nothing more for a second.
    pub async fn read(&mut self) -> String {
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(Ok(count)) =
            tokio::time::timeout(Duration::from_secs(1), self.0.read(&mut buffer)).await
        {
            if count == 0 {
                break;
            }
            all.extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
        String::from_utf8_lossy(&all).into_owned()
    }
}
