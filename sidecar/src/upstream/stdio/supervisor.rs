//! Keeps the child running: starts it, talks through it, and starts it again when it has gone.

use std::{pin::pin, process::ExitStatus, sync::Arc, time::Duration};

use futures::future::{FusedFuture as _, FutureExt as _};
use tokio::{
    io::BufReader,
    sync::{mpsc, watch},
    time::Instant,
};

use super::{
    child::{Child, Pipes},
    connection::Connection,
    introduction::{Introduction, NoIntroduction, introduce},
    lines::{self, Line, LineFault},
    listeners::Listeners,
    wire,
};
use crate::{
    config::{Limits, StdioUpstream},
    rejection::Rejection,
};

/// What callers and the supervisor have in common.
pub(super) struct Shared {
    command: StdioUpstream,
    pub(super) limits: Limits,
    pub(super) listeners: Listeners,
    /// Set by the supervisor alone.
    state: watch::Sender<State>,
}

/// A child that has introduced itself.
pub(super) struct Up {
    pub(super) connection: Arc<Connection>,
    pub(super) introduction: Introduction,
}

enum State {
    Starting,
    Up(Arc<Up>),
    /// It has gone; after this long it is started again.
    Down(Duration),
    /// It has gone for good.
    Stopped,
}

/// Why a child is ended or has ended.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("it cannot be started: {0}")]
    Start(std::io::Error),
    #[error("it ended with {0}")]
    Exited(ExitStatus),
    #[error(transparent)]
    Line(#[from] LineFault),
    #[error("it cannot be talked to: {0}")]
    Introduction(#[from] NoIntroduction),
    #[error("the gate wants it so")]
    Stopped,
}

impl Shared {
    pub(super) fn new(command: StdioUpstream, limits: &Limits) -> Self {
        let listeners = Listeners::default();
        Self {
            command,
            limits: limits.clone(),
            listeners,
            state: watch::Sender::new(State::Starting),
        }
    }

    /// The child, once it can be talked to. Waits for a start, but for no long pause before one.
    pub(super) async fn up(&self) -> Result<Arc<Up>, Rejection> {
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| match state {
            State::Starting => false,
            State::Up(_) | State::Stopped => true,
            State::Down(pause) => *pause > LONGEST_WAIT,
        });
        match tokio::time::timeout(self.limits.response_timeout, settled).await {
            Ok(Ok(state)) => match &*state {
                State::Up(up) => Ok(Arc::clone(up)),
                _ => Err(Rejection::UpstreamUnreachable),
            },
            Ok(Err(_)) => Err(Rejection::UpstreamUnreachable),
            Err(_) => Err(Rejection::UpstreamTooSlow),
        }
    }

    /// The child, if it can be talked to now.
    pub(super) fn up_now(&self) -> Option<Arc<Up>> {
        match &*self.state.borrow() {
            State::Up(up) => Some(Arc::clone(up)),
            _ => None,
        }
    }

    /// Waits until the child has gone for good.
    pub(super) async fn stopped(&self) {
        // Its sender is a field of this.
        drop(self.state.subscribe().wait_for(|state| matches!(state, State::Stopped)).await);
    }

    /// Tells the child that nobody subscribes to a resource any more; one that has gone has
    /// forgotten it anyway.
    pub(super) fn unsubscribe(&self, uri: &str) {
        if let Some(up) = self.up_now() {
            up.connection.ask_in_passing("resources/unsubscribe", wire::of_uri(uri));
        }
    }
}

/// Runs until `stop` says `true` or is gone.
pub(super) async fn supervise(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut pause = FIRST_PAUSE;
    loop {
        shared.state.send_replace(State::Starting);
        let started = Instant::now();
        let fault = live(&shared, &mut stop).await;
        if matches!(fault, Fault::Stopped) {
            break;
        }
        if started.elapsed() > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        tracing::warn!(%fault, again_in = ?pause, "the upstream's process has gone");
        shared.state.send_replace(State::Down(pause));
        if tokio::time::timeout(pause, stopped(&mut stop)).await.is_ok() {
            break;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    shared.state.send_replace(State::Stopped);
}

/// One child's life, from its start to its end.
async fn live(shared: &Shared, stop: &mut watch::Receiver<bool>) -> Fault {
    let (mut child, pipes) = match Child::start(&shared.command) {
        Ok(started) => started,
        Err(error) => return Fault::Start(error),
    };
    let (connection, queue) = Connection::new(&shared.limits);
    let closing = Closing(Arc::clone(&connection));
    let fault = tokio::select! {
        fault = talk(shared, &connection, pipes, queue, &mut child) => fault,
        () = stopped(stop) => Fault::Stopped,
    };
    // In this order: who learns that it has gone does not find it here again.
    shared.state.send_replace(State::Down(Duration::ZERO));
    drop(closing);
    match fault {
        Fault::Stopped => child.end().await,
        // What has gone wrong is given no time.
        _ => drop(child),
    }
    fault
}

/// Reads, writes and waits at once. Whatever of it comes to an end, the child's use does.
async fn talk(
    shared: &Shared,
    connection: &Arc<Connection>,
    Pipes { stdin, stdout, stderr }: Pipes,
    queue: mpsc::Receiver<Vec<u8>>,
    child: &mut Child,
) -> Fault {
    // Ends with the child, whose last words matter most.
    tokio::spawn(lines::log(stderr));
    let take = |line: Line<'_>| match line {
        Line::Whole(line) => connection.received(line, &shared.listeners),
        Line::TooLong(beginning, end) => connection.too_long(beginning, end),
    };
    let most = shared.limits.max_answer_bytes;
    let mut reading = pin!(lines::read(BufReader::new(stdout), most, take).fuse());
    let fault = tokio::select! {
        fault = &mut reading => fault,
        fault = lines::write(stdin, queue) => fault,
        Err(fault) = open(shared, connection) => return fault.into(),
        Ok(_) = child.exited() => LineFault::Closed,
    };
    // Usually it has ended: what it answered before still counts, and so does why.
    if !reading.is_terminated() {
        drop(tokio::time::timeout(LAST_WORDS, reading).await);
    }
    match tokio::time::timeout(LAST_WORDS, child.exited()).await {
        Ok(Ok(status)) => Fault::Exited(status),
        _ => fault.into(),
    }
}

/// Gets to know the child and lets callers talk to it; subscriptions outlive the last one.
async fn open(shared: &Shared, connection: &Arc<Connection>) -> Result<(), NoIntroduction> {
    let introduction = introduce(connection).await?;
    tracing::info!(era = ?introduction.era(), "the upstream's process has introduced itself");
    for uri in shared.listeners.subscribed() {
        connection.ask_before_long("resources/subscribe", wire::of_uri(&uri)).await?;
    }
    let up = Up { connection: Arc::clone(connection), introduction };
    shared.state.send_replace(State::Up(Arc::new(up)));
    Ok(())
}

/// Answers everybody who waits when the child's life ends, however it does.
struct Closing(Arc<Connection>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.pending.close();
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Its end says the same.
    drop(stop.wait_for(|&stop| stop).await);
}

/// Short, so that one crash is hardly noticed.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// A child that cannot run is not started more often than this; one that ran longer is well.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A caller waits out a pause of this length; in a longer one it is refused at once.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// The rest of a pipe's content arrives at once, unless others hold it open.
const LAST_WORDS: Duration = Duration::from_millis(500);
