//! A browser without a screen: cookies, navigations, and redirects followed one by one.
//! Invariant: cookies are kept as browsers keep them: by host without the port, `Secure` also on
//! loopback, and a `__Host-` or `__Secure-` name only with its required attributes (RFC 6265bis §4.1.3).

use std::io;
use std::net::{IpAddr, SocketAddr};

use http::header::{COOKIE, HOST, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::Value;
use url::Url;

pub(crate) use super::door::Door;
use super::gateway::{Gateway, PUBLIC_URL};

/// A browser with its cookies. Every host name is connected to its door, every IP address to itself.
#[derive(Clone)]
pub(crate) struct Browser {
    door: Door,
    cookies: Vec<Cookie>,
    /// Names of cookies that it does not accept.
    rejected: Vec<&'static str>,
    /// Sent with everything, as a proxy or an attacker in front would.
    pub(crate) extra: HeaderMap,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Where the browser is now.
    pub(crate) url: Url,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

#[derive(Clone, Debug, PartialEq)]
struct Cookie {
    name: String,
    value: String,
    host: String,
    /// Sent below the host too.
    domain: bool,
    path: String,
    /// Sent with the POST of another site too.
    cross_site: bool,
}

impl Browser {
    /// A fresh one.
    pub(crate) fn new(gateway: &Gateway) -> Self {
        Self::at(gateway.address)
    }

    /// A fresh one, for a gateway at this address.
    pub(crate) fn at(gateway: SocketAddr) -> Self {
        Self::before(Door::Tcp(gateway))
    }

    /// A fresh one that reaches every name through this door.
    pub(crate) fn before(door: Door) -> Self {
        Self { door, cookies: Vec::new(), rejected: Vec::new(), extra: HeaderMap::new() }
    }

    /// Opens an address as a person does, and follows where it leads.
    pub(crate) async fn open(&mut self, address: &str) -> Answer {
        let answer = self.navigate(address).await;
        self.follow(answer).await
    }

    /// Fills in the form of a page, submits it, and follows where that leads.
    pub(crate) async fn fill(&mut self, page: &Answer, fields: &[(&str, &str)]) -> Answer {
        let (action, mut all) = page.form();
        all.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let all: Vec<_> = all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = self.submit(action.as_str(), &all).await;
        self.follow(answer).await
    }

    async fn follow(&mut self, mut answer: Answer) -> Answer {
        for _ in 0..20 {
            let Some(next) = answer.redirect() else { return answer };
            answer = self.navigate(next.as_str()).await;
        }
        panic!("redirected without end, now at {}", answer.url);
    }

    /// One navigation, wherever it wants to lead.
    pub(crate) async fn navigate(&mut self, address: &str) -> Answer {
        self.try_navigate(address).await.unwrap()
    }

    /// A request by a script of the page or by a program.
    pub(crate) async fn fetch(&mut self, address: &str) -> Answer {
        self.ask(Method::GET, address).await
    }

    /// Submits a form on the same origin.
    pub(crate) async fn submit(&mut self, address: &str, fields: &[(&str, &str)]) -> Answer {
        self.try_submit(address, fields).await.unwrap()
    }

    /// Submits a form of another site, as a page of a provider does: only cookies with `SameSite=None` come along.
    pub(crate) async fn submit_from_elsewhere(
        &mut self,
        address: &str,
        fields: &[(&str, &str)],
    ) -> Answer {
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.try_send(Method::POST, address, &FORM_ELSEWHERE, body).await.unwrap()
    }

    /// A request by a script, of any method.
    pub(crate) async fn ask(&mut self, method: Method, address: &str) -> Answer {
        self.try_ask(method, address).await.unwrap()
    }

    /// The value of a cookie that would be sent to `address`.
    pub(crate) fn cookie(&self, address: &str, name: &str) -> Option<&str> {
        let url = resolve(address);
        self.sent_to(&url).find(|cookie| cookie.name == name).map(|cookie| cookie.value.as_str())
    }

    /// Puts a cookie of the gateway's host in its jar, as an attacker may.
    pub(crate) fn plant(&mut self, name: &str, value: &str) {
        self.keep(&resolve("/"), &format!("{name}={value}; Path=/"));
    }

    /// All names and values of cookies that would be sent to the gateway.
    pub(crate) fn cookies(&self) -> Vec<(String, String)> {
        let home = resolve("/");
        self.sent_to(&home).cloned().map(|cookie| (cookie.name, cookie.value)).collect()
    }

    /// Loses a cookie, as browsers do with too many of them.
    pub(crate) fn forget(&mut self, name: &str) {
        self.cookies.retain(|cookie| cookie.name != name);
    }

    /// From now on it does not accept this cookie.
    pub(crate) fn reject(&mut self, name: &'static str) {
        self.forget(name);
        self.rejected.push(name);
    }

    /// From now on it accepts this cookie again.
    pub(crate) fn accept(&mut self, name: &str) {
        self.rejected.retain(|rejected| *rejected != name);
    }

    /// Takes the cookies of an answer that another tab of this browser got.
    pub(crate) fn share(&mut self, answer: &Answer) {
        for line in answer.headers.get_all(SET_COOKIE) {
            self.keep(&answer.url, line.to_str().unwrap());
        }
    }

    /// From now on the gateway is at another address.
    pub(crate) fn moved_to(&mut self, gateway: &Gateway) {
        self.door = Door::Tcp(gateway.address);
    }

    /// One navigation, where the connection may fail.
    pub(crate) async fn try_navigate(&mut self, address: &str) -> io::Result<Answer> {
        self.try_send(Method::GET, address, &NAVIGATION, String::new()).await
    }

    /// A request by a script, where the connection may fail.
    pub(crate) async fn try_ask(&mut self, method: Method, address: &str) -> io::Result<Answer> {
        self.try_send(method, address, &SCRIPT, String::new()).await
    }

    /// Submits a form on the same origin, where the connection may fail.
    pub(crate) async fn try_submit(
        &mut self,
        address: &str,
        fields: &[(&str, &str)],
    ) -> io::Result<Answer> {
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.try_send(Method::POST, address, &FORM, body).await
    }

    async fn try_send(
        &mut self,
        method: Method,
        address: &str,
        kind: &[(&'static str, &'static str)],
        body: String,
    ) -> io::Result<Answer> {
        let url = resolve(address);
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = method;
        *request.uri_mut() =
            url[url::Position::BeforePath..url::Position::AfterQuery].parse().unwrap();
        let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::try_from(authority).unwrap());
        for (name, value) in kind {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        let is_own = !kind.contains(&CROSS_SITE);
        let sent = self.sent_to(&url).filter(|cookie| is_own || cookie.cross_site);
        let cookies: Vec<_> = sent.map(|c| format!("{}={}", c.name, c.value)).collect();
        if !cookies.is_empty() {
            headers.insert(COOKIE, HeaderValue::try_from(cookies.join("; ")).unwrap());
        }
        headers.extend(self.extra.clone());
        let answer = self.door_to(&url).exchange(url, request).await?;
        self.share(&answer);
        Ok(answer)
    }

    fn door_to(&self, url: &Url) -> Door {
        let port = url.port_or_known_default().unwrap();
        match (&self.door, url.host_str().unwrap().parse::<IpAddr>()) {
            (Door::Published(_), _) | (_, Err(_)) => self.door.clone(),
            (_, Ok(address)) => Door::Tcp(SocketAddr::new(address, port)),
        }
    }

    fn sent_to(&self, url: &Url) -> impl Iterator<Item = &Cookie> {
        let host = url.host_str().unwrap().to_owned();
        let path = url.path().to_owned();
        self.cookies.iter().filter(move |cookie| {
            let below = cookie.domain && host.ends_with(&format!(".{}", cookie.host));
            (cookie.host == host || below) && path.starts_with(&cookie.path)
        })
    }

    /// Takes or drops one `Set-Cookie` (RFC 6265bis §5.7).
    fn keep(&mut self, url: &Url, line: &str) {
        let parsed = cookie::Cookie::parse(line).unwrap();
        let host = url.host_str().unwrap();
        let domain = parsed.domain().map(|domain| domain.trim_start_matches('.'));
        let trustworthy = url.scheme() == "https" || is_loopback(host);
        let secure = parsed.secure().unwrap_or(false);
        let host_only = domain.is_none() && parsed.path() == Some("/");
        let rejected = self.rejected.contains(&parsed.name())
            || (secure && !trustworthy)
            || (parsed.name().starts_with("__Secure-") && !secure)
            || (parsed.name().starts_with("__Host-") && !(secure && host_only))
            || domain
                .is_some_and(|domain| host != domain && !host.ends_with(&format!(".{domain}")));
        if rejected {
            return;
        }
        let kept = Cookie {
            name: parsed.name().to_owned(),
            value: parsed.value().to_owned(),
            host: domain.unwrap_or(host).to_owned(),
            domain: domain.is_some(),
            path: parsed.path().unwrap_or("/").to_owned(),
            cross_site: secure && parsed.same_site() == Some(cookie::SameSite::None),
        };
        self.cookies.retain(|old| {
            (&old.name, &old.host, &old.path) != (&kept.name, &kept.host, &kept.path)
        });
        if parsed.max_age().is_none_or(|age| age.is_positive()) {
            self.cookies.push(kept);
        }
    }
}

impl Answer {
    /// Where it sends the browser.
    pub(crate) fn redirect(&self) -> Option<Url> {
        let location = self.status.is_redirection().then(|| self.header(LOCATION.as_str()))?;
        Some(self.url.join(location).unwrap())
    }

    /// A header's value; empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Where the page's form goes, and its hidden fields.
    #[track_caller]
    pub(crate) fn form(&self) -> (Url, Vec<(String, String)>) {
        let (_, form) =
            self.body.split_once("<form").unwrap_or_else(|| panic!("no form: {self:?}"));
        let form = form.split_once("</form>").unwrap().0;
        let action = attribute(form.split_once('>').unwrap().0, "action").unwrap_or_default();
        let inputs = form.split("<input").skip(1).map(|input| input.split_once('>').unwrap().0);
        let hidden = inputs.filter(|input| attribute(input, "type").as_deref() == Some("hidden"));
        let fields = hidden
            .filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value")?)));
        (self.url.join(&action).unwrap(), fields.collect())
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// An absolute address, or a path on the gateway.
fn resolve(address: &str) -> Url {
    Url::parse(PUBLIC_URL).unwrap().join(address).unwrap()
}

/// An attribute of a start tag, with the few references that our templates write.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let value = tag.split_once(&format!(" {name}=\""))?.1.split_once('"')?.0;
    let references =
        [("&#x2f;", "/"), ("&#x27;", "'"), ("&quot;", "\""), ("&lt;", "<"), ("&gt;", ">")];
    let value = references.iter().fold(value.to_owned(), |text, (from, to)| text.replace(from, to));
    Some(value.replace("&amp;", "&"))
}

fn is_loopback(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|ip| ip.is_loopback())
}

const NAVIGATION: [(&str, &str); 4] = [
    ("accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-site", "none"),
];
const SCRIPT: [(&str, &str); 4] = [
    ("accept", "application/json"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-dest", "empty"),
    ("sec-fetch-site", "same-origin"),
];
const CROSS_SITE: (&str, &str) = ("sec-fetch-site", "cross-site");
const FORM_ELSEWHERE: [(&str, &str); 6] = [
    ("accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
    ("content-type", "application/x-www-form-urlencoded"),
    ("origin", "https://id.example"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    CROSS_SITE,
];
const FORM: [(&str, &str); 5] = [
    ("accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
    ("content-type", "application/x-www-form-urlencoded"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-site", "same-origin"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_port_is_found_whatever_the_host() {
        let address = "127.0.0.1:9".parse().unwrap();
        let browser = Browser::before(Door::Published(std::sync::Arc::new([(80, address)].into())));
        for url in ["http://192.0.2.1/", "http://wiki.localhost/"] {
            let Door::Published(ports) = browser.door_to(&url.parse().unwrap()) else { panic!() };
            assert_eq!(ports[&80], address);
        }
    }

    #[tokio::test]
    async fn connection_comes_from_the_address_of_its_route() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = std::net::Ipv4Addr::new(127, 0, 0, 2);
        let mut browser = Browser::before(Door::From(here, listener.local_addr().unwrap()));
        let served = async {
            let (mut stream, peer) = listener.accept().await.unwrap();
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await.unwrap();
            peer.ip()
        };
        let (answer, peer) = tokio::join!(browser.fetch("/"), served);
        assert_eq!((answer.status.as_u16(), peer), (200, IpAddr::V4(here)));
    }

    #[track_caller]
    fn check(from: &str, line: &str, to: &str, sent: bool) {
        let mut browser = Browser::at(([127, 0, 0, 1], 9).into());
        browser.keep(&resolve(from), line);
        assert_eq!(browser.cookie(to, line.split_once('=').unwrap().0).is_some(), sent, "{line}");
    }

    #[test]
    fn cookies_are_kept_as_browsers_keep_them() {
        check("http://a.localhost/", "c=1", "http://a.localhost:99/x", true);
        check("http://a.localhost/", "c=1", "http://b.a.localhost/", false);
        check("http://a.localhost/", "c=1; Domain=localhost", "http://b.localhost/", true);
        check("http://a.localhost/", "c=1; Domain=b.localhost", "http://b.localhost/", false);
        check("http://a.localhost/", "c=1; Path=/x", "http://a.localhost/y", false);
        check("http://a.localhost/", "c=1; Max-Age=0", "http://a.localhost/", false);
        check("http://a.localhost/", "c=1; Secure", "http://a.localhost/", true);
        check("http://a.example/", "c=1; Secure", "http://a.example/", false);
        check("https://a.example/", "__Host-c=1; Secure; Path=/", "https://a.example/", true);
        check("https://a.example/", "__Host-c=1; Path=/", "https://a.example/", false);
        check("https://a.example/", "__Host-c=1; Secure; Path=/x", "https://a.example/x", false);
        check(
            "https://a.a.example/",
            "__Host-c=1; Secure; Path=/; Domain=a.example",
            "https://a.example/",
            false,
        );
        check("https://a.example/", "__Secure-c=1", "https://a.example/", false);
    }
}
