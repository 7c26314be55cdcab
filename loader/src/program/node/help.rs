//! What the node's command line says of itself.
//!
//! Guarantees (tests) that a line has at most 80 columns, and that every flag is named.

/// What stands under a word that nobody knows.
pub(super) const USAGE: &str = "Usage: bls-runtime [OPTIONS] <INPUT> [ARGS]... [-- ARGS...]
For more information, try '--help'.";

/// What `bls-runtime --help` prints.
pub(crate) const HELP: &str = "\
Run a function of the Blockless network, as its node and tools do.

Usage: bls-load node [OPTIONS] <INPUT> [ARGS]... [-- ARGS...]
       bls-runtime [OPTIONS] <INPUT> [ARGS]... [-- ARGS...]

bls-load takes this command line where it is called as bls-runtime. INPUT is a
module (.wasm, .wasi, .wat) or a configuration in JSON. A module is not compiled
here: it is found among what is installed, by its SHA-256. Options stand
anywhere; behind -- everything is the guest's. Flags win over a configuration.

Files
      --fs-root-path <P>        the guest's /; one that is missing is no root
      --dir <HOST[::GUEST]>     another folder
      --allow-read[=A,B]        of these folders only this, to be read
      --allow-write[=A,B]       and this, to be changed
      --deny-read[=A,B]         not this
      --deny-write[=A,B]        this only to be read
      --stdin <inherit|TEXT>    TEXT counts where nothing comes from outside
      --stdout <inherit|null|FILE>
      --stderr <inherit|null|FILE>
                                FILE is in the root folder, and is added to
      --runtime-logger <FILE>   in the root folder: how a run ended
Network
      --permission <URL>        grant what begins so, on a segment border
      --allow-net[=A,B]         hosts, HOST:PORT, addresses, URLs, or all
      --deny-net[=A,B]
      --allow-all               as --allow-read --allow-write --allow-net
      --tcplisten <ADDR[::FD]>  a listening socket
      --drivers-root-path <P>   folder of extensions
Limits
      --limited-fuel <N>        units
      --limited-memory <N>      pages of 64 KiB
      --max-memory-size <N>     bytes
      --run-time <N>            milliseconds
The run
      --entry <EXPORT>          call this [default: _start]
      --module <NAME=FILE>      link this module too, for INPUT to import
      --env <K=V>               a variable; wins over the file's
      --env-file <F>            NAME=VALUE, a line each
      --unknown-imports-trap    trap when a function that no host has is called
  -h, --help
  -V, --version
Read, and without effect
      --debug-info  --feature-thread  --opt <K=V>, -O <K=V>  --nn
      --nn-graph <F=D>  --v86  --cli-exit-with-code  --network-error-code
And the options of bls-load run, among them
      --compile-with <PROGRAM>  bls-compile, for a module that is not installed
      --compile-key <KEY>       the key that it signs with
      --store <DIR>  --trust <FILE>  --policy <FILE>  --report <FILE>

Exit codes: the guest's own below 126; 1 fuel, 2 stack, or wrong words here,
  3 memory bounds, 4 misaligned, 5 table bounds, 6 null in table, 7 signature,
  8 overflow, 9 division by zero, 10 conversion, 11 unreachable, 15 time,
  16 memory limit, 128 MD5, 255 everything else.
Examples:
  bls-runtime app.wasm --fs-root-path ./data --limited-fuel 200000000 -- arg1
  bls-load node --compile-with bls-compile config.json
";

#[cfg(test)]
mod tests {
    use super::super::words::FLAGS;
    use super::*;

    #[test]
    fn every_flag_is_named() {
        for (name, _) in FLAGS {
            let dashes = if name.len() == 1 { "-" } else { "--" };
            let word = format!("{dashes}{name}");
            let ends =
                |rest: &str| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '-');
            let is_named = HELP.match_indices(&word).any(|(at, _)| ends(&HELP[at + word.len()..]));
            assert!(is_named, "{word}");
        }
    }
}
