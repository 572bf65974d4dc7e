//! Checks JSON that commands print against the schemas in docs/schema.
//!
//! The schemas keep to a part of JSON Schema 2020-12 that is small enough to check here; a keyword outside it fails the test, so that none is believed
//! to be checked that is not.

use std::path::Path;

use longshore_testkit::{Stop, TestResult};
use serde_json::{Map, Value};

/// Checks one document against docs/schema/NAME.json.
pub(crate) fn check(name: &str, document: &str) -> TestResult {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema").join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Stop::failed(format!("cannot read {}: {error}", path.display())))?;
    let schema: Value = serde_json::from_str(&text)?;
    let document: Value = serde_json::from_str(document)?;
    if document["version"] != 1 {
        return Err(Stop::failed(format!("{name}: the document has no version 1")));
    }
    let root = schema.clone();
    Checker { root: &root }
        .check("", &schema, &document)
        .map_err(|problem| Stop::failed(format!("{name}{problem}")))
}

struct Checker<'a> {
    root: &'a Value,
}

impl Checker<'_> {
    fn check(&self, place: &str, schema: &Value, value: &Value) -> Result<(), String> {
        let fail = |problem: String| Err(format!("{place}: {problem}"));
        let Some(keywords) = schema.as_object() else { return fail(format!("{schema} is no schema")) };
        for (keyword, wanted) in keywords {
            match keyword.as_str() {
                "$schema" | "$id" | "$defs" | "title" | "description" => {}
                "$ref" => {
                    let pointer = wanted.as_str().unwrap_or_default().trim_start_matches('#');
                    let Some(target) = self.root.pointer(pointer) else {
                        return fail(format!("no {pointer}"));
                    };
                    self.check(place, target, value)?;
                }
                "const" if wanted != value => return fail(format!("{value} is not {wanted}")),
                "enum" if !wanted.as_array().is_some_and(|known| known.contains(value)) => {
                    return fail(format!("{value} is not one of {wanted}"));
                }
                "const" | "enum" => {}
                "type" => check_type(wanted, value).or_else(fail)?,
                "required" => {
                    for name in wanted.as_array().into_iter().flatten().filter_map(Value::as_str) {
                        if value.is_object() && value.get(name).is_none() {
                            return fail(format!("`{name}` is missing"));
                        }
                    }
                }
                "properties" | "additionalProperties" => {}
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(&format!("{place}[{index}]"), wanted, item)?;
                    }
                }
                other => return fail(format!("the schema's keyword `{other}` is not checked")),
            }
        }
        value.as_object().map_or(Ok(()), |object| self.check_properties(place, keywords, object))
    }

    fn check_properties(
        &self,
        place: &str,
        keywords: &Map<String, Value>,
        object: &Map<String, Value>,
    ) -> Result<(), String> {
        let known = keywords.get("properties").and_then(Value::as_object);
        for (name, value) in object {
            let place = format!("{place}.{name}");
            match (known.and_then(|known| known.get(name)), keywords.get("additionalProperties")) {
                (Some(schema), _) => self.check(&place, schema, value)?,
                (None, Some(Value::Bool(false))) => return Err(format!("{place}: is not in the schema")),
                (None, Some(schema @ Value::Object(_))) => self.check(&place, schema, value)?,
                (None, _) => {}
            }
        }
        Ok(())
    }
}

fn check_type(wanted: &Value, value: &Value) -> Result<(), String> {
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    let fits = match wanted {
        Value::String(name) => is(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(is),
        _ => false,
    };
    if fits { Ok(()) } else { Err(format!("{value} is not of type {wanted}")) }
}
