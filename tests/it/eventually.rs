//! Waiting for what comes about by itself.

#![allow(clippy::panic, reason = "what the tests share is not seen as a test")]

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

/// Long enough for anything that is to happen soon, on a machine that is busy.
pub const SOON: Duration = Duration::from_secs(30);

/// Between two looks. Longer with every look up to [`LONGEST_PAUSE`], so that a long wait does not slow down the rest.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Looks again and again until the look returns `Ok`, and returns what is in it.
///
/// A look that does not find what it is to find returns `Err` with what it found instead.
///
/// # Panics
/// When the time is over; the message says what was waited for and what the last look found.
pub async fn eventually<T, S: Debug>(within: Duration, what: &str, mut look: impl AsyncFnMut() -> Result<T, S>) -> T {
    let start = Instant::now();
    let (mut looks, mut last, mut pause) = (0, None, FIRST_PAUSE);
    loop {
        let left = within.saturating_sub(start.elapsed());
        match timeout(left, look()).await {
            Ok(Ok(found)) => return found,
            Ok(Err(state)) => (looks, last) = (looks + 1, Some(state)),
            Err(_) => give_up(within, what, looks, last.as_ref()),
        }
        // A look that is at once ready is never timed out.
        if start.elapsed() >= within {
            give_up(within, what, looks, last.as_ref());
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn give_up<S: Debug>(within: Duration, what: &str, looks: u32, last: Option<&S>) -> ! {
    match last {
        Some(state) => panic!("not within {within:?}: {what}. The last of {looks} looks found: {state:#?}"),
        None => panic!("not within {within:?}: {what}. Not even one look came to an end"),
    }
}

#[tokio::test]
async fn it_returns_what_a_later_look_finds() {
    let mut looks = 0;
    let found = eventually(SOON, "the third look", async || {
        looks += 1;
        if looks == 3 { Ok("found") } else { Err(looks) }
    });
    assert_eq!(found.await, "found");
}

#[tokio::test]
#[should_panic(expected = "not within 20ms: the moon is blue. The last of ")]
async fn it_gives_up_with_what_was_waited_for() {
    eventually(Duration::from_millis(20), "the moon is blue", async || Err::<(), _>("white")).await;
}

#[tokio::test]
#[should_panic(expected = "found: \"white\"")]
async fn a_look_that_never_ends_hides_not_what_the_one_before_found() {
    let mut looks = 0;
    eventually(Duration::from_millis(20), "the moon is blue", async || {
        looks += 1;
        if looks > 1 {
            std::future::pending::<()>().await;
        }
        Err::<(), _>("white")
    })
    .await;
}
