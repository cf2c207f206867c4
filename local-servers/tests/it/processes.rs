use std::{
    env,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use local_servers::{Postgres, Redis};

use crate::eventually;

/// Where the other process says which servers it has.
const SAID: &str = "it has ";

/// Not a test: what the other process is for, which waits to be killed. One of its servers is stopped by then.
#[test]
#[ignore = "started by the tests of this module"]
fn have_servers() {
    let (redis, postgres) = (Redis::start().unwrap(), Postgres::start().unwrap());
    let stopped = Postgres::start().unwrap();
    let folders = [&postgres, &stopped].map(|server| server.psql("postgres", "SHOW data_directory").unwrap());
    stopped.stop().unwrap();
    let ports = format!("{} {}", redis.plain_address().port(), postgres.plain_port());
    let line = format!("{SAID}{ports} {}\n", folders.join(" "));
    std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes()).unwrap();
    loop {
        std::thread::park();
    }
}

struct Other {
    process: Child,
    ports: [u16; 2],
    folders: Vec<String>,
}

impl Other {
    fn start() -> Child {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "--nocapture", "processes::have_servers"]);
        command.stdout(Stdio::piped()).spawn().unwrap()
    }

    fn ready(mut process: Child) -> Self {
        let output = BufReader::new(process.stdout.take().unwrap());
        let line = output.lines().map(Result::unwrap).find_map(|line| {
            let said = line.find(SAID)? + SAID.len();
            Some(line[said..].to_owned())
        });
        let line = line.expect("it says what it has");
        let words: Vec<&str> = line.split(' ').collect();
        let ports = [0, 1].map(|word| words[word].parse().unwrap());
        Self { process, ports, folders: words[2..].iter().map(|&word| word.to_owned()).collect() }
    }
}

#[test]
fn servers_of_a_process_that_is_killed_end_and_leave_nothing() {
    let mut other = Other::ready(Other::start());
    for port in other.ports {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    }
    other.process.kill().unwrap();
    other.process.wait().unwrap();
    for port in other.ports {
        eventually("a server ends", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    }
    for folder in &other.folders {
        eventually("its files are removed", || !Path::new(folder).parent().unwrap().exists());
    }
}

#[test]
fn processes_that_start_at_once_have_servers_of_their_own() {
    let others = [Other::start(), Other::start()].map(Other::ready);
    assert_ne!(others[0].ports, others[1].ports);
    for mut other in others {
        other.process.kill().unwrap();
        other.process.wait().unwrap();
    }
}
