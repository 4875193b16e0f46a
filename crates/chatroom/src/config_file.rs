//! The configuration file: reading it, and printing the one that is also its reference.

use std::path::{Path, PathBuf};

use chatroom_server::NoAuthority;
use chatroom_server::protocol::Limits;
use toml::{Table, Value};

use crate::arguments::Failure;

const TEMPLATE: &str = include_str!("config.toml");
const KEYS: &[&str] = &[
    "listen",
    "data",
    "memory",
    "durability",
    "keep",
    "workers",
    "debugger",
    "allowed_origins",
    "no_authority",
    "limits",
];

/// What a file says; `None` where it says nothing.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct ConfigFile {
    pub(crate) listen: Option<String>,
    pub(crate) data: Option<PathBuf>,
    pub(crate) memory: Option<bool>,
    pub(crate) durability: Option<String>,
    pub(crate) keep: Option<String>,
    pub(crate) workers: Option<usize>,
    pub(crate) debugger: Option<String>,
    pub(crate) allowed_origins: Option<Vec<String>>,
    pub(crate) no_authority: NoAuthority,
    pub(crate) limits: Limits,
}

/// Prints the commented file.
#[expect(clippy::print_stdout, reason = "printing is what this command is for")]
pub(crate) fn print() -> Result<(), Failure> {
    print!("{}", text());
    Ok(())
}

fn text() -> String {
    let limits = Limits::table().into_iter().map(|(name, default, what)| format!("# {what}\n{name} = {default}\n"));
    format!("{TEMPLATE}{}", limits.collect::<String>())
}

/// Reads a file.
pub(crate) fn read(path: &Path) -> Result<ConfigFile, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!("cannot read the configuration file {shown}: {error}; give another with --config"))
    })?;
    parse(&text).map_err(|problem| {
        Failure::usage(format!("{shown}: {problem}; `chatroom config` prints a file with every key"))
    })
}

fn parse(text: &str) -> Result<ConfigFile, String> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(0, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        format!("line {line}: {}", error.message().replace('\n', " "))
    })?;
    let mut file = ConfigFile::default();
    for (key, value) in table {
        match (key.as_str(), value) {
            ("listen", Value::String(listen)) => file.listen = Some(listen),
            ("data", Value::String(data)) => file.data = Some(data.into()),
            ("memory", Value::Boolean(memory)) => file.memory = Some(memory),
            ("durability", Value::String(durability)) => file.durability = Some(durability),
            ("keep", Value::String(keep)) => file.keep = Some(keep),
            ("workers", Value::Integer(workers)) => match usize::try_from(workers) {
                Ok(workers) => file.workers = Some(workers),
                Err(_) => return Err(format!("workers is {workers}, which must be 0 or more")),
            },
            ("debugger", Value::String(debugger)) => {
                file.debugger = Some(debugger).filter(|debugger| !debugger.is_empty());
            }
            ("allowed_origins", Value::Array(origins)) => {
                let origins = origins.into_iter().map(|origin| match origin {
                    Value::String(origin) => Ok(origin),
                    other => Err(format!("allowed_origins holds {other}, which must be text in quotes")),
                });
                file.allowed_origins = Some(origins.collect::<Result<_, _>>()?);
            }
            ("no_authority", Value::String(policy)) => {
                file.no_authority = match policy.as_str() {
                    "reject" => NoAuthority::Reject,
                    "accept" => NoAuthority::Accept,
                    other => {
                        return Err(format!("no_authority is {other:?}, which must be \"reject\" or \"accept\""));
                    }
                };
            }
            ("limits", Value::Table(limits)) => {
                limits.into_iter().try_for_each(|(name, value)| set_limit(&mut file.limits, &name, &value))?;
            }
            (known, value) if KEYS.contains(&known) => {
                return Err(format!("{known} may not be {}", article(&value)));
            }
            (unknown, _) => return Err(unknown_key(unknown, KEYS.iter().copied())),
        }
    }
    Ok(file)
}

fn set_limit(limits: &mut Limits, name: &str, value: &Value) -> Result<(), String> {
    let names = Limits::table().into_iter().map(|(name, ..)| name);
    if !names.clone().any(|known| known == name) {
        return Err(unknown_key(name, names));
    }
    let number = match value {
        Value::Integer(number) => u64::try_from(*number).ok().filter(|number| *number > 0),
        _ => None,
    };
    match number.is_some_and(|number| limits.set(name, number)) {
        true => Ok(()),
        false => Err(format!("limits.{name} is {value}, which must be a whole number of at least 1")),
    }
}

fn unknown_key<'a>(key: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let nearest = known.clone().max_by(|a, b| strsim::jaro_winkler(a, key).total_cmp(&strsim::jaro_winkler(b, key)));
    match nearest.filter(|nearest| strsim::jaro_winkler(nearest, key) > 0.8) {
        Some(nearest) => format!("unknown key {key}; did you mean {nearest}?"),
        None => format!("unknown key {key}; the keys are {}", known.collect::<Vec<_>>().join(", ")),
    }
}

fn article(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) | Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_file_says_the_defaults() {
        let file = parse(&text()).unwrap();
        assert_eq!(file.limits, Limits::default());
        assert_eq!(file.listen.as_deref(), Some(crate::serve::DEFAULT_LISTEN));
        assert_eq!((file.memory, file.allowed_origins), (Some(false), Some(vec![])));
        assert_eq!(file.data, Some(crate::store::DEFAULT_DATA.into()));
        assert_eq!(file.durability.as_deref(), Some("synced"));
        assert_eq!(crate::store::keep(&file.keep.unwrap()), Ok(chatroom_server::Keep::default()));
        for key in KEYS {
            assert!(TEMPLATE.contains(key), "{key} is not in the file");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, expected) in [
            ("lisen = \"x\"", "unknown key lisen; did you mean listen?"),
            (
                "zzz = 1",
                "unknown key zzz; the keys are listen, data, memory, durability, keep, workers, debugger, allowed_origins, no_authority, limits",
            ),
            ("listen = 8765", "listen may not be a number"),
            ("no_authority = \"maybe\"", "no_authority is \"maybe\", which must be \"reject\" or \"accept\""),
            ("[limits]\nheartbeat = 1", "unknown key heartbeat; did you mean heartbeat_ms?"),
            ("[limits]\nheartbeat_ms = 0", "limits.heartbeat_ms is 0, which must be a whole number of at least 1"),
            ("allowed_origins = [1]", "allowed_origins holds 1, which must be text in quotes"),
        ] {
            assert_eq!(parse(text).unwrap_err(), expected);
        }
        assert!(parse("listen = \"a\"\nlisten = \"b\"").unwrap_err().starts_with("line 2"));
        assert!(parse("listen").unwrap_err().starts_with("line 1"));
    }
}
