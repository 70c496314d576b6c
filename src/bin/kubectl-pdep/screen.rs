//! A terminal that is drawn anew again and again, and a person at it.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::failure::Failure;

/// Another screen, without a cursor and without wrapped lines.
const OPEN: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";

/// The screen that was there before.
const CLOSE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// A screen that shows one picture at a time.
pub struct Screen {
    /// What it shows.
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

    /// Shows a picture in the place of the one before.
    pub fn show(&mut self, picture: &str) -> Result<(), Failure> {
        if self.shown == picture {
            return Ok(());
        }
        picture.clone_into(&mut self.shown);
        crate::output::print(&frame(picture))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut out = io::stdout().lock();
        // Nobody is left to be told.
        let _ = out.write_all(CLOSE.as_bytes()).and_then(|()| out.flush());
    }
}

/// From the top; each line clears what stood behind it, and the last one what stood below.
fn frame(picture: &str) -> String {
    let mut frame = String::from("\x1b[H");
    for line in picture.lines() {
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
        assert_eq!(frame("one\ntwo\n"), "\x1b[Hone\x1b[K\r\ntwo\x1b[K\r\n\x1b[J");
    }

    #[test]
    fn only_a_yes_is_one() {
        assert!(is_yes("Y\n") && is_yes("yes"));
        assert!(!is_yes("\n") && !is_yes("no") && !is_yes("yesterday"));
    }
}
