//! Routes for several visitors, and what they say of a path that is read in one way.

use http::Method;

/// The client of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visitor {
    /// Not signed in.
    Stranger,
    /// Signed in.
    Member,
    /// Signed in, and in the group `staff`.
    Staff,
}

/// What [`ROUTES`] say of a path that is read in one way.
pub fn expected(path: &str, folds: bool, method: &Method, visitor: Visitor) -> bool {
    let fold = |text: &str| if folds { text.to_lowercase() } else { text.to_owned() };
    let path = fold(path);
    let below = |prefix: &str| {
        let rest = path.strip_prefix(&fold(prefix));
        prefix == "/" || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let is_staff = visitor == Visitor::Staff;
    let prefixes = ["/oauth2", "/open/more", "/open", "/private", "/Admin", "/"];
    match *prefixes.iter().find(|prefix| below(prefix)).unwrap() {
        "/open" => true,
        "/open/more" => visitor != Visitor::Stranger,
        "/private" | "/Admin" => is_staff,
        "/" => {
            below("/free")
                || path == "/one"
                || (below("/read") && method == Method::GET)
                || (below("/Team") && is_staff)
        }
        _ => false,
    }
}

/// The routes, in front of `UPSTREAM`.
pub const ROUTES: &str = "
providers: { company: { issuer: https://id.example.com, client_id: app, client_secret: secret } }
routes:
  - { path: /open, upstream: UPSTREAM, allow: public }
  - { path: /open/more, upstream: UPSTREAM, allow: authenticated }
  - { path: /private, upstream: UPSTREAM, allow: [{ groups: [staff] }] }
  - { path: /Admin, upstream: UPSTREAM, allow: [{ groups: [staff] }] }
  - path: /
    upstream: UPSTREAM
    allow:
      - { paths: [/free], public: true }
      - { paths: [/read], methods: [GET], public: true }
      - { exact_paths: [/one], public: true }
      - { paths: [/Team], groups: [staff] }
";
