//! Programs under test, as processes of their own.

use std::{
    io::Read as _,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

/// A running process; killed when dropped.
#[derive(Debug)]
pub struct Program(Child);

impl Program {
    /// Starts `program` in `folder`.
    pub fn start(program: &str, arguments: &[&str], folder: &Path) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::piped());
        Self(command.spawn().expect("the program starts"))
    }

    /// The same with nobody reading what it says.
    pub fn start_quietly(program: &str, arguments: &[&str], folder: &Path) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("the program starts"))
    }

    /// Runs `program` in `folder` to its end.
    pub fn run(program: &str, arguments: &[&str], folder: &Path) -> Output {
        Command::new(program).args(arguments).current_dir(folder).output().expect("it runs")
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// SIGKILL, and its end.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        assert!(status.unwrap().success(), "kill -s {name}");
    }

    /// Waits for its end, ten seconds at most; yields its status and what it wrote to stderr.
    pub async fn finish(mut self) -> (ExitStatus, String) {
        for _ in 0..200 {
            if let Some(status) = self.0.try_wait().unwrap() {
                let mut told = String::new();
                let stderr = self.0.stderr.as_mut().expect("it is piped");
                stderr.read_to_string(&mut told).unwrap();
                return (status, told);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the program did not end within ten seconds");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A port for programs that cannot be told to take any: free a moment ago, and not of those that
/// systems hand out by themselves, so that nobody takes it meanwhile.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 1_000).unwrap() * 10;
    for _ in 0..10_000 {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("ten thousand ports are taken");
}
