//! Objects → text. Pure.

pub mod approval;
pub mod changes;
pub mod history;
pub mod imported;
pub mod tree;

use std::time::Duration;

/// A span of time as people say it: `12s`, `3m5s`, `2h4m`, `3d1h`.
pub fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let two = |first: u64, first_unit: &str, second: u64, second_unit: &str| {
        if second == 0 { format!("{first}{first_unit}") } else { format!("{first}{first_unit}{second}{second_unit}") }
    };
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => two(seconds / 60, "m", seconds % 60, "s"),
        3600..86400 => two(seconds / 3600, "h", seconds / 60 % 60, "m"),
        _ => two(seconds / 86400, "d", seconds / 3600 % 24, "h"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, "0s")]
    #[case(59, "59s")]
    #[case(60, "1m")]
    #[case(185, "3m5s")]
    #[case(7440, "2h4m")]
    #[case(86400, "1d")]
    #[case(262_800, "3d1h")]
    fn spans(#[case] seconds: u64, #[case] expected: &str) {
        assert_eq!(span(Duration::from_secs(seconds)), expected);
    }
}
