//! `cargo xtask tidy`: rules of the repository that no compiler knows. They run as tests too.

use crate::metadata::Metadata;
use crate::paths::{read, tracked, write};
use crate::{arrows, map, places, purity, snippets};

const SOURCE_LINES_MAX: usize = 1_000;
const SOURCE: &[&str] = &[".rs", ".js", ".mjs", ".ts", ".py", ".html", ".css"];
const VAGUE: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc", "imp"];

type Check = fn() -> Result<Vec<String>, String>;

/// All checks by name.
const CHECKS: &[(&str, Check)] = &[
    ("dependency arrows", dependency_arrows),
    ("pure crates", pure_crates),
    ("the map", map_is_true),
    ("snippets", snippets_are_true),
    ("file names", file_names),
    ("file sizes", file_sizes),
    ("machine paths", machine_paths),
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
    Ok(arrows::forbidden(&Metadata::load()?.members()))
}

fn pure_crates() -> Result<Vec<String>, String> {
    let metadata = Metadata::load()?;
    let members = metadata.members();
    let files = tracked()?;
    let mut problems = Vec::new();
    for name in purity::PURE_CRATES {
        // What the manifest names for other platforms is not in the resolved graph of this one.
        let named = members.get(*name).into_iter().flatten().filter(|dependency| !dependency.for_tests);
        let mut foundations = metadata.foundations(name);
        foundations.extend(named.map(|dependency| dependency.name.clone()));
        problems.extend(purity::impure_foundations(name, &foundations));

        let folder = format!("crates/{name}/src/");
        let sources = files.iter().filter(|file| file.starts_with(&folder) && !file.ends_with("/tests.rs"));
        for file in sources {
            problems.extend(purity::impure_words(file, &read(file)?));
        }
    }
    Ok(problems)
}

fn map_is_true() -> Result<Vec<String>, String> {
    let text = read("ARCHITECTURE.md")?;
    let mut problems = map::names_of_nothing(&text, &tracked()?);
    problems.extend(map::unnamed_crates(&text, Metadata::load()?.members().keys()));
    Ok(problems)
}

fn snippets_are_true() -> Result<Vec<String>, String> {
    let mut problems = Vec::new();
    for file in tracked()?.iter().filter(|file| file.ends_with(".md")) {
        let text = read(file)?;
        let renewed = snippets::renewed(&text, read);
        match renewed {
            Ok(renewed) if renewed == text => {}
            Ok(renewed) if std::env::var_os("UPDATE_DOCS").is_some() => write(file, &renewed)?,
            Ok(_) => problems
                .push(format!("{file} shows code that is not what its file is; run: UPDATE_DOCS=1 cargo xtask tidy")),
            Err(problem) => problems.push(format!("{file}: {problem}")),
        }
    }
    Ok(problems)
}

fn file_names() -> Result<Vec<String>, String> {
    let vague = tracked()?.into_iter().filter(|file| is_vague(file));
    Ok(vague.map(|file| format!("{file} does not say what belongs there")).collect())
}

fn is_vague(file: &str) -> bool {
    file.split('/').any(|part| VAGUE.contains(&part.split('.').next().unwrap_or_default()))
}

fn file_sizes() -> Result<Vec<String>, String> {
    let mut problems = Vec::new();
    for file in tracked()?.iter().filter(|file| SOURCE.iter().any(|ending| file.ends_with(ending))) {
        problems.extend(too_long(file, &read(file)?));
    }
    Ok(problems)
}

fn too_long(file: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > SOURCE_LINES_MAX).then(|| format!("{file} has {lines} lines; one noun has at most {SOURCE_LINES_MAX}"))
}

fn machine_paths() -> Result<Vec<String>, String> {
    let mut problems = Vec::new();
    for file in tracked()? {
        problems.extend(places::of_one_machine(&file, &read(&file)?));
    }
    Ok(problems)
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
    fn snippets_are_their_files() {
        clean(snippets_are_true);
    }

    #[test]
    fn names_say_what_belongs_there() {
        clean(file_names);
    }

    #[test]
    fn files_are_one_noun() {
        clean(file_sizes);
    }

    #[test]
    fn no_file_names_a_machine() {
        clean(machine_paths);
    }

    #[test]
    fn a_vague_name_is_found() {
        assert!(is_vague("crates/a/src/util.rs") && is_vague("a/common/b.rs"));
        assert!(!is_vague("a/utility_room.rs") && !is_vague("crates/common_room/src/lib.rs"));
    }

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(too_long("a.rs", &"x\n".repeat(SOURCE_LINES_MAX)), None);
        assert!(too_long("a.rs", &"x\n".repeat(SOURCE_LINES_MAX + 1)).is_some());
    }
}
