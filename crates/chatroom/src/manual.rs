//! The manual page and the shell completions, made from the flags themselves.

use std::io::Write as _;

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use crate::arguments::{Arguments, Failure};

/// Prints the manual page: the program, then each command.
pub(crate) fn print() -> Result<(), Failure> {
    let mut page = Vec::new();
    let failed = |error: std::io::Error| Failure::runtime(format!("cannot write the manual page: {error}"));
    let program = Arguments::command();
    clap_mangen::Man::new(program.clone()).render(&mut page).map_err(failed)?;
    for command in program.get_subcommands() {
        let name = format!("chatroom {}", command.get_name());
        writeln!(page, ".SH \"{}\"", name.to_uppercase()).map_err(failed)?;
        let manual = clap_mangen::Man::new(command.clone().bin_name(&name).display_name(&name));
        manual.render_synopsis_section(&mut page).map_err(failed)?;
        manual.render_description_section(&mut page).map_err(failed)?;
        manual.render_options_section(&mut page).map_err(failed)?;
    }
    written(&page)
}

/// Prints what a shell reads to complete words of this program.
pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    let mut program: Command = Arguments::command();
    clap_complete::generate(shell, &mut program, "chatroom", &mut script);
    written(&script)
}

fn written(bytes: &[u8]) -> Result<(), Failure> {
    // Whoever closed the pipe has read enough.
    let _ = std::io::stdout().write_all(bytes);
    Ok(())
}
