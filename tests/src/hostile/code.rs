//! Signed artifacts whose native code is not what a compiler made of their module.
//!
//! The module is honest: it imports every function of the host, and has one long function.
//! Over that function's machine code go `executor.s` and a script; digests are computed anew,
//! and a test key signs. So the loader has no reason to refuse it: it is what a miscompilation
//! or a builder's stolen key would give. Takes a C compiler (`cc`), and x86-64.

use super::script::Script;
use crate::embedded::{key, options};
use crate::programs::run;
use bls_artifact::artifact::{self, Contents};
use bls_artifact::digest::{Sha256, verity};
use bls_artifact::envelope::Envelope;
use bls_artifact::host_table::all;
use bls_artifact::manifest::{Encoding, Image, Manifest, Statement, Stored};
use bls_compiler::pipeline;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// What the first store of the long function stores.
const MARK: u32 = 0x5ca1_ab1e;
/// How many stores it has, of at least eight bytes of code each.
const STORES: u32 = 3000;
/// How a compiled function begins: `push rbp; mov rbp, rsp`.
const PROLOGUE: [u8; 4] = [0x55, 0x48, 0x89, 0xe5];

/// Where the executor's code has a handler of signals, which opens the file whose path stands
/// at [`HANDLER_PATH`]; and what a handler returns to.
pub const HANDLER: u64 = 16;
/// See [`HANDLER`].
pub const HANDLER_RETURN: u64 = 112;
/// See [`HANDLER`].
pub const HANDLER_PATH: u64 = 0x1000_0000;

/// The text of the module that the code replaces a function of.
#[must_use]
pub fn template() -> String {
    let mut text = String::from("(module\n");
    for function in all() {
        let parameters: String =
            function.parameters.iter().map(|kind| format!(" {}", kind.name())).collect();
        let result = if function.answers { "(result i32)" } else { "" };
        let (interface, name) = (function.interface, function.name);
        let _ = writeln!(
            text,
            "(import \"{interface}\" \"{name}\" (func (param{parameters}) {result}))"
        );
    }
    text += "(memory (export \"memory\") 1)\n(func (export \"_start\")\n";
    for at in 0..STORES {
        let value = MARK.wrapping_add(at * 0x0101_0101);
        let _ = writeln!(text, "(i32.store (i32.const {}) (i32.const {}))", 4 * at, value as i32);
    }
    text + "))"
}

/// Makes hostile artifacts of scripts.
#[derive(Debug)]
pub struct Forge {
    executor: Vec<u8>,
    image: Vec<u8>,
    manifest: Manifest,
    /// Where the long function is in the image.
    function: usize,
}

impl Forge {
    /// Compiles the module and the executor, in this folder.
    ///
    /// # Panics
    /// When one of them cannot be compiled.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        let wasm = wat::parse_str(template()).expect("a module");
        let artifact =
            pipeline::build(wasm, "hostile", &options(), &[&key()]).expect("an artifact");
        let bytes = artifact.bytes();
        let (contents, parts) = Contents::parse(bytes).expect("a good artifact");
        let envelope = Envelope::parse(contents.envelope).expect("a good envelope");
        let manifest = Statement::parse(envelope.payload()).expect("a good manifest");
        let image = crate::parts::image(&manifest.parts[0], parts[0]);
        let mark = find(&image, &MARK.to_le_bytes()).expect("the first store");
        let before = image[..mark].windows(PROLOGUE.len());
        let function = before.collect::<Vec<_>>().iter().rposition(|four| *four == PROLOGUE);
        let function = function.expect("the function's first instructions");
        Self { executor: executor(folder), image, manifest, function }
    }

    /// The artifact that does what the script says, signed.
    ///
    /// # Panics
    /// When the script is longer than the function it goes over.
    #[must_use]
    pub fn artifact(&self, script: &Script) -> Vec<u8> {
        let code = [&self.executor[..], &script.to_bytes()].concat();
        assert!(code.len() <= 8 * STORES as usize, "{} bytes of code", code.len());
        let mut image = self.image.clone();
        image[self.function..][..code.len()].copy_from_slice(&code);
        let (length, sha256) = (image.len() as u64, Sha256::of(&image));
        let mut manifest = self.manifest.clone();
        manifest.parts[0].image = Image { length, sha256, verity: verity(&image) };
        manifest.parts[0].stored = Stored { encoding: Encoding::Raw, length, sha256 };
        let payload = Statement::new(manifest).to_bytes();
        artifact::write(&Envelope::sign(payload, &[&key()]).to_bytes(), &[&image])
    }
}

/// The machine code of `executor.s`.
fn executor(folder: &Path) -> Vec<u8> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("executor.s");
    let flat = folder.join("executor.bin");
    let mut command = Command::new("cc");
    command.args(["-nostdlib", "-static", "-Wl,--oformat=binary,-Ttext=0,--build-id=none", "-o"]);
    let _ = run(command.arg(&flat).arg(source), b"").expect(0);
    std::fs::read(flat).expect("the executor's code")
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}
