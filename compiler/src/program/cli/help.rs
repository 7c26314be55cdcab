//! The help texts, one for each subcommand.
//!
//! Written by hand: their order is part of the interface, and tests read them. A line has
//! at most 80 columns.

pub(super) const HELP: &str = "\
Compile a WebAssembly module or component to a signed, metered native artifact.

Usage: bls-compile [OPTIONS] <INPUT>
       bls-compile [OPTIONS] <INPUT>... -o <FOLDER/>
       bls-compile <run|link|check|audit|inspect|strip|delta> ...
       bls-compile <sign|verify|symbolize|push|image|key|key-of|trust> ...

INPUT is .wasm, .wat, a configuration (.json) that names modules, or - (stdin);
with -o FOLDER/ also a folder: every module in it. A component (WASI 0.2)
becomes one module first. A file called \"check\" is
./check.

  run       compile and run, in one step
  link      several modules become one
  check     what a module is and needs; write nothing
  audit     prove that a metered module counts
  inspect   everything that is in an artifact; the types of a component
  strip     keep some parts of an artifact, and its signatures
  sign      add your signature to what you have rebuilt
  verify    was it made from this source, to the byte?
  delta     what turns an installed artifact into the next one
  symbolize  which lines of the source the frames of a trap are
  push      put an artifact, or an image, into a registry
  image     a container image of bls-load and an artifact
  key       your signing keys
  key-of    the digest of what decides the code, without compiling
  trust     sign a trust file
  help      the text of one of these: bls-compile help run

  -o, --output <FILE>     [default: STEM.bls in this folder; - is stdout]; of
                          several, or of a folder: where each goes
      --key <KEY>         name, FILE (PEM or OpenSSH's), env:V, ssh-agent:WHICH
                          or exec:PROGRAM [default: yours, made at once]:
                          bls-compile help key
      --public-key <FILE>  the public half that KEY must have
      --max-sign-time <DURATION>  for an agent or a program [default: 1m]
      --module <NAME=FILE>  a module that INPUT imports from by that name, for
                          each: all become one program
      --plug <FILE>       a component whose exports fill what INPUT imports, for
                          each; one that others need stands before them
      --target <TARGET>   aarch64, x86_64, riscv64gc, s390x, pulley64, pulley32,
                          with commas for more [default: this system]; with a
                          CPU behind it: x86_64:v3, aarch64:+lse+fp16
      --cpu <CPU>         a level, features, or both, for a target without them:
                          v3, +bmi2+lzcnt, v2+bmi2; native: what this machine
                          has; list: prints all [default: x86_64:v2, else what
                          every CPU has]
      --max-memory <SIZE>, --max-fuel <UNITS>, --max-time <DURATION>
                          limits written into the manifest: no run goes beyond
      --needs <CAP:WHAT>  never to start without: fs.write:/data, env:TOKEN
      --policy <FILE>     needs from a JSON file
      --compress[=LEVEL]  store native code as zstd
      --compress-window <SIZE>  what decompressing may take beside the code, for
                          small devices: a power of two [default: up to 8MiB]
      --no-fuel           no metering; the manifest says so
      --fuel-profile      count by function too, for bls-load --fuel-profile
      --fast-nans         leave NaNs as the CPU makes them
      --memory <KIND>     guard | checked [default: guard: faster, and takes
                          4 GiB of address space for each memory; checked:
                          no more than it may grow to (ulimit -v)]
      --wasm <KIND>       all | core [default: all]; core: no objects,
                          exceptions, typed references, atomics: for a
                          minimal bls-load
      --emit <KIND>       artifact | wasm (the metered module, for any engine) |
                          linked (the module that several or a component are)
      --debug-file <FILE> write too which lines of the source the code came
                          from, for bls-load --debug-file; the artifact is the
                          same, to the byte, and compiling takes twice as long
      --max-compile-memory <SIZE>    what compiling may take [default: 16GiB]
      --max-compile-time <DURATION>  [default: 4h]; more ends in a refusal
      --json              result as JSON on stdout; of several a line for each
  -q, --quiet             errors only
Not twice
      --if-changed        leave an output that has this source, these settings,
                          this release and your signature
      --cache <FOLDER|URL>  keep results there, and take them from there; a
                          folder, a server of many builders (GET and PUT below
                          https://…), or one of each
      --cache-trust <FILE>  whose results are taken from there too (a public
                          key; you then sign what another has compiled)
      --cache-size <SIZE>  the most of a folder [default: 1GiB]; what was not
                          used for longest goes first
Many at once
  -j, --jobs <N>          how many [default: as there are processors, and
                          memory for]
      --keep-going        compile what can be, though something failed
About the release, signed with it
      --name <NAME>       [default: STEM, with - for what no name has]
      --sequence <N>      rises with each release, against rollback
      --expires <DATE>    when that day begins: 2027-01-31; or
                          2027-01-31T12:00:00Z, or seconds since 1970
      --sbom <FILE>       names the source's bill of materials, by digest
      --provenance <FILE> names the record of how it was built, by digest

The time it was made is written where SOURCE_DATE_EPOCH is set, and only there.
Exit codes: 0 done, 1 refused or failed, 2 usage
Examples:
  bls-compile app.wasm
  bls-compile app.wasm --key env:BLS_KEY -o dist/app.bls
  bls-compile app.wasm --target x86_64:v3,x86_64,aarch64,riscv64
  bls-compile app.wasm --name app --sequence 7 --expires 2027-12-31
  bls-compile app.wasm --module math=math.wasm
  bls-compile app.component.wasm --plug store.component.wasm
  bls-compile build/ -o dist/ --cache ~/.cache/ci --key ssh-agent:ci.pub
  bls-compile key export > builder.pub
";

pub(super) const HELP_SYMBOLIZE: &str = "\
Say which lines of the source the frames of a trap are: of a report, or of what
bls-load said, wherever that was kept.

Usage: bls-compile symbolize <DEBUG-FILE> [REPORT]

REPORT is the report of a run (bls-load --report) or any text that has lines of
bls-load's in it; - is stdin [default: -]. Text is printed again, with the lines
of the source below each frame, which a debug file knows that was written with
this artifact (bls-compile --debug-file).

Exit codes: 0 done, 1 it cannot be read, or is about another image, 2 usage
Examples:
  bls-compile symbolize app.bls.debug report.json
  journalctl -u app | bls-compile symbolize app.bls.debug
";

pub(super) const HELP_KEY_OF: &str = "\
Print the digest of everything that decides the code of an artifact: source,
settings, and the versions of compiler, engine and fuel model. Compiles nothing,
and looks into no module.

Usage: bls-compile key-of [OPTIONS] <INPUT>...

INPUT and OPTIONS are those of compiling: bls-compile --help. Of several inputs
each is named behind its key.

      --json              as JSON on stdout

The same key, the same release (--name, --sequence, --expires, documents, the
time) and the same signer give the same artifact, to the byte. The release and
the signer are not in the key: for them nothing has to be compiled again.

Exit codes: 0 done, 1 it cannot be read, 2 usage
Examples:
  bls-compile key-of app.wasm
  bls-compile key-of app.wasm --target x86_64,aarch64 --max-memory 64MiB
";

pub(crate) const HELP_RUN: &str = "\
Compile a module and run it, in one step. What was compiled is kept, and found
again as long as module, settings, key and versions are the same.

Usage: bls-compile run [OPTIONS] <INPUT> [ARGS]...

INPUT is .wasm, .wat or - (stdin). Everything after INPUT belongs to the guest.

Compiling
      --key <KEY>         name, FILE, env:V, ssh-agent:WHICH or exec:PROGRAM
                          [default: yours, made at once]
      --public-key <FILE>  the public half that KEY must have
      --max-sign-time <DURATION>  for an agent or a program [default: 1m]
      --module <NAME=FILE>  a module that INPUT imports from
      --plug <FILE>       a component whose exports fill what INPUT imports
      --name <NAME>       [default: STEM.local, so that no installed release of
                          that name stands in the way]
      --needs <CAP:WHAT>  never to start without: fs.write:/data, env:TOKEN
      --no-fuel           no metering
      --fast-nans         leave NaNs as the CPU makes them
      --memory <KIND>     guard | checked [default: guard]; checked takes less
                          address space (ulimit -v)
      --cpu <CPU>         v3, +bmi2, native: bls-compile --cpu list
      --max-compile-memory <SIZE>    what compiling may take [default: 16GiB]
      --max-compile-time <DURATION>  [default: 4h]
Running: as bls-load takes them (bls-load help run)
      --dir --dir-ro --env --stdin --deny --only-declared --policy
      --allow-net --deny-net --permission --extensions --allow-extension
      --listen --listen-passed --list-env --broker --authorities
      --fuel --timeout --max-memory --max-stack --max-output --max-descriptors
      --trust --store --clock-unset --compile-with --compile-key
      --require-fuel --require-deterministic --require-sandbox
      --require-control-flow
      --invoke --argv0 --deterministic --seed --epoch --unknown-imports
      --report --receipt --receipt-key --metrics --account --log --log-level
      --debug-file --coredump --perf-map --jitdump --fuel-profile --explain

bls-load is looked for beside this program, then in PATH, and verifies what was
compiled as it does any artifact. Kept are at most 1 GiB, in ~/.cache/bls: what
was not used for longest goes first.
Exit codes: as bls-load's; 1 it could not be compiled, 2 usage
Examples:
  bls-compile run app.wasm
  bls-compile run --dir ./data --fuel 3G app.wasm arg1 --flag-for-guest
  bls-compile run --invoke add library.wat 1 2
";

pub(super) const HELP_LINK: &str = "\
Make one module of several: imports of one are exports of another, each keeps
its own memory, and what none of them has stays the host's to give.

Usage: bls-compile link [OPTIONS] <FILE> [--as NAME]... <ENTRY>

The last FILE is the entry: the result exports what it exports. The others are
libraries, and --as says what others import the FILE before it by [default:
STEM]. They begin in this order, and each runs its _initialize then; one that
imports a later one begins after it.

  -o, --output <FILE>     [default: STEM.linked.wasm here; - is stdout]; .bls
                          is compiled and signed too
      --emit <KIND>       artifact | wasm | linked [default: as FILE ends]
      --target <TARGET>   what features modules may use [default: this system]
      --max-compile-memory <SIZE>    what linking may take [default: 16GiB]
      --max-compile-time <DURATION>  [default: 4h]
      --json              result as JSON on stdout
  -q, --quiet             errors only
An artifact takes all options of compiling: bls-compile --help

blockless.mcall and blockless.register need no host: they become calls inside.
An import of the host's from a library is named after its memory:
wasi_snapshot_preview1@1, for the one that is exported as memory@1.

Exit codes: 0 done, 1 refused or failed, 2 usage
Examples:
  bls-compile link math.wasm app.wasm
  bls-compile link a.wasm --as math b.wasm -o app.wasm
  bls-compile link a.wasm --as math b.wasm -o app.bls --key release
";

pub(super) const HELP_CHECK: &str = "\
Say what a module or component is and needs, and whether it would compile;
write nothing.

Usage: bls-compile check [OPTIONS] <INPUT>

INPUT is .wasm, .wat, a configuration (.json) or - (stdin).

      --module <NAME=FILE>  a module that INPUT imports from
      --plug <FILE>       a component whose exports fill what INPUT imports
      --target <TARGET>   [default: this system]
      --max-compile-memory <SIZE>    what that may take [default: 16GiB]
      --max-compile-time <DURATION>  [default: 4h]
      --json              result as JSON on stdout

Exit codes: 0 it would compile, 1 it is refused, 2 usage
Examples:
  bls-compile check app.wasm
  bls-compile check --target pulley64 --json app.wasm
";

pub(super) const HELP_AUDIT: &str = "\
Prove that a metered module counts what it consumes. Trusts nothing but its
bytes.

Usage: bls-compile audit [OPTIONS] <INPUT>

INPUT is .wasm, .wat or - (stdin), as --emit wasm writes it. Every compile does
the same before it signs. FUEL.md has the rules, by name.

      --target <TARGET>   [default: this system]
      --max-compile-memory <SIZE>    what that may take [default: 16GiB]
      --max-compile-time <DURATION>  [default: 4h]
      --json              result as JSON on stdout

Exit codes: 0 proved, 1 a rule is broken, 2 usage
Examples:
  bls-compile --emit wasm app.wasm && bls-compile audit app.metered.wasm
  bls-compile audit --json app.metered.wasm
";

pub(super) const HELP_INSPECT: &str = "\
Show everything in an artifact. Checks its form, not whom to trust. Of a
component: what it imports and exports, with all types, as WIT.

Usage: bls-compile inspect [OPTIONS] <FILE>

FILE is an artifact, or a component (.wasm, .wat).

      --max-compile-memory <SIZE>    what a component may take [default: 16GiB]
      --max-compile-time <DURATION>  [default: 4h]
      --json              as JSON on stdout

Exit codes: 0 done, 1 neither of the two, 2 usage
Examples:
  bls-compile inspect app.bls
  bls-compile inspect --json app.bls
  bls-compile inspect app.component.wasm
";

pub(super) const HELP_STRIP: &str = "\
Keep some parts of an artifact. What is signed stays the same, and so do its
identity and its signatures, which are not checked: bls-load does that.

Usage: bls-compile strip [OPTIONS] --target <TARGET> <ARTIFACT>

      --target <TARGET>   x86_64 keeps all parts for it, x86_64:v3 the one for
                          this CPU; with commas for more
  -o, --output <FILE>     [default: STEM.stripped.bls here; - is stdout]
      --json              result as JSON on stdout
  -q, --quiet             errors only

bls-compile inspect says which parts a file has, and which it was stripped of.

Exit codes: 0 done, 1 no such part or no artifact, 2 usage
Examples:
  bls-compile strip app.bls --target aarch64
  bls-compile strip app.bls --target x86_64:v3,riscv64 -o device.bls
";

pub(super) const HELP_SIGN: &str = "\
Add your signature to another builder's artifact, once you have rebuilt it:
compiled from the source with the settings in its manifest, it must be the same
to the byte.

Usage: bls-compile sign [OPTIONS] --rebuild <INPUT> <ARTIFACT>

      --rebuild <INPUT>   the source: .wasm, .wat or - (stdin); of a linked one
                          each module or plug, in any order, or their
                          configuration
  -o, --output <FILE>     [default: ARTIFACT itself; - is stdout]
      --key <KEY>         name, FILE, env:V, ssh-agent:WHICH or exec:PROGRAM
                          [default: yours, made at once]
      --public-key <FILE>  the public half that KEY must have
      --max-sign-time <DURATION>  for an agent or a program [default: 1m]
      --max-compile-memory <SIZE>    what building may take [default: 16GiB]
      --max-compile-time <DURATION>  [default: 4h]
      --json              result as JSON on stdout
  -q, --quiet             errors only

Signed by this key already, it stays as it is. The signatures of others are
kept, and not checked: bls-load does that.

Exit codes: 0 signed, 1 refused or not the same, 2 usage
Examples:
  bls-compile sign app.bls --rebuild app.wasm
  bls-compile sign app.bls --rebuild app.wasm --key release -o signed/app.bls
";

pub(super) const HELP_VERIFY: &str = "\
Show that an artifact was made from a source: compile it again with the settings
in its manifest, and compare every byte. Takes no key; bls-load verify says whom
to trust.

Usage: bls-compile verify [OPTIONS] --rebuild <INPUT> <ARTIFACT>

      --rebuild <INPUT>   the source: .wasm, .wat or - (stdin); of a linked one
                          each module or plug, in any order, or their
                          configuration
      --max-compile-memory <SIZE>    what building may take [default: 16GiB]
      --max-compile-time <DURATION>  [default: 4h]
      --json              result as JSON on stdout

Exit codes: 0 the same, 1 refused or not the same, 2 usage
Examples:
  bls-compile verify app.bls --rebuild app.wasm
  bls-compile verify app.bls --rebuild app.wasm --json
  bls-compile verify app.bls --rebuild math.wasm --rebuild app.wasm
";

pub(super) const HELP_DELTA: &str = "\
Make what turns an artifact that devices have installed into the next one: small
where little changed. It is not signed, and need not be: it can make nothing but
what NEW's builder signed, byte for byte.

Usage: bls-compile delta [OPTIONS] <OLD> <NEW>

  -o, --output <FILE>     [default: STEM.blsd here, of NEW; - is stdout]
      --json              result as JSON on stdout
  -q, --quiet             errors only

A part of NEW is in it where OLD has one for the same target. On the device:
  bls-load install --delta up.blsd

Exit codes: 0 done, 1 refused or failed, 2 usage
Examples:
  bls-compile delta old.bls new.bls -o up.blsd
";

pub(super) const HELP_KEY: &str = "\
Your signing keys: NAME.pem in .config/bls of your home folder, PKCS#8, mode
0600.

Usage: bls-compile key [--key <KEY>]       show one; yours is made on first use
       bls-compile key new [NAME]          make one
       bls-compile key list [--json]       name, id and file of each
       bls-compile key export [KEY]        print the public key in PEM
       bls-compile key import <FILE> [NAME]  keep a private key; FILE - is stdin

NAME is letters, digits, - and _ [default: key]. No key is ever overwritten.
openssl reads these keys, and makes them:
openssl genpkey -algorithm ed25519 -out key.pem

KEY is
  NAME                one of yours
  FILE                in PKCS#8 PEM, or of OpenSSH without a passphrase
  env:VARIABLE        the same text in a variable
  ssh-agent:WHICH     an Ed25519 key that the agent of SSH_AUTH_SOCK has: the
                      file of its public half, its comment, or the id
  exec:PROGRAM        a program that signs: it gets the bytes on standard input
                      and answers with the 64 bytes of the signature, and
                      nothing else; no arguments, no shell; with --public-key
What an agent or a program answers is checked before anything is written.

Exit codes: 0 done, 1 no key, 2 usage
Examples:
  bls-compile key new release
  bls-compile key export release > builder.pub
  openssl pkey -in locked.pem | bls-compile key import - release
  bls-compile app.wasm --key ssh-agent:$HOME/.ssh/id_ed25519.pub
  bls-compile app.wasm --key exec:./sign.sh --public-key builder.pub
";

pub(super) const HELP_TRUST: &str = "\
Sign a trust file with a root key.

Usage: bls-compile trust sign --key <KEY> [OPTIONS] <FILE>

FILE is a plain trust file (bls-load trust init), or one that other roots have
signed.

      --key <KEY>         the root key: FILE, env:V, ssh-agent:WHICH or
                          exec:PROGRAM, as bls-compile help key has them
      --public-key <FILE>  the public half that it must have
      --max-sign-time <DURATION>  for an agent or a program [default: 1m]
  -o, --output <FILE>     [default: stdout]

Exit codes: 0 signed, 1 refused, 2 usage
Examples:
  openssl genpkey -algorithm ed25519 -out root.pem && chmod 600 root.pem
  bls-compile trust sign trust.json --key root.pem -o trust.signed.json
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_wider_than_a_terminal() {
        let texts = [
            HELP,
            HELP_RUN,
            HELP_LINK,
            HELP_CHECK,
            HELP_AUDIT,
            HELP_INSPECT,
            HELP_STRIP,
            HELP_SIGN,
            HELP_VERIFY,
            HELP_DELTA,
            HELP_KEY,
            HELP_KEY_OF,
            HELP_TRUST,
        ];
        for line in texts.iter().flat_map(|text| text.lines()) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn the_options_of_a_run_are_named() {
        for (name, _) in bls_artifact::options::RUN {
            let option = format!("--{name}");
            let is_named = HELP_RUN.split_whitespace().any(|word| word == option);
            assert!(is_named, "{option}");
        }
    }
}
