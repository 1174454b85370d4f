//! JSON Schema (draft 2020-12) of the configuration, made from the tables of keys, for editors that complete and
//! check YAML. It describes types only: `check` also checks hosts, URLs and combinations of keys.

use serde_json::{Map, Value, json};

use crate::config::ROOT;
use crate::config::key_spec::{DefaultValue, KeySpec, Type};

/// Returns the schema of a configuration file.
pub fn schema() -> Value {
    let mut schema = section(ROOT);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
        schema.insert("title".into(), json!("Configuration of Portcullis"));
    }
    schema
}

fn section(keys: &[KeySpec]) -> Value {
    let properties: Map<String, Value> =
        keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> = keys
        .iter()
        .filter(|key| matches!(key.default, DefaultValue::Required(_)))
        .map(|key| key.name)
        .collect();
    // A section whose keys are all commented out has no value (null).
    let kind = if required.is_empty() { json!(["object", "null"]) } else { json!("object") };
    let mut schema = json!({
        "type": kind,
        "properties": properties,
        "additionalProperties": false,
    });
    if let (Some(schema), false) = (schema.as_object_mut(), required.is_empty()) {
        schema.insert("required".into(), json!(required));
    }
    schema
}

fn property(key: &KeySpec) -> Value {
    let mut schema = type_of(&key.kind);
    let Some(object) = schema.as_object_mut() else { return schema };
    let about = match key.default {
        DefaultValue::Unset(words) => format!("{} Default: {words}.", key.about),
        DefaultValue::Is(_) | DefaultValue::Required(_) => key.about.to_owned(),
    };
    object.insert("description".into(), json!(about));
    if let DefaultValue::Is(yaml) = key.default
        && let Ok(value) = serde_yaml::from_str::<Value>(yaml)
    {
        object.insert("default".into(), value);
    }
    schema
}

fn type_of(kind: &Type) -> Value {
    match kind {
        Type::Text | Type::Secret | Type::Pem => json!({ "type": "string" }),
        Type::Scalar => json!({ "type": ["string", "number", "boolean"] }),
        Type::Flag => or_substituted(json!({ "type": "boolean" })),
        Type::Count { least, most } => {
            or_substituted(json!({ "type": "integer", "minimum": least, "maximum": most }))
        }
        Type::Size { .. } => json!({ "anyOf": [
            { "type": "integer", "minimum": 0 },
            { "type": "string", "pattern": "^[0-9]+([KMG]iB)?$|\\$\\{" },
        ] }),
        Type::Duration { .. } => {
            json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$|\\$\\{" })
        }
        Type::Choice(words) => or_substituted(json!({ "enum": words })),
        Type::List { of, least } => {
            json!({ "type": "array", "items": type_of(of), "minItems": least })
        }
        Type::OneOrMore(of) => {
            let one = type_of(of);
            json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
        }
        Type::Map(of) => json!({ "type": "object", "additionalProperties": type_of(of) }),
        Type::Texts(known) => {
            let property = |(key, default): &(&str, &str)| {
                ((*key).to_owned(), json!({ "type": "string", "default": default }))
            };
            json!({
                "type": "object",
                "properties": known.iter().map(property).collect::<Map<String, Value>>(),
                "additionalProperties": false,
            })
        }
        Type::Section(keys) => section(keys),
        Type::Either(kinds) => {
            json!({ "anyOf": kinds.iter().map(type_of).collect::<Vec<_>>() })
        }
    }
}

/// Allows a string with `${…}` in place of any value.
fn or_substituted(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "string", "pattern": "\\$\\{" }] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::key_rows::rows;

    #[test]
    fn schema_has_every_key_with_its_description() {
        let schema = schema();
        for row in rows(ROOT) {
            let path = row.path().replace("[]", ".[]");
            let places = places(&schema, &path.split('.').collect::<Vec<_>>());
            let is_described = |place: &&Value| {
                place["description"].as_str().is_some_and(|text| text.starts_with(row.key.about))
            };
            assert!(places.iter().any(is_described), "{}: {places:?}", row.path());
        }
    }

    /// Returns the schemas at a path: `[]` is any item of a list, `ID` any name that the operator chooses.
    fn places<'s>(schema: &'s Value, path: &[&str]) -> Vec<&'s Value> {
        let Some((name, rest)) = path.split_first() else { return vec![schema] };
        let within = match *name {
            "[]" => schema.get("items"),
            "ID" => schema.get("additionalProperties"),
            name => schema["properties"].get(name),
        };
        let either = schema["anyOf"].as_array().into_iter().flatten();
        let within = within.into_iter().flat_map(|schema| places(schema, rest));
        within.chain(either.flat_map(|schema| places(schema, path))).collect()
    }

    #[test]
    fn schema_rejects_unknown_keys_and_lists_required_ones() {
        let schema = schema();
        assert_eq!(schema["additionalProperties"], json!(false));
        assert_eq!(schema["required"], json!(["server", "routes"]));
        let route = &schema["properties"]["routes"]["items"];
        assert_eq!(route["required"], json!(["allow"]));
    }
}
