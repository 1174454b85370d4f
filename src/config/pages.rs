//! `pages:` -> `pages::Brand`.

use std::path::Path;

use crate::config::diagnostics::Reported;
use crate::config::field::Field;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, KeySpec, Type, key};
use crate::config::section::Section;
use crate::config::units::size_text;
use crate::pages::{Brand, Logo};

pub(super) const KEYS: &[KeySpec] = &[
    key("title", Type::Text, DefaultValue::Unset("Portcullis"), "Title of every page."),
    key(
        "logo",
        Type::Text,
        DefaultValue::Unset("none"),
        "Image above the title: an .svg, .png, .jpg or .webp file of at most 256KiB.",
    ),
    key("message", Type::Text, DefaultValue::Unset("none"), "Text below the title."),
    key(
        "style",
        Type::Text,
        DefaultValue::Unset("none"),
        "CSS file that is added to the built-in style.",
    ),
];

/// Maximum size of a logo or style: it is sent with every page.
const MOST_BYTES: usize = 256 * 1024;

/// `pages`.
pub(super) fn brand(root: &Section<'_>) -> Result<Brand, Reported> {
    let section = root.section("pages")?;
    let title = section.field("title").optional_text();
    let logo = logo(&section.field("logo"));
    let message = section.field("message").optional_text();
    let style = style(&section.field("style"));
    Ok(Brand { title: title?, logo: logo?, message: message?, style: style? })
}

fn logo(field: &Field<'_>) -> Result<Option<Logo>, Reported> {
    field.optional(|name| {
        let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
        let content_type = match extension.unwrap_or_default().to_ascii_lowercase().as_str() {
            "svg" => "image/svg+xml",
            "png" => "image/png",
            "jpg" | "jpeg" => "image/jpeg",
            "webp" => "image/webp",
            _ => return Err("has an unsupported file type: use .svg, .png, .jpg or .webp".into()),
        };
        Ok(Logo { content_type, bytes: small_file(field, name)? })
    })
}

fn style(field: &Field<'_>) -> Result<Option<String>, Reported> {
    field.optional(|name| {
        let bytes = small_file(field, name)?;
        let text = String::from_utf8(bytes).map_err(|_| "names a file that is not UTF-8 text")?;
        // SECURITY: the text is put into a <style> element; an end tag in it could add HTML to the page.
        match text.to_ascii_lowercase().contains("</style") {
            true => Err("names a file that contains </style".into()),
            false => Ok(text),
        }
    })
}

fn small_file(field: &Field<'_>, name: &str) -> Result<Vec<u8>, Invalid> {
    let bytes = field.diagnostics.file(name)?;
    match bytes.len() {
        0..=MOST_BYTES => Ok(bytes),
        _ => {
            let most = u64::try_from(MOST_BYTES).map(size_text).unwrap_or_default();
            Err(format!("names a file that is larger than {most}").into())
        }
    }
}
