//! Repository chores: `cargo xtask tidy` and `cargo xtask test`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "chores talk to the person who runs them")]

mod arrows;
mod map;
mod metadata;
mod paths;
mod places;
mod purity;
mod snippets;
mod steps;
mod tidy;

use std::process::ExitCode;

const COMMANDS: &str = "\
cargo xtask tidy           checks the repository's own rules
cargo xtask test [-- ...]  passes all tests: formatting, lints, pages, then every test;
                           what follows -- goes to the test runner";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.first().map(String::as_str) {
        Some("tidy") => tidy::run().map(|()| ExitCode::SUCCESS),
        Some("test") => steps::test(arguments.get(1..).unwrap_or_default()),
        None => {
            println!("{COMMANDS}");
            Ok(ExitCode::SUCCESS)
        }
        Some(other) => Err(format!("no command {other:?}; there are\n{COMMANDS}")),
    };
    result.unwrap_or_else(|why| {
        eprintln!("xtask: {why}");
        ExitCode::FAILURE
    })
}
