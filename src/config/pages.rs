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
    key("title", Type::Text, DefaultValue::Unset("Portcullis"), "Stands on every page."),
    key(
        "logo",
        Type::Text,
        DefaultValue::Unset("none"),
        "A picture above the title: a file that ends in .svg, .png, .jpg or .webp, up to 256KiB.",
    ),
    key("message", Type::Text, DefaultValue::Unset("none"), "A sentence under the title."),
    key(
        "style",
        Type::Text,
        DefaultValue::Unset("none"),
        "A CSS file that is added to our own style.",
    ),
];

/// What is sent with pages must not be large.
const MOST_BYTES: usize = 256 * 1024;

/// All of it.
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
            _ => return Err("is not a file that ends in .svg, .png, .jpg or .webp".into()),
        };
        Ok(Logo { content_type, bytes: small_file(field, name)? })
    })
}

fn style(field: &Field<'_>) -> Result<Option<String>, Reported> {
    field.optional(|name| {
        let bytes = small_file(field, name)?;
        let text =
            String::from_utf8(bytes).map_err(|_| "names a file that is not a text in UTF-8")?;
        // SECURITY: the text stands in a <style> element; its end there would open the page.
        match text.to_ascii_lowercase().contains("</style") {
            true => Err("names a file with </style in it".into()),
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
            Err(format!("names a file of more than {most}").into())
        }
    }
}
