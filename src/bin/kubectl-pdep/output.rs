//! Where output goes, and in which form.

use std::{
    env,
    io::{self, IsTerminal, Write},
};

use anstyle::{AnsiColor, Style};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::failure::Failure;

/// A form for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

impl Format {
    /// Prints a value.
    pub fn print(self, value: &Value) -> Result<(), Failure> {
        let text = match self {
            Self::Json => {
                serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|error| error.to_string())
            }
            Self::Yaml => serde_saphyr::to_string(value).map_err(|error| error.to_string()),
        };
        print(&text.map_err(|error| Failure::new(format!("the output can't be written: {error}")))?)
    }
}

/// What a command answers that changes an object.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Answer {
    /// The resource as it is afterwards, instead of a sentence
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

impl Answer {
    /// Says what was done, or prints the object.
    pub fn give(self, sentence: &str, object: &Value) -> Result<(), Failure> {
        match self.output {
            None => print(sentence),
            Some(format) => format.print(object),
        }
    }

    /// Says something on the way to the answer: where a program reads, to the person beside it.
    pub fn say(self, text: &str) -> Result<(), Failure> {
        match self.output {
            None => print(text),
            Some(_) => Ok(io::stderr().lock().write_all(text.as_bytes())?),
        }
    }
}

/// Several objects as one.
pub fn list(items: impl IntoIterator<Item = Value>) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": items.into_iter().collect::<Vec<_>>()})
}

/// Prints a text. A reader that has gone away has read enough.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => Ok(result?),
    }
}

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub struct Paint(bool);

impl Paint {
    /// No colours.
    #[cfg(test)]
    pub const PLAIN: Self = Self(false);

    /// Colours, wherever it goes.
    #[cfg(test)]
    pub const COLOURED: Self = Self(true);

    /// Colours when standard output is a terminal that wants them.
    pub fn of_stdout() -> Self {
        Self(io::stdout().is_terminal() && wanted(env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())))
    }

    /// Colours when standard error is a terminal that wants them.
    pub fn of_stderr() -> Self {
        Self(io::stderr().is_terminal() && wanted(env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())))
    }

    /// Whether there are any.
    pub const fn is_on(self) -> bool {
        self.0
    }

    /// What has ended well.
    pub fn good(self, text: &str) -> String {
        self.in_style(AnsiColor::Green.on_default(), text)
    }

    /// What has ended badly.
    pub fn bad(self, text: &str) -> String {
        self.in_style(AnsiColor::Red.on_default(), text)
    }

    /// What is under way.
    pub fn busy(self, text: &str) -> String {
        self.in_style(AnsiColor::Cyan.on_default(), text)
    }

    /// What waits for somebody.
    pub fn held(self, text: &str) -> String {
        self.in_style(AnsiColor::Yellow.on_default(), text)
    }

    /// What stands out.
    pub fn strong(self, text: &str) -> String {
        self.in_style(Style::new().bold(), text)
    }

    /// What stands back.
    pub fn faint(self, text: &str) -> String {
        self.in_style(Style::new().dimmed(), text)
    }

    fn in_style(self, style: Style, text: &str) -> String {
        if self.0 { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

fn wanted(no_color: bool) -> bool {
    !no_color && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_codes_or_nothing() {
        assert_eq!(Paint::PLAIN.good("done"), "done");
        assert_eq!(Paint(true).good("done"), "\u{1b}[32mdone\u{1b}[0m");
    }

    #[test]
    fn no_color_means_none() {
        assert!(!wanted(true));
    }
}
