//! A client of the interface that the kubelet uses (CRI, `runtime.v1`): pods and containers of a
//! containerd, by gRPC through its socket.
//!
//! Messages are written and read here; `tests/cri.py` brings them there, with Debian's
//! python3-grpcio: a library of gRPC among the tests' own would have the engine built once more,
//! with other features. Knows those calls and fields only that tests need. Assumes a containerd of the test's own, and
//! pods on the network of the machine, which need no plugin for networks.

mod message;

use crate::engines::fresh_name;
use crate::programs::fixtures;
use message::{Message, Read};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

/// Of the network: that of the machine.
const NODE: u64 = 2;
/// Of processes: those of the container alone.
const CONTAINER: u64 = 1;
/// The state of a container that has ended.
const EXITED: u64 = 2;

/// Where a python is that knows gRPC: the first on `PATH` may be another than Debian's.
const PYTHONS: [&str; 2] = ["python3", "/usr/bin/python3"];

/// A client.
#[derive(Debug)]
pub struct Cri {
    process: Child,
    streams: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    /// Where containers' logs are.
    logs: tempfile::TempDir,
}

/// A pod.
#[derive(Clone, Debug)]
pub struct Pod {
    /// What the engine calls it.
    pub id: String,
    config: Message,
}

/// A container that is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Its image.
    pub image: &'a str,
    /// What takes the place of the image's entry point.
    pub command: &'a [&'a str],
    /// Its arguments.
    pub args: &'a [&'a str],
    /// Its variables.
    pub variables: &'a [(&'a str, &'a str)],
    /// Folders of this machine, where they are in the container, and whether they are read only.
    pub mounts: &'a [(&'a Path, &'a str, bool)],
    /// The most bytes of memory; 0 is no limit.
    pub memory: u64,
    /// Whether the root can be read only.
    pub read_only: bool,
}

/// How a container is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether it has ended.
    pub has_ended: bool,
    /// The exit code.
    pub code: i32,
    /// Why it is so, in one word.
    pub reason: String,
    /// The same in a sentence.
    pub message: String,
}

/// What a container that has ended has left.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// How it is.
    pub status: Status,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Cri {
    /// One of the engine that listens there; `None`, and a line that says so, where there is no
    /// python with gRPC.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn open(socket: &Path) -> Option<Self> {
        let knows = |python: &&str| {
            let mut command = Command::new(python);
            let ended = command.args(["-c", "import grpc"]).stderr(Stdio::null()).status();
            ended.is_ok_and(|status| status.success())
        };
        let Some(python) = PYTHONS.into_iter().find(knows) else {
            println!("SKIPPED: there is no python3 with grpc (python3-grpcio): left out");
            return None;
        };
        let program = fixtures().with_file_name("tests/cri.py");
        let mut command = Command::new(python);
        command.arg(program).arg(socket).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("a process");
        let stdin = process.stdin.take().expect("a pipe");
        let stdout = BufReader::new(process.stdout.take().expect("a pipe"));
        let logs = tempfile::tempdir().expect("a folder");
        Some(Self { process, streams: Mutex::new((stdin, stdout)), logs })
    }

    /// Makes a call; what it answers.
    ///
    /// # Errors
    /// The sentence of the engine's.
    fn call(&self, method: &str, request: &Message) -> Result<Vec<u8>, String> {
        self.call_of("RuntimeService", method, request)
    }

    fn call_of(&self, service: &str, method: &str, request: &Message) -> Result<Vec<u8>, String> {
        let (calls, answers) = &mut *self.streams.lock().expect("streams");
        let request = request.bytes();
        let head = format!("/runtime.v1.{service}/{method} {}\n", request.len());
        calls.write_all(&[head.as_bytes(), request].concat()).expect("a call");
        let mut head = String::new();
        let _ = answers.read_line(&mut head).expect("an answer");
        let (status, length) = head.trim().split_once(' ').expect("a status and a length");
        let mut answer = vec![0; length.parse().expect("a length")];
        answers.read_exact(&mut answer).expect("an answer");
        match status {
            "0" => Ok(answer),
            _ => Err(format!("{method}: status {status}: {}", String::from_utf8_lossy(&answer))),
        }
    }

    /// Whether the engine has this image.
    ///
    /// # Errors
    /// What the engine says.
    pub fn has_image(&self, name: &str) -> Result<bool, String> {
        let request = Message::default().message(1, &Message::default().text(1, name));
        let answer = self.call_of("ImageService", "ImageStatus", &request)?;
        Ok(!Read::parse(&answer).ok_or("no message")?.messages(1).is_empty())
    }

    /// What the engine says that it is: its name and its version.
    ///
    /// # Errors
    /// It does not serve this interface.
    pub fn version(&self) -> Result<String, String> {
        let answer = self.call("Version", &Message::default())?;
        let answer = Read::parse(&answer).ok_or("no message")?;
        Ok(format!("{} {}", answer.text(2), answer.text(3)))
    }

    /// Starts a pod by this handler.
    ///
    /// # Errors
    /// What the engine says.
    pub fn pod(&self, handler: &str, annotations: &[(&str, &str)]) -> Result<Pod, String> {
        let name = fresh_name();
        let metadata = Message::default().text(1, &name).text(2, &name).text(3, "default");
        let namespaces = Message::default().number(1, NODE).number(2, CONTAINER);
        let linux = Message::default().message(2, &Message::default().message(1, &namespaces));
        let logs = self.logs.path().to_str().expect("a path");
        let config = Message::default()
            .message(1, &metadata)
            .text(3, logs)
            .pairs(7, annotations)
            .message(8, &linux);
        let request = Message::default().message(1, &config).text(2, handler);
        let answer = self.call("RunPodSandbox", &request)?;
        let id = Read::parse(&answer).ok_or("no message")?.text(1);
        Ok(Pod { id, config })
    }

    /// Makes a container in a pod; what the engine calls it.
    ///
    /// # Errors
    /// What the engine says.
    pub fn create(&self, pod: &Pod, wanted: &Wanted<'_>) -> Result<String, String> {
        let name = fresh_name();
        let namespaces = Message::default().number(1, NODE).number(2, CONTAINER);
        let security =
            Message::default().message(3, &namespaces).number(7, u64::from(wanted.read_only));
        let mut linux = Message::default().message(2, &security);
        if wanted.memory > 0 {
            linux = linux.message(1, &Message::default().number(4, wanted.memory));
        }
        let mut config = Message::default()
            .message(1, &Message::default().text(1, &name))
            .message(2, &Message::default().text(1, wanted.image))
            .texts(3, wanted.command)
            .texts(4, wanted.args)
            .pairs(6, wanted.variables)
            .text(11, &format!("{name}.log"))
            .message(15, &linux);
        for (from, to, read_only) in wanted.mounts {
            let mount = Message::default().text(1, to).text(2, from.to_str().expect("a path"));
            config = config.message(7, &mount.number(3, u64::from(*read_only)));
        }
        let request =
            Message::default().text(1, &pod.id).message(2, &config).message(3, &pod.config);
        let answer = self.call("CreateContainer", &request)?;
        let id = Read::parse(&answer).ok_or("no message")?.text(1);
        fs::write(self.logs.path().join(&id), name).expect("a file");
        Ok(id)
    }

    /// Starts a container.
    ///
    /// # Errors
    /// What the engine says.
    pub fn start(&self, container: &str) -> Result<(), String> {
        self.call("StartContainer", &Message::default().text(1, container)).map(drop)
    }

    /// How a container is.
    ///
    /// # Errors
    /// What the engine says.
    pub fn status(&self, container: &str) -> Result<Status, String> {
        let answer = self.call("ContainerStatus", &Message::default().text(1, container))?;
        let status = Read::parse(&answer).ok_or("no message")?.message(1);
        Ok(Status {
            has_ended: status.number(3) == EXITED,
            code: status.number(7) as i32,
            reason: status.text(10),
            message: status.text(11),
        })
    }

    /// Makes a container, starts it, and waits for its end.
    ///
    /// # Errors
    /// What the engine says.
    pub fn run(&self, pod: &Pod, wanted: &Wanted<'_>) -> Result<Ended, String> {
        let container = self.create(pod, wanted)?;
        self.start(&container)?;
        self.wait(&container)
    }

    /// Waits for the end of a container, and removes it.
    ///
    /// # Errors
    /// What the engine says.
    pub fn wait(&self, container: &str) -> Result<Ended, String> {
        let status = loop {
            let status = self.status(container)?;
            if status.has_ended {
                break status;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let (stdout, stderr) = self.logs(container);
        self.remove(container)?;
        Ok(Ended { status, stdout, stderr })
    }

    /// What a container has said so far, of its log: standard output and standard error.
    ///
    /// # Panics
    /// When the log is not of the form that the kubelet reads.
    #[must_use]
    pub fn logs(&self, container: &str) -> (String, String) {
        let path = |name: &str| self.logs.path().join(name);
        let name = fs::read_to_string(path(container)).expect("a container of this client's");
        let text = fs::read_to_string(path(&format!("{name}.log"))).unwrap_or_default();
        let (mut stdout, mut stderr) = (String::new(), String::new());
        for line in text.lines() {
            // When, which stream, whether the line is whole, and the line.
            let parts: Vec<&str> = line.splitn(4, ' ').collect();
            let [_, stream, whole, said] = parts[..] else { panic!("{line:?} is no log") };
            let stream = if stream == "stdout" { &mut stdout } else { &mut stderr };
            stream.push_str(said);
            if whole == "F" {
                stream.push('\n');
            }
        }
        (stdout, stderr)
    }

    /// Ends a container: a signal, and after these seconds by force.
    ///
    /// # Errors
    /// What the engine says.
    pub fn stop(&self, container: &str, seconds: u64) -> Result<(), String> {
        let request = Message::default().text(1, container).number(2, seconds);
        self.call("StopContainer", &request).map(drop)
    }

    /// Removes a container.
    ///
    /// # Errors
    /// What the engine says.
    pub fn remove(&self, container: &str) -> Result<(), String> {
        self.call("RemoveContainer", &Message::default().text(1, container)).map(drop)
    }

    /// Ends and removes a pod.
    ///
    /// # Errors
    /// What the engine says.
    pub fn remove_pod(&self, pod: &Pod) -> Result<(), String> {
        self.remove_pod_called(&pod.id)
    }

    /// Ends and removes all pods.
    ///
    /// # Errors
    /// What the engine says.
    pub fn remove_pods(&self) -> Result<(), String> {
        let answer = self.call("ListPodSandbox", &Message::default())?;
        let pods = Read::parse(&answer).ok_or("no message")?.messages(1);
        pods.iter().try_for_each(|pod| self.remove_pod_called(&pod.text(1)))
    }

    fn remove_pod_called(&self, id: &str) -> Result<(), String> {
        let request = Message::default().text(1, id);
        let _ = self.call("StopPodSandbox", &request)?;
        self.call("RemovePodSandbox", &request).map(drop)
    }

    /// How many pods and containers there are.
    ///
    /// # Errors
    /// What the engine says.
    pub fn count(&self) -> Result<(usize, usize), String> {
        let count = |method: &str| -> Result<usize, String> {
            let answer = self.call(method, &Message::default())?;
            Ok(Read::parse(&answer).ok_or("no message")?.messages(1).len())
        };
        Ok((count("ListPodSandbox")?, count("ListContainers")?))
    }
}

impl Drop for Cri {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
