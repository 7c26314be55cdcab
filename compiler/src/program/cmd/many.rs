//! `bls-compile a.wasm b.wasm dir/ -o dist/`: many inputs, an artifact each.
//!
//! ```text
//! this process     starts ─────────► one process for each input: read, [its own second process,
//!                                    in which the module is compiled], key, sign
//!                  lets it write ◄── ready
//!                  prints ◄───────── what it wrote, or why it did not
//! ```
//!
//! Each of them is what `bls-compile INPUT` is: it makes the process that parses the module before
//! it reads a key. So this process reads none, and has one thread. They are forked, so all share
//! the program as it is loaded. As many work at once as there are processors, and as there is
//! memory for.
//!
//! Guarantees: results are written in the order of the inputs, and so are the lines; where one
//! fails, nothing behind it is written, whatever was ready (without `--keep-going`). A process
//! that ends without a word is one that failed.

use super::compile::{self, Task};
use super::{Failure, print, say};
use crate::program::cli::{Build, Compile, Emit};
use crate::program::output::{Destination, OutputError};
use crate::sys;
use bls_artifact::text::{printable_json, printable_path};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{fmt, thread};

/// The most inputs of one command.
const INPUTS_MAX: usize = 100_000;
/// How many may wait to write.
const WAITING_MAX: usize = 64;
/// How deep folders are looked into.
const DEPTH_MAX: usize = 64;
/// What compiling takes beside the module, in bytes; and for each of the module's: by the
/// largest of those that were measured, with a third more.
const MEMORY_AT_LEAST: u64 = 128 << 20;
const MEMORY_PER_BYTE: u64 = 48;
/// How many names stand in a sentence.
const NAMED_MAX: usize = 8;

/// What is wrong with many inputs at once.
#[derive(Debug)]
pub(super) enum ManyError {
    /// A folder without a module.
    Nothing(PathBuf),
    /// A folder that cannot be read.
    Unreadable(PathBuf, io::Error),
    /// More than anybody compiles at once.
    TooMany,
    /// Two inputs for one output.
    Same(PathBuf, PathBuf, PathBuf),
    /// The output is no folder, and cannot be made one.
    NoFolder(PathBuf, io::Error),
    /// A process ended without a word.
    Crashed,
    /// Some failed: which; how many there are, how many were written, and whether all were tried.
    Failed(Vec<PathBuf>, usize, usize, bool),
}

impl fmt::Display for ManyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing(path) => write!(f, "no .wasm or .wat file in {}", path.display()),
            Self::Unreadable(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::TooMany => write!(f, "more than {INPUTS_MAX} inputs"),
            Self::Same(one, other, output) => write!(
                f,
                "{} and {} would both become {}",
                one.display(),
                other.display(),
                output.display()
            ),
            Self::NoFolder(path, error) => {
                write!(f, "cannot write into {}: {error}", path.display())
            }
            Self::Crashed => write!(f, "the process that worked on it ended without an answer"),
            Self::Failed(which, all, written, is_all) => {
                let names = which.iter().take(NAMED_MAX).map(|path| path.display().to_string());
                let names = names.collect::<Vec<_>>().join(", ");
                let more = if which.len() > NAMED_MAX { ", …" } else { "" };
                match is_all {
                    true => write!(f, "{} of {all} failed: {names}{more}", which.len()),
                    false => write!(
                        f,
                        "{names} failed, and nothing behind it was written: {written} of {all} are done"
                    ),
                }
            }
        }
    }
}

impl ManyError {
    fn code(&self) -> &'static str {
        match self {
            Self::Nothing(_) => "many.nothing",
            Self::Unreadable(..) => "many.unreadable",
            Self::TooMany => "many.too-many",
            Self::Same(..) => "many.same-output",
            Self::NoFolder(..) => "many.no-folder",
            Self::Crashed => "many.crashed",
            Self::Failed(..) => "many.failed",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Nothing(_) => "name the modules, or a folder that holds some".to_owned(),
            Self::Unreadable(..) => "see that you may read it".to_owned(),
            Self::TooMany => "compile them in several steps".to_owned(),
            Self::Same(..) => {
                "rename one, or give each a command and a file of its own: -o FILE".to_owned()
            }
            Self::NoFolder(..) => "name a folder that you may write: -o dist/".to_owned(),
            Self::Crashed => {
                "was it ended by somebody, or for want of memory? fewer at once: --jobs 1"
                    .to_owned()
            }
            Self::Failed(_, _, _, true) => return None,
            Self::Failed(..) => "--keep-going compiles all that can be".to_owned(),
        })
    }
}

impl From<ManyError> for Failure {
    fn from(error: ManyError) -> Self {
        Self::new("inputs", error.code(), &error, error.hint())
    }
}

/// An input, and where its artifact goes.
#[derive(Debug, PartialEq, Eq)]
struct Item {
    input: PathBuf,
    output: PathBuf,
    /// Bytes of the input, as far as it is known.
    bytes: u64,
}

/// Whether this is a command for many: several inputs, a folder, or one for a folder.
pub(super) fn is_many(arguments: &Compile) -> bool {
    let output = arguments.build.output.as_deref();
    match &arguments.inputs[..] {
        [] => false,
        [one] => output.is_some_and(|output| ends_as_folder(output) || one.is_dir()),
        _ => true,
    }
}

/// Whether a path says by its last letter that it is a folder.
fn ends_as_folder(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// `bls-compile INPUT... -o FOLDER`
pub(super) fn run(arguments: &Compile) -> Result<(), Failure> {
    let begin = Instant::now();
    let build = &arguments.build;
    refuse(arguments)?;
    if build.debug_file.is_some() {
        return Err(Failure::usage(
            "--debug-file is the file of one artifact",
            Some("compile each with a command of its own".to_owned()),
        ));
    }
    let items = items(&arguments.inputs, build.output.as_deref())?;
    // Read once: a policy, documents.
    let options = compile::options(build, Emit::Artifact)?;
    let keeping = compile::cache(build, &mut |text| note(build, &text))?;
    for item in &items {
        Destination::File(item.output.clone()).check(Some(&item.input))?;
    }
    make_folders(&items, build.output.as_deref())?;
    let task = Task { build, options, cache: keeping.as_ref(), progress: false };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let jobs = arguments.jobs.map_or(cores, NonZero::get);
    let mut crew = Crew {
        task: &task,
        items: &items,
        keep_going: arguments.keep_going,
        jobs,
        // A few more threads than processors, so that the last ones have something to do.
        threads: (2 * cores).div_ceil(jobs.min(items.len())).min(cores),
        memory: memory(),
        workers: Vec::new(),
        answers: items.iter().map(|_| None).collect(),
        wanted: items.len(),
    };
    crew.work()?;
    crew.summary(begin)
}

/// What makes no sense for many.
fn refuse(arguments: &Compile) -> Result<(), Failure> {
    let build = &arguments.build;
    let single = |what: &str| {
        Failure::usage(
            format!("{what} is about one artifact, and there may be several"),
            Some("compile that one by itself: bls-compile app.wasm -o FILE".to_owned()),
        )
    };
    if build.name.is_some() {
        return Err(single("--name"));
    }
    if !arguments.with.module.is_empty() {
        return Err(single("--module"));
    }
    if !arguments.with.plug.is_empty() {
        return Err(single("--plug"));
    }
    if build.emit.is_some_and(|emit| emit != Emit::Artifact) {
        return Err(single("--emit"));
    }
    if build.output.as_deref() == Some(Path::new("-")) {
        return Err(single("-o -"));
    }
    if arguments.inputs.iter().any(|input| input == Path::new(crate::input::STDIN)) {
        return Err(single("standard input"));
    }
    Ok(())
}

/// Every input with its output: of a folder all modules in it, in the order of their names, each
/// in the same place below the output's folder.
fn items(inputs: &[PathBuf], output: Option<&Path>) -> Result<Vec<Item>, ManyError> {
    let folder = output.unwrap_or(Path::new(""));
    let mut items = Vec::new();
    for input in inputs {
        if input.is_dir() {
            let before = items.len();
            walk(input, Path::new(""), folder, &mut items, 0)?;
            if items.len() == before {
                return Err(ManyError::Nothing(input.clone()));
            }
        } else {
            items.push(item(input.clone(), folder));
        }
        if items.len() > INPUTS_MAX {
            return Err(ManyError::TooMany);
        }
    }
    let mut by_output: BTreeMap<&Path, &Path> = BTreeMap::new();
    for item in &items {
        if let Some(other) = by_output.insert(&item.output, &item.input) {
            let (one, two) = (other.to_owned(), item.input.clone());
            return Err(ManyError::Same(one, two, item.output.clone()));
        }
    }
    Ok(items)
}

fn item(input: PathBuf, folder: &Path) -> Item {
    let mut name = input.file_stem().unwrap_or_default().to_owned();
    name.push(".bls");
    let bytes = fs::metadata(&input).map_or(0, |status| status.len());
    Item { output: folder.join(name), input, bytes }
}

/// The modules in a folder. Folders behind links and hidden files are left out.
fn walk(
    root: &Path,
    below: &Path,
    output: &Path,
    items: &mut Vec<Item>,
    depth: usize,
) -> Result<(), ManyError> {
    let folder = root.join(below);
    let unreadable = |error| ManyError::Unreadable(folder.clone(), error);
    let mut entries = fs::read_dir(&folder)
        .and_then(|entries| entries.collect::<io::Result<Vec<_>>>())
        .map_err(unreadable)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && depth < DEPTH_MAX {
            walk(root, &below.join(&name), output, items, depth + 1)?;
        }
        let path = entry.path();
        let extension = path.extension().unwrap_or_default();
        let is_module = ["wasm", "wat"].iter().any(|end| extension.eq_ignore_ascii_case(end));
        if !is_folder && is_module && path.is_file() {
            items.push(item(path, &output.join(below)));
        }
        if items.len() > INPUTS_MAX {
            return Err(ManyError::TooMany);
        }
    }
    Ok(())
}

/// Makes the folder of the output, and those below it that are needed.
fn make_folders(items: &[Item], output: Option<&Path>) -> Result<(), ManyError> {
    let Some(output) = output else { return Ok(()) };
    let folders = items.iter().filter_map(|item| item.output.parent());
    for folder in folders.chain([output]) {
        let made = fs::create_dir_all(folder);
        made.map_err(|error| ManyError::NoFolder(folder.to_owned(), error))?;
    }
    Ok(())
}

/// How much memory there is to take, in bytes.
fn memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    let system = kilobytes.map_or(u64::MAX, |kilobytes| kilobytes.saturating_mul(1024));
    // What a container may take.
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let group = group.and_then(|text| text.trim().parse().ok()).unwrap_or(u64::MAX);
    system.min(group)
}

/// What compiling a module of so many bytes may take.
fn estimate(bytes: u64) -> u64 {
    MEMORY_AT_LEAST.saturating_add(bytes.saturating_mul(MEMORY_PER_BYTE))
}

/// What a process says in the end.
#[derive(Debug)]
struct Answer {
    /// How it came to be; `None` where it failed.
    how: Option<String>,
    notes: Vec<String>,
    /// For a person, and for a program.
    text: String,
    json: Value,
}

impl Answer {
    /// Of a line that a process wrote.
    fn parse(line: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(line).ok()?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some(Self {
            how: text(&value["how"]),
            notes: value["notes"].as_array()?.iter().filter_map(text).collect(),
            text: text(&value["text"])?,
            json: value["json"].clone(),
        })
    }
}

/// A process at work. It is gone when this is dropped.
struct Worker {
    index: usize,
    process: Pid,
    /// Lets it write.
    go: Option<OwnedFd>,
    pipe: File,
    heard: Vec<u8>,
    is_ready: bool,
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = kill_process(self.process, Signal::KILL);
        let _ = rustix::io::retry_on_intr(|| waitpid(Some(self.process), WaitOptions::empty()));
    }
}

/// What a process says when only the writing is left.
const READY: &[u8] = b"ready";

/// All that work, and what came of it.
struct Crew<'a> {
    task: &'a Task<'a>,
    items: &'a [Item],
    keep_going: bool,
    jobs: usize,
    threads: usize,
    memory: u64,
    workers: Vec<Worker>,
    answers: Vec<Option<Answer>>,
    /// So many are still wanted: none behind one that failed.
    wanted: usize,
}

impl Crew<'_> {
    fn work(&mut self) -> Result<(), Failure> {
        let (mut started, mut told) = (0, 0);
        loop {
            while started < self.wanted && self.has_room(started) {
                let worker = self.start(started)?;
                self.workers.push(worker);
                started += 1;
            }
            self.let_write()?;
            while self.answers.get(told).is_some_and(Option::is_some) && told < self.wanted {
                self.tell(told)?;
                told += 1;
            }
            if self.workers.is_empty() {
                return Ok(());
            }
            self.listen()?;
        }
    }

    /// Whether one more may begin.
    fn has_room(&self, next: usize) -> bool {
        let is_working = |worker: &&Worker| !worker.is_ready;
        let working: Vec<&Worker> = self.workers.iter().filter(is_working).collect();
        let cost = |index: usize| estimate(self.items[index].bytes);
        let taken = working.iter().fold(0, |sum: u64, one| sum.saturating_add(cost(one.index)));
        let is_room = working.is_empty() || taken.saturating_add(cost(next)) <= self.memory;
        let waiting = self.workers.len() - working.len();
        is_room && working.len() < self.jobs && waiting < WAITING_MAX
    }

    fn start(&self, index: usize) -> Result<Worker, Failure> {
        let failed = |error: io::Error| Failure::from(crate::child::ChildError::NoProcess(error));
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed(error.into()));
        let (go_out, go) = pipe()?;
        let (answers, results) = pipe()?;
        let parent = rustix::process::getpid();
        match sys::fork().map_err(failed)? {
            Some(process) => {
                let (heard, pipe) = (Vec::new(), File::from(answers));
                Ok(Worker { index, process, go: Some(go), pipe, heard, is_ready: false })
            }
            None => {
                let work = || {
                    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
                    if rustix::process::getppid() == Some(parent) {
                        // Closed here, so that it ends with the process that holds the other.
                        drop((go, answers));
                        self.one(index, go_out.into(), results.into());
                    }
                };
                // What the first process has is not this one's to drop.
                let _ = catch_unwind(AssertUnwindSafe(work));
                sys::exit_now(0);
            }
        }
    }

    /// In a process of its own: makes one artifact, and says what came of it.
    fn one(&self, index: usize, mut go: File, mut results: File) {
        let Item { input, output, .. } = &self.items[index];
        let destination = Destination::File(output.clone());
        let mut notes = Vec::new();
        let mut ready = || {
            // Nobody to ask is nobody to write for.
            let asked = results.write_all(&[READY, b"\n"].concat());
            asked.and_then(|()| go.read_exact(&mut [0])).map_err(OutputError::Stdout)
        };
        let mut note = |text| notes.push(text);
        let made = self.task.one(input, &destination, self.threads, &mut note, &mut ready);
        let answer = match made {
            Ok((how, text, json)) => json!({
                "how": how.word(), "notes": notes, "text": text, "json": json,
            }),
            Err(failure) => {
                let failure = failure.about(input);
                let mut value = failure.json();
                value["input"] = json!(input.to_string_lossy());
                json!({ "how": null, "notes": notes, "text": failure.text(), "json": value })
            }
        };
        let _ = results.write_all(format!("{answer}\n").as_bytes());
    }

    /// Lets those write whose turn it is.
    fn let_write(&mut self) -> Result<(), Failure> {
        let is_done =
            |answer: &Option<Answer>| answer.as_ref().is_some_and(|one| one.how.is_some());
        let turn = self.answers.iter().take_while(|answer| is_done(answer)).count();
        for worker in &mut self.workers {
            let may = worker.is_ready && (self.keep_going || worker.index <= turn);
            if let Some(go) = worker.go.take_if(|_| may) {
                // One that is gone says nothing more, and that is seen.
                let _ = rustix::io::retry_on_intr(|| rustix::io::write(&go, b"!"));
            }
        }
        Ok(())
    }

    /// Waits until somebody says something, and takes what they say.
    fn listen(&mut self) -> Result<(), Failure> {
        let failed = |error: rustix::io::Errno| {
            Failure::from(crate::child::ChildError::NoProcess(error.into()))
        };
        let mut polled: Vec<PollFd<'_>> =
            self.workers.iter().map(|worker| PollFd::new(&worker.pipe, PollFlags::IN)).collect();
        match poll(&mut polled, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(failed(error)),
        }
        let heard: Vec<bool> = polled.iter().map(|one| !one.revents().is_empty()).collect();
        let mut ended = Vec::new();
        for (worker, _) in self.workers.iter_mut().zip(heard).filter(|(_, heard)| *heard) {
            let mut buffer = [0; 16 << 10];
            match worker.pipe.read(&mut buffer) {
                Ok(0) => ended.push(worker.index),
                Ok(count) => worker.heard.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => ended.push(worker.index),
            }
            if worker.heard.starts_with(READY) && worker.heard.get(READY.len()) == Some(&b'\n') {
                worker.heard.drain(..=READY.len());
                worker.is_ready = true;
            }
        }
        for index in ended {
            self.end(index);
        }
        Ok(())
    }

    /// Takes the answer of a process that has ended.
    fn end(&mut self, index: usize) {
        let Some(at) = self.workers.iter().position(|worker| worker.index == index) else { return };
        let worker = self.workers.swap_remove(at);
        let answer = Answer::parse(&worker.heard).unwrap_or_else(|| {
            let failure = Failure::from(ManyError::Crashed).about(&self.items[index].input);
            let mut json = failure.json();
            json["input"] = json!(self.items[index].input.to_string_lossy());
            Answer { how: None, notes: Vec::new(), text: failure.text(), json }
        });
        if answer.how.is_none() && !self.keep_going {
            // Those before it may still fail, and then that is the first.
            self.wanted = self.wanted.min(index + 1);
            let wanted = self.wanted;
            self.workers.retain(|worker| worker.index < wanted);
        }
        self.answers[index] = Some(answer);
    }

    /// Says what came of one.
    fn tell(&self, index: usize) -> Result<(), Failure> {
        let Some(answer) = &self.answers[index] else { return Ok(()) };
        let build = self.task.build;
        answer.notes.iter().for_each(|text| note(build, text));
        if build.json {
            print(&printable_json(&format!("{}\n", answer.json)))?;
        }
        if answer.how.is_none() || !(build.json || build.quiet) {
            say(&answer.text);
        }
        Ok(())
    }

    /// Says how many there were.
    fn summary(&self, begin: Instant) -> Result<(), Failure> {
        let told = self.answers[..self.wanted].iter().flatten();
        let count =
            |word: &str| told.clone().filter(|answer| answer.how.as_deref() == Some(word)).count();
        let counts =
            [("compiled", "compiled"), ("cached", "from the cache"), ("unchanged", "unchanged")]
                .map(|(word, text)| (count(word), text));
        let done: usize = counts.iter().map(|(count, _)| count).sum();
        let failed: Vec<PathBuf> = self
            .items
            .iter()
            .zip(&self.answers[..self.wanted])
            .filter(|(_, answer)| answer.as_ref().is_some_and(|answer| answer.how.is_none()))
            .map(|(item, _)| item.input.clone())
            .collect();
        if !self.task.build.quiet && !self.task.build.json {
            let counts: Vec<String> = counts
                .iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, text)| format!("{count} {text}"))
                .collect();
            let time = begin.elapsed().as_millis();
            let into = self
                .task
                .build
                .output
                .as_deref()
                .map_or(String::new(), |folder| format!(" in {}", printable_path(folder)));
            if done > 0 {
                say(&format!(
                    "{done} of {}{into}: {}, {time} ms",
                    self.items.len(),
                    counts.join(", ")
                ));
            }
        }
        if failed.is_empty() {
            return Ok(());
        }
        Err(ManyError::Failed(failed, self.items.len(), done, self.keep_going).into())
    }
}

/// Says something beside the results.
fn note(build: &Build, text: &str) {
    if !build.quiet {
        say(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(inputs: &[&Path], output: Option<&str>) -> Result<Vec<(String, String)>, String> {
        let inputs: Vec<PathBuf> = inputs.iter().map(|path| path.to_path_buf()).collect();
        let items =
            items(&inputs, output.map(Path::new)).map_err(|error| error.code().to_owned())?;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Ok(items.iter().map(|item| (text(&item.input), text(&item.output))).collect())
    }

    #[test]
    fn each_input_has_its_output() {
        let pair = |one: &str, two: &str| (one.to_owned(), two.to_owned());
        let of = |inputs: &[&str], output| {
            outputs(&inputs.iter().map(Path::new).collect::<Vec<_>>(), output)
        };
        assert_eq!(
            of(&["x/b.wasm", "a.wat"], Some("dist/")),
            Ok(vec![pair("x/b.wasm", "dist/b.bls"), pair("a.wat", "dist/a.bls")])
        );
        assert_eq!(of(&["x/b.wasm"], None), Ok(vec![pair("x/b.wasm", "b.bls")]));
        let same = of(&["x/a.wasm", "a.wat"], Some("dist"));
        assert_eq!(same, Err("many.same-output".to_owned()));
    }

    #[test]
    fn a_folder_is_the_modules_in_it_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("sub/deep")).unwrap();
        fs::create_dir(root.join(".hidden")).unwrap();
        fs::create_dir(root.join("empty")).unwrap();
        for name in ["b.wasm", "a.WAT", "c.txt", ".d.wasm", ".hidden/e.wasm", "sub/deep/f.wasm"] {
            fs::write(root.join(name), "x").unwrap();
        }
        std::os::unix::fs::symlink(root, root.join("sub/again")).unwrap();
        let found = outputs(&[root], Some("out")).unwrap();
        let names: Vec<&str> = found.iter().map(|(_, output)| output.as_str()).collect();
        assert_eq!(names, ["out/a.bls", "out/b.bls", "out/sub/deep/f.bls"]);
        let empty = root.join("empty");
        assert_eq!(outputs(&[&empty], Some("out")), Err("many.nothing".to_owned()));
        let twice = outputs(&[root, &root.join("b.wasm")], Some("out"));
        assert_eq!(twice, Err("many.same-output".to_owned()));
    }
}
