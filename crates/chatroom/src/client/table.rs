//! Tables that fit the terminal.

use std::io::IsTerminal as _;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::output::DIM;

/// How a column is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Left,
    Right,
}

/// Columns narrower than this are not shortened.
const WIDTH_MIN: usize = 8;
const GAP: usize = 2;

/// Lays rows out under headings. The first column is shortened where all do not fit `width`.
pub(crate) fn lines(headings: &[(&str, Column)], rows: &[Vec<String>], width: Option<usize>) -> Vec<String> {
    let widest = |index: usize| {
        let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.width());
        cells.chain([headings[index].0.width()]).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..headings.len()).map(widest).collect();
    if let (Some(width), [first, rest @ ..]) = (width, widths.as_mut_slice()) {
        let others: usize = rest.iter().map(|column| column + GAP).sum();
        *first = (*first).min(width.saturating_sub(others).max(WIDTH_MIN));
    }
    let set = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for ((cell, width), (_, column)) in cells.zip(&widths).zip(headings) {
            let cell = shortened(cell, *width);
            let space = " ".repeat(width - cell.width());
            if !line.is_empty() {
                line.push_str(&" ".repeat(GAP));
            }
            match column {
                Column::Left => line.extend([cell, space]),
                Column::Right => line.extend([space, cell]),
            }
        }
        line.trim_end().to_owned()
    };
    let heading = set(&mut headings.iter().map(|(name, _)| *name));
    let mut lines = vec![format!("{DIM}{heading}{DIM:#}")];
    lines.extend(rows.iter().map(|row| set(&mut row.iter().map(String::as_str))));
    lines
}

/// The width of the terminal; `None` when the output is none.
pub(crate) fn terminal_width() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
}

/// The text, or its beginning and an ellipsis, in at most so many cells. Control characters, which
/// could do anything to a terminal, are shown as escapes.
pub(crate) fn shortened(text: &str, width: usize) -> String {
    let text: String = text
        .chars()
        .flat_map(|character| match character.is_control() {
            true => character.escape_default().collect::<Vec<_>>(),
            false => vec![character],
        })
        .collect();
    if text.width() <= width {
        return text;
    }
    let mut kept = String::new();
    let mut used = 1;
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used > width {
            break;
        }
        kept.push(character);
    }
    kept + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(width: Option<usize>, expected: &[&str]) {
        let rows = [["game/score", "1"], ["日本語の名前", "20"]].map(|row| row.map(String::from).to_vec());
        let lines = lines(&[("NAME", Column::Left), ("N", Column::Right)], &rows, width);
        let plain: Vec<String> = lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        assert_eq!(plain, expected);
    }

    #[test]
    fn tables_fit() {
        check(None, &["NAME           N", "game/score     1", "日本語の名前  20"]);
        check(Some(80), &["NAME           N", "game/score     1", "日本語の名前  20"]);
        check(Some(12), &["NAME       N", "game/sc…   1", "日本語…   20"]);
    }

    #[test]
    fn control_characters_stay_harmless() {
        assert_eq!(shortened("a\u{1b}[2Jb", 20), "a\\u{1b}[2Jb");
        assert_eq!(shortened("line\nline", 20), "line\\nline");
    }
}
