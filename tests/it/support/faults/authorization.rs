//! How the redirect back to the client can be wrong (RFC 6749 §4.1.2, RFC 9207).

use http::{HeaderValue, Response, header};
use hyper::body::Bytes;
use url::Url;
use url::form_urlencoded::Serializer;

faults! {
    /// What is wrong with the redirect back to the client.
    AuthorizationFault of AuthorizationResponse {
        IssOther "other iss parameter" => |response, _| response.set("iss", "https://evil.example"),
        IssTwice "right iss, then a wrong one" =>
            |response, _| response.add("iss", "https://evil.example"),
        NoIss "no iss parameter, though it was announced" => |response, _| response.remove("iss"),
        StateOther "other state" => |response, _| response.set("state", "other"),
        NoState "no state" => |response, _| response.remove("state"),
        NoCode "no code" => |response, _| response.remove("code"),
        NoParameters "no parameters" => |response, _| response.parameters.clear(),
        CodeTwice "two codes" => |response, _| response.add("code", "another"),
        CodeOther "a code that was never issued" => |response, _| response.set("code", "another"),
        AccessDenied "access_denied" => |response, _| response.fail("access_denied"),
        LoginRequired "login_required" => |response, _| response.fail("login_required"),
        TemporarilyUnavailable "temporarily_unavailable" =>
            |response, _| response.fail("temporarily_unavailable"),
        ErrorScript "error_description with a script" => |response, _| {
            response.fail("server_error");
            response.add("error_description", "<script>alert(1)</script>");
        },
        ErrorAndCode "error and code together" =>
            |response, _| response.add("error", "server_error"),
        ErrorStateOther "error with another state" => |response, _| {
            response.fail("access_denied");
            response.set("state", "other");
        },
        UnknownParameters "unknown parameters next to the right ones" => |response, _| {
            response.add("session_state", "abc");
            response.add("future", "1");
        },
        Fragment "parameters in the fragment" => |response, _| response.in_fragment = true,
    }
}

/// The redirect back to the client.
pub(crate) struct AuthorizationResponse {
    redirect_uri: Url,
    parameters: Vec<(String, String)>,
    /// After `#` instead of `?`, where a server cannot see it.
    in_fragment: bool,
}

impl AuthorizationResponse {
    /// The redirect of an answer; a page has none.
    pub(super) fn read(response: &Response<Bytes>) -> Option<Self> {
        let location = response.headers().get(header::LOCATION)?.to_str().unwrap();
        let mut redirect_uri = Url::parse(location).unwrap();
        let parameters = redirect_uri.query_pairs().into_owned().collect();
        redirect_uri.set_query(None);
        Some(Self { redirect_uri, parameters, in_fragment: false })
    }

    /// Puts it in place of the redirect of an answer.
    pub(super) fn write(self, response: &mut Response<Bytes>) {
        let mut url = self.redirect_uri;
        let text = Serializer::new(String::new()).extend_pairs(&self.parameters).finish();
        if self.in_fragment {
            url.set_fragment(Some(&text));
        } else if !text.is_empty() {
            url.set_query(Some(&text));
        }
        let location = HeaderValue::from_str(url.as_str()).unwrap();
        response.headers_mut().insert(header::LOCATION, location);
    }

    /// Adds a parameter, even if it is there.
    fn add(&mut self, name: &str, value: &str) {
        self.parameters.push((name.to_owned(), value.to_owned()));
    }

    /// Takes a parameter away.
    fn remove(&mut self, name: &str) {
        self.parameters.retain(|(present, _)| present != name);
    }

    /// Replaces a parameter.
    fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.add(name, value);
    }

    /// An error in place of the code.
    fn fail(&mut self, error: &str) {
        self.remove("code");
        self.set("error", error);
    }
}
