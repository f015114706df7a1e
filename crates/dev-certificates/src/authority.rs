//! The authority and the identities it issues: P-256 keys, loopback names, short lives.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

use crate::CertificateError;

/// A certificate authority whose certificates are good for loopback names only.
#[derive(Debug)]
pub struct LocalAuthority {
    certificate_pem: String,
    key_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate chain and its private key, both PEM.
pub struct Identity {
    /// The leaf certificate.
    pub certificate_pem: String,
    /// PKCS#8 private key; a secret.
    pub key_pem: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl LocalAuthority {
    /// Makes a new authority, good for a year.
    pub fn generate() -> Result<Self, CertificateError> {
        let failed = |e| CertificateError::new("cannot make a certificate authority", e);
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Cedargate local development CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        live_for(&mut params, AUTHORITY_DAYS);
        let key = KeyPair::generate().map_err(failed)?;
        let key_pem = key.serialize_pem();
        let certificate_pem = params.self_signed(&key).map_err(failed)?.pem();
        Ok(Self { certificate_pem, key_pem, issuer: Issuer::new(params, key) })
    }

    /// Takes up an authority that [`generate`](Self::generate) made earlier.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, CertificateError> {
        let failed = |e| CertificateError::new("cannot read the certificate authority", e);
        let key = KeyPair::from_pem(key_pem).map_err(failed)?;
        let issuer = Issuer::from_ca_cert_pem(certificate_pem, key).map_err(failed)?;
        Ok(Self {
            certificate_pem: certificate_pem.to_owned(),
            key_pem: key_pem.to_owned(),
            issuer,
        })
    }

    /// The certificate that clients are to trust.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The private key of the authority; a secret.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Issues an identity for `localhost`, `127.0.0.1` and `::1`, good for ninety days.
    pub fn issue(&self, common_name: &str) -> Result<Identity, CertificateError> {
        let failed = |e| CertificateError::new("cannot issue a certificate", e);
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).map_err(failed)?;
        params.subject_alt_names.extend([
            SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        ]);
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        live_for(&mut params, LEAF_DAYS);
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Identity { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }
}

/// Seconds since the epoch at which the first certificate in `pem` expires.
pub(crate) fn expires_at(pem: &str) -> Result<i64, CertificateError> {
    let failed = |e: String| CertificateError::new("cannot read a certificate", e);
    let (_, block) =
        x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(|e| failed(e.to_string()))?;
    let certificate = block.parse_x509().map_err(|e| failed(e.to_string()))?;
    Ok(certificate.validity().not_after.timestamp())
}

fn live_for(params: &mut CertificateParams, days: i64) {
    let now = OffsetDateTime::now_utc();
    // An hour back, for neighbours whose clock lags.
    params.not_before = now - Duration::hours(1);
    params.not_after = now + Duration::days(days);
}

const AUTHORITY_DAYS: i64 = 365;
const LEAF_DAYS: i64 = 90;
