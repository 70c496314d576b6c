//! Durations as Go reads and writes them.

const UNITS: [(&str, f64); 7] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

/// `1h` → `1h0m0s`; nothing when Go could not read it.
pub(super) fn normalised(written: &str) -> Option<String> {
    parsed(written).map(formatted)
}

/// Nanoseconds.
#[allow(clippy::cast_possible_truncation, reason = "checked against the range just before")]
fn parsed(written: &str) -> Option<i64> {
    let (negative, mut rest) = match written.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, written.strip_prefix('+').unwrap_or(written)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let (_, nanoseconds) = UNITS.iter().find(|(name, _)| *name == &rest[..unit])?;
        total += number * nanoseconds;
        rest = &rest[unit..];
    }
    // 2^63 nanoseconds: what Go's type holds.
    (total < 9.223_372e18).then_some(if negative { -total as i64 } else { total as i64 })
}

fn formatted(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let total = nanoseconds.unsigned_abs();
    if total == 0 {
        return "0s".to_owned();
    }
    if total < 1_000_000_000 {
        let (unit, name) = match total {
            0..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "µs"),
            _ => (1_000_000, "ms"),
        };
        return format!("{sign}{}{name}", with_fraction(total, unit));
    }
    let (minutes, seconds) = (total / 60_000_000_000, total % 60_000_000_000);
    let seconds = with_fraction(seconds, 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// `total / unit` with as many decimals as it needs.
fn with_fraction(total: u64, unit: u64) -> String {
    let (whole, fraction) = (total / unit, total % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    let decimals = format!("{fraction:0width$}");
    format!("{whole}.{}", decimals.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::normalised;

    #[test]
    fn durations_are_written_as_go_writes_them() {
        for (written, expected) in [
            ("1h", "1h0m0s"),
            ("90s", "1m30s"),
            ("3600s", "1h0m0s"),
            ("1h30m", "1h30m0s"),
            ("1.5h", "1h30m0s"),
            ("0", "0s"),
            ("0s", "0s"),
            ("300ms", "300ms"),
            ("1500ms", "1.5s"),
            ("15m0s", "15m0s"),
            ("-2m", "-2m0s"),
        ] {
            assert_eq!(normalised(written).as_deref(), Some(expected), "{written}");
        }
        for wrong in ["", "1", "h", "1d", "one hour", "1h m"] {
            assert_eq!(normalised(wrong), None, "{wrong}");
        }
    }
}
