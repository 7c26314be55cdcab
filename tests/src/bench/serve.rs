//! `bench serve`: requests a second, how long they take, and memory, of bls-serve beside other
//! servers on this machine, over loopback.
//!
//! The load comes from here: one thread holds so many connections, and each asks again as soon as
//! it was answered. So server and load share the machine's cores, and all servers alike. Servers
//! take turns. The peers are what is installed: `wasmtime serve` with a component that says the same
//! (`serve.wat`), nginx with the same words as a constant, and busybox's httpd, which
//! starts a native program for each request.

use super::Bench;
use super::statistics::Samples;
use super::table::{Table, megabytes, microseconds, ratio};
use crate::ports;
use crate::programs::fixtures;
use crate::serve::{Server, send};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;
use std::ffi::OsString;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Rounds of each server.
pub(super) const RUNS: usize = 5;
/// How long a round is.
const ROUND: Duration = Duration::from_secs(3);
/// Connections at once.
const CONNECTIONS: [usize; 2] = [1, 32];

/// A server that is measured.
struct Measured {
    name: String,
    address: SocketAddr,
    /// The process whose family's memory counts.
    process: u32,
    /// Whether a connection is for one request.
    closes: bool,
    /// What keeps it running.
    _held: Box<dyn std::any::Any>,
}

/// Ends a process when it goes.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // One that asks: nginx would leave its workers.
        send(self.0.id(), Signal::TERM);
        let _ = self.0.wait();
    }
}

/// Prints the tables.
pub(super) fn run(bench: &Bench, runs: usize) -> Result<(), String> {
    let hello = bench.home.compile(&fixtures().join("cgi/hello.wat"), &[]);
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let component = folder.path().join("hello.wat");
    std::fs::write(&component, include_str!("serve.wat")).map_err(|error| error.to_string())?;
    let handler = bench.home.compile(&component, &[]);
    let mut servers = Vec::new();
    for (name, words, artifact) in [
        ("bls-serve", &["--log=none"][..], &hello),
        ("bls-serve, fuel, memory and log", &["--fuel=10M", "--max-memory=16MiB"], &hello),
        ("bls-serve, wasmtime's component", &["--log=none"], &handler),
    ] {
        let mut words: Vec<OsString> = words.iter().map(OsString::from).collect();
        words.push(artifact.clone().into());
        let server = Server::start(&bench.home, &words);
        servers.push(Measured {
            name: name.to_owned(),
            address: server.address,
            process: server.process(),
            closes: false,
            _held: Box::new(server),
        });
    }
    let peers = [wasmtime(bench, &component), nginx(folder.path()), busybox(folder.path())];
    for peer in peers {
        match peer {
            Ok(server) => servers.push(server),
            Err(why) => println!("{why}"),
        }
    }
    for connections in CONNECTIONS {
        measure(&servers, connections, runs)?;
        // It listens for a few at once: the others would wait for the kernel to try again.
        servers.retain(|server| !server.closes);
    }
    Ok(())
}

fn measure(servers: &[Measured], connections: usize, runs: usize) -> Result<(), String> {
    let mut all = vec![<[Samples; 3]>::default(); servers.len()];
    for round in 0..=runs {
        for (server, samples) in servers.iter().zip(&mut all) {
            let [rate, middle, late] = load(server, connections)?;
            // The first round warms up.
            if round > 0 {
                for (sample, value) in samples.iter_mut().zip([rate, middle, late]) {
                    sample.push(value);
                }
            }
        }
    }
    let headings = ["server", "requests/s", "to the first", "p50 us", "p99 us", "memory MB"];
    let mut table = Table::new(&headings);
    for (server, samples) in servers.iter().zip(&all) {
        let [rates, middles, lates] = samples;
        table.row(vec![
            server.name.clone(),
            format!("{:.0}", rates.median()),
            ratio(Some(rates.median_over(&all[0][0]))),
            microseconds(middles.median()),
            microseconds(lates.median()),
            megabytes(memory(server.process)),
        ]);
    }
    table.print(&format!(
        "{connections} connections, {} s a round, {runs} rounds in turns: medians; memory is what each server's processes have for themselves, and their share of what is shared (PSS)",
        ROUND.as_secs()
    ));
    Ok(())
}

/// Bytes of memory of a process and all below it.
fn memory(process: u32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup"));
    let kibibytes = rollup.ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
    });
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    let children = children.unwrap_or_default();
    let below = children.split_whitespace().filter_map(|number| number.parse().ok()).map(memory);
    kibibytes.unwrap_or(0) * 1024 + below.sum::<u64>()
}

/// One of the connections.
struct Client {
    stream: TcpStream,
    begun: Instant,
    received: Vec<u8>,
}

impl Client {
    fn new(server: &Measured) -> Result<Self, String> {
        let stream = TcpStream::connect(server.address).map_err(|error| error.to_string())?;
        let _ = stream.set_nodelay(true);
        let mut client = Self { stream, begun: Instant::now(), received: Vec::new() };
        client.ask(server)?;
        client.stream.set_nonblocking(true).map_err(|error| error.to_string())?;
        Ok(client)
    }

    fn ask(&mut self, server: &Measured) -> Result<(), String> {
        const KEPT: &[u8] = b"GET /cgi-bin/hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
        const CLOSED: &[u8] =
            b"GET /cgi-bin/hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        self.received.clear();
        let request = if server.closes { CLOSED } else { KEPT };
        self.stream.write_all(request).map_err(|error| format!("{}: {error}", server.name))
    }

    /// Reads what there is; whether the response is whole.
    fn read(&mut self, server: &Measured) -> Result<bool, String> {
        let mut buffer = [0; 4096];
        let count = match self.stream.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(format!("{}: {error}", server.name)),
        };
        self.received.extend_from_slice(&buffer[..count]);
        let text = &self.received[..];
        let is_whole = match (server.closes, count) {
            (true, count) => count == 0,
            // All of them end so.
            (false, _) if text.windows(7).any(|part| part == b"chunked") => {
                text.ends_with(b"hello\r\n0\r\n\r\n")
            }
            (false, _) => text.ends_with(b"hello"),
        };
        if is_whole && !text.starts_with(b"HTTP/1.1 200") && !text.starts_with(b"HTTP/1.0 200") {
            return Err(format!("{}: {}", server.name, String::from_utf8_lossy(text)));
        }
        if count == 0 && !is_whole {
            return Err(format!("{}: the connection ended", server.name));
        }
        Ok(is_whole)
    }
}

/// Requests a second, and the middle and the 99th of a hundred of their times in microseconds.
fn load(server: &Measured, connections: usize) -> Result<[f64; 3], String> {
    let mut clients: Vec<Client> =
        (0..connections).map(|_| Client::new(server)).collect::<Result<_, _>>()?;
    let mut times: Vec<f64> = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < ROUND {
        let ready: Vec<usize> = {
            let mut fds: Vec<PollFd<'_>> =
                clients.iter().map(|one| PollFd::new(&one.stream, PollFlags::IN)).collect();
            let _ = poll(&mut fds, None).map_err(|error| error.to_string())?;
            let is_ready = |(_, fd): &(usize, &PollFd<'_>)| !fd.revents().is_empty();
            fds.iter().enumerate().filter(is_ready).map(|(index, _)| index).collect()
        };
        for index in ready {
            let client = &mut clients[index];
            if !client.read(server)? {
                continue;
            }
            times.push(client.begun.elapsed().as_secs_f64() * 1e6);
            if server.closes {
                *client = Client::new(server)?;
            } else {
                client.begun = Instant::now();
                client.ask(server)?;
            }
        }
    }
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let last = times.len().saturating_sub(1);
        times.get((last as f64 * share) as usize).copied().unwrap_or(f64::NAN)
    };
    Ok([rate, at(0.5), at(0.99)])
}

/// Starts a server, and waits until it listens.
fn start(
    name: &str,
    command: &mut Command,
    address: SocketAddr,
    closes: bool,
) -> Result<Measured, String> {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| format!("{name}: {error}"))?;
    while TcpStream::connect(address).is_err() {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!("{name} ended with {status}: its row is left out."));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let process = child.id();
    Ok(Measured { name: name.to_owned(), address, process, closes, _held: Box::new(Ended(child)) })
}

fn wasmtime(bench: &Bench, component: &Path) -> Result<Measured, String> {
    let Some(program) = &bench.peers.wasmtime else {
        return Err("wasmtime is not on PATH: its row is left out.".into());
    };
    let address = ports::free();
    let mut command = Command::new(program);
    command.arg("serve").arg(format!("--addr={address}")).arg(component);
    start("wasmtime serve", &mut command, address, false)
}

/// Where a program is: on PATH, or where those of root are.
fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn nginx(folder: &Path) -> Result<Measured, String> {
    let Some(program) = found("nginx") else {
        return Err("nginx is not installed: its row is left out.".into());
    };
    let address = ports::free();
    let folder_name = folder.display();
    let configuration = format!(
        "daemon off; worker_processes auto; pid {folder_name}/nginx.pid; error_log /dev/null;\n\
         events {{}}\nhttp {{ access_log off; keepalive_requests 1000000000;\n\
         client_body_temp_path {folder_name}/b; proxy_temp_path {folder_name}/p;\n\
         fastcgi_temp_path {folder_name}/f; uwsgi_temp_path {folder_name}/u; scgi_temp_path {folder_name}/s;\n\
         server {{ listen {address}; location / {{ default_type text/plain; return 200 hello; }} }} }}\n"
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, configuration).map_err(|error| error.to_string())?;
    start("nginx, a constant", Command::new(program).arg("-c").arg(file), address, false)
}

fn busybox(folder: &Path) -> Result<Measured, String> {
    let Some(program) = found("busybox") else {
        return Err("busybox is not installed: its row is left out.".into());
    };
    let source = "#include <unistd.h>\nint main(void) { return write(1, \"Content-Type: text/plain\\n\\nhello\", 31) != 31; }\n";
    let (input, bin) = (folder.join("hello.c"), folder.join("cgi-bin"));
    let built = std::fs::create_dir_all(&bin).and_then(|()| std::fs::write(&input, source));
    built.map_err(|error| error.to_string())?;
    let output = bin.join("hello");
    let status = Command::new("cc")
        .args(["-O2", "-static", "-s"])
        .arg(&input)
        .arg("-o")
        .arg(&output)
        .status();
    if !status.is_ok_and(|status| status.success()) {
        return Err("cc builds no program here: busybox's row is left out.".into());
    }
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&output, mode).map_err(|error| error.to_string())?;
    let address = ports::free();
    let mut command = Command::new(program);
    command.args(["httpd", "-f", "-p", &address.to_string(), "-h"]).arg(folder);
    start("busybox httpd, native CGI", &mut command, address, true)
}
