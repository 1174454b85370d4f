//! `pages:` -> `pages::Brand`.

use std::path::Path;

use crate::config::diagnostics::Reported;
use crate::config::field::Field;
use crate::config::invalid::Invalid;
use crate::config::key_spec::{DefaultValue, KeySpec, Type, key};
use crate::config::section::Section;
use crate::config::suggest::{nearest, within};
use crate::config::units::size_text;
use crate::pages::{Brand, Language, Languages, Logo, ReplaceError};

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
    key(
        "texts",
        Type::Section(TEXTS),
        DefaultValue::Unset("the built-in texts"),
        "Texts that replace those of pages, by language and key.",
    ),
];

/// The languages.
const TEXTS: &[KeySpec] = &[
    texts_of(Language::English, "Texts of English pages."),
    texts_of(Language::German, "Texts of German pages."),
    texts_of(Language::Korean, "Texts of Korean pages."),
];

const fn texts_of(language: Language, about: &'static str) -> KeySpec {
    let default = DefaultValue::Unset("the built-in texts");
    key(language.tag(), Type::Texts(language.built_in()), default, about)
}

/// Maximum size of a logo or style: it is sent with every page.
const MOST_BYTES: usize = 256 * 1024;

/// `pages`.
pub(super) fn brand(root: &Section<'_>) -> Result<Brand, Reported> {
    let section = root.section("pages")?;
    let title = section.field("title").optional_text();
    let logo = logo(&section.field("logo"));
    let message = section.field("message").optional_text();
    let style = style(&section.field("style"));
    let texts = section.section("texts").and_then(|section| texts(&section));
    Ok(Brand { title: title?, logo: logo?, message: message?, style: style?, texts: texts? })
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

/// `pages.texts`.
fn texts(section: &Section<'_>) -> Result<Languages, Reported> {
    let mut languages = Languages::default();
    let mut reported = None;
    for language in Language::ALL {
        for field in section.field(language.tag()).entries()?.unwrap_or_default() {
            let replaced = field.text().and_then(|text| {
                let replaced = languages.replace(language, &field.name, text);
                replaced.map_err(|error| field.error(&not_replaced(&error, &field.name, language)))
            });
            reported = replaced.err().or(reported);
        }
    }
    reported.map_or(Ok(languages), Err)
}

fn not_replaced(error: &ReplaceError, key: &str, language: Language) -> Invalid {
    match error {
        ReplaceError::UnknownKey => {
            let known = || language.built_in().iter().map(|(known, _)| *known);
            let hint = match nearest(key, known()).or_else(|| within(key, known())) {
                Some(near) => format!("did you mean `{near}`?"),
                None => String::from("`portcullis schema` lists the keys"),
            };
            Invalid::new("unknown key").hint(hint)
        }
        ReplaceError::UnknownPlaceholder { known, .. } => {
            let hint = match known.as_slice() {
                [] => String::from("this text has no placeholders; remove the braces"),
                known => format!("this text may have {{{}}}", known.join("}, {")),
            };
            Invalid::new(error.to_string()).hint(hint)
        }
    }
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
