//! Every cap in one place.
//!
//! A loop over input bytes ends at one of these. Caps on modules lie below
//! wasmparser's own, so that what metering injects still fits (one global, one
//! export, a few locals and types).

/// Longest artifact that is read, in bytes.
pub const ARTIFACT_BYTES_MAX: u64 = 4 << 30;
/// Longest envelope, in bytes of JSON.
pub const ENVELOPE_BYTES_MAX: u64 = 4 << 20;
/// Most parts in one artifact.
pub const PARTS_MAX: u32 = 32;
/// Most CPU features that one part names.
pub const CPU_FEATURES_MAX: usize = 64;
/// Longest name of a CPU feature, in bytes.
pub const CPU_FEATURE_BYTES_MAX: usize = 32;
/// Most signatures in one envelope.
pub const SIGNATURES_MAX: usize = 16;
/// Longest native image, in bytes, after decompression.
pub const IMAGE_BYTES_MAX: u64 = 2 << 30;
/// Largest zstd window a reader accepts, in bytes.
pub const ZSTD_WINDOW_MAX: u64 = 8 << 20;
/// Smallest zstd window that there is, in bytes (RFC 8878, section 3.1.1.1.2).
pub const ZSTD_WINDOW_MIN: u64 = 1 << 10;
/// Largest zstd window of a difference in a delta, in bytes.
pub const DELTA_WINDOW_MAX: u64 = 1 << 20;
/// Most copies of one difference: a reader keeps 20 bytes for each.
pub const DELTA_COPIES_MAX: usize = 1 << 18;
/// Longest record of a store, in bytes.
pub const RECORD_BYTES_MAX: u64 = 1024;
/// Most entries of one folder of a store that are looked at.
pub const STORE_ENTRIES_MAX: usize = 1 << 20;
/// The most by which one release may raise the highest sequence that was seen. It
/// leaves room for sequences that are milliseconds (34 years) or dates of fourteen
/// digits (a century), and for 8192 such jumps below [`JSON_INTEGER_MAX`].
pub const SEQUENCE_JUMP_MAX: u64 = 1 << 40;
/// Longest name in a manifest, in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// Most modules that become one program. Each may have a memory, and an engine takes a hundred.
pub const RECIPE_MODULES_MAX: usize = 64;
/// Most needs that a manifest declares.
pub const NEEDS_MAX: usize = 256;
/// Most documents that a manifest names.
pub const DOCUMENTS_MAX: usize = 16;
/// Longest name of such a document, in bytes: the kernel's own cap on file names.
pub const DOCUMENT_NAME_BYTES_MAX: usize = 255;
/// Longest document whose digest is taken, in bytes.
pub const DOCUMENT_BYTES_MAX: u64 = 1 << 30;
/// Highest zstd level.
pub const ZSTD_LEVEL_MAX: u32 = 22;
/// Longest policy file, in bytes: of an operator's policy, or of a builder's needs.
pub const POLICY_BYTES_MAX: u64 = 1 << 20;
/// Largest integer in signed JSON: what every JSON reader keeps exactly
/// (RFC 8259, section 6).
pub const JSON_INTEGER_MAX: u64 = (1 << 53) - 1;
/// Longest trust file, in bytes.
pub const TRUST_BYTES_MAX: u64 = 1 << 20;
/// Most keys in a trust file.
pub const TRUST_KEYS_MAX: usize = 1024;
/// Most name prefixes of one key in a trust file.
pub const TRUST_PREFIXES_MAX: usize = 64;
/// Most revoked keys, and most revoked digests, in a trust file.
pub const TRUST_REVOKED_MAX: usize = 8192;
/// Most ranges of refused versions of one program in a trust file.
pub const TRUST_RANGES_MAX: usize = 64;
/// Most resets of sequences in a trust file.
pub const TRUST_RESETS_MAX: usize = 1024;
/// Longest key file, in bytes.
pub const KEY_BYTES_MAX: u64 = 64 << 10;
/// Longest name of a key, in bytes.
pub const KEY_NAME_BYTES_MAX: usize = 64;
/// Most keys of one user that are listed.
pub const KEYS_LISTED_MAX: usize = 1024;
/// Longest password database that is read, in bytes.
pub const PASSWD_BYTES_MAX: u64 = 8 << 20;

/// Longest URL, in bytes: what servers take, four times.
pub const URL_BYTES_MAX: usize = 32 << 10;
/// Most rules about the network of one run, granted and refused ones each.
pub const NET_RULES_MAX: usize = 1024;
/// Longest frame between a guest's host and the broker, in bytes behind its length: what an
/// SDK's largest buffer takes (10 MiB), and half as much.
pub const FRAME_BYTES_MAX: usize = 16 << 20;
/// Longest set-up of a broker, in bytes of JSON.
pub const SETUP_BYTES_MAX: usize = 256 << 10;
/// Most headers of one request or answer by HTTP.
pub const HEADERS_MAX: usize = 256;
/// Longest headers of one request or answer by HTTP, names and values, in bytes.
pub const HEADER_BYTES_MAX: usize = 256 << 10;
/// Most arguments of an extension.
pub const EXTENSION_ARGUMENTS_MAX: usize = 1024;
/// Most variables of an extension.
pub const EXTENSION_VARIABLES_MAX: usize = 256;
/// Longest arguments and variables of an extension together, in bytes.
pub const EXTENSION_WORDS_BYTES_MAX: usize = 128 << 10;
/// Most extensions of one registry or folder.
pub const EXTENSIONS_MAX: usize = 256;
/// Longest registry of extensions, in bytes.
pub const REGISTRY_BYTES_MAX: u64 = 1 << 20;
/// Most handles of one interface that a guest has open: of answers by HTTP, and of lists of
/// extensions and running ones together.
pub const HANDLES_MAX: usize = 64;
/// Most bytes of a body that are asked for at a time.
pub const PIECE_BYTES_MAX: usize = 256 << 10;
/// Most listeners that a run has from its operator.
pub const LISTENERS_MAX: usize = 64;
/// Longest text in a broker's answer that is for people, in bytes.
pub const REFUSAL_BYTES_MAX: usize = 4096;

/// Longest source module, in bytes.
pub const MODULE_BYTES_MAX: u64 = 512 << 20;
/// Longest function body, in bytes. wasmparser allows 7 654 321, before metering and behind it:
/// one that is longer than that with its charges is refused by the meter.
pub const FUNCTION_BYTES_MAX: u32 = 7_500_000;
/// Longest function body after metering, in bytes (wasmparser's own cap).
pub const METERED_FUNCTION_BYTES_MAX: usize = 7_654_321;
/// Most locals of one function, parameters included. wasmparser allows 50 000.
pub const LOCALS_MAX: u32 = 49_000;
/// Most defined functions. wasmparser allows 1 000 000.
pub const FUNCTIONS_MAX: u32 = 990_000;
/// Most imports of one module.
pub const IMPORTS_MAX: u32 = 100_000;
/// Most exports of one module. wasmparser allows 1 000 000.
pub const EXPORTS_MAX: u32 = 990_000;
/// Most imports and exports, where a function counts 2 and its parameters and results.
/// wasmparser allows 1 000 000.
pub const SURFACE_MAX: u64 = 990_000;
/// Most defined globals. wasmparser allows 1 000 000; the code generator tells at most
/// 65 535 places in memory apart in one function, and fails on more.
pub const GLOBALS_MAX: u32 = 50_000;
/// Most types. wasmparser allows 1 000 000.
pub const TYPES_MAX: u32 = 990_000;
/// Most targets of all `br_table`s of one function. The code generator's time grows with
/// their product with the locals that change on the way.
pub const TABLE_TARGETS_MAX: u64 = 100_000;
/// Most blocks of one function, times its locals, parameters included: where ways meet the
/// code generator may keep something for each local.
pub const BLOCKS_BY_LOCALS_MAX: u64 = 1 << 24;
/// How many values all ways of a module may carry to where they meet, all together, beyond
/// [`CARRIED_PER_BYTE_MAX`] for each byte. Each may be a move in the image.
pub const CARRIED_MORE_MAX: u64 = 1 << 24;
/// See [`CARRIED_MORE_MAX`]. Real programs carry a quarter for each byte.
pub const CARRIED_PER_BYTE_MAX: u64 = 8;
/// Most values of labels that take more than 16, a label counted once for each branch to it:
/// the code generator's memory grows with the square. Real programs hardly have such labels.
pub const WIDE_LABELS_MAX: u64 = 1 << 18;
/// Most references that one function may keep across its calls and allocations, each counted
/// once for each of these: the code generator takes about 40 bytes for each pair.
pub const KEPT_MAX: u64 = 1 << 25;
/// Most values of the labels of one function, each counted once for each block of native code
/// before it: the code generator keeps four bytes for each of these pairs.
pub const PLACED_MAX: u64 = 1 << 28;
/// Most operands on the stack of one function at a time. The code generator's time grows
/// faster than their number: 16 000 that live across as many branches take it a second and
/// a half. `array.new_fixed` takes 10 000 at most.
pub const OPERANDS_MAX: u64 = 16_384;
/// Most table elements that an image holds, all together: four bytes each. A segment of
/// one function at index 999 999 takes four megabytes.
pub const IMAGE_ELEMENTS_MAX: u64 = 1 << 23;
/// Bytes of zeros between data segments that an image may hold so that memory need only be
/// mapped: over all memories.
pub const IMAGE_ZEROS_MAX: u64 = 16 << 20;
/// Longest list of a module's imports, exports, memories and tables, in bytes of the
/// manifest's JSON; where it would be longer, exports are counted and not listed. The
/// manifest has 3 MiB, which are [`ENVELOPE_BYTES_MAX`] in base64, and
/// this leaves the rest of it three eighths of a MiB.
pub const INTERFACE_BYTES_MAX: u64 = 21 << 17;
/// How many values functions and calls may take and give, and objects be made with by
/// default, all together, beyond one for each
/// byte of the module. Whatever makes a value has a byte or two, and real programs pass one
/// for every ten bytes; each costs the code generator about ten microseconds.
pub const PASSED_MORE_MAX: u64 = 1 << 19;
/// Deepest nesting of blocks in one function.
pub const NESTING_MAX: usize = 10_000;
/// Bytes of memory64 or memory32 a guest gets where nobody said otherwise.
pub const MEMORY_BYTES_DEFAULT: u64 = 1 << 30;
/// Bytes of stack a guest gets where nobody said otherwise.
pub const STACK_BYTES_DEFAULT: u64 = 1 << 20;
/// Largest stack `--max-stack` takes, in bytes.
pub const STACK_BYTES_MAX: u64 = 256 << 20;
/// Smallest stack `--max-stack` takes, in bytes.
pub const STACK_BYTES_MIN: u64 = 16 << 10;
/// Longest time `--timeout` and a policy take, in milliseconds: 31 years.
pub const TIMEOUT_MS_MAX: u64 = 1_000_000_000_000 - 1;
/// Descriptors a guest gets where nobody said otherwise, granted ones included.
pub const DESCRIPTORS_DEFAULT: u32 = 1024;
/// Most descriptors `--max-descriptors` takes.
pub const DESCRIPTORS_MAX: u32 = 1 << 20;
/// Fewest descriptors `--max-descriptors` takes: the standard streams.
pub const DESCRIPTORS_MIN: u32 = 3;
/// Most buffers with something in them of one list a guest passes: the kernel's own cap.
pub const BUFFERS_MAX: u32 = 1024;
/// Longest path a guest passes, in bytes: the kernel's own cap.
pub const PATH_BYTES_MAX: u32 = 4096;
/// Most subscriptions of one `poll_oneoff`.
pub const SUBSCRIPTIONS_MAX: u32 = 4096;
/// What the host holds for a guest's listings and file numbers before it counts as memory of
/// the guest, in bytes.
pub const HELD_BYTES_FREE: u64 = 1 << 20;
/// Most bytes that one call of `fd_advise` has read ahead: what Linux reads ahead by itself.
pub const ADVISED_BYTES_MAX: u64 = 128 << 10;
/// Bytes of memory that a table's element counts for, of whatever type.
pub const TABLE_ELEMENT_BYTES: u64 = 8;
/// Most table elements a guest gets over all its tables.
pub const TABLE_ELEMENTS_MAX: usize = 10_000_000;
