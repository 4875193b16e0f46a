//! Whether ARCHITECTURE.md, the map, shows what is there.

/// Files and folders in backticks that are not in the tree.
pub(crate) fn names_of_nothing(map: &str, files: &[String]) -> Vec<String> {
    names(map)
        .filter(|name| !files.iter().any(|file| is_at(file, name.trim_end_matches('/'))))
        .map(|name| format!("ARCHITECTURE.md names `{name}`, which does not exist"))
        .collect()
}

/// Crates that the map does not name.
pub(crate) fn unnamed_crates<'a>(map: &str, crates: impl Iterator<Item = &'a String>) -> Vec<String> {
    crates
        .filter(|name| !map.contains(&format!("`{name}`")))
        .map(|name| format!("ARCHITECTURE.md does not name the crate `{name}`"))
        .collect()
}

/// What stands in backticks and reads like a path.
fn names(map: &str) -> impl Iterator<Item = &str> {
    // Fenced blocks are drawings and commands; what begins with `_` or `/` is a name on the wire.
    let prose = map.split("```").step_by(2);
    prose.flat_map(|text| text.split('`').skip(1).step_by(2)).filter(|name| {
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
        plain
            && (name.ends_with(".rs") || name.ends_with(".md") || (name.contains('/') && !name.starts_with(['_', '/'])))
    })
}

/// Whether a path from the root, or the end of one, leads to the file or through it.
fn is_at(file: &str, name: &str) -> bool {
    format!("/{file}/").contains(&format!("/{name}/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(map: &str, missing: &[&str]) {
        let files = ["crates/a/src/room.rs".to_owned(), "docs/protocol.md".to_owned()];
        let expected: Vec<String> =
            missing.iter().map(|name| format!("ARCHITECTURE.md names `{name}`, which does not exist")).collect();
        assert_eq!(names_of_nothing(map, &files), expected);
    }

    #[test]
    fn what_is_there_may_be_named() {
        check("see `room.rs`, `src/room.rs`, `crates/a`, `crates/a/`, `docs/protocol.md`", &[]);
        check("`Room::handle`, `GET /`, `/metrics`, `_chatroom/topics`, `--listen`\n```sh\n`gone.rs`\n```\n", &[]);
    }

    #[test]
    fn what_is_gone_is_found() {
        check("see `gone.rs` and `crates/b`, `om.rs`, `crates/a/sr`", &["gone.rs", "crates/b", "om.rs", "crates/a/sr"]);
        check("```sh\nls\n```\nsee `gone.rs`", &["gone.rs"]);
    }

    #[test]
    fn a_crate_that_is_not_on_the_map_is_found() {
        let crates = ["chatroom".to_owned(), "chatroom-engine".to_owned()];
        let problems = unnamed_crates("only `chatroom-engine`", crates.iter());
        assert_eq!(problems, ["ARCHITECTURE.md does not name the crate `chatroom`"]);
    }
}
