//! HTTP client for requests to a provider, with a timeout, a size limit and verified TLS, without redirects.
//! Invariant: a request is sent only to its URL, and its caller gets a response or an error within `timeout`. The
//! error says whether the request may have been sent.

mod response;
mod tls;

use std::error::Error as StdError;
use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderMap, header};
use reqwest::redirect;
use rustls::{CertificateError, InvalidMessage};
use serde_json::Value;
use tokio::time::Instant;
use url::{Url, form_urlencoded};

pub use response::HttpResponse;

use crate::oauth::client_auth::ClientCertificate;
use crate::oauth::error::Error;
use crate::oauth::error_form::ErrorForm;
use crate::origin::Origin;
use crate::secret::Secret;
use crate::telemetry::metrics::{ProviderEndpoint, ProviderMeter};

/// How to reach a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// Limit from the start of the connection to the end of the response.
    pub timeout: Duration,
    /// PEM text of authorities to trust, in addition to the system's roots.
    pub ca: Option<String>,
    /// The URL of the egress proxy, instead of the environment's. It may contain a password.
    pub proxy: Option<Secret>,
    /// The certificate for servers that request one.
    pub certificate: Option<ClientCertificate>,
}

/// An HTTP client without cookies and redirects.
#[derive(Debug)]
pub struct Http {
    /// For loopback, without any proxy.
    direct: reqwest::Client,
    outward: reqwest::Client,
    timeout: Duration,
    meter: Option<Arc<ProviderMeter>>,
    errors: ErrorForm,
    /// Whether the last request succeeded.
    answering: AtomicBool,
}

impl Http {
    /// A client for one provider.
    pub fn new(settings: HttpSettings) -> Result<Self, Error> {
        let tls = tls::client(settings.ca.as_deref(), settings.certificate.as_ref())?;
        let builder = || {
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                // SECURITY: a redirect would send secret, code or token to another server (and SSRF).
                .redirect(redirect::Policy::none())
                .retry(reqwest::retry::never())
                .connect_timeout(CONNECT_TIMEOUT.min(settings.timeout))
                // A code is sent once, so not on a connection that the provider may just have closed.
                .pool_max_idle_per_host(0)
                .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
        };
        let outward = match &settings.proxy {
            None => builder(),
            Some(proxy) => builder().proxy(reqwest::Proxy::all(proxy.expose()).map_err(unusable)?),
        };
        Ok(Self {
            direct: builder().no_proxy().build().map_err(unusable)?,
            outward: outward.build().map_err(unusable)?,
            timeout: settings.timeout,
            meter: None,
            errors: ErrorForm::Standard,
            answering: AtomicBool::new(true),
        })
    }

    /// Counts each request with this meter.
    #[must_use]
    pub fn counted_by(self, meter: Arc<ProviderMeter>) -> Self {
        Self { meter: Some(meter), ..self }
    }

    /// Reads errors in this form.
    #[must_use]
    pub fn with_errors(self, errors: ErrorForm) -> Self {
        Self { errors, ..self }
    }

    /// GET of a public document, with one retry within the timeout.
    pub async fn get(&self, endpoint: ProviderEndpoint, url: &Url) -> Result<HttpResponse, Error> {
        let once = || read(url, self.client(url).get(url.clone()));
        let with_retry = async || match once().await {
            Ok(response) if !response.status.is_server_error() => Ok(response),
            // A retry would be too large as well.
            Err(oversized @ Error::Oversized { .. }) => Err(oversized),
            Ok(_) | Err(_) => once().await,
        };
        self.until(self.deadline(), endpoint, url, with_retry()).await
    }

    /// GET of a protected resource (RFC 6750 §2.1).
    pub async fn get_with_token(
        &self,
        endpoint: ProviderEndpoint,
        url: &Url,
        token: &Secret,
    ) -> Result<HttpResponse, Error> {
        let request = self.client(url).get(url.clone()).bearer_auth(token.expose());
        self.until(self.deadline(), endpoint, url, read(url, request)).await
    }

    /// GET of a protected resource with more header fields, which ends at `deadline`.
    pub async fn get_resource(
        &self,
        endpoint: ProviderEndpoint,
        url: &Url,
        token: &Secret,
        headers: &[(&'static str, &'static str)],
        deadline: Instant,
    ) -> Result<HttpResponse, Error> {
        let mut request = self.client(url).get(url.clone()).bearer_auth(token.expose());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.until(deadline, endpoint, url, read(url, request)).await
    }

    /// POST of a form, which ends at `deadline`.
    pub async fn post(
        &self,
        endpoint: ProviderEndpoint,
        url: &Url,
        headers: HeaderMap,
        form: &[(&str, &str)],
        deadline: Instant,
    ) -> Result<HttpResponse, Error> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self
            .client(url)
            .post(url.clone())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .headers(headers)
            .body(body);
        self.until(deadline, endpoint, url, read(url, request)).await
    }

    /// DELETE with a JSON body, which ends at `deadline`.
    pub async fn delete(
        &self,
        endpoint: ProviderEndpoint,
        url: &Url,
        headers: HeaderMap,
        body: &Value,
        deadline: Instant,
    ) -> Result<HttpResponse, Error> {
        let request = self
            .client(url)
            .delete(url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .headers(headers)
            .body(body.to_string());
        self.until(deadline, endpoint, url, read(url, request)).await
    }

    /// Whether the last request succeeded, at any endpoint. True before the first one.
    pub fn is_answering(&self) -> bool {
        self.answering.load(Ordering::Relaxed)
    }

    /// The deadline of a request that starts now.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    fn client(&self, url: &Url) -> &reqwest::Client {
        let loopback = Origin::of(url).is_some_and(|origin| origin.is_loopback());
        if loopback { &self.direct } else { &self.outward }
    }

    async fn until(
        &self,
        deadline: Instant,
        endpoint: ProviderEndpoint,
        url: &Url,
        response: impl Future<Output = Result<HttpResponse, Error>>,
    ) -> Result<HttpResponse, Error> {
        let began = Instant::now();
        let result = tokio::time::timeout_at(deadline, response).await;
        if let Some(meter) = &self.meter {
            meter.requested(endpoint, began.elapsed());
        }
        let result = result.unwrap_or_else(|_elapsed| {
            let within = deadline.duration_since(began).as_secs_f64();
            let cause = format!("timed out after {within:.1} s");
            Err(Error::AnswerLost { host: host(url), cause })
        });
        let fails = match &result {
            Ok(response) => Error::Status(response.status).is_temporary(),
            Err(error) => error.is_temporary(),
        };
        // Users can sign in without their groups.
        if endpoint != ProviderEndpoint::Groups {
            self.answering.store(!fails, Ordering::Relaxed);
        }
        result.map(|response| HttpResponse { errors: self.errors, ..response })
    }
}

async fn read(url: &Url, request: reqwest::RequestBuilder) -> Result<HttpResponse, Error> {
    let lost = |error| fault(host(url), error);
    let request = request.header(header::ACCEPT, "application/json");
    let mut response = request.send().await.map_err(lost)?;
    let oversized = || Error::Oversized { host: host(url), limit: BODY_LIMIT };
    if response.content_length().is_some_and(|length| length > BODY_LIMIT as u64) {
        return Err(oversized());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(lost)? {
        // SECURITY: a provider, or an attacker in its place, must not exhaust the memory.
        if body.len().saturating_add(chunk.len()) > BODY_LIMIT {
            return Err(oversized());
        }
        body.extend_from_slice(&chunk);
    }
    let media_type = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_ascii_lowercase())
        .unwrap_or_default();
    let (status, headers) = (response.status(), mem::take(response.headers_mut()));
    Ok(HttpResponse { status, media_type, errors: ErrorForm::Standard, headers, body })
}

/// Host and port, also the default one, because a wrong port is a common mistake.
fn host(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}:{port}", url.host_str().unwrap_or_default())
}

fn fault(host: String, error: reqwest::Error) -> Error {
    let unsent = error.is_connect() || error.is_builder();
    let cause = cause(&error.without_url());
    if unsent { Error::Unreachable { host, cause } } else { Error::AnswerLost { host, cause } }
}

/// The innermost error of a chain, because the outer ones only say that something failed, with a hint for
/// common mistakes.
fn cause(error: &(dyn StdError + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    // Compared by its text, because other errors wrap it. TLS reports it for a plain HTTP response.
    let no_tls = rustls::Error::from(InvalidMessage::InvalidContentType).to_string();
    let remedy = match error.to_string() {
        _ if is_of_unknown_authority(error) => ": add the certificate of its authority to `ca`",
        text if text == no_tls => ": the server may use http:// on this port",
        _ => "",
    };
    format!("{error}{remedy}")
}

/// Whether TLS failed because no trusted authority signed the certificate.
fn is_of_unknown_authority(error: &(dyn StdError + 'static)) -> bool {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        // `source` skips the inner error of an `io::Error`.
        Some(held) => is_of_unknown_authority(held),
        None => {
            let inner = error.downcast_ref();
            // `Other` is a self-signed certificate of an authority.
            matches!(
                inner,
                Some(rustls::Error::InvalidCertificate(
                    CertificateError::UnknownIssuer | CertificateError::Other(_)
                ))
            )
        }
    }
}

fn unusable(error: reqwest::Error) -> Error {
    Error::Settings(format!("cannot create an HTTP client: {}", cause(&error.without_url())))
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const BODY_LIMIT: usize = 1024 * 1024;

#[cfg(test)]
mod tests;
