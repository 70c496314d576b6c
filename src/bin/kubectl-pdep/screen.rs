//! A terminal that is drawn anew again and again, and a person at it.

use std::io::{self, BufRead, IsTerminal, Write};

use terminal_size::{Height, terminal_size_of};

use crate::{
    failure::Failure,
    render::tree::{FAILED, RUNNING},
};

/// Another screen, without a cursor and without wrapped lines.
const OPEN: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";

/// The screen that was there before.
const CLOSE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// A screen that shows one picture at a time.
pub struct Screen {
    /// The frame that it shows.
    shown: String,
}

impl Screen {
    /// Opens it; nothing when standard output is no terminal.
    pub fn open() -> Result<Option<Self>, Failure> {
        if !io::stdout().is_terminal() {
            return Ok(None);
        }
        crate::output::print(OPEN)?;
        Ok(Some(Self { shown: String::new() }))
    }

    /// Shows a picture in the place of the one before, as much of it as there is room for.
    pub fn show(&mut self, picture: &str) -> Result<(), Failure> {
        // Some terminals have no size, or do not say it.
        let rows = terminal_size_of(io::stdout()).map(|(_, Height(rows))| usize::from(rows)).filter(|rows| *rows > 0);
        let lines: Vec<&str> = picture.lines().collect();
        let frame = frame(&cut(&lines, rows));
        if self.shown == frame {
            return Ok(());
        }
        crate::output::print(&frame)?;
        self.shown = frame;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut out = io::stdout().lock();
        // Nobody is left to be told.
        let _ = out.write_all(CLOSE.as_bytes()).and_then(|()| out.flush());
    }
}

/// The lines that a terminal of so many rows has room for: from the first one on, or so that the last one that is under way
/// or has failed is among them. What is left out is counted.
fn cut(lines: &[&str], rows: Option<usize>) -> Vec<String> {
    let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    // The cursor stands on a row of its own behind the last line.
    let room = rows.map_or(lines.len(), |rows| rows.saturating_sub(1));
    if lines.len() <= room {
        return owned(lines);
    }
    let matters = |line: &&str| line.contains(RUNNING) || line.contains(FAILED);
    let needed = lines.iter().rposition(matters).map_or(0, |index| index + 1);
    // One line says what is left out below, and another one what is above.
    let (from, to) = match room.saturating_sub(1) {
        whole if needed <= whole => (0, whole),
        whole => (needed.saturating_sub(whole.saturating_sub(1)), needed),
    };
    let mut shown = vec![];
    if from > 0 {
        shown.push(format!("… {from} lines above"));
    }
    shown.extend(owned(&lines[from..to]));
    if to < lines.len() {
        shown.push(format!("… {} more lines", lines.len() - to));
    }
    shown.truncate(room);
    shown
}

/// From the top; each line clears what stood behind it, and the last one what stood below.
fn frame(lines: &[String]) -> String {
    let mut frame = String::from("\x1b[H");
    for line in lines {
        frame.push_str(line);
        frame.push_str("\x1b[K\r\n");
    }
    frame + "\x1b[J"
}

/// Asks a person. Only `y` and `yes` are a yes.
///
/// # Errors
/// When there is nobody to be asked: then `otherwise` says what to write instead.
pub fn confirm(question: &str, otherwise: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(format!("there is no terminal to ask at; {otherwise}")));
    }
    let mut out = io::stderr().lock();
    write!(out, "{question} [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_covers_the_one_before() {
        let lines = ["one", "two"].map(str::to_owned);
        assert_eq!(frame(&lines), "\x1b[Hone\x1b[K\r\ntwo\x1b[K\r\n\x1b[J");
    }

    #[test]
    fn what_fits_is_shown_as_it_is() {
        let lines = ["a", "b", "c"];
        assert_eq!(cut(&lines, None), lines);
        assert_eq!(cut(&lines, Some(4)), lines);
        assert_eq!(cut(&lines, Some(3)), ["a", "… 2 more lines"]);
    }

    #[test]
    fn what_is_under_way_or_has_failed_stays_in_sight() {
        let lines = ["a", "b", "c", "▶ d", "e", "f"];
        assert_eq!(cut(&lines, Some(6)), ["a", "b", "c", "▶ d", "… 2 more lines"]);
        assert_eq!(cut(&lines, Some(5)), ["… 2 lines above", "c", "▶ d", "… 2 more lines"]);
        let failed = ["a", "▶ b", "c", "d", "✗ e"];
        assert_eq!(cut(&failed, Some(4)), ["… 4 lines above", "✗ e"]);
    }

    #[test]
    fn no_terminal_is_too_small() {
        let lines = ["a", "b", "c", "▶ d", "e", "f"];
        for rows in 1..9 {
            let shown = cut(&lines, Some(rows));
            assert!(shown.len() < rows.max(1) || rows == 0, "{rows}: {shown:?}");
        }
    }

    #[test]
    fn only_a_yes_is_one() {
        assert!(is_yes("Y\n") && is_yes("yes"));
        assert!(!is_yes("\n") && !is_yes("no") && !is_yes("yesterday"));
    }
}
