//! JSON values under ChatRoom's rules: one reading in every language.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::code::{Code, Refusal};
use crate::limits::{MAX_DEPTH, MAX_INTEGER};

/// From here on JavaScript writes integral numbers with an exponent.
const EXPONENT_MIN: f64 = 1e21;

/// Reads one JSON value.
///
/// Integral numbers become integers (`1.0` is `1`, `-0` is `0`), so that equality of the result
/// is canonical JSON equality.
///
/// # Errors
/// `malformed` (syntax, a key twice, too deep), `bad_unicode`, `not_finite`, or `out_of_range` for
/// an integral number beyond ±(2^53 - 1) that languages would read differently.
pub fn parse(text: &str) -> Result<Value, Refusal> {
    let problem = Cell::new(None);
    let mut source = serde_json::Deserializer::from_str(text);
    let seed = Strict { depth: 0, problem: &problem };
    let value = seed.deserialize(&mut source).and_then(|value| source.end().map(|()| value));
    value.map_err(|error| match problem.take() {
        Some(code) => Refusal::new(code, error.to_string()),
        None => refusal(&error),
    })
}

/// How deep the brackets of a JSON text are nested; what is within strings does not count.
#[must_use]
pub fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Puts what the JSON reader found wrong into one of our codes.
#[must_use]
pub fn refusal(error: &serde_json::Error) -> Refusal {
    let text = error.to_string();
    // The reader has no public kinds for these; the tests below hold the words.
    let code = if text.contains("surrogate") || text.contains("unexpected end of hex escape") {
        Code::BadUnicode
    } else if text.contains("number out of range") {
        Code::NotFinite
    } else {
        Code::Malformed
    };
    Refusal::new(code, text)
}

/// The number in the form that makes equal numbers equal: integral ones as integers.
#[must_use]
pub fn number(value: f64) -> Option<Number> {
    if value.fract() == 0.0 && value.abs() <= MAX_INTEGER as f64 {
        #[expect(clippy::cast_possible_truncation, reason = "integral and within 2^53")]
        return Some(Number::from(value as i64));
    }
    Number::from_f64(value)
}

struct Strict<'p> {
    depth: usize,
    problem: &'p Cell<Option<Code>>,
}

impl Strict<'_> {
    fn fail<T, E: serde::de::Error>(&self, code: Code, why: impl fmt::Display) -> Result<T, E> {
        self.problem.set(Some(code));
        Err(E::custom(why))
    }

    fn deeper<E: serde::de::Error>(&self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return self.fail(Code::Malformed, format!("nested deeper than {MAX_DEPTH}"));
        }
        Ok(Self { depth: self.depth + 1, problem: self.problem })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        if value.unsigned_abs() > MAX_INTEGER.unsigned_abs() {
            return self.fail(Code::OutOfRange, "an integer beyond 2^53 - 1; send it as a string");
        }
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => self.fail(Code::OutOfRange, "an integer beyond 2^53 - 1; send it as a string"),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let beyond = value.abs() > MAX_INTEGER as f64 && value.abs() < EXPONENT_MIN;
        if beyond && value.fract() == 0.0 {
            return self.fail(Code::OutOfRange, "an integral number beyond 2^53 - 1; send it as a string");
        }
        match number(value) {
            Some(number) => Ok(Value::Number(number)),
            None => self.fail(Code::NotFinite, "a number that no double can hold"),
        }
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.deeper()?)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return self.fail(Code::Malformed, format!("the key {key:?} stands twice in one object"));
            }
            let value = entries.next_value_seed(self.deeper()?)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// Reads a string.
///
/// # Errors
/// `bad_type` naming `field` if it is not a string, `bad_unicode` for a lone surrogate.
pub fn string(text: &str, field: &str) -> Result<String, Refusal> {
    if !text.starts_with('"') {
        return Err(Refusal::new(Code::BadType, format!("{field} must be a string")));
    }
    serde_json::from_str(text).map_err(|error| refusal(&error))
}

/// Reads an integer within ±(2^53 - 1); `1.0` is one.
///
/// # Errors
/// `bad_type`, `out_of_range` or `not_finite`, naming `field`.
pub fn integer(text: &str, field: &str) -> Result<i64, Refusal> {
    let value = float(text, field, "an integer")?;
    if value.fract() != 0.0 {
        return Err(Refusal::new(Code::BadType, format!("{field} must be an integer")));
    }
    if value.abs() > MAX_INTEGER as f64 {
        return Err(Refusal::new(Code::OutOfRange, format!("{field} must lie within -(2^53 - 1) and 2^53 - 1")));
    }
    #[expect(clippy::cast_possible_truncation, reason = "integral and within 2^53")]
    Ok(value as i64)
}

/// Reads a finite double; `what` says in the refusal what was expected.
///
/// # Errors
/// `bad_type` or `not_finite`, naming `field`.
pub fn float(text: &str, field: &str, what: &str) -> Result<f64, Refusal> {
    if !text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        return Err(Refusal::new(Code::BadType, format!("{field} must be {what}")));
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(if value == 0.0 { 0.0 } else { value }),
        _ => Err(Refusal::new(Code::NotFinite, format!("{field} is larger than any double"))),
    }
}

/// The one text of a value: keys sorted by code point, no white space, numbers as ECMAScript writes them.
#[must_use]
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => text.push_str(&integer.to_string()),
            None => text.push_str(ryu_js::Buffer::new().format(number.as_f64().unwrap_or_default())),
        },
        Value::String(string) => write_string(string, text),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(item, text);
            }
            text.push(']');
        }
        Value::Object(map) => {
            text.push('{');
            for (index, (key, item)) in map.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_string(key, text);
                text.push(':');
                write_canonical(item, text);
            }
            text.push('}');
        }
    }
}

fn write_string(string: &str, text: &mut String) {
    text.push('"');
    for character in string.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            control if control < ' ' => text.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => text.push(other),
        }
    }
    text.push('"');
}

/// About how many bytes of JSON text a value takes; exact but for escapes and exponents.
#[must_use]
pub fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 8,
        Value::String(string) => string.len() + 2,
        Value::Array(items) => 2 + items.iter().map(|item| weight(item) + 1).sum::<usize>(),
        Value::Object(map) => 2 + map.iter().map(|(key, item)| key.len() + 4 + weight(item)).sum::<usize>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, Code>) {
        let found = parse(text).map(|value| canonical(&value)).map_err(|refusal| refusal.code);
        assert_eq!(found.as_deref().map_err(|code| *code), expected, "{text}");
    }

    #[test]
    fn numbers_have_one_reading() {
        check("1.0", Ok("1"));
        check("-0", Ok("0"));
        check("-0.0", Ok("0"));
        check("1e21", Ok("1e+21"));
        check("1e-7", Ok("1e-7"));
        check("0.1", Ok("0.1"));
        check("9007199254740991", Ok("9007199254740991"));
        check("9007199254740992", Err(Code::OutOfRange));
        check("-9007199254740992", Err(Code::OutOfRange));
        check("1e20", Err(Code::OutOfRange));
        check("18446744073709551616", Err(Code::OutOfRange));
        check("1e400", Err(Code::NotFinite));
        check("NaN", Err(Code::Malformed));
    }

    #[test]
    fn strings_are_unicode() {
        check(r#""\ud83d\ude00""#, Ok("\"😀\""));
        check(r#""\u0001\b""#, Ok(r#""\u0001\b""#));
        for lone in [r#""\ud800""#, r#""\ud800x""#, r#""\udc00""#, r#""\ud800\u0041""#, r#"{"\ud800":1}"#] {
            check(lone, Err(Code::BadUnicode));
        }
    }

    #[test]
    fn objects_are_sorted_and_have_each_key_once() {
        check(r#"{"b":1,"a":{"__proto__":2}}"#, Ok(r#"{"a":{"__proto__":2},"b":1}"#));
        check(r#"{"a":1,"a":1}"#, Err(Code::Malformed));
        check(r#"{"a":1} x"#, Err(Code::Malformed));
    }

    #[test]
    fn depth_is_limited() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(64)).is_ok());
        check(&nested(65), Err(Code::Malformed));
        check(&nested(100_000), Err(Code::Malformed));
        for (text, expected) in [("1", 0), ("[[]]", 2), (r#"{"a":"[[[\"{","b":[1]}"#, 2), ("]][", 1)] {
            assert_eq!(depth(text), expected, "{text}");
        }
    }
}
