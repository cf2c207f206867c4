use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::fd::AsFd,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, anyhow, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use uuid::Uuid;

use crate::{
    clock::{Nanos, now},
    http1::{Connection, Message},
};

/// How long a function may take for anything, the first call at a small share of a processor included.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a function that says nothing is looked after.
const LOOK_AFTER: u16 = 200;

/// The [Lambda Runtime API](https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html) of one function.
///
/// It has no thread of its own: whoever invokes the function serves it meanwhile, so that no hand-over between threads
/// is part of what is measured.
#[derive(Debug)]
pub struct RuntimeApi {
    listener: TcpListener,
    connections: Vec<Connection<TcpStream>>,
    /// The connection on which the function waits for an event.
    waiting: Option<usize>,
}

/// The answer to an event.
#[derive(Debug)]
pub struct Answer {
    /// What the function answers; an error if it failed.
    pub body: Result<String, String>,
    /// From the moment when the event was handed over until the answer was there.
    pub took: Nanos,
}

impl RuntimeApi {
    /// Listens on a free port.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        Ok(Self { listener, connections: Vec::new(), waiting: None })
    }

    /// What `AWS_LAMBDA_RUNTIME_API` has to say.
    pub fn address(&self) -> Result<String> {
        Ok(self.listener.local_addr()?.to_string())
    }

    /// Waits until the function asks for an event; tells when it did. `check` fails if the function is gone.
    pub fn wait_until_ready(&mut self, check: &mut dyn FnMut() -> Result<()>) -> Result<Nanos> {
        let (connection, request) = self.request(check)?;
        let at = now();
        if !request.path().ends_with("/invocation/next") {
            let said = String::from_utf8_lossy(&request.body);
            bail!("asked for {} instead of an event: {said}", request.path());
        }
        self.waiting = Some(connection);
        Ok(at)
    }

    /// Hands over an event, takes the answer, and waits until the function is ready for the next one.
    pub fn invoke(&mut self, event: &str, check: &mut dyn FnMut() -> Result<()>) -> Result<Answer> {
        let waiting = self.waiting.take().context("the function does not wait for an event")?;
        let deadline = (SystemTime::now() + PATIENCE).duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
             lambda-runtime-aws-request-id: {}\r\n\
             lambda-runtime-deadline-ms: {deadline}\r\n\
             lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:000000000000:function:bench\r\n\
             lambda-runtime-trace-id: Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0\r\n",
            Uuid::now_v7()
        );

        let start = now();
        self.connections[waiting].write(&head, event.as_bytes())?;
        let (connection, request) = self.request(check)?;
        let took = now() - start;

        self.connections[connection].write("HTTP/1.1 202 Accepted\r\n", b"")?;
        let body = text(request.body);
        let body = match request.start.split(' ').nth(1).and_then(|path| path.rsplit('/').next()) {
            Some("response") => Ok(body),
            Some("error") => Err(body),
            other => bail!("an answer to an event at {other:?}"),
        };
        self.wait_until_ready(check)?;
        Ok(Answer { body, took })
    }

    /// The next request on any connection.
    fn request(&mut self, check: &mut dyn FnMut() -> Result<()>) -> Result<(usize, Message)> {
        let start = now();
        loop {
            let ready = self.readable()?;
            match ready {
                None => {
                    check()?;
                    if Duration::from_nanos(now() - start) > PATIENCE {
                        return Err(anyhow!("no sign of the function for {} s", PATIENCE.as_secs()));
                    }
                }
                Some(0) => {
                    let (stream, _) = self.listener.accept()?;
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(PATIENCE))?;
                    self.connections.push(Connection::new(stream));
                }
                Some(ready) => match self.connections[ready - 1].read() {
                    Ok(Some(request)) => return Ok((ready - 1, request)),
                    // Closed, in order or by the function's end.
                    Ok(None) | Err(_) => {
                        self.connections.remove(ready - 1);
                        check()?;
                    }
                },
            }
        }
    }

    /// Which of the listener (0) and the connections (1 and up) has something to say; `None` if it takes too long.
    fn readable(&self) -> Result<Option<usize>> {
        let streams = self.connections.iter().map(|connection| connection.stream().as_fd());
        let mut fds: Vec<PollFd<'_>> = std::iter::once(self.listener.as_fd())
            .chain(streams)
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        match poll(&mut fds, PollTimeout::from(LOOK_AFTER)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(fds.iter().position(|fd| fd.any().unwrap_or_default()))
    }
}

fn text(body: Vec<u8>) -> String {
    String::from_utf8(body).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn events_and_answers_pass_also_over_a_second_connection() {
        let mut api = RuntimeApi::start().unwrap();
        let address = api.address().unwrap();
        let function = thread::spawn(move || {
            let connect = || Connection::new(TcpStream::connect(&address).unwrap());
            let (mut first, mut second) = (connect(), connect());
            let next = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n";
            first.write(next, b"").unwrap();
            for kind in ["response", "error"] {
                let event = first.read().unwrap().unwrap();
                let id = event.header("lambda-runtime-aws-request-id").unwrap().to_owned();
                let answer = format!("POST /2018-06-01/runtime/invocation/{id}/{kind} HTTP/1.1\r\n");
                second.write(&answer, &event.body).unwrap();
                assert_eq!(second.read().unwrap().unwrap().status(), 202);
                first.write(next, b"").unwrap();
            }
            // Stays until the other side goes.
            assert_eq!(first.read().ok().flatten(), None);
        });
        api.wait_until_ready(&mut || Ok(())).unwrap();
        assert_eq!(api.invoke("one", &mut || Ok(())).unwrap().body, Ok("one".to_owned()));
        assert_eq!(api.invoke("two", &mut || Ok(())).unwrap().body, Err("two".to_owned()));
        drop(api);
        function.join().unwrap();
    }

    #[test]
    fn a_function_that_is_gone_is_noticed() {
        let mut api = RuntimeApi::start().unwrap();
        let error = api.wait_until_ready(&mut || bail!("it is gone")).unwrap_err();
        assert_eq!(error.to_string(), "it is gone");
    }
}
