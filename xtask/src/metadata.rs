//! What cargo knows of the workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::paths::{output, root};

/// The workspace's crates, what they ask for, and what that was resolved to.
#[derive(Debug)]
pub(crate) struct Metadata(Value);

/// A dependency as a crate's manifest names it, on any platform.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Needed by the crate's own tests only.
    pub(crate) for_tests: bool,
}

impl Metadata {
    /// Asks cargo.
    ///
    /// Resolved for this machine's platform: what other platforms need is not downloaded by a
    /// build, so asking for it would need a network.
    pub(crate) fn load() -> Result<Self, String> {
        let arguments = ["metadata", "--format-version", "1", "--filter-platform", "host-tuple"];
        let text = output(Command::new(env!("CARGO")).args(arguments).current_dir(root()))?;
        Self::parse(&text)
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map(Self).map_err(|error| format!("cannot read cargo metadata: {error}"))
    }

    /// The crates of the workspace, each with its dependencies.
    pub(crate) fn members(&self) -> BTreeMap<String, BTreeSet<Dependency>> {
        let members: BTreeSet<&str> = items(&self.0["workspace_members"]).filter_map(Value::as_str).collect();
        items(&self.0["packages"])
            .filter(|package| members.contains(text(&package["id"])))
            .map(|package| {
                let dependencies = items(&package["dependencies"]).map(|dependency| Dependency {
                    name: text(&dependency["name"]).to_owned(),
                    for_tests: dependency["kind"] == "dev",
                });
                (text(&package["name"]).to_owned(), dependencies.collect())
            })
            .collect()
    }

    /// The names of all crates that a crate stands on, directly or not, tests aside.
    pub(crate) fn foundations(&self, name: &str) -> BTreeSet<String> {
        let names: BTreeMap<&str, &str> =
            items(&self.0["packages"]).map(|package| (text(&package["id"]), text(&package["name"]))).collect();
        let nodes: BTreeMap<&str, &Value> =
            items(&self.0["resolve"]["nodes"]).map(|node| (text(&node["id"]), node)).collect();
        let mut seen = BTreeSet::new();
        let mut open: Vec<&str> = names.iter().filter(|(_, found)| **found == name).map(|(id, _)| *id).collect();
        while let Some(id) = open.pop() {
            if let Some(node) = nodes.get(id).filter(|_| seen.insert(id)) {
                let built = items(&node["deps"])
                    .filter(|dependency| items(&dependency["dep_kinds"]).any(|kind| kind["kind"] != "dev"));
                open.extend(built.map(|dependency| text(&dependency["pkg"])));
            }
        }
        seen.into_iter()
            .filter_map(|id| names.get(id))
            .filter(|found| **found != name)
            .map(|id| (*id).to_owned())
            .collect()
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
