//! Repository chores: `cargo xtask tidy` and `cargo xtask test`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "chores talk to the person who runs them")]

mod arrows;
mod paths;
mod steps;
mod tidy;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.first().map(String::as_str) {
        Some("tidy") => tidy::run(),
        Some("test") => steps::test(arguments.get(1..).unwrap_or_default()),
        _ => {
            println!("cargo xtask tidy   checks the repository's own rules");
            println!("cargo xtask test   passes all tests: formatting, lints, pages, then every test");
            return ExitCode::SUCCESS;
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}
