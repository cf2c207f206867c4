use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_types::SdkConfig;
use serde_json::Value;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinHandle,
};

use crate::{
    Emulator,
    door::HttpAnswer,
    loopback::{listen, runtime},
};

/// The connection between a service and the [`Emulator`], which can be cut at exactly one write: what a service makes of
/// a write whose outcome it does not know. Its other end can be throttled, too.
pub struct Line {
    endpoint: String,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

/// Where a line is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Before the request arrives: nothing is done.
    Before,
    /// Before the answer arrives: all is done, and nobody knows.
    After,
}

/// What a caller was told.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// The outcome.
    Outcome(Value),
    /// That it is not known, so that it is worth asking again.
    TryAgain,
}

#[derive(Default)]
struct State {
    /// The writes that came in.
    writes: Vec<String>,
    fault: Option<Fault>,
    /// Nothing gets through any more.
    down: bool,
    /// Everything is too much.
    throttled: bool,
}

struct Fault {
    /// At which write, counted from 0.
    write: usize,
    cut: Cut,
    /// Whether the line stays down.
    lasting: bool,
}

impl Line {
    /// A line that is whole.
    pub fn start() -> Self {
        let (listener, endpoint) = listen();
        let state = Arc::new(Mutex::new(State::default()));
        let emulator =
            Emulator::sdk_config().endpoint_url().and_then(|url| url.strip_prefix("http://")?.parse().ok());
        let emulator: SocketAddr = emulator.expect("the emulator's address");
        let accepted = Arc::clone(&state);
        let server = runtime().spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = Arc::clone(&accepted);
                // A connection that breaks is what this is for.
                runtime().spawn(async move { serve(client, emulator, &state).await.ok() });
            }
        });
        Self { endpoint, state, server }
    }

    /// Configuration for clients at this end of the line.
    pub fn sdk_config(&self) -> SdkConfig {
        crate::sdk_config(&self.endpoint)
    }

    /// Begins or ends that every call is too much for the tables.
    pub fn throttle(&self, throttled: bool) {
        self.state().throttled = throttled;
    }

    /// Counts writes from here on.
    fn watch(&self) {
        *self.state() = State::default();
    }

    /// Cuts the line at a write, counted from here on.
    fn cut(&self, write: usize, cut: Cut, lasting: bool) {
        *self.state() = State { fault: Some(Fault { write, cut, lasting }), ..State::default() };
    }

    /// Whether the line was cut; from here on it is whole.
    fn mend(&self) -> bool {
        let mut state = self.state();
        state.down = false;
        state.fault.take().is_none()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Cuts the line at every write that `act` makes, before and after it is carried out, once and so that no try of the SDK
/// gets through. Each time `open` makes everything anew, and what `act` is told and what `look` sees afterwards has to be
/// the same as if nothing had happened. Whoever is told to try again does so, with `true`, when the line is whole again:
/// that must not be asked for as long as the SDK's own tries help.
///
/// Answers how many writes there are.
pub async fn cut_every_write<S>(
    open: impl AsyncFn(&Line) -> S,
    act: impl AsyncFn(&S, bool) -> Told,
    look: impl AsyncFn(&S) -> Value,
) -> usize {
    let line = Line::start();
    let scene = open(&line).await;
    line.watch();
    let told = act(&scene, false).await;
    let writes = std::mem::take(&mut line.state().writes);
    let expected = (told, look(&scene).await);
    for (number, write) in writes.iter().enumerate() {
        for (cut, lasting) in
            [(Cut::Before, false), (Cut::After, false), (Cut::Before, true), (Cut::After, true)]
        {
            let case = format!("write {number}, {write}, cut {cut:?}, lasting: {lasting}");
            let line = Line::start();
            let scene = open(&line).await;
            line.cut(number, cut, lasting);
            let mut told = act(&scene, false).await;
            assert!(line.mend(), "{case}: it was not made");
            if told == Told::TryAgain && lasting {
                told = act(&scene, true).await;
            }
            assert_eq!((told, look(&scene).await), expected, "{case}");
        }
    }
    writes.len()
}

impl Told {
    /// What an answer says, as far as `outcome` reads it: 503 with `retry-after` is none.
    pub fn by(answer: &HttpAnswer, outcome: impl FnOnce(&HttpAnswer) -> Value) -> Self {
        if answer.status == 503 && answer.header("retry-after").is_some() {
            Self::TryAgain
        } else {
            Self::Outcome(outcome(answer))
        }
    }

    /// What becomes of a message: one that failed comes again.
    pub fn by_queue<F>(failures: &[F]) -> Self {
        if failures.is_empty() { Self::Outcome(Value::Null) } else { Self::TryAgain }
    }
}

const THROTTLED: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: 65\r\n\r\n\
    {\"__type\":\"com.amazonaws.dynamodb.v20120810#ThrottlingException\"}";

async fn serve(client: TcpStream, emulator: SocketAddr, state: &Mutex<State>) -> io::Result<()> {
    let mut client = BufReader::new(client);
    let mut emulator = BufReader::new(TcpStream::connect(emulator).await?);
    while let Some((head, request)) = message(&mut client).await? {
        if lock(state).throttled {
            client.write_all(THROTTLED.as_bytes()).await?;
            continue;
        }
        let cut = lock(state).next(&head);
        if cut == Some(Cut::Before) {
            return Ok(());
        }
        emulator.write_all(&request).await?;
        let Some((_, answer)) = message(&mut emulator).await? else { return Ok(()) };
        if cut == Some(Cut::After) {
            return Ok(());
        }
        client.write_all(&answer).await?;
    }
    Ok(())
}

/// Reads a request or an answer: its head in lower case, and all of it. `None` at the end of the connection.
async fn message(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut whole = Vec::new();
    while !whole.ends_with(b"\r\n\r\n") {
        if stream.read_until(b'\n', &mut whole).await? == 0 {
            return Ok(None);
        }
    }
    let head = String::from_utf8_lossy(&whole).to_lowercase();
    let length = header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let body = whole.len();
    whole.resize(body + length, 0);
    stream.read_exact(&mut whole[body..]).await?;
    Ok(Some((head, whole)))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut headers = head.lines().filter_map(|line| line.split_once(':'));
    headers.find(|(known, _)| *known == name).map(|(_, value)| value.trim())
}

impl State {
    /// Where the line is cut at this request, if it is.
    fn next(&mut self, head: &str) -> Option<Cut> {
        if self.down {
            return Some(Cut::Before);
        }
        let operation =
            header(head, "x-amz-target").and_then(|target| target.rsplit('.').next()).unwrap_or_default();
        if ["getitem", "batchgetitem", "query", "scan"].contains(&operation) {
            return None;
        }
        self.writes.push(operation.to_owned());
        let Fault { cut, lasting, .. } = self.fault.take_if(|fault| fault.write + 1 == self.writes.len())?;
        self.down = lasting;
        Some(cut)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
