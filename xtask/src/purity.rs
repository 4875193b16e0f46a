//! What the pure crates may stand on and say.

use std::collections::BTreeSet;

/// The crates in which time, randomness and bytes are arguments and effects are values.
pub(crate) const PURE_CRATES: &[&str] = &["chatroom-protocol", "chatroom-engine", "chatroom-replica"];

/// Crates that do no I/O when they run, which is all that the pure ones may stand on.
const FOUNDATIONS: &[&str] = &[
    "bytes",
    "chatroom-protocol",
    "itoa",
    "memchr",
    // Ropes, and what they stand on.
    "ropey",
    "smallvec",
    "str_indices",
    "ryu-js",
    "serde",
    "serde_core",
    "serde_json",
    "zmij",
    // serde's derive, which runs in the compiler only.
    "proc-macro2",
    "quote",
    "serde_derive",
    "syn",
    "unicode-ident",
];

/// Words that only code with I/O, a clock, randomness or tasks has.
const IMPURE: &[&str] = &[
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::thread",
    "std::time",
    // Would hide any of the above.
    "std::{",
    "use std;",
    "async fn",
    "async move",
    "println!",
    "rand::",
    "tokio",
];

/// What a pure crate stands on that is not known to be pure.
pub(crate) fn impure_foundations(name: &str, foundations: &BTreeSet<String>) -> Vec<String> {
    foundations
        .iter()
        .filter(|foundation| !FOUNDATIONS.contains(&foundation.as_str()))
        .map(|foundation| format!("{name} stands on {foundation}, which xtask/src/purity.rs does not know to be pure"))
        .collect()
}

/// Words in a source file that a pure crate may not have, comments aside.
pub(crate) fn impure_words(file: &str, source: &str) -> Vec<String> {
    let code: Vec<&str> = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    IMPURE
        .iter()
        .filter(|word| code.iter().any(|line| line.contains(**word)))
        .map(|word| format!("{file} has `{word}`: in a pure crate time and bytes are arguments, effects are values"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Metadata;

    #[test]
    fn a_runtime_below_a_pure_crate_is_found() {
        let foundations = BTreeSet::from(["bytes".to_owned(), "tokio".to_owned()]);
        let problems = impure_foundations("chatroom-engine", &foundations);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains("chatroom-engine stands on tokio"), "{problems:?}");
    }

    #[test]
    fn foundations_are_followed_all_the_way_but_not_through_tests() {
        let metadata = Metadata::parse(
            r#"{
                "packages": [
                    {"id": "1", "name": "a"}, {"id": "2", "name": "b"}, {"id": "3", "name": "c"}, {"id": "4", "name": "d"}
                ],
                "resolve": {"nodes": [
                    {"id": "1", "deps": [
                        {"pkg": "2", "dep_kinds": [{"kind": null}]},
                        {"pkg": "4", "dep_kinds": [{"kind": "dev"}]}
                    ]},
                    {"id": "2", "deps": [{"pkg": "3", "dep_kinds": [{"kind": "build"}, {"kind": "dev"}]}]},
                    {"id": "3", "deps": []},
                    {"id": "4", "deps": []}
                ]}
            }"#,
        );
        let found = metadata.unwrap().foundations("a");
        assert_eq!(found, BTreeSet::from(["b".to_owned(), "c".to_owned()]));
    }

    #[test]
    fn a_clock_is_found() {
        assert_eq!(impure_words("a.rs", "use std::time::Instant;").len(), 1);
        assert_eq!(impure_words("a.rs", "use std::{fs, net};").len(), 1);
        assert_eq!(impure_words("a.rs", "    eprintln!(\"here\");").len(), 1);
        assert_eq!(impure_words("a.rs", "    // std::time in words\nlet a = 1;").len(), 0);
    }
}
