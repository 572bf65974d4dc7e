//! Azure's Container Registry.
//!
//! A token of Microsoft Entra ID – by a client's secret, by a federated token (workload identity), or by the machine's managed
//! identity – is exchanged at the registry for a refresh token, which the registry's token server then takes.

use std::path::Path;

use longshore_http::header::HeaderName;
use longshore_http::{Request, Secret, Url};
use serde::Deserialize;

use super::cloud::{Provided, Surroundings, read};
use super::{Credential, CredentialError};
use crate::form::post;

const AUTHORITY: &str = "https://login.microsoftonline.com/";
const RESOURCE: &str = "https://containerregistry.azure.net/";
const METADATA: &str = "http://169.254.169.254/";
const METADATA_PATH: &str = "/metadata/identity/oauth2/token";
const API: &str = "Azure";

#[derive(Deserialize)]
struct Access {
    access_token: String,
}

#[derive(Deserialize)]
struct Refresh {
    refresh_token: String,
}

pub(super) fn is_registry(registry: &str) -> bool {
    [".azurecr.io", ".azurecr.cn", ".azurecr.us"].iter().any(|domain| registry.ends_with(domain))
}

pub(super) fn look_for(around: &Surroundings<'_>, base: &Url) -> Result<Provided, CredentialError> {
    let tenant = around.variable("AZURE_TENANT_ID");
    let (access, source) = match client(around, tenant)? {
        Some(request) => (around.ask::<Access>(API, &request)?, "AZURE_CLIENT_ID"),
        None => match around.ask_metadata(API, &identity(around)?)? {
            Some(access) => (access, "the machine's managed identity"),
            None => {
                let places = "AZURE_CLIENT_ID, AZURE_TENANT_ID with AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE, and \
                              the machine's managed identity";
                return Ok(Provided::Nothing(places));
            }
        },
    };
    let mut url = base.clone();
    url.set_path("/oauth2/exchange");
    let mut fields = vec![("grant_type", "access_token"), ("service", around.registry)];
    fields.extend(tenant.map(|tenant| ("tenant", tenant)));
    fields.push(("access_token", &access.access_token));
    let refresh: Refresh = around.ask(API, &post(url, &fields))?;
    Ok(Provided::Found(Credential::Identity(Secret::new(refresh.refresh_token)), source.to_owned()))
}

/// The request of a client that has an account of its own.
fn client(around: &Surroundings<'_>, tenant: Option<&str>) -> Result<Option<Request>, CredentialError> {
    let (Some(id), Some(tenant)) = (around.variable("AZURE_CLIENT_ID"), tenant) else { return Ok(None) };
    let authority = around.url("AZURE_AUTHORITY_HOST", AUTHORITY)?;
    let url = authority.join(&format!("/{tenant}/oauth2/v2.0/token")).map_err(|_| {
        CredentialError::Variable { name: "AZURE_TENANT_ID".to_owned(), expected: "a tenant's name" }
    })?;
    let scope = format!("{RESOURCE}.default");
    let mut fields = vec![("grant_type", "client_credentials"), ("client_id", id), ("scope", scope.as_str())];
    if let Some(secret) = around.variable("AZURE_CLIENT_SECRET") {
        fields.push(("client_secret", secret));
        return Ok(Some(post(url, &fields)));
    }
    let Some(path) = around.variable("AZURE_FEDERATED_TOKEN_FILE") else { return Ok(None) };
    let Some(token) = read(Path::new(path), true)? else { return Ok(None) };
    let token = String::from_utf8_lossy(&token).trim().to_owned();
    fields.push(("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
    fields.push(("client_assertion", &token));
    Ok(Some(post(url, &fields)))
}

/// The request to the metadata server for the machine's own identity.
fn identity(around: &Surroundings<'_>) -> Result<Request, CredentialError> {
    let mut url = around.url("AZURE_POD_IDENTITY_AUTHORITY_HOST", METADATA)?;
    url.set_path(METADATA_PATH);
    url.query_pairs_mut().append_pair("api-version", "2018-02-01").append_pair("resource", RESOURCE);
    if let Some(id) = around.variable("AZURE_CLIENT_ID") {
        url.query_pairs_mut().append_pair("client_id", id);
    }
    Ok(Request::get(url).text_header(HeaderName::from_static("metadata"), "true"))
}

#[cfg(test)]
mod tests {
    use longshore_testkit::{Answer, FaultServer, Folder, Reply};

    use super::*;
    use crate::credentials::testing::{look_for as look, variables};

    #[test]
    fn clients_and_machines_exchange_their_tokens_at_the_registry() {
        let server = FaultServer::start(|request| {
            let form = String::from_utf8_lossy(&request.body).into_owned();
            let scope = "scope=https%3A%2F%2Fcontainerregistry.azure.net%2F.default";
            let federated = "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
            let access = match request.target.as_str() {
                "/ten/oauth2/v2.0/token" if form == format!("grant_type=client_credentials&client_id=me&{scope}&client_secret=s") => "by-secret",
                "/ten/oauth2/v2.0/token" if form == format!("grant_type=client_credentials&client_id=me&{scope}&{federated}&client_assertion=jwt") => "by-file",
                "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fcontainerregistry.azure.net%2F"
                    if request.header("metadata") == Some("true") => "by-machine",
                "/oauth2/exchange" => {
                    let start = "grant_type=access_token&service=own.azurecr.io&";
                    let token = form.strip_prefix(start).and_then(|rest| rest.rsplit_once("access_token="));
                    let token = token.map_or("wrong", |(_, token)| token);
                    return Reply::Answer(Answer::new(200, format!(r#"{{"refresh_token":"refresh-{token}"}}"#)));
                }
                _ => return Reply::Answer(Answer::new(401, r#"{"error_description":"AADSTS7000215"}"#)),
            };
            Reply::Answer(Answer::new(200, format!(r#"{{"access_token":"{access}"}}"#)))
        })
        .unwrap();
        let folder = Folder::new().unwrap();
        let file = folder.write("token", "jwt\n").unwrap().display().to_string();
        let (authority, machine) = (server.url(), server.url());
        let client = [
            ("AZURE_CLIENT_ID", "me"),
            ("AZURE_TENANT_ID", "ten"),
            ("AZURE_AUTHORITY_HOST", authority.as_str()),
        ];
        for (own, expected) in [
            ([&client[..], &[("AZURE_CLIENT_SECRET", "s")]].concat(), "identity refresh-by-secret"),
            ([&client[..], &[("AZURE_FEDERATED_TOKEN_FILE", &file)]].concat(), "identity refresh-by-file"),
            (vec![("AZURE_POD_IDENTITY_AUTHORITY_HOST", machine.as_str())], "identity refresh-by-machine"),
            (vec![("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1/")], "nothing"),
            (
                [&client[..], &[("AZURE_CLIENT_SECRET", "x")]].concat(),
                "Azure refuses: 401 Unauthorized: AADSTS7000215",
            ),
        ] {
            let base = format!("{}/v2/", server.url());
            assert_eq!(look("own.azurecr.io", &variables(&own), &base), expected);
        }
        assert!(!is_registry("azurecr.io.evil.example") && is_registry("own.azurecr.io"));
    }
}
