//! Certificates and keys, read from PEM files.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

/// A file does not hold what it should.
#[derive(Debug, thiserror::Error)]
#[error("`{path}`: {cause}")]
pub struct UnusablePem {
    path: PathBuf,
    cause: String,
}

impl UnusablePem {
    fn new(path: &Path, cause: impl ToString) -> Self {
        Self { path: path.to_owned(), cause: cause.to_string() }
    }
}

/// The certificates in a file, of which there is at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, UnusablePem> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if certificates.is_empty() => {
            Err(UnusablePem::new(path, "it holds no certificate"))
        }
        Ok(certificates) => Ok(certificates),
        Err(cause) => Err(UnusablePem::new(path, cause)),
    }
}

/// The same as authorities to trust.
pub(crate) fn roots(path: &Path) -> Result<RootCertStore, UnusablePem> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(path)? {
        roots.add(authority).map_err(|cause| UnusablePem::new(path, cause))?;
    }
    Ok(roots)
}

/// The private key in a file.
pub(crate) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, UnusablePem> {
    PrivateKeyDer::from_pem_file(path).map_err(|cause| UnusablePem::new(path, cause))
}
