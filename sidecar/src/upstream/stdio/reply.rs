//! A caller's request to the child and back: one message, or events when there is progress.

use bytes::Bytes;
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};

use super::{
    CallerKey, Reply,
    call::Call,
    connection::Request,
    flight::{Flight, Step, WhenLeft},
    pending::Asker,
    supervisor::Up,
    translation::Translation,
    wire::{self, Outcome},
};
use crate::{message::json::Json, rejection::Rejection};

/// What an answer needs on its way back.
struct Return {
    id: Json,
    translation: Translation,
}

impl Return {
    fn message(&self, outcome: Outcome) -> Vec<u8> {
        wire::response(&self.id, self.translation.to_caller(outcome))
    }
}

/// The child's reply to `call`, whose id is `id`.
pub(super) async fn relayed(
    call: &Call<'_>,
    id: &Json,
    caller: &CallerKey,
    up: &Up,
) -> Result<Reply, Rejection> {
    let translation = Translation::of(call, up.introduction.era());
    let (params, progress_token) = translation.to_child(call);
    let when_left = if call.era.is_modern() { WhenLeft::Cancelled } else { WhenLeft::GoesOn };
    let asker = Some(Asker { caller: caller.clone(), id: id.clone() });
    let request = Request { method: call.method, params, asker, progress_token, when_left };
    let mut flight = up.connection.send(request).await?;
    let back = Return { id: id.clone(), translation };
    Ok(match flight.next().await? {
        Step::Answer(outcome) => Reply::Json(back.message(outcome).into()),
        Step::Progress(first) => Reply::Events(events(&first, flight, back)),
    })
}

/// Progress as it comes, then the answer; or an error in its place, so that no stream ends without.
fn events(first: &[u8], flight: Flight, back: Return) -> BoxStream<'static, Bytes> {
    let rest = stream::unfold(Some((flight, back)), |going_on| async {
        let (mut flight, back) = going_on?;
        let last = match flight.next().await {
            Ok(Step::Progress(note)) => return Some((wire::event(&note), Some((flight, back)))),
            Ok(Step::Answer(outcome)) => outcome,
            Err(rejection) => Outcome::failed(&rejection),
        };
        Some((wire::event(&back.message(last)), None))
    });
    stream::once(std::future::ready(wire::event(first))).chain(rest).boxed()
}
