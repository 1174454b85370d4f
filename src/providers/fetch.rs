//! Lists in the API of a provider: pages, a JSON pointer to the list of each, and a template for its items.
//! Invariants: a list is whole, or an error: its pages, bytes and time are bounded, and a part is never taken for the
//! whole. The access token is sent in `Authorization` only, and only to the origin of the first page.
//! Source: RFC 8288 for `Link`, RFC 6901 for pointers.

use std::slice;

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
    /// The JSON pointer of the list in a page; empty if the page is the list. An object there is the only item.
    pub list: &'static str,
    /// The text of an item. `{/POINTER}` is a member of it, `{}` the item itself, and `{NAME}` a value.
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
    /// A token at the JSON pointer `field` becomes the query parameter `parameter`. A page of such an API that has no item
    /// has no list either.
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
    /// The service account that reads the list gets no access token.
    #[error("the service account gets no access token: {0}")]
    ServiceAccount(oauth::error::Error),
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
    /// The API wants fewer requests.
    #[error("{path}: the rate limit of the API is reached (status {})", .status.as_u16())]
    Limited {
        /// The path of the request.
        path: String,
        /// The status.
        status: StatusCode,
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
            Self::OAuth(error) | Self::ServiceAccount(error) => error.is_temporary(),
            Self::Limited { .. } => true,
            Self::Status { status, .. } => status.is_server_error(),
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
    /// The public origin of the API, and the internal one that stands for it.
    internal: Option<(Origin, &'a Origin)>,
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
        let deadline = http.deadline();
        Self { http, base, token, headers, internal: None, deadline, pages: 0, bytes: 0 }
    }

    /// The same, where the API calls itself by its public origin and is reached at an internal one.
    pub(super) fn at_internal(self, public: Origin, internal: &'a Origin) -> Self {
        Self { internal: Some((public, internal)), ..self }
    }

    /// The same, if they must end earlier.
    pub(super) fn until(self, deadline: Instant) -> Self {
        Self { deadline: self.deadline.min(deadline), ..self }
    }

    /// All items of a list.
    pub(super) async fn items(
        &mut self,
        fetch: &Fetch,
        values: &[(&str, &str)],
    ) -> Result<Vec<String>, FetchError> {
        let mut items = Vec::new();
        self.pages_of(fetch, values, |item| {
            items.push(text_of(fetch.item, item, values)?);
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
            let list = match body.pointer(fetch.list) {
                Some(Value::Array(list)) => list.as_slice(),
                Some(only @ Value::Object(_)) => slice::from_ref(only),
                None if body.is_object() && fetch.paging.leaves_out_empty_lists() => &[],
                Some(_) | None => return Err(form("the answer has no list")),
            };
            for item in list {
                each(item).ok_or(form("an item of the list has another form"))?;
            }
            next = following(fetch.paging, &url, &response, &body)
                .map_err(|()| form("the URL of the next page is none"))?
                .map(|next| self.reached(next));
            // SECURITY: the access token must not go elsewhere, whatever the API answers.
            if next.as_ref().is_some_and(|next| Origin::of(next) != Origin::of(&first)) {
                return Err(FetchError::Foreign { path });
            }
        }
        Ok(())
    }

    /// The URL by which the gateway reaches a page.
    fn reached(&self, url: Url) -> Url {
        match &self.internal {
            Some((public, internal)) if Origin::of(&url).as_ref() == Some(public) => {
                internal.at(&url).unwrap_or(url)
            }
            Some(_) | None => url,
        }
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
            status if response.is_rate_limited() => {
                Err(FetchError::Limited { path: path(), status })
            }
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

impl Paging {
    fn leaves_out_empty_lists(self) -> bool {
        match self {
            Self::PageToken { .. } => true,
            Self::None | Self::Link | Self::BodyNext(_) => false,
        }
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
pub(super) fn text_of(template: &str, item: &Value, values: &[(&str, &str)]) -> Option<String> {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (pointer, after) = after.split_once('}')?;
        let named = values.iter().find(|(name, _)| *name == pointer);
        let value = match (named, item.pointer(pointer)) {
            (Some((_, value)), _) => (*value).to_owned(),
            (None, Some(Value::String(value))) => value.clone(),
            (None, Some(Value::Number(number))) => number.to_string(),
            (None, _) => return None,
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::oauth::http::HttpSettings;
    use crate::oauth::loopback::{Loopback, Reply, Seen};

    const PLAIN: Fetch = Fetch { path: "/list?n=2", list: "", item: "{}", paging: Paging::None };

    async fn items_of(
        fetch: Fetch,
        timeout: Duration,
        reply: impl Fn(&Url, &Seen) -> Reply + Send + Sync + 'static,
    ) -> (Loopback, Result<Vec<String>, FetchError>) {
        let api = Loopback::start(reply).await;
        let http =
            Http::new(HttpSettings { timeout, ca: None, proxy: None, certificate: None }).unwrap();
        let (base, token) = (api.url("/api"), Secret::new("a.t"));
        let mut requests = ApiRequests::new(&http, &base, &token, &[("x-version", "1")]);
        let items = requests.items(&fetch, &[("who", "a b/c?d")]).await;
        (api, items)
    }

    async fn fetched(
        fetch: Fetch,
        reply: impl Fn(&Url, &Seen) -> Reply + Send + Sync + 'static,
    ) -> (Loopback, Result<Vec<String>, FetchError>) {
        items_of(fetch, Duration::from_secs(5), reply).await
    }

    /// The number of a page, which the parameter `page` names.
    fn page(seen: &Seen) -> usize {
        seen.query.get("page").map_or(1, |page| page.parse().unwrap())
    }

    fn linked(url: impl std::fmt::Display, body: &Value) -> Reply {
        let link = format!("<{url}>; rel=\"next\", <{url}>; rel=\"last\"");
        Reply::Field(200, ("link", link), body.to_string())
    }

    #[tokio::test]
    async fn one_page_is_requested_with_token_and_header_fields() {
        let fetch = Fetch { path: "/of/{who}?n=2", ..PLAIN };
        let (api, items) = fetched(fetch, |_, _| Reply::json(200, &json!(["a", 7]))).await;
        assert_eq!(items.unwrap(), ["a", "7"]);
        let [seen] = &api.seen("/api/of/a%20b%2Fc%3Fd")[..] else { panic!("one request") };
        assert_eq!(seen.headers["authorization"], "Bearer a.t");
        assert_eq!(seen.headers["x-version"], "1");
        assert!(seen.headers.contains_key("user-agent"));
        assert_eq!(seen.query["n"], "2");
    }

    #[tokio::test]
    async fn every_way_to_the_next_page_is_followed() {
        let expected = ["a", "b", "c"];
        let names = move |number: usize| expected[number - 1];
        let link = Fetch { paging: Paging::Link, ..PLAIN };
        let (_, items) = fetched(link, move |base, seen| {
            let (number, body) = (page(seen), json!([names(page(seen))]));
            match number {
                3 => Reply::json(200, &body),
                _ => linked(base.join(&format!("/api/list?page={}", number + 1)).unwrap(), &body),
            }
        })
        .await;
        assert_eq!(items.unwrap(), expected);

        let body_next = Fetch { list: "/values", paging: Paging::BodyNext("/next"), ..PLAIN };
        let (_, items) = fetched(body_next, move |base, seen| {
            let next = base.join(&format!("/api/list?page={}", page(seen) + 1)).unwrap();
            let next = (page(seen) < 3).then(|| next.to_string());
            Reply::json(200, &json!({"values": [names(page(seen))], "next": next}))
        })
        .await;
        assert_eq!(items.unwrap(), expected);

        let paging = Paging::PageToken { field: "/more", parameter: "page" };
        let tokens = Fetch { list: "/values", paging, ..PLAIN };
        let (api, items) = fetched(tokens, move |_, seen| {
            let more = if page(seen) < 3 { (page(seen) + 1).to_string() } else { String::new() };
            Reply::json(200, &json!({"values": [names(page(seen))], "more": more}))
        })
        .await;
        assert_eq!(items.unwrap(), expected);
        assert!(api.seen("/api/list").iter().all(|seen| seen.query["n"] == "2"));
    }

    #[tokio::test]
    async fn next_page_elsewhere_is_an_error_and_gets_no_token() {
        let foreign = Loopback::start(|_, _| Reply::json(200, &json!(["x"]))).await;
        let next = foreign.url("/api/list");
        let link = Fetch { paging: Paging::Link, ..PLAIN };
        let (_, items) = fetched(link, move |_, _| linked(&next, &json!(["a"]))).await;
        let error = items.unwrap_err();
        assert!(matches!(error, FetchError::Foreign { .. }), "{error}");
        assert!(!error.is_temporary());
        assert_eq!(foreign.seen("/api/list").len(), 0);

        let next = foreign.url("/api/list").to_string();
        let body_next = Fetch { list: "/v", paging: Paging::BodyNext("/next"), ..PLAIN };
        let reply = move |_: &Url, _: &Seen| Reply::json(200, &json!({"v": [], "next": next}));
        let (_, items) = fetched(body_next, reply).await;
        assert!(matches!(items, Err(FetchError::Foreign { .. })), "{items:?}");
        assert_eq!(foreign.seen("/api/list").len(), 0);
    }

    #[tokio::test]
    async fn public_origin_in_a_next_page_is_reached_at_the_internal_one() {
        let api = Loopback::start(|_, seen| match page(seen) {
            1 => linked("https://git.example/api/list?page=2", &json!(["a"])),
            _ => Reply::json(200, &json!(["b"])),
        })
        .await;
        let timeout = Duration::from_secs(5);
        let http =
            Http::new(HttpSettings { timeout, ca: None, proxy: None, certificate: None }).unwrap();
        let (base, token) = (api.url("/api"), Secret::new("a.t"));
        let internal = Origin::of(&base).unwrap();
        let public = Origin::parse("https://git.example").unwrap();
        let requests = ApiRequests::new(&http, &base, &token, &[]);
        let mut requests = requests.at_internal(public, &internal);
        let fetch = Fetch { paging: Paging::Link, ..PLAIN };
        assert_eq!(requests.items(&fetch, &[]).await.unwrap(), ["a", "b"]);
    }

    #[tokio::test]
    async fn endless_and_oversized_lists_are_errors() {
        let link = Fetch { paging: Paging::Link, ..PLAIN };
        let (api, items) = fetched(link, |base, seen| {
            let next = base.join(&format!("/api/list?page={}", page(seen) + 1)).unwrap();
            linked(next, &json!(["a"]))
        })
        .await;
        assert!(matches!(items, Err(FetchError::TooLong { .. })), "{items:?}");
        assert_eq!(api.seen("/api/list").len(), MOST_PAGES);

        let (api, items) = fetched(link, |base, seen| {
            let next = base.join(&format!("/api/list?page={}", page(seen) + 1)).unwrap();
            linked(next, &json!(["a".repeat(1_000_000)]))
        })
        .await;
        assert!(matches!(items, Err(FetchError::TooLong { .. })), "{items:?}");
        assert_eq!(api.seen("/api/list").len(), 5, "4 MiB are four pages");
    }

    #[tokio::test]
    async fn pages_share_one_timeout() {
        let fetch = Fetch { paging: Paging::Link, ..PLAIN };
        let timeout = Duration::from_millis(300);
        let (api, items) = items_of(fetch, timeout, |base, seen| match page(seen) {
            1 => linked(base.join("/api/list?page=2").unwrap(), &json!(["a"])),
            _ => Reply::Silence,
        })
        .await;
        assert!(items.unwrap_err().is_temporary());
        assert_eq!(api.seen("/api/list").len(), 2);
    }

    #[tokio::test]
    async fn redirect_is_not_followed() {
        let (api, items) =
            fetched(PLAIN, |base, _| Reply::Redirect(302, base.join("/there").unwrap().into()))
                .await;
        let error = items.unwrap_err();
        assert!(matches!(&error, FetchError::Status { status, .. } if *status == 302), "{error}");
        assert_eq!(api.seen("/there").len(), 0);
    }

    #[tokio::test]
    async fn failure_is_temporary_only_if_the_same_request_may_succeed_later() {
        let of = |reply: Reply| async move {
            let (_, items) = fetched(PLAIN, move |_, _| reply.clone()).await;
            let error = items.unwrap_err();
            (error.is_temporary(), error.to_string())
        };
        let status = |status| Reply::json(status, &json!({"message": "no"}));
        for reply in [status(500), status(502), status(429), Reply::Drop] {
            assert!(of(reply.clone()).await.0, "{reply:?}");
        }
        for field in [("retry-after", "60"), ("x-ratelimit-remaining", "0")] {
            let limited = Reply::Field(403, (field.0, field.1.into()), "{}".into());
            assert!(of(limited).await.0, "{field:?}");
        }
        for reply in [status(401), status(403), status(404), status(410)] {
            assert!(!of(reply.clone()).await.0, "{reply:?}");
        }
        let left = Reply::Field(403, ("x-ratelimit-remaining", "9".into()), "{}".into());
        let (is_temporary, text) = of(left).await;
        assert!(!is_temporary && text.contains("check `scopes`"), "{text}");
    }

    #[tokio::test]
    async fn answer_of_another_form_is_an_error() {
        let fetch = Fetch { list: "/values", item: "{/name}", ..PLAIN };
        for body in [
            "",
            "{",
            "[]",
            r#"{"values": "a"}"#,
            r#"{"values": null}"#,
            r#"{"values": [{"name": "a"}, {}]}"#,
            r#"{"values": [{"name": ""}]}"#,
            r#"{"values": [{"name": ["a"]}]}"#,
            r#"{"values": [{"name": true}]}"#,
            r#"{"values": ["a"]}"#,
        ] {
            let reply =
                move |_: &Url, _: &Seen| Reply::Answer(200, "application/json", body.into());
            let (_, items) = fetched(fetch, reply).await;
            let error = items.unwrap_err();
            assert!(matches!(error, FetchError::Form { .. }), "{body}: {error}");
            assert!(!error.is_temporary());
        }
    }

    #[test]
    fn text_of_an_item_follows_its_template() {
        let of = |template, item: Value| text_of(template, &item, &[("guild", "81")]);
        let team = json!({"slug": "ops", "organization": {"login": "example"}});
        let template = "{/organization/login}:{/slug}";
        assert_eq!(of(template, team).as_deref(), Some("example:ops"));
        assert_eq!(of("guild {}", json!(7)).as_deref(), Some("guild 7"));
        assert_eq!(of("{guild}:{}", json!("3")).as_deref(), Some("81:3"));
        assert_eq!(of("{}", json!("a:b")).as_deref(), Some("a:b"), "there is nothing to confuse");
        let forged = json!({"slug": "x:ops", "organization": {"login": "example"}});
        assert_eq!(of(template, forged), None);
        let forged = json!({"slug": "ops", "organization": {"login": "example:x"}});
        assert_eq!(of(template, forged), None);
        assert_eq!(of("{/a", json!({"a": "b"})), None);
    }
}
