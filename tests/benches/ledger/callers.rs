use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Who calls one gate.
pub(crate) struct Callers {
    address: String,
    tls: TlsConnector,
}

/// What came of one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    /// Calls in a second.
    pub(crate) rate: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// The gate's CPU time for one call.
    pub(crate) cpu_us: f64,
}

impl Measured {
    /// The median of each number by itself.
    pub(crate) fn median(rounds: &[Self]) -> Self {
        let median = |of: &dyn Fn(&Self) -> f64| {
            let mut all: Vec<f64> = rounds.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let time = |of: fn(&Self) -> Duration| {
            Duration::from_secs_f64(median(&|round| of(round).as_secs_f64()))
        };
        Self {
            rate: median(&|round| round.rate),
            p50: time(|round| round.p50),
            p99: time(|round| round.p99),
            cpu_us: median(&|round| round.cpu_us),
        }
    }
}

impl Callers {
    pub(crate) fn of(address: &str, authority: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
        let mut config =
            ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { address: address.to_owned(), tls: TlsConnector::from(Arc::new(config)) }
    }

    /// Calls over so many connections for so long.
    pub(crate) async fn call(
        &self,
        connections: usize,
        token: &str,
        long: Duration,
        gate: u32,
    ) -> Measured {
        let mut open = Vec::new();
        for _ in 0..connections {
            open.push(self.connect().await);
        }
        let request = request(&self.address, token);
        let (began, cpu) = (Instant::now(), cpu_us(gate));
        let calling: Vec<_> = open
            .into_iter()
            .map(|stream| tokio::spawn(calls(stream, request.clone(), began + long)))
            .collect();
        let mut times = Vec::new();
        for calls in calling {
            times.extend(calls.await.unwrap());
        }
        let (cpu, took) = (cpu_us(gate) - cpu, began.elapsed());
        times.sort_unstable();
        let count = times.len();
        #[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52")]
        let calls = count as f64;
        Measured {
            rate: calls / took.as_secs_f64(),
            p50: times[count / 2],
            p99: times[count * 99 / 100],
            cpu_us: cpu / calls,
        }
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        let tcp = TcpStream::connect(&self.address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        self.tls.connect(name, tcp).await.unwrap()
    }
}

/// One after the other, and how long each took.
async fn calls(
    mut stream: TlsStream<TcpStream>,
    request: Arc<[u8]>,
    until: Instant,
) -> Vec<Duration> {
    let (mut times, mut answer) = (Vec::new(), Vec::with_capacity(4096));
    loop {
        let began = Instant::now();
        if began >= until {
            return times;
        }
        stream.write_all(&request).await.unwrap();
        stream.flush().await.unwrap();
        answer.clear();
        while !is_whole(&answer) {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "the gate has gone");
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
        times.push(began.elapsed());
    }
}

/// A tool call of 170 bytes.
fn request(address: &str, token: &str) -> Arc<[u8]> {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_customer_info","arguments":{"customer_id":"ABC123"},"_meta":{"progressToken":"bench-of-the-ledger"}}}"#;
    let length = body.len();
    let text = format!(
        "POST /mcp HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\naccept: application/json, text/event-stream\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    text.into_bytes().into()
}

/// Whether this is an answer to its end.
fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let (text, body) = (String::from_utf8_lossy(&answer[..head]), &answer[head + 4..]);
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    match length.map(|length| length.parse::<usize>().unwrap()) {
        Some(length) => body.len() >= length,
        None => body.ends_with(b"0\r\n\r\n"),
    }
}

/// The CPU time that a process has taken, in microseconds. The kernel counts hundredths of a second
/// (`proc(5)`).
fn cpu_us(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = fields.split(' ').skip(11).take(2).map(|field| field.parse::<f64>().unwrap());
    ticks.sum::<f64>() * 10_000.0
}
