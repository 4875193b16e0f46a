//! `cargo xtask tidy`: rules of the repository that no compiler knows. They run as tests too.

use crate::arrows;
use crate::paths::{root, tracked};

const SOURCE_LINES_MAX: usize = 1_000;
const VAGUE: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc", "imp"];

type Check = fn() -> Result<Vec<String>, String>;

/// All checks by name.
const CHECKS: &[(&str, Check)] = &[
    ("dependency arrows", dependency_arrows),
    ("pure crates", pure_crates),
    ("the map", map_is_true),
    ("file names", file_names),
    ("file sizes", file_sizes),
];

/// Runs all checks.
pub(crate) fn run() -> Result<(), String> {
    let mut problems = Vec::new();
    for (name, check) in CHECKS {
        problems.extend(check()?.into_iter().map(|problem| format!("{name}: {problem}")));
    }
    match problems.as_slice() {
        [] => {
            println!("tidy: {} checks, nothing found", CHECKS.len());
            Ok(())
        }
        problems => Err(format!("{} found\n  {}", problems.len(), problems.join("\n  "))),
    }
}

fn dependency_arrows() -> Result<Vec<String>, String> {
    Ok(arrows::forbidden(&arrows::edges(&arrows::metadata()?)))
}

fn pure_crates() -> Result<Vec<String>, String> {
    let metadata = arrows::metadata()?;
    let mut problems = Vec::new();
    for name in ["chatroom-protocol", "chatroom-engine"] {
        problems.extend(arrows::impure_dependencies(&metadata, name));
        let folder = format!("crates/{name}/src/");
        for file in tracked()?.iter().filter(|file| file.starts_with(&folder)) {
            problems.extend(arrows::impure_words(file, &read(file)?));
        }
    }
    Ok(problems)
}

/// Every file and folder that ARCHITECTURE.md names exists, and every crate is named.
fn map_is_true() -> Result<Vec<String>, String> {
    let files = tracked()?;
    let map = read("ARCHITECTURE.md")?;
    let mut problems = missing_from_tree(&map, &files);
    for name in arrows::edges(&arrows::metadata()?).into_keys() {
        if !map.contains(&format!("`{name}`")) {
            problems.push(format!("ARCHITECTURE.md does not name the crate {name}"));
        }
    }
    Ok(problems)
}

fn missing_from_tree(map: &str, files: &[String]) -> Vec<String> {
    let names = map.split('`').skip(1).step_by(2).filter(|name| {
        let path = name.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
        // Names on the wire are no paths.
        path && !name.starts_with('_') && (name.ends_with(".rs") || name.ends_with(".md") || name.contains('/'))
    });
    names
        .filter(|name| {
            let inside = format!("/{name}");
            let folder = format!("{}/", name.trim_end_matches('/'));
            !files.iter().any(|file| {
                file == name
                    || file.ends_with(&inside)
                    || file.starts_with(&folder)
                    || file.contains(&format!("/{folder}"))
            })
        })
        .map(|name| format!("ARCHITECTURE.md names {name}, which does not exist"))
        .collect()
}

fn file_names() -> Result<Vec<String>, String> {
    Ok(tracked()?
        .iter()
        .filter(|file| is_vague(file))
        .map(|file| format!("{file} does not say what belongs there"))
        .collect())
}

fn is_vague(file: &str) -> bool {
    file.split('/').any(|part| VAGUE.contains(&part.split('.').next().unwrap_or_default()))
}

fn file_sizes() -> Result<Vec<String>, String> {
    let mut problems = Vec::new();
    for file in
        tracked()?.iter().filter(|file| file.ends_with(".rs") || file.ends_with(".js") || file.ends_with(".mjs"))
    {
        let lines = read(file)?.lines().count();
        if lines > SOURCE_LINES_MAX {
            problems.push(format!("{file} has {lines} lines, at most {SOURCE_LINES_MAX} are one noun"));
        }
    }
    Ok(problems)
}

fn read(file: &str) -> Result<String, String> {
    std::fs::read_to_string(root().join(file)).map_err(|error| format!("cannot read {file}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn clean(check: Check) {
        assert_eq!(check().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn arrows_point_down() {
        clean(dependency_arrows);
    }

    #[test]
    fn protocol_and_engine_do_no_io() {
        clean(pure_crates);
    }

    #[test]
    fn the_map_is_true() {
        clean(map_is_true);
    }

    #[test]
    fn names_say_what_belongs_there() {
        clean(file_names);
        assert!(is_vague("crates/a/src/util.rs") && is_vague("a/common/b.rs") && !is_vague("a/utility_room.rs"));
    }

    #[test]
    fn files_are_one_noun() {
        clean(file_sizes);
    }

    #[test]
    fn a_wrong_map_is_found() {
        let files = ["crates/a/src/room.rs".to_owned()];
        assert_eq!(missing_from_tree("see `room.rs` and `crates/a`", &files), Vec::<String>::new());
        assert_eq!(missing_from_tree("see `gone.rs` and `crates/b`", &files).len(), 2);
    }
}
