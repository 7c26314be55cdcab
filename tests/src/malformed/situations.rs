//! What is wrong, and in no bytes that could be committed: links, FIFOs, devices, files
//! that change while they are read, stores that others can write.
//!
//! Each is built by a test from a good artifact. This is the list of them, for the table;
//! the test `malformed` holds that the tests are there and say what the list says.

/// Something that a test builds, and how bls-load takes it.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// What it is called.
    pub name: &'static str,
    /// How it comes about.
    pub built: &'static str,
    /// The code of the refusal; `None` where it does not matter to a run.
    pub code: Option<&'static str>,
    /// A part of the sentence, or of what the test sees.
    pub says: &'static str,
    /// The test: its file, and its name.
    pub test: (&'static str, &'static str),
}

const NO_FILE: (&str, &str) = ("malformed", "what_is_no_file_is_refused_by_name");
const IN_STORE: (&str, &str) = ("store", "only_regular_files_are_read");
const STORE_WRITABLE: (&str, &str) = ("store", "a_store_that_others_can_write_says_nothing");
const ODD: (&str, &str) = ("store", "anything_odd_is_hashed");

/// Every situation.
#[must_use]
pub fn situations() -> Vec<Situation> {
    [kinds(), changes(), store(), writable()].concat()
}

fn refused(
    name: &'static str,
    built: &'static str,
    code: &'static str,
    says: &'static str,
    test: (&'static str, &'static str),
) -> Situation {
    Situation { name, built, code: Some(code), says, test }
}

fn harmless(
    name: &'static str,
    built: &'static str,
    says: &'static str,
    test: (&'static str, &'static str),
) -> Situation {
    Situation { name, built, code: None, says, test }
}

fn kinds() -> Vec<Situation> {
    vec![
        refused(
            "files-symlink-circle",
            "a link that leads to itself",
            "file.link",
            "leads in a circle",
            NO_FILE,
        ),
        refused(
            "files-symlink-dangling",
            "a link to nothing",
            "file.missing",
            "No such file",
            NO_FILE,
        ),
        refused("files-folder", "a folder, or a link to one", "file.folder", "a folder", NO_FILE),
        refused(
            "files-fifo",
            "a FIFO, or a pipe, that is closed again without a byte",
            "file.fifo",
            "nothing came from it",
            NO_FILE,
        ),
        refused("files-socket", "a socket", "file.socket", "a socket", NO_FILE),
        refused("files-device", "`/dev/zero`, `/dev/null`", "file.device", "a device", NO_FILE),
        refused("files-proc-link", "`/proc/self/exe`", "framing.is-elf", "an ELF file", NO_FILE),
        refused(
            "files-proc",
            "`/proc/self/maps`, whose length nobody says",
            "framing.magic",
            "something else",
            NO_FILE,
        ),
        refused("files-missing", "no file", "file.missing", "No such file", NO_FILE),
    ]
}

fn changes() -> Vec<Situation> {
    vec![
        refused(
            "files-shrunk-while-loading",
            "truncated after it was opened",
            "content.shrunk",
            "became shorter",
            ("malformed", "a_file_that_shrinks_after_it_was_opened_is_refused"),
        ),
        refused(
            "files-rewritten-while-loading",
            "other bytes in the same file, after it was opened",
            "content.stored-digest",
            "signed digest",
            ("malformed", "a_file_that_is_rewritten_after_it_was_opened_is_refused"),
        ),
        harmless(
            "files-replaced-while-loading",
            "another file under its name, after it was opened",
            "it is the one that was opened",
            ("malformed", "a_file_that_is_replaced_after_it_was_opened_does_not_matter"),
        ),
        harmless(
            "files-truncated-after-mapping",
            "truncated while its guest runs: what is mapped is a sealed copy",
            "still here",
            ("malformed", "a_file_that_is_truncated_after_it_was_mapped_does_not_matter"),
        ),
        refused(
            "files-image-truncated-after-mapping",
            "the same of an image in root's store, by root: a signal, then refused",
            "store.damaged",
            "is damaged",
            ("store", "an_image_that_root_truncates_under_a_guest"),
        ),
    ]
}

fn store() -> Vec<Situation> {
    vec![
        refused(
            "files-symlink-in-a-store",
            "a link in the place of a record, an envelope, an image",
            "store.kind",
            "is a symbolic link",
            IN_STORE,
        ),
        refused("files-fifo-in-a-store", "a FIFO there", "store.kind", "is a FIFO", IN_STORE),
        refused("files-folder-in-a-store", "a folder there", "store.kind", "is a folder", IN_STORE),
        refused("files-device-in-a-store", "a device there", "store.kind", "is a device", IN_STORE),
        refused(
            "files-symlinked-folder-of-a-store",
            "a link in the place of its folders",
            "store.kind",
            "no folder",
            IN_STORE,
        ),
        refused(
            "files-path-in-a-name",
            "`bls-load remove ../app` and the like; in a manifest: `manifest-name`",
            "usage.words",
            "../app",
            ("store", "a_word_never_means_a_file_and_a_name_at_once"),
        ),
    ]
}

fn writable() -> Vec<Situation> {
    vec![
        refused(
            "files-writable-store",
            "others may write the store or a folder in it",
            "store.writable",
            "can be written by its group or others",
            STORE_WRITABLE,
        ),
        refused(
            "files-foreign-file-in-a-store",
            "a record or an envelope that another user owns",
            "store.writable",
            "another user",
            STORE_WRITABLE,
        ),
        harmless(
            "files-writable-parent-of-a-store",
            "others may write a folder above it: its code is hashed at each run",
            "a folder above the store",
            ODD,
        ),
        harmless(
            "files-writable-image",
            "others may write the image: the same",
            "not root's alone to write",
            ODD,
        ),
        refused(
            "files-writable-trust-file",
            "others may write the user's trust file",
            "settings.writable",
            "can be written by",
            ("trust", "the_first_compile_makes_a_key_and_trusts_it"),
        ),
    ]
}
