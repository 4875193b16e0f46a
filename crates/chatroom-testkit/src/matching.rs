//! Comparing a message with what a script expects of it; `conformance/README.md` has the matchers.

use std::collections::BTreeMap;

use chatroom_protocol::Code;
use serde_json::Value;

/// What `$id:NAME` stands for.
pub type Bindings = BTreeMap<String, Value>;

/// Compares strictly: every field is there and no other, but for the matchers `$any`, `$int`,
/// `$string` and `$id:NAME`, which binds at its first use.
///
/// # Errors
/// Where they differ.
pub fn compare(expected: &Value, found: &Value, bindings: &mut Bindings) -> Result<(), String> {
    at("", expected, found, bindings)
}

fn at(path: &str, expected: &Value, found: &Value, bindings: &mut Bindings) -> Result<(), String> {
    let differs = || Err(format!("at {path:?}: expected {expected}, found {found}"));
    match (expected, found) {
        (Value::String(matcher), found) if matcher.starts_with('$') => {
            let fits = match matcher.as_str() {
                "$any" => true,
                "$int" => found.is_i64() || found.is_u64(),
                "$string" => found.is_string(),
                code if code.starts_with("$code:") => {
                    Code::by_name(&code["$code:".len()..]).is_some_and(|code| *found == code.number())
                }
                reason if reason.starts_with("$reason:") => {
                    let name = &reason["$reason:".len()..];
                    found.as_str().and_then(|found| found.strip_prefix(name)).is_some_and(|rest| rest.starts_with(": "))
                }
                name if !name.starts_with("$id:") => {
                    return Err(format!("at {path:?}: no matcher {name}"));
                }
                name => match bindings.get(name) {
                    Some(bound) => bound == found,
                    None => {
                        bindings.insert(name.to_owned(), found.clone());
                        true
                    }
                },
            };
            if fits { Ok(()) } else { differs() }
        }
        (Value::Object(expected), Value::Object(found)) => {
            let missing: Vec<_> = expected.keys().filter(|key| !found.contains_key(*key)).collect();
            let extra: Vec<_> = found.keys().filter(|key| !expected.contains_key(*key)).collect();
            if !missing.is_empty() || !extra.is_empty() {
                return Err(format!("at {path:?}: missing {missing:?}, extra {extra:?}"));
            }
            expected.iter().try_for_each(|(key, value)| at(&format!("{path}/{key}"), value, &found[key], bindings))
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => expected
            .iter()
            .zip(found)
            .enumerate()
            .try_for_each(|(index, (expected, found))| at(&format!("{path}/{index}"), expected, found, bindings)),
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => Ok(()),
        (expected, found) if expected == found => Ok(()),
        _ => differs(),
    }
}

/// Puts bound values into a message that is to be sent. Map keys are filled in too.
#[must_use]
pub fn fill(message: &Value, bindings: &Bindings) -> Value {
    match message {
        Value::String(text) => match bindings.get(text) {
            Some(bound) => bound.clone(),
            None => Value::String(fill_text(text, bindings)),
        },
        Value::Array(items) => items.iter().map(|item| fill(item, bindings)).collect(),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, value)| (fill_text(key, bindings), fill(value, bindings))).collect())
        }
        other => other.clone(),
    }
}

/// Puts bound values in place of each `$id:NAME` within a text; unbound ones stay.
fn fill_text(text: &str, bindings: &Bindings) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("$id:") {
        let (before, matcher) = rest.split_at(start);
        let length = matcher["$id:".len()..]
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .map_or(matcher.len(), |end| end + "$id:".len());
        let (name, after) = matcher.split_at(length);
        filled.push_str(before);
        match bindings.get(name) {
            Some(Value::String(value)) => filled.push_str(value),
            Some(other) => filled.push_str(&other.to_string()),
            None => filled.push_str(name),
        }
        rest = after;
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(expected: &Value, found: &Value, fits: bool) {
        let mut bindings = Bindings::from([("$id:a".to_owned(), json!(7))]);
        assert_eq!(compare(expected, found, &mut bindings).is_ok(), fits, "{expected} {found}");
    }

    #[test]
    fn fills_whole_names_alone() {
        let bindings = Bindings::from([("$id:r".to_owned(), json!(7)), ("$id:s".to_owned(), json!("x"))]);
        let filled = fill(&json!(["$id:r", "$id:r2", "a/$id:r/$id:s", {"$id:r": 1}]), &bindings);
        assert_eq!(filled, json!([7, "$id:r2", "a/7/x", {"7": 1}]));
    }

    #[test]
    fn is_strict_but_for_matchers() {
        check(&json!({"a": 1}), &json!({"a": 1}), true);
        check(&json!({"a": 1}), &json!({"a": 1, "b": 2}), false);
        check(&json!({"a": 1, "b": 2}), &json!({"a": 1}), false);
        check(&json!([1]), &json!([1, 2]), false);
        check(&json!("$int"), &json!(3), true);
        check(&json!("$int"), &json!("3"), false);
        check(&json!("$id:a"), &json!(7), true);
        check(&json!("$id:a"), &json!(8), false);
        check(&json!(["$id:b", "$id:b"]), &json!([1, 1]), true);
        check(&json!(["$id:b", "$id:b"]), &json!([1, 2]), false);
    }
}
