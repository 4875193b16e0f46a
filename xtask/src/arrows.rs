//! Which crate may depend on which, and what the pure ones may touch.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::paths::root;

/// The arrows of ARCHITECTURE.md: a crate and what it may depend on, tests of its own aside.
const ALLOWED: &[(&str, &[&str])] = &[
    ("chatroom-protocol", &[]),
    ("chatroom-engine", &["chatroom-protocol"]),
    ("chatroom-journal", &["chatroom-protocol"]),
    ("chatroom-server", &["chatroom-engine", "chatroom-journal", "chatroom-protocol"]),
    ("chatroom", &["chatroom-protocol", "chatroom-server"]),
    ("chatroom-testkit", &["chatroom-engine", "chatroom-journal", "chatroom-protocol", "chatroom-server"]),
    ("xtask", &[]),
];

/// Crates that can do no I/O, which is all that protocol and engine may stand on.
const PURE: &[&str] = &[
    "bytes",
    "itoa",
    "memchr",
    "proc-macro2",
    "quote",
    "ryu-js",
    "serde",
    "serde_core",
    "serde_derive",
    "serde_json",
    "syn",
    "unicode-ident",
    "zmij",
    "chatroom-protocol",
    "chatroom-engine",
];

/// Words that only a crate with I/O, a clock, randomness or tasks has.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::time",
    "std::thread",
    "std::env",
    "std::process",
    "tokio",
    "async fn",
    "println!",
    "rand::",
];

/// `cargo metadata` of the workspace.
pub(crate) fn metadata() -> Result<Value, String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .map_err(|error| format!("cannot run cargo metadata: {error}"))?;
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cannot read cargo metadata: {error}"))
}

/// The normal dependencies of each workspace crate.
pub(crate) fn edges(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let members = list(&metadata["workspace_members"]);
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    packages
        .iter()
        .filter(|package| members.contains(&text(&package["id"])))
        .map(|package| {
            let dependencies = package["dependencies"].as_array().cloned().unwrap_or_default();
            let normal = dependencies.iter().filter(|dependency| dependency["kind"].is_null());
            (text(&package["name"]), normal.map(|dependency| text(&dependency["name"])).collect())
        })
        .collect()
}

/// Edges between workspace crates that no arrow allows.
pub(crate) fn forbidden(edges: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut problems = Vec::new();
    for (from, dependencies) in edges {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| name == from) else {
            problems.push(format!("{from} has no place among the arrows in xtask/src/arrows.rs"));
            continue;
        };
        for to in dependencies.iter().filter(|to| edges.contains_key(*to) && !allowed.contains(&to.as_str())) {
            problems.push(format!("{from} may not depend on {to}: arrows point down only, see ARCHITECTURE.md"));
        }
    }
    problems
}

/// What a pure crate stands on, directly or not, that is not known to be pure.
pub(crate) fn impure_dependencies(metadata: &Value, root: &str) -> Vec<String> {
    let nodes = metadata["resolve"]["nodes"].as_array().cloned().unwrap_or_default();
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let names: BTreeMap<String, String> =
        packages.iter().map(|package| (text(&package["id"]), text(&package["name"]))).collect();
    let mut seen = BTreeSet::new();
    let mut open: Vec<String> = names.iter().filter(|(_, name)| *name == root).map(|(id, _)| id.clone()).collect();
    while let Some(id) = open.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        let Some(node) = nodes.iter().find(|node| text(&node["id"]) == id) else { continue };
        for dependency in node["deps"].as_array().cloned().unwrap_or_default() {
            let kinds = dependency["dep_kinds"].as_array().cloned().unwrap_or_default();
            if kinds.iter().any(|kind| kind["kind"].is_null()) {
                open.push(text(&dependency["pkg"]));
            }
        }
    }
    let found: BTreeSet<&String> = seen.iter().filter_map(|id| names.get(id)).collect();
    found
        .into_iter()
        .filter(|name| !PURE.contains(&name.as_str()))
        .map(|name| format!("{root} stands on {name}, which is not among the crates known to do no I/O"))
        .collect()
}

/// Words in a source file that a pure crate may not have.
pub(crate) fn impure_words(file: &str, source: &str) -> Vec<String> {
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    IMPURE
        .iter()
        .filter(|word| code.contains(**word))
        .map(|word| format!("{file} has {word}: time and bytes go in as arguments, effects come out"))
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> BTreeSet<String> {
    value.as_array().map(|items| items.iter().map(text).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrow_that_points_up_is_found() {
        let edges = BTreeMap::from([
            ("chatroom-protocol".to_owned(), BTreeSet::from(["chatroom-engine".to_owned()])),
            ("chatroom-engine".to_owned(), BTreeSet::from(["chatroom-protocol".to_owned(), "bytes".to_owned()])),
        ]);
        let problems = forbidden(&edges);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains("chatroom-protocol may not depend on chatroom-engine"));
    }

    #[test]
    fn a_clock_in_a_pure_crate_is_found() {
        assert_eq!(impure_words("a.rs", "use std::time::Instant;").len(), 1);
        assert_eq!(impure_words("a.rs", "// std::time in words\nlet a = 1;").len(), 0);
    }
}
