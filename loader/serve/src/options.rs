//! The command line: what was asked for, checked for form.
//!
//! Options that bls-load has are called as there, and take the same values. Does not look at
//! files; of the environment only at the variables that `--env NAME` names, and at OpenTelemetry's.

use crate::log::Level;
use crate::otlp::Otlp;
use crate::program::notice;
use crate::{Defect, Failure};
use bls_artifact::capability::Capability;
use bls_artifact::limits::{DESCRIPTORS_MAX, DESCRIPTORS_MIN, NET_RULES_MAX};
use bls_artifact::net::{NetGrant, NetRules};
use bls_artifact::{fuel, nearest, quantity};
use lexopt::{Arg, Parser};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::net::SocketAddr;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Artifacts answer HTTP requests, each by a run of its own.

Usage: bls-serve [OPTIONS] <ARTIFACT>
       bls-serve [OPTIONS] --route </PATH=ARTIFACT>...

ARTIFACT is a file where it holds a / or ends in .bls; else the name of what is
installed, or its identity, sha256:HEX. It is a program of WASI preview 1 that
speaks CGI (RFC 3875): variables and standard input are the request, standard
output is the response; or it was a component with wasi:http/incoming-handler.
HTTP/1.1, and HTTP/2 without TLS (h2c, prior knowledge); TLS is a proxy's.

What is served
      --route </PATH=ARTIFACT>  this artifact for /PATH and what is below it;
                                of several routes the longest counts
      --listen <WHERE>          ADDRESS:PORT or unix:PATH, several times
                                [default: 127.0.0.1:8080]
      --admin <WHERE>           /healthz and /metrics (Prometheus), there only
      --pass-authorization      guests see the header Authorization
Grants, to every guest
      --dir <HOST[::GUEST]>     grant a folder: files and folders, no devices
      --dir-ro <HOST[::GUEST]>  the same, read-only; holds inside a --dir too
      --env <K[=V]>             grant a variable, beside those of CGI
      --allow-net <PLACE>,...   the network, by bls-broker: * | HOST[:PORT] |
                                https://HOST[:PORT][/PATH] | tcp://HOST:PORT;
                                private addresses only by address
      --deny-net <PLACE>,...    of that, not these
      --broker <PROGRAM>        [default: bls-broker beside bls-serve]
      --authorities <FILE>      certificates (PEM) to trust beside its own
      --deny <CAPABILITY>       take a default away: random, clock.wall
      --policy <FILE>           policy, beside /etc/bls/policy.json
Limits of each request
      --fuel <N>                units: 1M, 1e9 [default: count only]
      --timeout <TIME>          of the guest, and of its waiting for a worker
                                [default: 30s]
      --max-memory <SIZE>       memories, tables and objects together
                                [default: 1GiB]
      --max-output <SIZE>       of the response, and of all it writes
                                [default: 8MiB; at most 256MiB]
      --max-descriptors <N>     open at once [default: 1024]
      --max-request <SIZE>      of the request's body
                                [default: 8MiB; at most 256MiB]
The server
      --workers <N>             processes that run guests [default: one for each
                                core]
      --queue <N>               requests that wait for a worker; 503 beyond
                                [default: 1024]
      --max-connections <N>     [default: 1024]
      --header-timeout <TIME>   for a request's head, and between two requests
                                of a connection [default: 10s]
      --idle-timeout <TIME>     for a client that neither sends nor takes
                                [default: 30s]
      --drain <TIME>            after SIGTERM, for what has begun
                                [default: 10s]
      --log <WHERE>             stderr, none or FILE: a line of JSON for each
                                request [default: stderr]
      --log-level <LEVEL>       info, warn (answered without a guest) or error
                                (status 500 and above), and what is above it
                                [default: info]
      --otlp <URL>              a collector of OpenTelemetry (OTLP over HTTP):
                                spans and metrics; none for none
                                [default: OTEL_EXPORTER_OTLP_ENDPOINT]
Trust
      --trust <FILE>            trust file or public key
      --store <DIR>             [default: /var/lib/bls, then ~/.local/share/bls]
      --clock-unset             serve what expires though the clock is not set
      --require-fuel            refuse artifacts that are not metered
      --require-sandbox         refuse where the second wall is not whole
  -h, --help                    this text
  -V, --version                 the release

Signals: SIGTERM and SIGINT end it; SIGHUP has it read artifacts, trust and
policies again, and goes on with what it has where one is refused.
Exit codes: 0 ended by a signal, 2 usage, 125 refused or failed
Examples:
  bls-serve app.bls
  bls-serve --route /=site.bls --route /api=api.bls --dir-ro ./data::/data
  bls-serve --listen 0.0.0.0:80 --admin 127.0.0.1:9090 --fuel 1G app
";

/// The options, without their dashes.
const OPTIONS: [&str; 35] = [
    "route",
    "listen",
    "admin",
    "pass-authorization",
    "dir",
    "dir-ro",
    "env",
    "allow-net",
    "deny-net",
    "broker",
    "authorities",
    "deny",
    "policy",
    "fuel",
    "timeout",
    "max-memory",
    "max-output",
    "max-descriptors",
    "max-request",
    "workers",
    "queue",
    "max-connections",
    "header-timeout",
    "idle-timeout",
    "drain",
    "log",
    "log-level",
    "otlp",
    "trust",
    "store",
    "clock-unset",
    "require-fuel",
    "require-sandbox",
    "help",
    "version",
];

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// TCP.
    Tcp(SocketAddr),
    /// A socket of this machine, by its path.
    Unix(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(formatter, "http://{address}"),
            Self::Unix(path) => {
                write!(formatter, "unix:{}", bls_artifact::text::printable_path(path))
            }
        }
    }
}

/// A folder to grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folder {
    pub(crate) host: PathBuf,
    pub(crate) guest: OsString,
    pub(crate) read_only: bool,
}

/// Where a line for each request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogPlace {
    Stderr,
    None,
    File(PathBuf),
}

/// A path, and the artifact that answers there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RouteWords {
    /// Empty for all paths; else it begins with a `/` and does not end with one.
    pub(crate) path: String,
    pub(crate) artifact: OsString,
}

/// All that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) routes: Vec<RouteWords>,
    pub(crate) listen: Vec<Place>,
    pub(crate) admin: Option<Place>,
    pub(crate) pass_authorization: bool,
    pub(crate) folders: Vec<Folder>,
    pub(crate) variables: Vec<(OsString, OsString)>,
    pub(crate) network: NetRules,
    /// The program that answers what guests ask of the network.
    pub(crate) broker: Option<PathBuf>,
    pub(crate) authorities: Option<PathBuf>,
    pub(crate) denied: Vec<Capability>,
    pub(crate) policy: Option<PathBuf>,
    pub(crate) fuel: Option<u64>,
    pub(crate) timeout: Duration,
    pub(crate) memory: Option<u64>,
    pub(crate) descriptors: Option<u32>,
    /// Bytes.
    pub(crate) output_max: u64,
    /// Bytes.
    pub(crate) request_max: u64,
    pub(crate) workers: usize,
    pub(crate) queue: usize,
    pub(crate) connections: usize,
    pub(crate) header_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) drain: Duration,
    pub(crate) log: LogPlace,
    pub(crate) log_level: Level,
    pub(crate) otlp: Option<Arc<Otlp>>,
    pub(crate) trust: Option<PathBuf>,
    pub(crate) store: Option<PathBuf>,
    pub(crate) clock_unset: bool,
    pub(crate) require_fuel: bool,
    pub(crate) require_sandbox: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            routes: Vec::new(),
            listen: Vec::new(),
            admin: None,
            pass_authorization: false,
            folders: Vec::new(),
            variables: Vec::new(),
            network: NetRules::default(),
            broker: None,
            authorities: None,
            denied: Vec::new(),
            policy: None,
            fuel: None,
            timeout: Duration::from_secs(30),
            memory: None,
            descriptors: None,
            output_max: 8 << 20,
            request_max: 8 << 20,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            queue: 1024,
            connections: 1024,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(10),
            log: LogPlace::Stderr,
            log_level: Level::Info,
            otlp: None,
            trust: None,
            store: None,
            clock_unset: false,
            require_fuel: false,
            require_sandbox: false,
        }
    }
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Command {
    /// Serve.
    Serve(Box<Options>),
    /// Print this text.
    Print(String),
}

pub(crate) fn usage(what: impl fmt::Display) -> Failure {
    Failure::new(Defect::Usage, what, "bls-serve --help")
}

fn malformed(error: lexopt::Error) -> Failure {
    match error {
        lexopt::Error::MissingValue { option: Some(option) } => {
            usage(format!("{option} needs a value"))
        }
        lexopt::Error::UnexpectedOption(option) => {
            let near = nearest::nearest(option.trim_start_matches('-'), OPTIONS);
            let near = near.map_or(String::new(), |near| format!("; did you mean --{near}?"));
            usage(format!("there is no option {option}{near}"))
        }
        other => usage(other),
    }
}

/// Reads the words behind the program's name.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Command, Failure> {
    let mut options = Options::default();
    let mut collector: Option<String> = None;
    let mut parser = Parser::from_args(words);
    while let Some(argument) = parser.next().map_err(malformed)? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Print(HELP.to_owned())),
            Arg::Short('V') | Arg::Long("version") => {
                let release = concat!("bls-serve ", env!("CARGO_PKG_VERSION"), "\n");
                return Ok(Command::Print(release.to_owned()));
            }
            Arg::Long("otlp") => collector = Some(text(&mut parser, "otlp")?),
            Arg::Long(name) => {
                let name = name.to_owned();
                options.take(&name, &mut parser)?;
            }
            Arg::Value(artifact) => {
                options.routes.push(RouteWords { path: String::new(), artifact });
            }
            other @ Arg::Short(_) => return Err(malformed(other.unexpected())),
        }
    }
    options.settle()?;
    let variable = |name: &str| std::env::var(name).ok();
    let warn = &mut |warning: String| notice(&warning);
    options.otlp = Otlp::of(collector.as_deref(), &variable, warn)?.map(Arc::new);
    Ok(Command::Serve(Box::new(options)))
}

impl Options {
    fn take(&mut self, name: &str, parser: &mut Parser) -> Result<(), Failure> {
        /// The most bytes of a body that are held.
        const BODY_MAX: u64 = 256 << 20;
        match name {
            "route" => self.routes.push(route(&value(parser)?)?),
            "listen" => self.listen.push(place(&value(parser)?, name)?),
            "admin" => self.admin = Some(place(&value(parser)?, name)?),
            "pass-authorization" => self.pass_authorization = true,
            "dir" | "dir-ro" => self.folders.push(folder(&value(parser)?, name == "dir-ro")?),
            "env" => self.variables.push(variable(&value(parser)?)?),
            "allow-net" => places(&mut self.network.allow, parser, name)?,
            "deny-net" => places(&mut self.network.deny, parser, name)?,
            "broker" => self.broker = Some(value(parser)?.into()),
            "authorities" => self.authorities = Some(value(parser)?.into()),
            "deny" => self.denied.extend(capabilities(&text(parser, name)?)?),
            "policy" => self.policy = Some(value(parser)?.into()),
            "fuel" => self.fuel = Some(count(parser, name, 0..=fuel::BUDGET_MAX)?),
            "timeout" => self.timeout = time(parser, name)?,
            "max-memory" => self.memory = Some(size(parser, name, u64::MAX)?),
            "max-output" => self.output_max = size(parser, name, BODY_MAX)?,
            "max-request" => self.request_max = size(parser, name, BODY_MAX)?,
            "max-descriptors" => {
                let range = u64::from(DESCRIPTORS_MIN)..=u64::from(DESCRIPTORS_MAX);
                self.descriptors = Some(count(parser, name, range)? as u32);
            }
            "workers" => self.workers = count(parser, name, 1..=1024)? as usize,
            "queue" => self.queue = count(parser, name, 0..=1 << 20)? as usize,
            "max-connections" => self.connections = count(parser, name, 1..=1 << 20)? as usize,
            "header-timeout" => self.header_timeout = time(parser, name)?,
            "idle-timeout" => self.idle_timeout = time(parser, name)?,
            "drain" => self.drain = time(parser, name)?,
            "log" => {
                self.log = match value(parser)? {
                    word if word == "stderr" => LogPlace::Stderr,
                    word if word == "none" => LogPlace::None,
                    file => LogPlace::File(file.into()),
                };
            }
            "log-level" => {
                let word = text(parser, name)?;
                let known = Level::ALL.into_iter().find(|(known, _)| *known == word);
                let level = known.map(|(_, level)| level);
                self.log_level =
                    level.ok_or_else(|| usage("--log-level takes info, warn or error"))?;
            }
            "trust" => self.trust = Some(value(parser)?.into()),
            "store" => self.store = Some(value(parser)?.into()),
            "clock-unset" => self.clock_unset = true,
            "require-fuel" => self.require_fuel = true,
            "require-sandbox" => self.require_sandbox = true,
            other => {
                return Err(malformed(lexopt::Error::UnexpectedOption(format!("--{other}"))));
            }
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), Failure> {
        /// Each is looked at for each request.
        const ROUTES_MAX: usize = 1000;
        if self.routes.is_empty() {
            return Err(usage("no artifact is named"));
        }
        if self.routes.len() > ROUTES_MAX {
            return Err(usage(format!("there may be {ROUTES_MAX} routes")));
        }
        // The longest first: the first that fits is the one that counts.
        self.routes.sort_by_key(|route| std::cmp::Reverse(route.path.len()));
        let mut paths: Vec<&str> = self.routes.iter().map(|route| route.path.as_str()).collect();
        paths.sort_unstable();
        if let Some(twice) = paths.windows(2).find(|pair| pair[0] == pair[1]) {
            let path = if twice[0].is_empty() { "/" } else { twice[0] };
            return Err(usage(format!("{path} has two artifacts, and may have one")));
        }
        if self.listen.is_empty() {
            self.listen.push(Place::Tcp(SocketAddr::from(([127, 0, 0, 1], 8080))));
        }
        Ok(())
    }
}

fn value(parser: &mut Parser) -> Result<OsString, Failure> {
    parser.value().map_err(malformed)
}

/// Places of the network, with commas between them.
fn places(into: &mut Vec<NetGrant>, parser: &mut Parser, option: &str) -> Result<(), Failure> {
    for place in text(parser, option)?.split(',') {
        let place = NetGrant::parse(place);
        into.push(place.map_err(|what| usage(format!("--{option}: {what}")))?);
    }
    if into.len() > NET_RULES_MAX {
        return Err(usage(format!("--{option} takes at most {NET_RULES_MAX} places")));
    }
    Ok(())
}

fn text(parser: &mut Parser, option: &str) -> Result<String, Failure> {
    let value = value(parser)?;
    value.into_string().map_err(|_| usage(format!("--{option}: the value is not UTF-8")))
}

fn time(parser: &mut Parser, option: &str) -> Result<Duration, Failure> {
    /// A day: what is to be waited for longer is no request.
    const MOST: Duration = Duration::from_secs(86_400);
    let time = quantity::parse_time(&text(parser, option)?);
    let time = time.map_err(|what| usage(format!("--{option}: {what}")))?;
    if time > MOST {
        return Err(usage(format!("--{option} takes at most 24h")));
    }
    Ok(time)
}

fn size(parser: &mut Parser, option: &str, most: u64) -> Result<u64, Failure> {
    let size = quantity::parse_size(&text(parser, option)?);
    let size = size.map_err(|what| usage(format!("--{option}: {what}")))?;
    if size > most {
        return Err(usage(format!("--{option} takes at most {}", quantity::write_size(most))));
    }
    Ok(size)
}

fn count(
    parser: &mut Parser,
    option: &str,
    range: std::ops::RangeInclusive<u64>,
) -> Result<u64, Failure> {
    let number = quantity::parse_count(&text(parser, option)?);
    let number = number.map_err(|what| usage(format!("--{option}: {what}")))?;
    if !range.contains(&number) {
        let (least, most) = range.into_inner();
        return Err(usage(format!("--{option} takes {least} to {most}")));
    }
    Ok(number)
}

/// `/PATH=ARTIFACT`.
fn route(word: &OsStr) -> Result<RouteWords, Failure> {
    let wrong = |why: &str| usage(format!("--route takes /PATH=ARTIFACT: {why}"));
    let bytes = word.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=').ok_or_else(|| wrong("there is no ="))?;
    let path = std::str::from_utf8(&bytes[..at]).map_err(|_| wrong("the path is not UTF-8"))?;
    let artifact = OsString::from_vec(bytes[at + 1..].to_vec());
    if artifact.is_empty() {
        return Err(wrong("no artifact is named"));
    }
    let Some(inner) = path.strip_prefix('/') else {
        return Err(wrong("the path begins with a /"));
    };
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"%?#\"\\".contains(&byte);
    let names = || inner.split('/');
    let is_empty = inner.is_empty();
    if !inner.bytes().all(is_plain) || names().any(|name| name == "." || name == "..") {
        return Err(wrong("the path is written plainly, without %, ? and #, and without .."));
    }
    if !is_empty && names().any(str::is_empty) {
        return Err(wrong("a part of the path is empty"));
    }
    let path = if is_empty { String::new() } else { format!("/{inner}") };
    Ok(RouteWords { path, artifact })
}

/// `ADDRESS:PORT` or `unix:PATH`.
fn place(word: &OsStr, option: &str) -> Result<Place, Failure> {
    if let Some(path) = word.as_bytes().strip_prefix(b"unix:") {
        if path.is_empty() {
            return Err(usage(format!("--{option} unix: takes a path")));
        }
        return Ok(Place::Unix(OsString::from_vec(path.to_vec()).into()));
    }
    let address = word.to_str().and_then(|word| word.parse().ok());
    address.map(Place::Tcp).ok_or_else(|| {
        usage(format!("--{option} takes an address and a port, such as 127.0.0.1:8080 or [::]:80, or unix:PATH"))
    })
}

/// `HOST` or `HOST::GUEST`.
fn folder(word: &OsStr, read_only: bool) -> Result<Folder, Failure> {
    let bytes = word.as_bytes();
    let (host, guest) = match bytes.windows(2).position(|pair| pair == b"::") {
        Some(position) => (&bytes[..position], &bytes[position + 2..]),
        None => (bytes, bytes),
    };
    if host.is_empty() || guest.is_empty() {
        return Err(usage("--dir takes HOST or HOST::GUEST, neither of them empty"));
    }
    let own = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    Ok(Folder { host: own(host).into(), guest: own(guest), read_only })
}

/// `K` or `K=V`.
fn variable(word: &OsStr) -> Result<(OsString, OsString), Failure> {
    let bytes = word.as_bytes();
    let own = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let (name, value) = match bytes.iter().position(|byte| *byte == b'=') {
        Some(position) => (own(&bytes[..position]), Some(own(&bytes[position + 1..]))),
        None => (word.to_owned(), None),
    };
    if name.is_empty() {
        return Err(usage("--env takes NAME or NAME=VALUE"));
    }
    match value.or_else(|| std::env::var_os(&name)) {
        Some(value) => Ok((name, value)),
        None => Err(usage(format!("--env {}: there is no such variable", name.display()))),
    }
}

/// Capabilities that are granted by default, with commas between them.
fn capabilities(list: &str) -> Result<Vec<Capability>, Failure> {
    let one = |name: &str| match Capability::from_name(name) {
        // The request and the response.
        Some(Capability::Stdin | Capability::Stdout) => {
            Err(usage(format!("--deny {name}: without it there is no request or response")))
        }
        Some(capability) if capability.is_default() => Ok(capability),
        _ => Err(usage(format!("--deny takes what is granted by default, not {name:?}"))),
    };
    list.split(',').map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn read(words: &[&str]) -> Result<Options, String> {
        match parse(words.iter().map(OsString::from)) {
            Ok(Command::Serve(options)) => Ok(*options),
            Ok(Command::Print(text)) => panic!("{text}"),
            Err(failure) => Err(failure.what),
        }
    }

    #[test]
    fn the_options_are_those_that_are_explained() {
        let explained: BTreeSet<&str> = HELP
            .lines()
            .filter_map(|line| {
                let line = line.trim_start();
                let line = line.strip_prefix("-h, ").or(line.strip_prefix("-V, ")).unwrap_or(line);
                line.strip_prefix("--")?.split([' ', '=']).next()
            })
            .collect();
        assert_eq!(explained, BTreeSet::from(OPTIONS));
        assert!(HELP.lines().all(|line| line.chars().count() <= 80), "wider than a terminal");
        for option in OPTIONS {
            let read = parse([OsString::from(format!("--{option}"))]);
            let known = match read {
                Err(failure) => !failure.what.contains("there is no option"),
                Ok(_) => true,
            };
            assert!(known, "{option}");
        }
    }

    #[test]
    fn the_longest_route_comes_first() {
        let options = read(&["--route", "/api/=a.bls", "--route", "/api/v2=b.bls", "c.bls"]);
        let paths: Vec<String> =
            options.unwrap().routes.into_iter().map(|route| route.path).collect();
        assert_eq!(paths, ["/api/v2", "/api", ""]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (words, says) in [
            (&[][..], "no artifact"),
            (&["a.bls", "b.bls"], "two artifacts"),
            (&["--route", "/a=x.bls", "--route", "/a/=y.bls"], "two artifacts"),
            (&["--route", "a=x.bls"], "begins with a /"),
            (&["--route", "/a"], "no ="),
            (&["--route", "/a="], "no artifact"),
            (&["--route", "/a/../b=x.bls"], "without .."),
            (&["--route", "/a%2fb=x.bls"], "without %"),
            (&["--route", "/a//b=x.bls"], "is empty"),
            (&["--listen", "8080", "a.bls"], "address and a port"),
            (&["--listen", "unix:", "a.bls"], "path"),
            (&["--max-output", "1GiB", "a.bls"], "at most 256MiB"),
            (&["--workers", "0", "a.bls"], "1 to 1024"),
            (&["--timeout", "5", "a.bls"], "not a time"),
            (&["--deny", "stdout", "a.bls"], "no request"),
            (&["--deny", "network", "a.bls"], "by default"),
            (&["--env", "=x", "a.bls"], "NAME"),
            (&["--log-level", "debug", "a.bls"], "info, warn or error"),
            (&["--otlp", "127.0.0.1:4318", "a.bls"], "http://"),
            (&["--otlp", "https://127.0.0.1:4318", "a.bls"], "TLS"),
            (&["--tiemout", "5s", "a.bls"], "did you mean --timeout"),
        ] {
            let said = read(words).expect_err("refused");
            assert!(said.contains(says), "{words:?}: {said}");
        }
    }
}
