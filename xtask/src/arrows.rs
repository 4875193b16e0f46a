//! Which crate may depend on which.

use std::collections::{BTreeMap, BTreeSet};

use crate::metadata::Dependency;

/// The arrows of ARCHITECTURE.md: a crate and what it may depend on.
const ALLOWED: &[(&str, &[&str])] = &[
    ("chatroom-protocol", &[]),
    ("chatroom-engine", &["chatroom-protocol"]),
    ("chatroom-journal", &["chatroom-protocol"]),
    ("chatroom-replica", &["chatroom-protocol"]),
    ("chatroom-client", &["chatroom-protocol", "chatroom-replica"]),
    ("chatroom-server", &["chatroom-engine", "chatroom-journal", "chatroom-protocol"]),
    ("chatroom", &["chatroom-client", "chatroom-protocol", "chatroom-server"]),
    (
        "chatroom-testkit",
        &["chatroom-engine", "chatroom-journal", "chatroom-protocol", "chatroom-replica", "chatroom-server"],
    ),
    ("chatroom-examples", &["chatroom-client", "chatroom-server"]),
    ("xtask", &[]),
];

/// What any crate's tests may depend on besides.
const FOR_TESTS: &[&str] = &["chatroom-testkit", "chatroom-server"];

/// Edges between workspace crates that no arrow allows.
pub(crate) fn forbidden(members: &BTreeMap<String, BTreeSet<Dependency>>) -> Vec<String> {
    let mut problems = Vec::new();
    for (from, dependencies) in members {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| name == from) else {
            problems.push(format!("{from} has no place among the arrows in xtask/src/arrows.rs"));
            continue;
        };
        for Dependency { name: to, for_tests } in dependencies {
            let fits = allowed.contains(&to.as_str()) || (*for_tests && FOR_TESTS.contains(&to.as_str()));
            if members.contains_key(to) && !fits {
                problems.push(format!(
                    "{from} may not depend on {to}: arrows point down only, see ARCHITECTURE.md and xtask/src/arrows.rs"
                ));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(from: &str, to: &str, for_tests: bool, allowed: bool) {
        let mut members: BTreeMap<_, _> =
            ALLOWED.iter().map(|(name, _)| ((*name).to_owned(), BTreeSet::new())).collect();
        members.insert(from.to_owned(), BTreeSet::from([Dependency { name: to.to_owned(), for_tests }]));
        let problems = forbidden(&members);
        assert_eq!(problems.is_empty(), allowed, "{problems:?}");
        assert!(problems.iter().all(|problem| problem.contains(from)), "{problems:?}");
    }

    #[test]
    fn an_arrow_down_is_allowed() {
        check("chatroom-engine", "chatroom-protocol", false, true);
        check("chatroom-engine", "bytes", false, true);
    }

    #[test]
    fn an_arrow_up_is_found() {
        check("chatroom-protocol", "chatroom-engine", false, false);
        check("chatroom", "chatroom-engine", false, false);
    }

    #[test]
    fn tests_may_use_the_testkit_and_nothing_else_besides() {
        check("chatroom-protocol", "chatroom-testkit", true, true);
        check("chatroom-protocol", "chatroom-testkit", false, false);
        check("chatroom-protocol", "chatroom-engine", true, false);
    }

    #[test]
    fn a_crate_without_a_place_is_found() {
        check("chatroom-new", "bytes", false, false);
    }
}
