//! A certificate authority of a test's own, and a certificate for loopback that it signed.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::peer::PeerError;
use crate::{Folder, Ran, program, run};

const NAME: &str = "openssl";

/// An authority that no machine trusts, with one server certificate for `localhost`, 127.0.0.1 and ::1.
#[derive(Debug)]
pub struct Authority {
    folder: Folder,
}

impl Authority {
    /// Makes the authority and the server's certificate, both valid for two days.
    ///
    /// Errors: [`PeerError::Missing`] where openssl is not installed.
    pub fn create() -> Result<Authority, PeerError> {
        let prepare = |action| PeerError::prepare(NAME, action);
        let folder = Folder::new().map_err(prepare("create a folder"))?;
        let extensions = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:0:0:0:0:0:0:0:1\n\
                          basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n";
        folder.write("server.ext", extensions).map_err(prepare("write the extensions"))?;
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let steps: [(&[&str], &[&str]); 3] = [
            (
                &["req", "-x509", "-days", "2", "-subj", "/CN=longshore test authority"],
                &["-keyout", "ca.key", "-out", "ca.pem", "-addext", "keyUsage=critical,keyCertSign"],
            ),
            (&["req", "-subj", "/CN=localhost"], &["-keyout", "server.key", "-out", "server.csr"]),
            (
                &[
                    "x509",
                    "-req",
                    "-in",
                    "server.csr",
                    "-CA",
                    "ca.pem",
                    "-CAkey",
                    "ca.key",
                    "-CAcreateserial",
                ],
                &["-days", "2", "-extfile", "server.ext", "-out", "server.pem"],
            ),
        ];
        for (index, (first, last)) in steps.into_iter().enumerate() {
            let mut command = Command::new(program(NAME)?);
            command.args(first).current_dir(folder.path());
            if index < 2 {
                command.args(curve);
            }
            run(command.args(last), Duration::from_secs(20))
                .and_then(Ran::succeeded)
                .map_err(|source| PeerError::Setup { name: NAME, source })?;
        }
        Ok(Authority { folder })
    }

    /// The authority's certificate (PEM): what a client has to trust.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// The server's certificate (PEM).
    #[must_use]
    pub fn server_certificate(&self) -> PathBuf {
        self.folder.join("server.pem")
    }

    /// The server's key (PEM).
    #[must_use]
    pub fn server_key(&self) -> PathBuf {
        self.folder.join("server.key")
    }
}
