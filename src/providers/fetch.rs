//! Lists in the API of a provider: pages, a JSON pointer to the list of each, and a template for its items.
//! Invariants: a list is whole, or an error: its pages, bytes and time are bounded, and a part is never taken for the
//! whole. The access token is sent in `Authorization` only, and only to the origin of the first page.
//! Source: RFC 8288 for `Link`, RFC 6901 for pointers.

use http::StatusCode;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use crate::oauth;
use crate::oauth::http::{Http, HttpResponse};
use crate::origin::Origin;
use crate::secret::Secret;
use crate::telemetry::metrics::ProviderEndpoint;

/// One list.
#[derive(Clone, Copy, Debug)]
pub struct Fetch {
    /// The path and query of its first page, below the base of the API. `{NAME}` is a value, percent-encoded.
    pub path: &'static str,
    /// The JSON pointer of the list in a page; empty if the page is the list.
    pub list: &'static str,
    /// The text of an item. `{/POINTER}` is a member of it, and `{}` the item itself.
    pub item: &'static str,
    /// How to get the next page.
    pub paging: Paging,
}

/// How to get the next page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    /// There is one page.
    None,
    /// The URL is in the header field `Link` with `rel="next"` (RFC 8288).
    Link,
    /// The URL is at this JSON pointer of the page.
    BodyNext(&'static str),
    /// A token at the JSON pointer `field` becomes the query parameter `parameter`.
    PageToken {
        /// The pointer.
        field: &'static str,
        /// The parameter.
        parameter: &'static str,
    },
}

/// Why a list is not available.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The request failed.
    #[error(transparent)]
    OAuth(#[from] oauth::error::Error),
    /// The API rejects the access token.
    #[error("{path}: the API rejected the access token (status 401)")]
    Rejected {
        /// The path of the request.
        path: String,
    },
    /// Another status than 200.
    #[error("{path}: unexpected status {}{}", .status.as_u16(), .advice)]
    Status {
        /// The path of the request.
        path: String,
        /// The status.
        status: StatusCode,
        /// What to do.
        advice: &'static str,
    },
    /// A page has another form than documented.
    #[error("{path}: {fault}")]
    Form {
        /// The path of the request.
        path: String,
        /// What is wrong.
        fault: &'static str,
    },
    /// The next page is elsewhere.
    #[error("{path}: the next page is at another origin, which does not get the access token")]
    Foreign {
        /// The path of the request.
        path: String,
    },
    /// The list is too long.
    #[error("{path}: more than {MOST_PAGES} pages or {MOST_BYTES} bytes")]
    TooLong {
        /// The path of the request.
        path: String,
    },
}

impl FetchError {
    /// Whether the same request may succeed later without any change.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::OAuth(error) => error.is_temporary(),
            Self::Status { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Rejected { .. }
            | Self::Form { .. }
            | Self::Foreign { .. }
            | Self::TooLong { .. } => false,
        }
    }
}

/// The API of a provider, for the requests of one sign-in or refresh.
#[derive(Debug)]
pub(super) struct ApiRequests<'a> {
    http: &'a Http,
    base: &'a Url,
    token: &'a Secret,
    headers: &'static [(&'static str, &'static str)],
    deadline: Instant,
    pages: usize,
    bytes: usize,
}

impl<'a> ApiRequests<'a> {
    /// Requests below `base` with this access token. Together they end within the provider's `timeout`.
    pub(super) fn new(
        http: &'a Http,
        base: &'a Url,
        token: &'a Secret,
        headers: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self { http, base, token, headers, deadline: http.deadline(), pages: 0, bytes: 0 }
    }

    /// All items of a list.
    pub(super) async fn items(
        &mut self,
        fetch: &Fetch,
        values: &[(&str, &str)],
    ) -> Result<Vec<String>, FetchError> {
        let mut items = Vec::new();
        self.pages_of(fetch, values, |item| {
            items.push(text_of(fetch.item, item)?);
            Some(())
        })
        .await?;
        Ok(items)
    }

    /// Calls `each` with each item of a list. `None` from it: the item has another form than documented.
    pub(super) async fn pages_of(
        &mut self,
        fetch: &Fetch,
        values: &[(&str, &str)],
        mut each: impl FnMut(&Value) -> Option<()>,
    ) -> Result<(), FetchError> {
        let first = self.url(fetch.path, values)?;
        let mut next = Some(first.clone());
        while let Some(url) = next {
            let path = url.path().to_owned();
            let form = |fault| FetchError::Form { path: path.clone(), fault };
            let response = self.get(&url).await?;
            let body = response.value().map_err(|_| form("the answer is not JSON"))?;
            let list = body.pointer(fetch.list).and_then(Value::as_array);
            for item in list.ok_or(form("the answer has no list"))? {
                each(item).ok_or(form("an item of the list has another form"))?;
            }
            next = following(fetch.paging, &url, &response, &body)
                .map_err(|()| form("the URL of the next page is none"))?;
            // SECURITY: the access token must not go elsewhere, whatever the API answers.
            if next.as_ref().is_some_and(|next| Origin::of(next) != Origin::of(&first)) {
                return Err(FetchError::Foreign { path });
            }
        }
        Ok(())
    }

    /// The answer to one request, which must have status 200.
    pub(super) async fn get(&mut self, url: &Url) -> Result<HttpResponse, FetchError> {
        let path = || url.path().to_owned();
        if self.pages >= MOST_PAGES {
            return Err(FetchError::TooLong { path: path() });
        }
        self.pages += 1;
        let response = self.http.get_resource(
            ProviderEndpoint::Groups,
            url,
            self.token,
            self.headers,
            self.deadline,
        );
        let response = response.await?;
        self.bytes += response.body().len();
        match response.status {
            StatusCode::OK if self.bytes > MOST_BYTES => Err(FetchError::TooLong { path: path() }),
            StatusCode::OK => Ok(response),
            StatusCode::UNAUTHORIZED => Err(FetchError::Rejected { path: path() }),
            status => {
                let advice = match status {
                    StatusCode::FORBIDDEN => ": check `scopes`, and what the registration may read",
                    _ => oauth::error::redirect_note(&status),
                };
                Err(FetchError::Status { path: path(), status, advice })
            }
        }
    }

    /// The URL of a path below the base, with values in place of `{NAME}`.
    pub(super) fn url(&self, path: &str, values: &[(&str, &str)]) -> Result<Url, FetchError> {
        let filled = values.iter().fold(path.to_owned(), |path, (name, value)| {
            // SECURITY: a value cannot add a path segment or a parameter.
            let encoded =
                url::form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>();
            path.replace(&format!("{{{name}}}"), &encoded.replace('+', "%20"))
        });
        let url = format!("{}{filled}", self.base.as_str().trim_end_matches('/'));
        Url::parse(&url)
            .map_err(|_| FetchError::Form { path: path.to_owned(), fault: "it makes no URL" })
    }
}

/// The URL of the next page.
fn following(
    paging: Paging,
    url: &Url,
    response: &HttpResponse,
    body: &Value,
) -> Result<Option<Url>, ()> {
    let text = |pointer| body.pointer(pointer).and_then(Value::as_str).filter(|it| !it.is_empty());
    match paging {
        Paging::None => Ok(None),
        Paging::Link => response.next_link().map(|next| url.join(next)).transpose().map_err(drop),
        Paging::BodyNext(pointer) => {
            text(pointer).map(|next| url.join(next)).transpose().map_err(drop)
        }
        Paging::PageToken { field, parameter } => Ok(text(field).map(|token| {
            let mut next = url.clone();
            let others: Vec<(String, String)> = url
                .query_pairs()
                .filter(|(name, _)| name != parameter)
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect();
            next.query_pairs_mut().clear().extend_pairs(others).append_pair(parameter, token);
            next
        })),
    }
}

/// The text of an item by its template. `None` if a member is missing, is neither a text nor a number, or has a `:` where
/// the template puts one.
fn text_of(template: &str, item: &Value) -> Option<String> {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (pointer, after) = after.split_once('}')?;
        let value = match item.pointer(pointer)? {
            Value::String(value) => value.clone(),
            Value::Number(number) => number.to_string(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
        };
        // SECURITY: the item `a:b` must not look like member `b` of `a`.
        if value.is_empty() || (template.contains(':') && value.contains(':')) {
            return None;
        }
        text.push_str(before);
        text.push_str(&value);
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

/// Of all lists of one sign-in together.
const MOST_PAGES: usize = 20;
/// Likewise.
const MOST_BYTES: usize = 4 * 1024 * 1024;
