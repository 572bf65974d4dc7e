//! Which certificates are trusted, and which the client shows.
//!
//! The system's trust store comes first, as OpenSSL finds it; where a system has none, Mozilla's list, which is built in. Files
//! that the settings name are trusted beside it.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use reqwest::{Certificate, ClientBuilder, Identity};

use crate::error::HttpErrorKind;
use crate::settings::{HostTls, HttpSettings};

/// Sets up TLS for one host.
pub(crate) fn configure(
    builder: ClientBuilder,
    settings: &HttpSettings,
    host: &str,
) -> Result<ClientBuilder, HttpErrorKind> {
    install_provider();
    let own = host_tls(settings, host)?;
    let mut certificates = system_certificates()?.to_vec();
    for path in settings.authorities.iter().chain(&own.authorities) {
        certificates.extend(read_bundle(path)?);
    }
    let mut builder = builder.tls_backend_rustls().tls_certs_only(certificates);
    if let Some((certificate, key)) = &own.identity {
        builder = builder.identity(read_identity(certificate, key)?);
    }
    if matches_host(settings.unverified_hosts.iter().map(String::as_str), host) {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    Ok(builder)
}

/// Sets up a client that speaks no TLS: what it would need is not loaded.
pub(crate) fn none(builder: ClientBuilder) -> ClientBuilder {
    install_provider();
    builder.tls_backend_rustls().tls_certs_only([])
}

fn install_provider() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        // Fails where one is installed already, which is then as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// Errors: the environment names a trust store that cannot be read.
fn system_certificates() -> Result<&'static [Certificate], HttpErrorKind> {
    static CERTIFICATES: OnceLock<Result<Vec<Certificate>, String>> = OnceLock::new();
    let certificates = CERTIFICATES.get_or_init(|| {
        let native = rustls_native_certs::load_native_certs();
        let parse = |der: &[u8]| Certificate::from_der(der).ok();
        let certificates: Vec<_> = native.certs.iter().filter_map(|der| parse(der)).collect();
        match native.errors.first() {
            // A few files that cannot be read among many are the system's affair; a store that gives nothing is not.
            Some(error) if certificates.is_empty() => Err(error.to_string()),
            _ if certificates.is_empty() => {
                Ok(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().filter_map(|der| parse(der)).collect())
            }
            _ => Ok(certificates),
        }
    });
    certificates.as_deref().map_err(|error| HttpErrorKind::TrustStore(error.clone()))
}

/// TLS for a host: what the settings say, and the engines' folders of certificates.
fn host_tls(settings: &HttpSettings, host: &str) -> Result<HostTls, HttpErrorKind> {
    let name = without_port(host);
    let mut tls = settings.hosts.get(host).or_else(|| settings.hosts.get(name)).cloned().unwrap_or_default();
    for folder in &settings.host_folders {
        let candidates = [folder.join(host), folder.join(name)];
        if let Some(folder) = candidates.iter().find(|folder| folder.is_dir()) {
            add_folder(&mut tls, folder)?;
        }
    }
    Ok(tls)
}

/// containers-certs.d(5): every `*.crt` is an authority, every `*.cert` a client's certificate with a `*.key` of the same name.
fn add_folder(tls: &mut HostTls, folder: &Path) -> Result<(), HttpErrorKind> {
    let unusable = |source: std::io::Error| HttpErrorKind::Certificates {
        path: folder.to_owned(),
        source: source.into(),
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unusable)? {
        files.push(entry.map_err(unusable)?.path());
    }
    files.sort();
    for file in files {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => tls.authorities.push(file),
            Some("cert") if tls.identity.is_none() => {
                let key = file.with_extension("key");
                if key.is_file() {
                    tls.identity = Some((file, key));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn read_bundle(path: &Path) -> Result<Vec<Certificate>, HttpErrorKind> {
    let certificates = Certificate::from_pem_bundle(&read(path)?).map_err(|source| {
        HttpErrorKind::Certificates { path: path.to_owned(), source: Box::new(source.without_url()) }
    })?;
    if certificates.is_empty() {
        let source = "there is no PEM certificate in it".into();
        return Err(HttpErrorKind::Certificates { path: path.to_owned(), source });
    }
    Ok(certificates)
}

fn read_identity(certificate: &Path, key: &Path) -> Result<Identity, HttpErrorKind> {
    let mut pem = read(certificate)?;
    pem.push(b'\n');
    pem.extend(read(key)?);
    Identity::from_pem(&pem).map_err(|source| HttpErrorKind::Certificates {
        path: certificate.to_owned(),
        source: Box::new(source.without_url()),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, HttpErrorKind> {
    fs::read(path)
        .map_err(|source| HttpErrorKind::Certificates { path: path.to_owned(), source: source.into() })
}

pub(crate) fn matches_host<'a>(mut names: impl Iterator<Item = &'a str>, host: &str) -> bool {
    names.any(|name| name == host || name == without_port(host))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !port.is_empty() => name,
        _ => host,
    }
}
