//! Moves an answer to its caller at the caller's speed, and knows when the caller has gone.
//!
//! A task of its own reads the upstream, so that a caller that stops reading is noticed: its slot
//! and the upstream's connection are not held for it.

use std::{pin::pin, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use tokio::sync::mpsc;

/// What a caller's leaving means (MCP 2026-07-28 and 2025-11-25, streamable HTTP).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhenGone {
    /// It cancels (modern), or nobody waits for anything.
    Stop,
    /// It cancels nothing (legacy): the upstream is heard out.
    HearOut,
}

/// A body of these chunks. `held` is kept until the last of them is taken or given up.
pub(super) fn pumped(
    chunks: impl Stream<Item = Bytes> + Send + 'static,
    when_gone: WhenGone,
    patience: Duration,
    held: impl Send + 'static,
) -> Body {
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
    tokio::spawn(async move {
        let _held = held;
        let mut chunks = pin!(chunks);
        loop {
            let chunk = tokio::select! {
                chunk = chunks.next() => chunk,
                () = sender.closed(), if !sender.is_closed() || when_gone == WhenGone::Stop => {
                    match when_gone {
                        WhenGone::Stop => return,
                        WhenGone::HearOut => continue,
                    }
                }
            };
            let Some(chunk) = chunk else { return };
            match sender.send_timeout(chunk, patience).await {
                Ok(()) => {}
                Err(mpsc::error::SendTimeoutError::Closed(_)) if when_gone == WhenGone::HearOut => {
                }
                Err(mpsc::error::SendTimeoutError::Closed(_)) => return,
                Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                    tracing::info!("a caller stopped reading its answer");
                    return;
                }
            }
        }
    });
    Body::from_stream(futures::stream::unfold(receiver, async |mut receiver| {
        let chunk: Bytes = receiver.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), receiver))
    }))
}

/// Enough that reading and writing overlap.
const CHUNKS_AHEAD: usize = 2;

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;
    use crate::{session::Owner, slots::Slots, token::Claims};
    use http_body_util::BodyExt as _;

    struct Pumping {
        taken: Arc<AtomicUsize>,
        slots: Slots,
        body: Body,
    }

    fn owner() -> Owner {
        Owner::of(&Claims::for_test("alice", &[]))
    }

    /// Waits until the slot is free, whether or not the body is still held.
    async fn freed(slots: &Slots) {
        for _ in 0..900 {
            if slots.take(&owner()).is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the slot is still taken");
    }

    async fn pumping(when_gone: WhenGone, patience: Duration) -> Pumping {
        let (taken, slots) = (Arc::new(AtomicUsize::new(0)), Slots::new(1, 1));
        let counted = Arc::clone(&taken);
        let chunks = futures::stream::iter(0..50).then(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            async {
                tokio::time::sleep(Duration::from_millis(2)).await;
                Bytes::from_static(b"x")
            }
        });
        let slot = slots.take(&owner()).unwrap();
        let body = pumped(chunks, when_gone, patience, slot);
        Pumping { taken, slots, body }
    }

    #[tokio::test]
    async fn every_chunk_arrives_and_the_slot_is_free_again() {
        let Pumping { slots, body, .. } = pumping(WhenGone::Stop, Duration::from_secs(9)).await;
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), 50);
        freed(&slots).await;
    }

    #[tokio::test]
    async fn a_caller_that_reads_nothing_is_given_up() {
        let Pumping { taken, slots, body } =
            pumping(WhenGone::HearOut, Duration::from_millis(50)).await;
        freed(&slots).await;
        assert!(taken.load(Ordering::SeqCst) < 50, "what nobody reads is not read ahead");
        drop(body);
    }

    #[tokio::test]
    async fn leaving_cancels_in_one_era_and_not_in_the_other() {
        for (when_gone, heard_out) in [(WhenGone::Stop, false), (WhenGone::HearOut, true)] {
            let Pumping { taken, slots, body } = pumping(when_gone, Duration::from_secs(9)).await;
            drop(body);
            freed(&slots).await;
            assert_eq!(taken.load(Ordering::SeqCst) == 50, heard_out, "{when_gone:?}");
        }
    }
}
