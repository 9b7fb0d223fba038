//! Encryption: whose certificates are trusted, and whose arithmetic is used. The arithmetic is graviola's, as for images
//! that are fetched: it needs no C compiler to build, but some instructions to run.

use super::HubError;
use std::path::Path;
use std::sync::Arc;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

/// Encryption that trusts the certificates in a PEM file, or else the built-in ones (Mozilla's).
///
/// Errors: the file cannot be read or holds no certificate.
pub fn config(certificates: Option<&Path>) -> Result<TlsConfig, HubError> {
    let mut config = TlsConfig::builder().root_certs(RootCerts::WebPki);
    if let Some(path) = certificates {
        config = config.root_certs(trusted(path)?);
    }
    if missing_instruction().is_none() {
        config = config
            .unversioned_rustls_crypto_provider(Arc::new(rustls_graviola::default_provider()));
    }
    Ok(config.build())
}

fn trusted(path: &Path) -> Result<RootCerts, HubError> {
    let pem =
        std::fs::read(path).map_err(|e| HubError::disk("read the certificates in", path, e))?;
    let trusted: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if trusted.is_empty() {
        return Err(HubError::Setup {
            what: format!("there is no certificate in {}", path.display()),
            advice:
                "Unset SSL_CERT_FILE, REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE, or name a PEM file"
                    .to_owned(),
        });
    }
    Ok(RootCerts::new_with_certs(&trusted))
}

/// Why there can be no encryption here: an instruction that this processor lacks.
#[cfg(target_arch = "x86_64")]
pub fn missing_instruction() -> Option<&'static str> {
    use std::arch::is_x86_feature_detected as has;
    let needed = [
        ("ADX", has!("adx")),
        ("AES", has!("aes")),
        ("AVX2", has!("avx2")),
        ("BMI1", has!("bmi1")),
        ("PCLMULQDQ", has!("pclmulqdq")),
    ];
    needed
        .into_iter()
        .find(|(_, there)| !there)
        .map(|(name, _)| name)
}

/// Why there can be no encryption here: an instruction that this processor lacks.
#[cfg(target_arch = "aarch64")]
pub fn missing_instruction() -> Option<&'static str> {
    use std::arch::is_aarch64_feature_detected as has;
    let needed = [
        ("AES", has!("aes")),
        ("PMULL", has!("pmull")),
        ("SHA2", has!("sha2")),
    ];
    needed
        .into_iter()
        .find(|(_, there)| !there)
        .map(|(name, _)| name)
}
