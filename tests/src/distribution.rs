//! Many artifacts through one cache and one registry, by many clients at once, of whom some are
//! killed and some find a disk full.
//!
//! Builders compile with a cache whose disk is full at first; pushers put what they made into a
//! registry; nodes, several clients to a store, pull and install it on disks that are too small
//! and grow when that was said. Each step is done again until it ends well, as an operator would.
//! Guarantees, as far as it does not panic: no build fails for its cache, and all make the same
//! bytes; a refusal for want of room says so; while a disk is full, each artifact runs or is not
//! installed; in the end every artifact is installed, verifies, runs and says its own name, and
//! nothing else is in a store.

use crate::caches::Nginx;
use crate::programs::{Ended, Home, compiler, loader};
use crate::registries::{Registry, command};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Artifacts.
    pub artifacts: usize,
    /// Clients at once.
    pub clients: usize,
}

/// How a phase went.
#[derive(Clone, Debug, Default)]
pub struct Phase {
    /// What it is.
    pub name: &'static str,
    /// How long it took, all clients together.
    pub time: Duration,
    /// How long each command took that was left alone and ended well.
    pub each: Vec<Duration>,
    /// Commands that were killed before they ended.
    pub killed: usize,
    /// Commands that found a disk full.
    pub full: usize,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// The phases, in their order.
    pub phases: Vec<Phase>,
    /// Bytes of all artifacts as files.
    pub artifacts: u64,
    /// Bytes that the cache holds.
    pub cache: u64,
    /// Bytes that the registry holds.
    pub registry: u64,
    /// Bytes that all stores hold.
    pub stores: u64,
}

/// Clients that share a store: processes of one node.
const CLIENTS_OF_A_NODE: usize = 4;
/// Of four commands one is killed, if it is slow enough.
const KILLED_OF_FOUR: u64 = 1;
/// By how much a disk that was full grows, in KiB.
const GROWTH: u64 = 256;

/// Numbers that look like chance.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }
}

/// A small disk, in memory.
#[derive(Debug)]
struct Disk {
    path: PathBuf,
    /// Its size in KiB; `None` where it is a folder like any other.
    size: Mutex<Option<u64>>,
}

impl Disk {
    /// One at a folder that is there. Where nothing can be mounted it is no disk of its own.
    fn new(path: PathBuf, size: u64) -> Self {
        let is_mounted = mount(&path, &format!("size={size}k,mode=755"));
        Self { path, size: Mutex::new(is_mounted.then_some(size)) }
    }

    fn is_small(&self) -> bool {
        self.size.lock().expect("a size").is_some()
    }

    /// Gives it more room, behind `look`, which nobody else disturbs.
    fn grow(&self, by: u64, look: impl FnOnce()) {
        let mut size = self.size.lock().expect("a size");
        look();
        if let Some(size) = &mut *size {
            *size += by;
            assert!(mount(&self.path, &format!("remount,size={size}k")), "it grows");
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.size.get_mut().is_ok_and(|size| size.is_some()) {
            let _ = Command::new("umount").arg("--lazy").arg(&self.path).output();
        }
    }
}

fn mount(path: &Path, options: &str) -> bool {
    let mut command = Command::new("mount");
    command.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(path);
    rustix::process::getuid().is_root()
        && command.output().is_ok_and(|ended| ended.status.success())
}

/// Everything that clients share.
struct Scene {
    plan: Plan,
    home: Home,
    cache: Nginx,
    registry: Registry,
    nodes: Vec<Disk>,
}

/// What one phase counts while it runs.
struct Counts {
    each: Mutex<Vec<Duration>>,
    killed: AtomicUsize,
    full: AtomicUsize,
    /// How long a command takes, in microseconds: the last one that was left alone.
    usual: AtomicU64,
}

/// Does all of it; `None`, and a line that says so, where a server is not installed.
///
/// # Panics
/// When something is lost, half there, or fails that must not.
#[must_use]
pub fn run(plan: Plan) -> Option<Figures> {
    let (cache, registry) = (Nginx::start()?, Registry::start(false)?);
    let home = Home::new();
    let nodes = plan.clients.div_ceil(CLIENTS_OF_A_NODE);
    let node = |number: usize| {
        let path = home.path(&format!("node-{number}"));
        fs::create_dir(&path).expect("a folder");
        Disk::new(path, GROWTH)
    };
    let nodes: Vec<Disk> = (0..nodes).map(node).collect();
    let scene = Scene { plan, home, cache, registry, nodes };
    if !scene.nodes.iter().all(Disk::is_small) {
        println!("SKIPPED: nothing can be mounted here: full disks left out");
    }
    scene.write_modules();
    let mut figures = Figures::default();
    let cache_disk = Disk::new(scene.cache.kept(), 64);
    figures.phases.push(scene.build("build, the cache's disk full", "first"));
    if cache_disk.is_small() {
        let (held, made) = (length(&scene.cache.kept()), length(&scene.home.path("first")));
        assert!(held < made, "{held} of {made}: the cache's disk was not full");
    }
    // Room for all, several times.
    cache_disk.grow(plan.artifacts as u64 * 256, || ());
    figures.phases.push(scene.build("build, and fill the cache", "second"));
    figures.phases.push(scene.build("build from the cache", "third"));
    scene.expect_same_builds();
    figures.cache = length(&scene.cache.kept());
    figures.artifacts = length(&scene.home.path("third"));
    figures.phases.push(scene.push());
    figures.registry = length(&scene.registry.kept());
    figures.phases.push(scene.pull());
    figures.phases.push(scene.expect_whole());
    figures.stores = scene.nodes.iter().map(|node| length(&node.path)).sum();
    drop(cache_disk);
    Some(figures)
}

impl Scene {
    /// The name of an artifact.
    fn name(number: usize) -> String {
        format!("app-{number:05}")
    }

    /// The artifacts of a client.
    fn share(&self, client: usize) -> impl Iterator<Item = String> {
        (client..self.plan.artifacts).step_by(self.plan.clients).map(Self::name)
    }

    fn module(build: &str, client: usize, name: &str) -> String {
        format!("{build}/{client}/{name}")
    }

    /// Modules that say their names, a folder for each client.
    fn write_modules(&self) {
        for client in 0..self.plan.clients {
            fs::create_dir_all(self.home.path(&format!("modules/{client}"))).expect("a folder");
            for name in self.share(client) {
                let path = self.home.path(&Self::module("modules", client, &name));
                let text = format!(
                    r#"(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\0a\00\00\00")
  (data (i32.const 16) "{name}\n")
  (func (export "_start")
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
"#
                );
                fs::write(path.with_extension("wat"), text).expect("a file");
            }
        }
    }

    /// Compiles every client's folder with the cache.
    fn build(&self, name: &'static str, to: &str) -> Phase {
        fs::create_dir_all(self.home.path(to)).expect("a folder");
        self.phase(name, |client, dice, counts| {
            let words = [format!("modules/{client}"), "-o".into(), format!("{to}/{client}/")];
            let ended = counts.until_left_alone(dice, || {
                let mut command = command(&self.home, &compiler());
                command.arg("--key").arg(self.home.key()).args(&words).arg("--cache");
                command.arg(self.cache.place()).env_remove("BLS_CACHE_AUTHORIZATION");
                command
            });
            // Whatever the cache has, or has not.
            let _ = ended.expect(0);
            for name in self.share(client) {
                let made = self.home.path(&Self::module(to, client, &name));
                assert!(made.with_extension("bls").is_file(), "{name} is not made");
            }
        })
    }

    /// All three are the same to the byte, and a cache changes nothing.
    fn expect_same_builds(&self) {
        for client in 0..self.plan.clients {
            for name in self.share(client) {
                let [first, second, third] = ["first", "second", "third"].map(|build| {
                    let path = self.home.path(&Self::module(build, client, &name));
                    fs::read(path.with_extension("bls")).expect("an artifact")
                });
                assert!(first == second && first == third, "{name} differs");
            }
        }
    }

    fn reference(&self, name: &str) -> String {
        self.registry.reference(&format!("fleet/{name}:1"))
    }

    /// Pushes every artifact.
    fn push(&self) -> Phase {
        self.phase("push", |client, dice, counts| {
            for name in self.share(client) {
                let path = self.home.path(&Self::module("third", client, &name));
                let ended = counts.until_left_alone(dice, || {
                    let mut command = command(&self.home, &compiler());
                    command.args(["push", &self.reference(&name)]);
                    command.arg(path.with_extension("bls"));
                    command
                });
                let _ = ended.expect(0);
            }
        })
    }

    fn node(&self, client: usize) -> &Disk {
        &self.nodes[client / CLIENTS_OF_A_NODE]
    }

    /// bls-load of a client's node: a command, whether it asks whom to trust, and what follows; no
    /// command for a run.
    fn load(&self, client: usize, verb: &[&str], trusts: bool, words: &[&str]) -> Command {
        let mut command = command(&self.home, &loader());
        command.args(verb).arg("--store").arg(self.node(client).path.join("store"));
        if trusts {
            command.arg("--trust").arg(self.home.public_key());
        }
        command.args(words);
        command
    }

    fn run(&self, client: usize, name: &str) -> Ended {
        ended(&mut self.load(client, &[], true, &[name]))
    }

    fn verify(&self, client: usize) -> Ended {
        ended(&mut self.load(client, &["verify", "--all"], true, &[]))
    }

    /// Pulls and installs every artifact; a disk that is full grows.
    fn pull(&self) -> Phase {
        self.phase("pull and install", |client, dice, counts| {
            for name in self.share(client) {
                loop {
                    let reference = self.reference(&name);
                    let ended = counts.until_left_alone(dice, || {
                        self.load(client, &["pull"], true, &[&reference])
                    });
                    if ended.code == Some(0) {
                        break;
                    }
                    assert!(self.node(client).is_small(), "{}", ended.stderr);
                    let _ = ended.expect(125).says(&["bls-load: store: ", "No space"]);
                    let _ = counts.full.fetch_add(1, Ordering::Relaxed);
                    self.node(client).grow(GROWTH, || self.expect_whole_or_absent(client, &name));
                }
            }
        })
    }

    /// While the disk is full: what is installed verifies, and this one runs or is not there.
    fn expect_whole_or_absent(&self, client: usize, name: &str) {
        let listed = ended(&mut self.load(client, &["list"], false, &[]));
        if listed.code == Some(0) && !listed.text().is_empty() {
            let _ = self.verify(client).expect(0);
        }
        let ran = self.run(client, name);
        match ran.code {
            Some(0) => assert_eq!(ran.text(), format!("{name}\n")),
            _ => {
                let ran = ran.says(&["code: store."]);
                assert!(ran.text().is_empty(), "{ran:?}");
            }
        }
    }

    /// In the end: all is there, and runs, and nothing else is.
    fn expect_whole(&self) -> Phase {
        for client in (0..self.plan.clients).step_by(CLIENTS_OF_A_NODE) {
            let _ = self.verify(client).expect(0);
            let _ = ended(&mut self.load(client, &["gc"], false, &[])).expect(0);
            let temporary = self.node(client).path.join("store/temporary");
            let left = fs::read_dir(&temporary).into_iter().flatten().count();
            assert_eq!(left, 0, "{}", temporary.display());
        }
        self.phase("run", |client, _, counts| {
            for name in self.share(client) {
                let begin = Instant::now();
                let ran = self.run(client, &name).expect(0);
                counts.each.lock().expect("a list").push(begin.elapsed());
                assert_eq!(ran.text(), format!("{name}\n"));
            }
        })
    }

    /// Has all clients do their parts at once.
    fn phase(&self, name: &'static str, act: impl Fn(usize, &mut Dice, &Counts) + Sync) -> Phase {
        let counts = Counts {
            each: Mutex::default(),
            killed: AtomicUsize::new(0),
            full: AtomicUsize::new(0),
            usual: AtomicU64::new(200_000),
        };
        let begin = Instant::now();
        std::thread::scope(|scope| {
            for client in 0..self.plan.clients {
                let (act, counts) = (&act, &counts);
                let _ = scope.spawn(move || act(client, &mut Dice(client as u64), counts));
            }
        });
        Phase {
            name,
            time: begin.elapsed(),
            each: counts.each.into_inner().expect("a list"),
            killed: counts.killed.into_inner(),
            full: counts.full.into_inner(),
        }
    }
}

impl Counts {
    /// Starts a command until one of them is not killed; how that ended.
    fn until_left_alone(&self, dice: &mut Dice, make: impl Fn() -> Command) -> Ended {
        loop {
            let mut command = make();
            if dice.below(4) >= KILLED_OF_FOUR {
                let begin = Instant::now();
                let ended = ended(&mut command);
                let time = begin.elapsed();
                if ended.code == Some(0) {
                    self.usual.store(time.as_micros() as u64, Ordering::Relaxed);
                    self.each.lock().expect("a list").push(time);
                }
                return ended;
            }
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().expect("a process");
            let usual = self.usual.load(Ordering::Relaxed);
            std::thread::sleep(Duration::from_micros(dice.below(usual)));
            child.kill().expect("a process to kill");
            let is_killed = child.wait().expect("an end").code().is_none();
            let _ = self.killed.fetch_add(usize::from(is_killed), Ordering::Relaxed);
        }
    }
}

fn ended(command: &mut Command) -> Ended {
    Ended::from(command.stdin(Stdio::null()).output().expect("a process"))
}

/// Bytes of the files in a folder and those below it.
fn length(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(file) if file.is_dir() => length(&entry.path()),
        Ok(file) => file.len(),
        Err(_) => 0,
    };
    entries.map(of).sum()
}
