//! The room by its door.

use std::path::{Path, PathBuf};

use super::{Config, Source, load};

/// A configuration of one provider and one route, with these lines beside them.
#[track_caller]
pub(super) fn settings_of(lines: &str) -> Config {
    let text = format!(
        "{lines}\n\
         server: {{ public_url: https://wiki.example.com }}\n\
         providers: {{ company: {{ issuer: https://id.example.com, client_id: wiki, client_secret: \"${{S:-s}}\" }} }}\n\
         routes: [{{ upstream: http://wiki:8080, allow: authenticated }}]\n"
    );
    let source = Source::fixed([(PathBuf::from("a.yaml"), text.into_bytes())], []);
    load(Path::new("a.yaml"), &source).unwrap().0
}
