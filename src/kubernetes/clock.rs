//! Measures this machine's clock by the `Date` of the API server's answers.

use std::time::{Duration, Instant};

use http::Request;
use kube::Client;
use kube::client::Body;
use tokio::time::{sleep, timeout};

use super::cluster_time::{Ahead, ClusterClock, Reading};
use crate::agent::clock_setting::ClockSetting;
use crate::agent::handle::Gone;
use crate::agent::set_clock::STEP;
use crate::engine::{Shift, Timestamp};

/// How often it is asked.
const INTERVAL: Duration = Duration::from_secs(60);
/// How often, before the first answer.
const AT_START: Duration = Duration::from_secs(1);
/// How often to look whether somebody has set the clock: then it is measured at once.
const LOOK: Duration = Duration::from_secs(2);
/// How long an answer may take; a slow one says little.
const PATIENCE: Duration = Duration::from_secs(5);
/// So much may stay open of a clock that is corrected for.
const FINE: Duration = Duration::from_millis(20);
/// Answers that are asked for to be so exact, at most.
const MOST: u32 = 10;

/// Who is told what was measured.
pub trait Listener: Send + Sync {
    /// Takes a reading in, of a clock that is set like this, and notes it for who asks for the time.
    ///
    /// # Errors
    /// When nobody needs it any more: it is the last.
    fn hear(&self, reading: Reading, setting: ClockSetting) -> impl Future<Output = Result<(), Gone>> + Send;
}

/// What was measured, and when.
#[derive(Clone, Copy, Debug)]
struct Known {
    ahead: Ahead,
    at: Instant,
    /// How the clock was set then.
    setting: ClockSetting,
}

/// What a question told.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// Nothing: there was no answer, or the clock was set meanwhile.
    None,
    /// The server tells no time.
    Dateless,
    /// This.
    Known(Known),
}

/// Measures until the listener needs it no longer, to whom `clock` belongs.
pub async fn follow(client: &Client, clock: &ClusterClock, listener: &impl Listener) {
    let mut known: Option<Known> = None;
    let mut dates = Dates::default();
    loop {
        let answer = ask(client).await;
        let answered = match answer {
            // What it said last holds.
            Answer::None => Ok(()),
            Answer::Dateless if known.is_some() => Ok(()),
            Answer::Dateless => listener.hear(Reading::default(), ClockSetting::now()).await,
            Answer::Known(answer) => measure(client, clock, listener, &mut known, answer).await,
        };
        if answered.is_err() {
            return;
        }
        match dates.note(answer) {
            Some(false) => tracing::warn!(
                "the API server's answers bear no date: this machine's clock is taken for {}",
                if known.is_some() { "as far off as it was" } else { "right" }
            ),
            Some(true) => {
                tracing::info!(
                    "the API server's answers bear a date again: this machine's clock is measured"
                );
            }
            None => {}
        }
        wait(if known.is_some() || dates.missing { INTERVAL } else { AT_START }).await;
    }
}

/// What to take off this machine's clock, by one answer: nothing where the clock is good enough, and where there is no
/// answer or it tells no time.
pub async fn glance(client: &Client) -> Shift {
    match ask(client).await {
        Answer::Known(known) => Reading::default().next(known.ahead).ahead(),
        Answer::None | Answer::Dateless => Shift::NONE,
    }
}

/// Whether the server tells its time. Others may answer in its place.
#[derive(Debug, Default)]
struct Dates {
    missing: bool,
}

impl Dates {
    /// Whether it does, if that is news.
    fn note(&mut self, answer: Answer) -> Option<bool> {
        let missing = match answer {
            Answer::None => return None,
            Answer::Dateless => true,
            Answer::Known(_) => false,
        };
        (std::mem::replace(&mut self.missing, missing) != missing).then_some(!missing)
    }
}

/// Waits so long, or until the clock is set.
async fn wait(pause: Duration) {
    let (began, setting) = (Instant::now(), ClockSetting::now());
    while began.elapsed() < pause {
        sleep(LOOK.min(pause)).await;
        if ClockSetting::now().since(setting).size() > STEP {
            return;
        }
    }
}

/// Takes in an answer. Where the clock turns out to be wrong, asks on until it is known exactly by how much.
async fn measure(
    client: &Client,
    clock: &ClusterClock,
    listener: &impl Listener,
    known: &mut Option<Known>,
    answer: Known,
) -> Result<(), Gone> {
    let mut now_known = join(*known, answer);
    listener.hear(clock.reading().next(now_known.ahead), now_known.setting).await?;
    for _ in 0..MOST {
        if !clock.reading().is_skewed() || now_known.ahead.width() <= FINE {
            break;
        }
        sleep(now_known.ahead.telling_moment(now())).await;
        let Answer::Known(answer) = ask(client).await else { break };
        now_known = join(Some(now_known), answer);
    }
    *known = Some(now_known);
    listener.hear(clock.reading().next(now_known.ahead), now_known.setting).await
}

/// What both tell, or the later one alone where they contradict each other.
fn join(before: Option<Known>, answer: Known) -> Known {
    let both = before.and_then(|known| {
        let step = answer.setting.since(known.setting);
        let ahead = if step.size() > STEP { known.ahead.set_by(step) } else { known.ahead };
        ahead.after(answer.at.saturating_duration_since(known.at)).and(answer.ahead)
    });
    Known { ahead: both.unwrap_or(answer.ahead), ..answer }
}

/// What an answer tells of the clock.
async fn ask(client: &Client) -> Answer {
    let Ok(request) = Request::get("/version").body(Body::empty()) else { return Answer::None };
    let (sent, before) = ClockSetting::read();
    let answer = timeout(PATIENCE, client.send(request)).await;
    let (received, setting) = ClockSetting::read();
    let Ok(Ok(answer)) = answer else { return Answer::None };
    if setting.since(before).size() > STEP {
        return Answer::None;
    }
    let date = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
    let Some(date) = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) else {
        return Answer::Dateless;
    };
    let ahead = Ahead::of(sent, date.timestamp().into(), received);
    Answer::Known(Known { ahead, at: Instant::now(), setting })
}

fn now() -> Timestamp {
    jiff::Timestamp::now().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_tells_no_time_is_complained_of_once_until_that_changes() {
        let setting = ClockSetting::now();
        let at = Timestamp::from_secs(1000);
        let known = Answer::Known(Known { ahead: Ahead::of(at, at, at), at: Instant::now(), setting });
        let mut dates = Dates::default();
        let answers = [
            known,
            Answer::Dateless,
            Answer::None,
            Answer::Dateless,
            Answer::Dateless,
            known,
            Answer::None,
            known,
            Answer::Dateless,
        ];
        let told = answers.map(|answer| dates.note(answer));
        assert_eq!(told, [None, Some(false), None, None, None, Some(true), None, None, Some(false)]);
    }
}
