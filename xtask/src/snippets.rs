//! Code in documents that is a file of the repository: `<!-- snippet: PATH -->` before a fenced block.

use std::fmt::Write as _;

const MARK: &str = "<!-- snippet: ";

/// The document with every snippet as its file has it; `source` reads a file.
pub(crate) fn renewed(text: &str, source: impl Fn(&str) -> Result<String, String>) -> Result<String, String> {
    let mut renewed = String::with_capacity(text.len());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let _ = writeln!(renewed, "{line}");
        let Some(path) = line.strip_prefix(MARK).and_then(|rest| rest.strip_suffix(" -->")) else {
            continue;
        };
        let fence = lines.next().filter(|line| line.starts_with("```"));
        let fence = fence.ok_or_else(|| format!("{path}: a fenced block must follow its mark"))?;
        if lines.find(|line| *line == "```").is_none() {
            return Err(format!("{path}: its fenced block has no end"));
        }
        let _ = writeln!(renewed, "{fence}\n{}\n```", source(path)?.trim_end());
    }
    Ok(renewed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let source = |path: &str| match path {
            "a.rs" => Ok("fn a() {}\n".to_owned()),
            _ => Err(format!("no file {path}")),
        };
        assert_eq!(renewed(text, source).as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn snippets_are_what_their_files_are() {
        let right = "Text.\n<!-- snippet: a.rs -->\n```rust\nfn a() {}\n```\nMore.\n";
        check(right, Ok(right));
        check(
            "<!-- snippet: a.rs -->\n```rust\nfn old() {}\n\n```\n",
            Ok("<!-- snippet: a.rs -->\n```rust\nfn a() {}\n```\n"),
        );
        check("<!-- snippet: b.rs -->\n```rust\n```\n", Err("no file b.rs"));
        check("<!-- snippet: a.rs -->\n\n```rust\n```\n", Err("a.rs: a fenced block must follow its mark"));
        check("<!-- snippet: a.rs -->\n```rust\n", Err("a.rs: its fenced block has no end"));
    }
}
