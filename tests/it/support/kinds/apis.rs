//! Resources of a provider's API: who may read them, and their pages.

use serde_json::{Value, json};
use url::Url;
use url::form_urlencoded::Serializer;

use super::Fault;
use super::answer::{Answer, json_answer};
use super::data::{Api, Next, fill};
use super::engine::{Received, State};

impl State {
    /// The answer to a request of the API; `line` is its method and path.
    pub(super) fn api(&mut self, request: &Received, line: &str) -> Answer {
        let Some(api) = self.data.apis.get(line).cloned() else {
            self.complain(format!("{line}: there is no such resource"));
            return json_answer(404, &json!({ "message": "Not Found" }));
        };
        let bearer =
            request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        if bearer.is_none() {
            self.complain(format!("{line}: without an access token in Authorization"));
        }
        let grant = bearer.and_then(|token| self.grants.of_access_token(token)).cloned();
        let Some(grant) = grant.filter(|_| !self.has_fault(Fault::TokenRejected, line)) else {
            return self.data.error("unauthorized").answer();
        };
        if self.has_fault(Fault::Limited, line) {
            return self.data.error("limited").answer();
        }
        for (name, value) in &api.query {
            if request.query(name) != Some(value) {
                self.complain(format!("{line}: {name} is not {value}: {:?}", request.query));
            }
        }
        for (name, value) in &api.headers {
            let found = request.header(name);
            if !found.is_some_and(|found| value.is_empty() || found == value) {
                self.complain(format!("{line}: {name} is {found:?}"));
            }
        }
        let has = |wanted: &str| grant.scope.split([' ', ',']).any(|scope| scope == wanted);
        if api.scope.as_deref().is_some_and(|wanted| !has(wanted)) {
            return self.data.error("forbidden").answer();
        }
        if let Some(fails) = &api.fails {
            return fails.answer();
        }
        self.page(request, line, &api)
    }

    /// The page that a request asks for, with the way to the next one.
    fn page(&self, request: &Received, line: &str, api: &Api) -> Answer {
        let name = page_parameter(api.next.as_ref());
        let at = request.query(name).and_then(|number| number.parse().ok()).unwrap_or(1_usize);
        let is_endless = self.has_fault(Fault::NextIsEndless, line) && api.next.is_some();
        if at > 1 && self.has_fault(Fault::SecondPageFails, line) {
            return self.data.error("failed_page").answer();
        }
        let page = if is_endless { api.pages.first() } else { api.pages.get(at - 1) };
        let page = page.unwrap_or(&Value::Null);
        let mut body = fill(page, &self.known(None)).unwrap_or_default();
        let has_next = is_endless || at < api.pages.len();
        let Some(next) = api.next.as_ref().filter(|_| has_next) else {
            return json_answer(200, &body);
        };
        let url = self.next_url(request, line, name, at + 1);
        match next {
            Next::Link => {
                let mut answer = json_answer(200, &body);
                let link = format!("<{url}>; rel=\"next\", <{url}>; rel=\"last\"");
                answer.headers_mut().insert("link", link.try_into().unwrap());
                return answer;
            }
            Next::Member(member) => body[member] = json!(url),
            // A token is no URL, whatever it looks like.
            Next::Token { member, .. } if self.has_fault(Fault::NextIsForeign, line) => {
                body[member] = json!(url);
            }
            Next::Token { member, .. } => body[member] = json!((at + 1).to_string()),
        }
        json_answer(200, &body)
    }

    /// The same URL with the number of another page.
    fn next_url(&self, request: &Received, line: &str, name: &str, number: usize) -> String {
        let mut origin = Url::parse(&self.origin).unwrap();
        if self.has_fault(Fault::NextIsForeign, line) {
            origin.set_host(Some("localhost")).unwrap();
        }
        let mut query = Serializer::new(String::new());
        let others = request.query.iter().filter(|(known, _)| known != name);
        query.extend_pairs(others).append_pair(name, &number.to_string());
        format!("{}{}?{}", origin.as_str().trim_end_matches('/'), request.path, query.finish())
    }
}

fn page_parameter(next: Option<&Next>) -> &str {
    match next {
        Some(Next::Token { parameter, .. }) => parameter,
        Some(Next::Link | Next::Member(_)) | None => "page",
    }
}
