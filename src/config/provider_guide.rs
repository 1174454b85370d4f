//! The guide to a kind of provider, for `portcullis provider`: what to register, what to paste, what goes wrong.
//! Invariant: what it shows to paste is a part of `config/providers.yaml`, which a test loads.

use crate::providers::kinds::{ALL, ProviderKind, SignInProtocol};

/// The kinds of providers: their words, and their names.
pub fn provider_kinds() -> impl Iterator<Item = (&'static str, &'static str)> {
    let name_of = |kind: &ProviderKind| match (kind.label, kind.protocol) {
        ("", SignInProtocol::OpenId { .. }) => "any OpenID Connect provider",
        ("", SignInProtocol::OAuth(_)) => "any other OAuth 2.0 provider",
        (label, _) => label,
    };
    ALL.into_iter().map(move |kind| (kind.name, name_of(kind)))
}

/// The guide to a kind. The error says which kinds there are.
pub fn provider_guide(name: &str) -> Result<String, String> {
    let kind = ProviderKind::by_name(name).ok_or_else(|| match ProviderKind::meant_by(name) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => {
            let names: Vec<&str> = provider_kinds().map(|(name, _)| name).collect();
            format!("it is one of {}", names.join(", "))
        }
    })?;
    Ok(guide_to(kind))
}

fn guide_to(kind: &ProviderKind) -> String {
    let mut text = String::new();
    let mut section = |title: &str, body: &str| {
        text.extend([title, "\n\n", body, "\n\n"]);
    };
    let steps = (1..).zip(kind.guide.register);
    let steps =
        steps.map(|(number, step)| wrapped(step, &format!("  {number}. "))).collect::<String>();
    section("Register at the provider", steps.trim_end());
    section("Paste into the configuration", example(kind.name).trim_end());
    section("Groups", wrapped(kind.guide.groups, "  ").trim_end());
    let pitfalls: String = kind.guide.pitfalls.iter().map(|it| wrapped(it, "  - ")).collect();
    section("What goes wrong", pitfalls.trim_end());
    section(
        "Then",
        wrapped("portcullis check --online shows what is wrong with the registration.", "  ")
            .trim_end(),
    );
    text.trim_end().to_owned() + "\n"
}

/// The provider of a kind in the file of examples.
fn example(kind: &str) -> String {
    let start = format!("  {kind}:");
    let (mut comments, mut lines) = (Vec::new(), Vec::new());
    for line in EXAMPLES.lines() {
        let is_inside = !lines.is_empty();
        match line {
            line if line == start => {
                lines.push("providers:".to_owned());
                lines.append(&mut comments);
                lines.push(line.to_owned());
            }
            "" if is_inside => break,
            line if is_inside => lines.push(line.to_owned()),
            line if line.starts_with("  # ") => comments.push(line.to_owned()),
            _ => comments.clear(),
        }
    }
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

/// A paragraph of lines that begin with `first`, and then with as many spaces.
fn wrapped(text: &str, first: &str) -> String {
    let text = text.replace("CALLBACK", CALLBACK).replace("SIGNED_OUT", SIGNED_OUT);
    let indent = " ".repeat(first.chars().count());
    let (mut lines, mut line) = (String::new(), first.to_owned());
    for word in text.split_whitespace() {
        if line.chars().count() + word.chars().count() >= WIDTH && line.trim() != first.trim() {
            lines.push_str(line.trim_end());
            lines.push('\n');
            line.clone_from(&indent);
        }
        line.push_str(word);
        line.push(' ');
    }
    lines.push_str(line.trim_end());
    lines.push('\n');
    lines
}

const EXAMPLES: &str = include_str!("../../config/providers.yaml");
const CALLBACK: &str = "PUBLIC_URL/oauth2/callback";
const SIGNED_OUT: &str = "PUBLIC_URL/oauth2/signed_out";
/// The width of a terminal.
const WIDTH: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guide_of_every_kind_has_all_sections_and_its_example() {
        for (kind, _) in provider_kinds() {
            let guide = provider_guide(kind).unwrap();
            assert!(guide.contains("  1. ") && guide.contains("  - "), "{guide}");
            let example = format!("\n    {kind}:\n      kind: {kind}\n");
            assert!(guide.contains(&example), "{guide}");
            assert!(guide.contains(CALLBACK), "{guide}");
            let long = guide.lines().find(|line| line.chars().count() > 130);
            assert_eq!(long, None);
        }
    }

    #[test]
    fn unknown_kind_is_an_error_with_those_that_there_are() {
        assert_eq!(provider_guide("onelogin").unwrap_err(), "did you mean `oidc`?");
        assert!(provider_guide("x").unwrap_err().contains("oidc, "));
    }
}
