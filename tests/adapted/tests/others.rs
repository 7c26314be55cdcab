//! The test programs of the wasmtime project, as components: each by ours and, where it is, by
//! wasmtime's program; both must end as the program says.
//!
//! The programs are not here. `BLS_P2` names a folder of modules that were built of wasmtime's
//! sources (CONTRIBUTING.md has the recipe). They are made components as wasmtime does it, by the
//! adapter. Programs for preview 1 run twice: with the adapter left out, and with one that stays.
//! Every program in the folder is run, or is skipped by its name and with a reason.

use bls_adapted_tests::programs::{Ended, Home, run, wasmtime};
use bls_adapted_tests::{component, with_strange_adapter};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// What is not run, by how the name begins, and why.
const SKIPPED: [(&str, &str); 17] = [
    ("p1_cli_hostcall_fuel", "a limit of wasmtime's own"),
    ("p1_path_filestat", "wants `sync` refused, which is done here (ARCHITECTURE.md)"),
    ("p1_stdio_isatty", "wants a terminal"),
    ("p2_api_proxy", "a server"),
    ("p2_api_reactor", "a library: one instance is called several times, also with a stream"),
    ("p2_api_time", "its host sets the clocks"),
    ("p2_cli_http_headers", "a server"),
    ("p2_cli_initial_cwd", "wants a current folder, which nothing grants here"),
    ("p2_cli_invoke_async", "a library with an asynchronous function"),
    ("p2_cli_many_resources", "a limit of wasmtime's own; here it is memory that bounds handles"),
    ("p2_cli_max_resources", "a limit of wasmtime's own; here it is memory that bounds handles"),
    ("p2_cli_serve", "a server"),
    ("p2_http", "a server that answers as its tests want it"),
    ("p2_ip_name_lookup", "the network, which is closed to components"),
    ("p2_tcp", "the network, which is closed to components"),
    ("p2_tls", "the network, which is closed to components"),
    ("p2_udp", "the network, which is closed to components"),
];

/// Programs for preview 1 that run with their adapter only: without it they get what preview 1 does
/// here on purpose otherwise than wasmtime (ARCHITECTURE.md).
const WITH_ADAPTER: [(&str, &str); 2] = [
    ("p1_file_allocate", "wants `fd_allocate` refused"),
    ("p1_poll_oneoff_files", "wants `badf` for all, where one of many descriptors is none"),
];

/// How a program ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Code(i32),
    Trap,
    /// Its time was over.
    Stopped,
}

/// What is at its standard streams.
#[derive(Clone, Copy)]
enum Streams {
    /// This to read; what it writes is read to the end.
    Input(&'static str),
    /// A folder to read.
    Folder,
    /// Somebody who reads a little of its output, and goes.
    Reader,
    /// Somebody who answers its prompt with the end of the input.
    Prompt,
}

/// One run of a program.
struct Case {
    args: Vec<String>,
    /// Options that both programs spell alike.
    common: Vec<String>,
    ours: Vec<String>,
    /// None where wasmtime's program cannot be told what its test grants.
    theirs: Option<Vec<String>>,
    streams: Streams,
    end: End,
    /// What it says on standard error.
    says: &'static str,
    /// A file that must be there afterwards, and what is in it.
    leaves: Option<(&'static str, &'static str)>,
    /// The folder in which files are.
    folder: tempfile::TempDir,
}

fn texts<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).to_vec()
}

impl Case {
    fn new() -> Self {
        Self {
            args: Vec::new(),
            common: Vec::new(),
            ours: Vec::new(),
            theirs: Some(Vec::new()),
            streams: Streams::Input(""),
            end: End::Code(0),
            says: "",
            leaves: None,
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn args<const N: usize>(mut self, args: [&str; N]) -> Self {
        self.args = texts(args);
        self
    }

    fn env(mut self, variable: &str) -> Self {
        self.common.extend(["--env".to_owned(), variable.to_owned()]);
        self
    }

    /// Its folder, under this name.
    fn granted(mut self, name: &str) -> Self {
        let dir = format!("{}::{name}", self.folder.path().display());
        self.common.extend(["--dir".to_owned(), dir]);
        self
    }

    /// Its folder, read-only; wasmtime's program has no words for that.
    fn read_only(mut self, name: &str) -> Self {
        let dir = format!("{}::{name}", self.folder.path().display());
        self.ours.extend(["--dir-ro".to_owned(), dir]);
        self.theirs = None;
        self
    }

    /// A second folder, as the scratch folder of a program.
    fn scratch(mut self) -> Self {
        let path = self.folder.path().with_extension("scratch");
        std::fs::create_dir(&path).expect("a folder");
        self.common.extend(["--dir".to_owned(), format!("{}::.", path.display())]);
        self
    }

    fn file(self, name: &str, contents: impl AsRef<[u8]>) -> Self {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, contents).expect("a file");
        self
    }

    fn theirs<const N: usize>(mut self, options: [&str; N]) -> Self {
        self.theirs = Some(texts(options));
        self
    }

    fn streams(mut self, streams: Streams) -> Self {
        self.streams = streams;
        self
    }

    fn ends(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    fn says(mut self, text: &'static str) -> Self {
        self.says = text;
        self
    }

    /// Runs a program of a host with these words before its own.
    fn run(&self, command: &mut Command) -> Ended {
        command.args(&self.args);
        match self.streams {
            Streams::Input(text) => run(command, text.as_bytes()),
            Streams::Folder => {
                let folder = std::fs::File::open(self.folder.path()).expect("a folder");
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(folder);
                command.output().expect("a program").into()
            }
            Streams::Reader | Streams::Prompt => {
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::piped());
                let mut child = command.spawn().expect("a program");
                let mut output = child.stdout.take().expect("a pipe");
                let mut some = [0; 2];
                output.read_exact(&mut some).expect("two bytes");
                drop(output);
                child.wait_with_output().expect("a program").into()
            }
        }
    }

    /// Whether it ended so.
    fn judge(&self, ended: &Ended, end: End) -> Result<(), String> {
        let wanted = self.end;
        if end != wanted {
            return Err(format!("{end:?}, not {wanted:?}: {}", ended.stderr));
        }
        if !ended.stderr.contains(self.says) {
            return Err(format!("does not say {:?}: {}", self.says, ended.stderr));
        }
        let Some((name, contents)) = self.leaves else { return Ok(()) };
        let found = std::fs::read(self.folder.path().join(name)).unwrap_or_default();
        match found == contents.as_bytes() {
            true => Ok(()),
            false => Err(format!("{name} holds {:?}", String::from_utf8_lossy(&found))),
        }
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.folder.path().with_extension("scratch"));
    }
}

const POEM: &str = "So rested he by the Tumtum tree";
const FIRST: &str = "'Twas brillig, and the slithy toves.\n";
const APPENDED: &str = "'Twas brillig, and the slithy toves.\nDid gyre and gimble in the wabe;\n\
    All mimsy were the borogoves,\nAnd the mome raths outgrabe.\n";

/// The runs of a program, as wasmtime's own tests have them.
fn cases(name: &str) -> Vec<Case> {
    let one = |case: Case| vec![case];
    let in_folder = || Case::new().granted(".").args(["."]).env("ERRNO_MODE_UNIX=1");
    let beside_read_only = || {
        let case = Case::new().scratch().args(["."]).env("ERRNO_MODE_UNIX=1");
        case.file("test.txt", "read only test file\n").read_only("readonly")
    };
    match name {
        "p1_cli_much_stdout" | "p2_cli_much_stdout" => [4, 12, 15]
            .map(|power| {
                let (text, times) = ("a".repeat(1 << power), ((1 << 18) >> power).to_string());
                Case::new().args([&text, &times])
            })
            .into(),
        "p1_stat_extreme_host_mtime" => {
            let case = in_folder().file("extreme.dat", "hello");
            let path = case.folder.path().join("extreme.dat");
            let file = std::fs::File::options().write(true).open(path).expect("a file");
            let early = SystemTime::UNIX_EPOCH.checked_sub(Duration::from_secs(1 << 63));
            let early = early.unwrap_or(SystemTime::UNIX_EPOCH);
            let times = std::fs::FileTimes::new().set_modified(early).set_accessed(early);
            // A file system may refuse.
            let _ = file.set_times(times);
            one(case)
        }
        "p1_file_truncation_readonly"
        | "p1_file_hardlink_across_perms"
        | "p1_file_rename_across_perms"
        | "p2_file_truncation_readonly"
        | "p2_file_hardlink_across_perms"
        | "p2_file_rename_across_perms" => one(beside_read_only()),
        "p2_file_stream_not_permitted" => {
            one(beside_read_only().file("stream-perms.txt", "stream permission test\n"))
        }
        "p2_api_read_only" => {
            let case = Case::new().file("bar.txt", "And stood awhile in thought");
            one(case.file("sub/none", "").read_only("/"))
        }
        "p2_stream_pollable_traps" | "p2_pollable_traps" => one(in_folder().ends(End::Trap)),
        "p2_cli_args" => {
            let args = ["hello", "this", "", "is an argument", "with 🚩 emoji"];
            one(Case::new().args(args))
        }
        "p2_cli_argv0" => {
            let mut case = Case::new().args(["b"]);
            case.common = texts(["--argv0", "b"]);
            one(case)
        }
        "p2_cli_directory_list" => {
            let names = ["foo.txt", "bar.txt", "baz.txt", "sub/wow.txt", "sub/yay.txt"];
            let case = names.iter().fold(Case::new(), |case, name| case.file(name, ""));
            one(case.granted("/"))
        }
        "p2_cli_env" => one(Case::new().env("frabjous=day").env("callooh=callay")),
        "p2_cli_exit_failure" => one(Case::new().ends(End::Code(1))),
        "p2_cli_exit_panic" => one(Case::new().ends(End::Trap).says("Curiouser and curiouser!")),
        "p2_cli_exit_with_code" => {
            one(Case::new().theirs(["-Scli-exit-with-code"]).ends(End::Code(42)))
        }
        "p2_cli_file_append" => {
            let mut case = Case::new().granted("/").file("bar.txt", FIRST);
            case.leaves = Some(("bar.txt", APPENDED));
            one(case)
        }
        "p2_cli_file_dir_sync" => one(Case::new().granted("/").file("bar.txt", FIRST)),
        "p2_cli_file_read" => {
            one(Case::new().granted("/").file("bar.txt", "And stood awhile in thought"))
        }
        // The others of its cases are of a limit of wasmtime's own, or of the network.
        "p2_cli_hostcall_fuel" => [
            ("read", End::Code(0)),
            ("read-file-big", End::Code(0)),
            ("write-zeroes", End::Trap),
            ("write-stream-buffer-too-large", End::Trap),
            ("write-zeroes-buffer-too-large", End::Trap),
        ]
        .map(|(arg, end)| {
            Case::new().file("1mb", vec![0; 1 << 20]).granted(".").args([arg]).ends(end)
        })
        .into(),
        "p2_cli_large_env" => {
            let value = "x".repeat(1024);
            let name = |at: u32| format!("KEY{at}={value}");
            one((0..512).fold(Case::new(), |case, at| case.env(&name(at))))
        }
        "p2_cli_multiple_preopens" => {
            one(["/a", "/b", "/c"].into_iter().fold(Case::new(), Case::granted))
        }
        "p2_cli_no_tcp" => one(Case::new().theirs(["-Sinherit-network,tcp=no"])),
        "p2_cli_no_udp" => one(Case::new().theirs(["-Sinherit-network,udp=no"])),
        "p2_cli_no_ip_name_lookup" => {
            one(Case::new().theirs(["-Sinherit-network,allow-ip-name-lookup=no"]))
        }
        "p2_cli_sleep_forever" => {
            let mut case = Case::new().theirs(["-Wtimeout=250ms"]).ends(End::Stopped);
            case.ours = texts(["--timeout", "250ms"]);
            one(case)
        }
        "p2_cli_stdin" => one(Case::new().streams(Streams::Input(POEM))),
        "p2_cli_splice_stdin" => one(Case::new().streams(Streams::Input(POEM))),
        "p2_cli_stdin_empty" => one(Case::new().streams(Streams::Input("not to be read"))),
        "p2_cli_stdin_eisdir" => {
            let case = Case::new().streams(Streams::Folder);
            one(case.says("got expected ErrorCode::IsDirectory"))
        }
        "p2_cli_stdio_write_flushes" => one(Case::new().streams(Streams::Prompt)),
        "p2_cli_stdout_epipe" => {
            let case = Case::new().streams(Streams::Reader);
            one(case.says("got expected StreamError::Closed"))
        }
        _ if name.starts_with("p2_cli_") => one(Case::new()),
        _ => one(in_folder()),
    }
}

/// How a program of ours ended.
fn our_end(ended: &Ended) -> End {
    match ended.code {
        Some(134) => End::Trap,
        Some(124) => End::Stopped,
        code => End::Code(code.unwrap_or(-1)),
    }
}

fn their_end(ended: &Ended) -> End {
    match ended.code {
        Some(134) if ended.stderr.contains("wasm trap: interrupt") => End::Stopped,
        // What a host function refuses ends the program too.
        Some(134) => End::Trap,
        Some(1) if ended.stderr.contains("failed to run main module") => End::Trap,
        code => End::Code(code.unwrap_or(-1)),
    }
}

/// The programs of a folder.
fn programs(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.unwrap().path());
    let mut found: Vec<(String, PathBuf)> = entries
        .filter(|path| path.extension().is_some_and(|kind| kind == "wasm"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), path))
        .collect();
    found.sort();
    found
}

/// Runs all cases of a program as this component; what is not as it must be.
fn tried(name: &str, wasm: &[u8], peer: Option<&Path>) -> Vec<String> {
    let home = Home::new();
    let file = home.path("program.wasm");
    std::fs::write(&file, wasm).expect("a file");
    let mut compile = home.compile_command(&file);
    let artifact = home.path("program.bls");
    let compiled = run(compile.arg("-o").arg(&artifact), b"");
    if compiled.code != Some(0) {
        return vec![format!("is refused: {}", compiled.stderr)];
    }
    let mut wrong = Vec::new();
    let mut printed = Vec::new();
    for case in cases(name) {
        let options = [&case.common[..], &case.ours].concat();
        let ended = case.run(&mut home.load_command(&options, &artifact));
        wrong.extend(case.judge(&ended, our_end(&ended)).err());
        printed.push(ended.stdout);
    }
    let Some(peer) = peer else { return wrong };
    for (case, printed) in cases(name).into_iter().zip(printed) {
        let Some(options) = &case.theirs else { continue };
        let mut command = Command::new(peer);
        command.arg("run").args(options).args(&case.common).arg(&file);
        let ended = case.run(&mut command);
        // Whoever goes early sees more of the output or less.
        let is_read = matches!(case.streams, Streams::Input(_) | Streams::Folder);
        if let Err(why) = case.judge(&ended, their_end(&ended)) {
            wrong.push(format!("wasmtime: {why}"));
        } else if is_read && ended.stdout != printed {
            let printed = String::from_utf8_lossy(&printed).into_owned();
            wrong.push(format!("printed {printed:?}, and wasmtime {:?}", ended.text()));
        }
    }
    wrong
}

#[test]
fn programs_of_wasmtime_end_as_there() {
    let Some(folder) = std::env::var_os("BLS_P2").map(PathBuf::from) else {
        println!("SKIPPED: BLS_P2 names no folder of wasmtime's test programs");
        return;
    };
    let peer = wasmtime();
    let (mut passed, mut skipped, mut wrong) = (0, 0, Vec::new());
    for (name, file) in programs(&folder) {
        if let Some((_, why)) = SKIPPED.iter().find(|(prefix, _)| name.starts_with(prefix)) {
            println!("skipped  {name}: {why}");
            skipped += 1;
            continue;
        }
        let adapted = component(&file).expect("a component");
        let is_left_out = WITH_ADAPTER.iter().all(|(one, _)| *one != name);
        let mut found = match is_left_out {
            true => tried(&name, &adapted, peer.as_deref()),
            false => Vec::new(),
        };
        if name.starts_with("p1_") {
            let peer = peer.as_deref().filter(|_| !is_left_out);
            let found_there = tried(&name, &with_strange_adapter(adapted), peer);
            found.extend(found_there.into_iter().map(|why| format!("the long way: {why}")));
        }
        match found.is_empty() {
            true => {
                println!("passed   {name}");
                passed += 1;
            }
            false => {
                println!("differs  {name}");
                wrong.extend(found.into_iter().map(|why| format!("{name}: {why}")));
            }
        }
    }
    println!("{passed} passed, {skipped} skipped");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(passed >= 95, "only {passed}");
}
