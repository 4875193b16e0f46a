//! What commands print: colours only on a terminal, and a closed pipe ends the command in peace.

use std::fmt::Display;
use std::io::{IsTerminal as _, Read as _, Write as _};

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use crate::arguments::Failure;

/// For what is beside the point.
pub(crate) const DIM: Style = Style::new().dimmed();
/// For names.
pub(crate) const NAME: Style = AnsiColor::Cyan.on_default();
/// For what happened.
pub(crate) const VERB: Style = AnsiColor::Green.on_default();
/// For what is wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default();

/// The longest input that is read.
const INPUT_BYTES: u64 = 64 << 20;

/// Prints a line; false when nobody reads any more.
pub(crate) fn line(text: impl Display) -> bool {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).is_ok()
}

/// Tells the person at the terminal something that is no output.
pub(crate) fn note(text: impl Display) {
    // Whoever closed standard error does not want to know.
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// A value as its reader wants it: a text bare if asked for, on a terminal over several lines.
pub(crate) fn value(value: &Value, raw: bool) -> String {
    match value {
        Value::String(text) if raw => text.clone(),
        value if std::io::stdout().is_terminal() => format!("{value:#}"),
        value => value.to_string(),
    }
}

/// The argument itself, or standard input for `-`.
pub(crate) fn input(argument: &str) -> Result<String, Failure> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut text = String::new();
    std::io::stdin()
        .take(INPUT_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| Failure::runtime(format!("cannot read standard input: {error}")))?;
    Ok(text)
}

/// Reads JSON; `what` names it in the message.
pub(crate) fn json(text: &str, what: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| {
        let shown: String = text.chars().take(40).collect();
        Failure::usage(format!(
            "{what} is not JSON ({error}): {shown}; a text needs quotes of its own, as in '\"hello\"'"
        ))
    })
}
