//! Finding the fields of a JSON object without giving them types yet.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::code::{Code, Refusal};
use crate::json;
use crate::limits::{MAX_DEPTH, MAX_FIELDS};

/// How deep a value lies in the deepest message: content, changes, part, change, value.
const ENVELOPE_DEPTH: usize = 6;

/// The fields of one JSON object, each still as JSON text.
#[derive(Debug, Default)]
pub struct Fields<'a> {
    fields: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Fields<'a> {
    /// Reads an object; `what` names it in the refusal.
    ///
    /// # Errors
    /// `bad_type` for anything else, `malformed` for a field twice or too many fields.
    pub fn parse(text: &'a str, what: &str) -> Result<Self, Refusal> {
        if !text.starts_with('{') {
            return Err(Refusal::new(Code::BadType, format!("{what} must be an object")));
        }
        serde_json::from_str(text).map_err(|error| {
            let refusal = json::refusal(&error);
            Refusal::new(refusal.code, format!("{what}: {}", refusal.reason))
        })
    }

    /// Reads an array of objects; `must` says in the refusal what was expected.
    ///
    /// # Errors
    /// `bad_type` for anything else, `malformed` for a field twice or too many fields.
    pub fn list(raw: &'a RawValue, must: &str) -> Result<Vec<Self>, Refusal> {
        let items: Vec<&RawValue> =
            serde_json::from_str(raw.get()).map_err(|_| Refusal::new(Code::BadType, must.to_owned()))?;
        items.into_iter().map(|item| Self::parse(item.get(), must)).collect()
    }

    /// The field of that name; `None` also when it is `null`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.raw(name).filter(|raw| raw.get() != "null")
    }

    /// The field of that name, `null` or not.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, raw)| *raw)
    }

    /// The field of that name, which must be there.
    ///
    /// # Errors
    /// `bad_type`, naming the field.
    pub fn require(&self, name: &str) -> Result<&'a RawValue, Refusal> {
        self.raw(name).ok_or_else(|| Refusal::new(Code::BadType, format!("the field {name} is missing")))
    }

    /// The field as a string, if it is there.
    ///
    /// # Errors
    /// `bad_type` or `bad_unicode`, naming the field.
    pub fn text(&self, name: &str) -> Result<Option<String>, Refusal> {
        self.get(name).map(|raw| json::string(raw.get(), name)).transpose()
    }

    /// The field as a string, which must be there.
    ///
    /// # Errors
    /// `bad_type` or `bad_unicode`, naming the field.
    pub fn require_text(&self, name: &str) -> Result<String, Refusal> {
        json::string(self.require(name)?.get(), name)
    }

    /// The field as a whole number of 0 or more, if it is there.
    ///
    /// # Errors
    /// `bad_type` or `out_of_range`, naming the field.
    pub fn count(&self, name: &str) -> Result<Option<u64>, Refusal> {
        self.get(name).map(|raw| count(raw, name)).transpose()
    }

    /// The field as a position or length, which must be there.
    ///
    /// # Errors
    /// `bad_type` or `out_of_range`, naming the field.
    pub fn require_position(&self, name: &str) -> Result<usize, Refusal> {
        let value = count(self.require(name)?, name)?;
        usize::try_from(value).map_err(|_| Refusal::new(Code::OutOfRange, format!("{name} is too large")))
    }

    /// The field as true or false, if it is there.
    ///
    /// # Errors
    /// `bad_type`, naming the field.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.get(name).map(RawValue::get) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(Refusal::new(Code::BadType, format!("{name} must be true or false"))),
        }
    }
}

fn count(raw: &RawValue, name: &str) -> Result<u64, Refusal> {
    u64::try_from(json::integer(raw.get(), name)?)
        .map_err(|_| Refusal::new(Code::OutOfRange, format!("{name} may not be negative")))
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Fields<'de>, A::Error> {
                let mut fields: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::with_capacity(4);
                while let Some(Key(name)) = entries.next_key()? {
                    if fields.iter().any(|(field, _)| *field == name) {
                        return Err(A::Error::custom(format!("the field {name:?} stands twice")));
                    }
                    if fields.len() == MAX_FIELDS {
                        return Err(A::Error::custom(format!("more than {MAX_FIELDS} fields")));
                    }
                    fields.push((name, entries.next_value()?));
                }
                Ok(Fields { fields })
            }
        }

        source.deserialize_map(Object)
    }
}

/// A field's name, borrowed from the message unless it has escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(name.to_owned())))
            }
        }

        source.deserialize_str(Text)
    }
}

/// A message whose frame is understood: it has a type, and a content with fields.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// The type of the message, as the client wrote it.
    pub kind: Cow<'a, str>,
    /// The fields of its content.
    pub content: Fields<'a>,
}

impl<'a> Envelope<'a> {
    /// Reads a message in one step over its text.
    ///
    /// # Errors
    /// `malformed`, saying what is missing.
    pub fn parse(text: &'a str) -> Result<Self, Refusal> {
        // Parts of a message go on to others as they are, whose readers may not bear any depth.
        if json::depth(text) > MAX_DEPTH + ENVELOPE_DEPTH {
            return Err(Refusal::new(Code::Malformed, format!("nested deeper than {MAX_DEPTH}")));
        }
        struct Message;

        impl<'de> Visitor<'de> for Message {
            type Value = Envelope<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object {\"type\": ..., \"content\": {...}}")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Envelope<'de>, A::Error> {
                let (mut kind, mut content) = (None, None);
                while let Some(Key(name)) = entries.next_key()? {
                    let twice = match name.as_ref() {
                        "type" => kind.replace(entries.next_value::<Key<'de>>()?.0).is_some(),
                        "content" => content.replace(entries.next_value::<Fields<'de>>()?).is_some(),
                        _ => {
                            entries.next_value::<IgnoredAny>()?;
                            false
                        }
                    };
                    if twice {
                        return Err(A::Error::custom(format!("the field {name:?} stands twice")));
                    }
                }
                Ok(Envelope {
                    kind: kind.ok_or_else(|| A::Error::missing_field("type"))?,
                    content: content.ok_or_else(|| A::Error::missing_field("content"))?,
                })
            }
        }

        let mut source = serde_json::Deserializer::from_str(text);
        let message = source.deserialize_map(Message).and_then(|message| source.end().map(|()| message));
        message.map_err(|error| {
            let refusal = json::refusal(&error);
            Refusal::new(
                refusal.code,
                format!("not a message {{\"type\": ..., \"content\": {{...}}}}: {}", refusal.reason),
            )
        })
    }
}
