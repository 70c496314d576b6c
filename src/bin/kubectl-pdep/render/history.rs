//! The runs of a Deployment, as a table. Pure.

use pulumi_deployments_operator::api::Time;

use super::span;
use crate::{later::PastRun, output::Paint};

const COLUMNS: [&str; 7] = ["REQUEST", "RUN", "OPERATION", "RESULT", "QUEUED", "TOOK", "NOTES"];

/// The runs, the newest first.
#[must_use]
pub fn history(runs: &[PastRun], now: Time, paint: Paint) -> String {
    if runs.is_empty() {
        return "It has not run yet.\n".to_owned();
    }
    let rows: Vec<[String; 7]> = runs.iter().map(|run| row(run, now)).collect();
    let widths: [usize; 7] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).chain([COLUMNS[column].len()]).max().unwrap_or_default()
    });
    let padded = |cells: &[String; 7]| -> [String; 7] {
        std::array::from_fn(|column| format!("{:width$}", cells[column], width = widths[column]))
    };
    let mut text = paint.strong(padded(&COLUMNS.map(str::to_owned)).join("  ").trim_end()) + "\n";
    for row in &rows {
        let mut cells = padded(row);
        cells[3] = match row[3].as_str() {
            "Succeeded" => paint.good(&cells[3]),
            "Failed" | "Canceled" | "TimedOut" => paint.bad(&cells[3]),
            _ => paint.busy(&cells[3]),
        };
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn row(run: &PastRun, now: Time) -> [String; 7] {
    let time =
        |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<jiff::Timestamp>().ok()).map(Time::from);
    let (queued, finished) = (time(&run.queued_at), time(&run.finished_at));
    let ago = queued.map(|queued| format!("{} ago", span(now.since(queued))));
    let took = queued.zip(finished).map(|(queued, finished)| span(finished.since(queued)));
    let purpose = run.purpose.as_ref().filter(|purpose| *purpose != "Main").cloned();
    let attempt = run.attempt.filter(|attempt| *attempt > 1).map(|attempt| format!("attempt {attempt}"));
    let step = run.failed_step.as_ref().map(|step| format!("failed at {step}"));
    let approved = run.approved_by.as_ref().map(|user| format!("approved by {user}"));
    let notes: Vec<String> = [purpose, attempt, step, approved].into_iter().flatten().collect();
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    [
        number(run.request_number),
        number(run.version),
        or_none(run.operation.clone()),
        or_none(run.result.clone()),
        or_none(ago),
        or_none(took),
        notes.join(", "),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_lined_up() {
        let first = PastRun {
            request_number: Some(1),
            purpose: Some("Main".into()),
            attempt: Some(2),
            operation: Some("update".into()),
            version: Some(7),
            result: Some("Failed".into()),
            queued_at: Some("2030-01-01T00:00:00Z".into()),
            finished_at: Some("2030-01-01T00:03:05Z".into()),
            failed_step: Some("Get source".into()),
            approved_by: None,
        };
        let second = PastRun {
            request_number: Some(2),
            purpose: Some("Preview".into()),
            attempt: Some(1),
            version: Some(12),
            result: Some("running".into()),
            finished_at: None,
            failed_step: None,
            approved_by: Some("ann".into()),
            ..first.clone()
        };
        let unknown = PastRun { request_number: Some(3), result: Some("Skipped".into()), ..PastRun::default() };
        let now = Time::from("2030-01-01T01:00:00Z".parse::<jiff::Timestamp>().unwrap());
        insta::assert_snapshot!(history(&[unknown, second, first], now, Paint::PLAIN), @r"
        REQUEST  RUN  OPERATION  RESULT   QUEUED  TOOK  NOTES
        3        -    -          Skipped  -       -
        2        12   update     running  1h ago  -     Preview, approved by ann
        1        7    update     Failed   1h ago  3m5s  attempt 2, failed at Get source
        ");
    }

    #[test]
    fn nothing_is_said_to_be_nothing() {
        assert_eq!(history(&[], Time::from_seconds(0), Paint::PLAIN), "It has not run yet.\n");
    }
}
