//! A bound on open connections: each holds a descriptor and a TLS session, also before its first
//! request.

use std::{
    collections::HashMap,
    future::{Ready, ready},
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use axum_server::accept::Accept;
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower_service::Service;

/// Accepts so many connections at a time, and so many of one peer's, and turns the others away.
#[derive(Debug, Clone)]
pub(crate) struct Bounded {
    free: Arc<Semaphore>,
    peers: Arc<Peers>,
}

/// How many connections each peer has open.
#[derive(Debug)]
struct Peers {
    most: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// The service of one connection, which holds its place until the connection is closed.
#[derive(Clone)]
pub(crate) struct Placed<S> {
    service: S,
    _place: Arc<Place>,
}

struct Place {
    _free: OwnedSemaphorePermit,
    peers: Arc<Peers>,
    peer: IpAddr,
}

impl Bounded {
    pub(crate) fn to(connections: usize, of_one_peer: usize) -> Self {
        let peers = Peers { most: of_one_peer, open: Mutex::new(HashMap::new()) };
        Self { free: Arc::new(Semaphore::new(connections)), peers: Arc::new(peers) }
    }

    fn place(&self, peer: IpAddr) -> Option<Place> {
        let free = Arc::clone(&self.free).try_acquire_owned().ok()?;
        self.peers.enter(peer)?;
        Some(Place { _free: free, peers: Arc::clone(&self.peers), peer })
    }
}

impl Peers {
    fn enter(&self, peer: IpAddr) -> Option<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(peer).or_default();
        // An entry is there for as long as a connection of its peer is.
        let admitted = (*count < self.most).then(|| *count += 1);
        if *count == 0 {
            open.remove(&peer);
        }
        admitted
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.peers.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.peer) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.peer);
            }
        }
    }
}

impl<S> Accept<TcpStream, S> for Bounded {
    type Stream = TcpStream;
    type Service = Placed<S>;
    type Future = Ready<io::Result<(TcpStream, Placed<S>)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(stream.peer_addr().and_then(|peer| {
            // However a peer writes its address, it is one peer.
            let place = self.place(peer.ip().to_canonical());
            let place = place.ok_or_else(|| io::Error::other("too many connections"))?;
            // Answers are small and somebody waits for each.
            stream.set_nodelay(true)?;
            Ok((stream, Placed { service, _place: Arc::new(place) }))
        }))
    }
}

impl<S: Service<R>, R> Service<R> for Placed<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.service.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_cannot_take_every_place() {
        let bounded = Bounded::to(3, 2);
        let [greedy, other, late] = [1, 2, 3].map(|last| IpAddr::from([192, 0, 2, last]));
        let held = [bounded.place(greedy).unwrap(), bounded.place(greedy).unwrap()];
        assert!(bounded.place(greedy).is_none());
        let others = bounded.place(other).unwrap();
        assert!(bounded.place(late).is_none(), "all are taken");
        drop(held);
        assert!(bounded.place(late).is_some());
        drop(others);
        assert!(bounded.peers.open.lock().unwrap().is_empty(), "who has gone is forgotten");
    }
}
