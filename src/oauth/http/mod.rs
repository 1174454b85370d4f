//! The one HTTP client toward a provider: a deadline, a cap, TLS that is checked, no redirects.
//! Invariant: a request goes to the URL it was made for and nowhere else, and its caller has an
//! answer or an error within `timeout`. Whether anything was sent when it failed is in the error.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, StatusCode, header};
use reqwest::redirect;
use rustls::{CertificateError, InvalidMessage};
use serde_json::{Map, Value};
use tokio::time::Instant;
use url::{Url, form_urlencoded};

use super::error::Error;
use crate::jose::json;
use crate::origin::Origin;
use crate::secret::Secret;
use crate::telemetry::metrics::{ProviderEndpoint, ProviderMeter};
use crate::trust;

/// How a provider is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// From the first byte of the connection to the last of the answer.
    pub timeout: Duration,
    /// PEM text of authorities beside the system's roots.
    pub ca: Option<String>,
    /// The URL of the egress proxy, instead of the environment's; it may have a password in it.
    pub proxy: Option<Secret>,
}

/// A client that keeps no cookies, follows no redirects and believes no length.
#[derive(Debug)]
pub struct Http {
    /// For loopback: whatever proxy the environment names, it is not asked.
    direct: reqwest::Client,
    outward: reqwest::Client,
    timeout: Duration,
    meter: Option<&'static ProviderMeter>,
    /// Whether the last request was answered.
    answering: AtomicBool,
}

/// A whole answer.
pub struct HttpResponse {
    /// Its status.
    pub status: StatusCode,
    /// Its media type without parameters, in lower case; empty when it has none.
    pub media_type: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Http {
    /// A client for one provider.
    pub fn new(settings: HttpSettings) -> Result<Self, Error> {
        let tls = tls(settings.ca.as_deref())?;
        let builder = || {
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                // SECURITY: a redirect would carry secret, code or token elsewhere (SSRF too).
                .redirect(redirect::Policy::none())
                .retry(reqwest::retry::never())
                .connect_timeout(CONNECT_TIMEOUT.min(settings.timeout))
                // A code works once: it must not meet a connection that the provider has just closed.
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
            answering: AtomicBool::new(true),
        })
    }

    /// The same, with each request counted.
    #[must_use]
    pub fn counted_by(self, meter: &'static ProviderMeter) -> Self {
        Self { meter: Some(meter), ..self }
    }

    /// GET of a public document; one that fails is asked for once more, while there is time.
    pub async fn get(&self, endpoint: ProviderEndpoint, url: &Url) -> Result<HttpResponse, Error> {
        let once = || read(url, self.client(url).get(url.clone()));
        let patiently = async || match once().await {
            Ok(answer) if !answer.status.is_server_error() => Ok(answer),
            // What is too much once is too much twice.
            Err(oversized @ Error::Oversized { .. }) => Err(oversized),
            Ok(_) | Err(_) => once().await,
        };
        self.until(self.deadline(), endpoint, url, patiently()).await
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

    /// POST of a form, answered by `deadline`.
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

    /// Whether the last request was answered, by whichever endpoint; so it is taken to be before the first.
    pub fn is_answering(&self) -> bool {
        self.answering.load(Ordering::Relaxed)
    }

    /// When a request that begins now ends at the latest.
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
        answer: impl Future<Output = Result<HttpResponse, Error>>,
    ) -> Result<HttpResponse, Error> {
        let began = Instant::now();
        let answer = tokio::time::timeout_at(deadline, answer).await;
        if let Some(meter) = self.meter {
            meter.asked(endpoint, began.elapsed());
        }
        let answer = answer.unwrap_or_else(|_elapsed| {
            let within = deadline.duration_since(began).as_secs_f64();
            let cause = format!("nothing within {within:.1} s");
            Err(Error::AnswerLost { host: host(url), cause })
        });
        let fails = match &answer {
            Ok(answer) => Error::Status(answer.status).is_temporary(),
            Err(error) => error.is_temporary(),
        };
        self.answering.store(!fails, Ordering::Relaxed);
        answer
    }
}

impl HttpResponse {
    /// The body as a JSON object. The media type is not asked: providers mislabel, and what is no
    /// JSON cannot be read as such anyway.
    pub fn object(&self) -> Result<Map<String, Value>, Error> {
        // RFC 8259 §8.1 lets a reader ignore the mark.
        let body = self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body);
        json::object(body).map_err(|_| Error::Garbage("not a JSON object"))
    }

    /// When the server made it, by its own clock, since 1970 (RFC 9110 §6.6.1).
    pub fn date(&self) -> Option<Duration> {
        let date = httpdate::parse_http_date(self.text(header::DATE)?).ok()?;
        date.duration_since(UNIX_EPOCH).ok()
    }

    /// Where it leads to. Nobody goes there.
    pub fn location(&self) -> Option<&str> {
        self.text(header::LOCATION)
    }

    fn text(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// An answer that no network brought.
    #[cfg(test)]
    pub(super) fn of(status: u16, body: String) -> Self {
        let status = StatusCode::from_u16(status).unwrap();
        let headers = HeaderMap::new();
        Self { status, media_type: String::new(), headers, body: body.into_bytes() }
    }

    /// The body as it came.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

impl fmt::Debug for HttpResponse {
    // SECURITY: there may be tokens in the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpResponse({}, {:?}, {} bytes)", self.status, self.media_type, self.body.len())
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
        // SECURITY: a provider (or who poses as it) must not fill our memory.
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
    Ok(HttpResponse { status, media_type, headers, body })
}

/// Host and port, the scheme's own too: a wrong one is a common mistake.
fn host(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}:{port}", url.host_str().unwrap_or_default())
}

fn fault(host: String, error: reqwest::Error) -> Error {
    let unsent = error.is_connect() || error.is_builder();
    let cause = cause(&error.without_url());
    if unsent { Error::Unreachable { host, cause } } else { Error::AnswerLost { host, cause } }
}

/// The last words of a chain of errors, for those before it only say that something failed; and the
/// remedy, where it is the operator's.
fn cause(error: &(dyn StdError + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    // Whatever wraps it: the words are TLS's own, for an answer that is none of its records.
    let no_tls = rustls::Error::from(InvalidMessage::InvalidContentType).to_string();
    let remedy = match error.to_string() {
        _ if is_of_unknown_authority(error) => {
            ": name its authority, or the certificate itself, in `ca`"
        }
        words if words == no_tls => ": does it speak plain http:// there?",
        _ => "",
    };
    format!("{error}{remedy}")
}

/// Whether TLS ended at a certificate that neither the system's roots nor the operator's vouch for.
fn is_of_unknown_authority(error: &(dyn StdError + 'static)) -> bool {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        // `source` passes over what an `io::Error` holds.
        Some(held) => is_of_unknown_authority(held),
        None => {
            let told = error.downcast_ref();
            // The other is one that signs itself, and says that it is an authority.
            matches!(
                told,
                Some(rustls::Error::InvalidCertificate(
                    CertificateError::UnknownIssuer | CertificateError::Other(_)
                ))
            )
        }
    }
}

fn unusable(error: reqwest::Error) -> Error {
    Error::Settings(format!("cannot make a client: {}", cause(&error.without_url())))
}

/// Without ALPN it speaks HTTP/1.1, enough for one request each.
fn tls(ca: Option<&str>) -> Result<rustls::ClientConfig, Error> {
    let believing = trust::client(ca).map_err(|fault| {
        Error::Settings(match fault {
            trust::Fault::Authority(cause) => format!("ca: {cause}"),
            trust::Fault::Tls(cause) => cause,
        })
    })?;
    Ok(believing.with_no_client_auth())
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const BODY_LIMIT: usize = 1024 * 1024;

#[cfg(test)]
mod tests;
