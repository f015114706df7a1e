//! A bound on open connections: each holds a descriptor and a TLS session, also before its first
//! request.

use std::{
    future::{Ready, ready},
    io,
    sync::Arc,
    task::{Context, Poll},
};

use axum_server::accept::Accept;
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower_service::Service;

/// Accepts so many connections at a time and turns the others away.
#[derive(Debug, Clone)]
pub(super) struct Bounded {
    free: Arc<Semaphore>,
}

/// The service of one connection, which holds its place until the connection is closed.
#[derive(Clone)]
pub(super) struct Placed<S> {
    service: S,
    _place: Arc<OwnedSemaphorePermit>,
}

impl Bounded {
    pub(super) fn to(connections: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(connections)) }
    }
}

impl<S> Accept<TcpStream, S> for Bounded {
    type Stream = TcpStream;
    type Service = Placed<S>;
    type Future = Ready<io::Result<(TcpStream, Placed<S>)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let Ok(place) = Arc::clone(&self.free).try_acquire_owned() else {
            return ready(Err(io::Error::other("too many connections")));
        };
        // Answers are small and somebody waits for each.
        ready(
            stream
                .set_nodelay(true)
                .map(|()| (stream, Placed { service, _place: Arc::new(place) })),
        )
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
