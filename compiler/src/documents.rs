//! Documents about the source, named in the manifest by digest: `--sbom` and
//! `--provenance`.
//!
//! Takes the digest of a file's bytes and its name without the folder. Guarantees that
//! what reaches the manifest is sorted and names each file once. Does not read what the
//! documents say: the signature vouches for which they are.

use bls_artifact::digest::Hasher;
use bls_artifact::limits::{DOCUMENT_BYTES_MAX, DOCUMENTS_MAX};
use bls_artifact::manifest::{Document, DocumentKind, is_file_name};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Why a document cannot be named.
#[derive(Debug)]
pub enum DocumentError {
    /// The file cannot be read.
    Read(PathBuf, io::Error),
    /// A folder, a device or the like.
    NotAFile(PathBuf),
    /// Longer than [`DOCUMENT_BYTES_MAX`].
    TooLong(PathBuf),
    /// A file name that the manifest cannot hold.
    Name(PathBuf),
    /// Two files of one kind with one name.
    Twice(DocumentKind, String),
    /// More than the manifest holds.
    TooMany(usize),
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::NotAFile(path) => write!(f, "{} is not a regular file", path.display()),
            Self::TooLong(path) => {
                write!(f, "{} is longer than {DOCUMENT_BYTES_MAX} bytes", path.display())
            }
            Self::Name(path) => {
                write!(f, "the name of {:?} cannot stand in a manifest", path.display())
            }
            Self::Twice(kind, name) => {
                write!(f, "--{} is given twice for files called {name:?}", kind.word())
            }
            Self::TooMany(count) => write!(f, "{count} documents are more than {DOCUMENTS_MAX}"),
        }
    }
}

impl std::error::Error for DocumentError {}

impl DocumentError {
    /// Its name, which stays the same when words change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read(..) => "documents.unreadable",
            Self::NotAFile(_) => "documents.not-a-file",
            Self::TooLong(_) => "documents.too-long",
            Self::Name(_) => "documents.name",
            Self::Twice(..) => "documents.twice",
            Self::TooMany(_) => "documents.too-many",
        }
    }

    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Read(..) | Self::NotAFile(_) => "name a file that exists and that you may read",
            Self::TooLong(_) | Self::TooMany(_) => {
                "name one document that names the others by their digests"
            }
            Self::Name(_) => "give it a name of UTF-8 without control characters",
            Self::Twice(..) => "give each its own name",
        }
    }
}

/// The documents in these files, as the manifest has them.
///
/// # Errors
/// [`DocumentError`].
pub fn read(sboms: &[PathBuf], provenances: &[PathBuf]) -> Result<Vec<Document>, DocumentError> {
    let count = sboms.len() + provenances.len();
    if count > DOCUMENTS_MAX {
        return Err(DocumentError::TooMany(count));
    }
    let sboms = sboms.iter().map(|path| (DocumentKind::Sbom, path));
    let provenances = provenances.iter().map(|path| (DocumentKind::Provenance, path));
    let mut documents = sboms
        .chain(provenances)
        .map(|(kind, path)| document(kind, path))
        .collect::<Result<Vec<_>, _>>()?;
    documents.sort_unstable();
    let same = |pair: &&[Document]| (pair[0].kind, &pair[0].name) == (pair[1].kind, &pair[1].name);
    if let Some(pair) = documents.windows(2).find(same) {
        return Err(DocumentError::Twice(pair[0].kind, pair[0].name.clone()));
    }
    Ok(documents)
}

fn document(kind: DocumentKind, path: &Path) -> Result<Document, DocumentError> {
    let name = path.file_name().and_then(|name| name.to_str()).filter(|name| is_file_name(name));
    let name = name.ok_or_else(|| DocumentError::Name(path.to_owned()))?.to_owned();
    let unreadable = |error| DocumentError::Read(path.to_owned(), error);
    // Asked before it is opened: opening a FIFO would wait for its writer.
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Err(DocumentError::NotAFile(path.to_owned()));
    }
    let mut file = File::open(path).map_err(unreadable)?.take(DOCUMENT_BYTES_MAX + 1);
    let mut hasher = Hasher::default();
    let mut piece = vec![0; 64 << 10];
    loop {
        match file.read(&mut piece) {
            Ok(0) => break,
            Ok(bytes) => hasher.update(&piece[..bytes]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    if file.limit() == 0 {
        return Err(DocumentError::TooLong(path.to_owned()));
    }
    Ok(Document { kind, name, sha256: hasher.finish() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bls_artifact::digest::Sha256;

    #[test]
    fn files_become_documents_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, name).unwrap();
            path
        };
        let (b, a, p) = (file("b.json"), file("a.json"), file("p.json"));
        let read_all = read(&[b.clone(), a], std::slice::from_ref(&p)).unwrap();
        let found: Vec<_> = read_all.iter().map(|one| (one.kind, one.name.as_str())).collect();
        assert_eq!(
            found,
            [
                (DocumentKind::Provenance, "p.json"),
                (DocumentKind::Sbom, "a.json"),
                (DocumentKind::Sbom, "b.json"),
            ]
        );
        assert_eq!(read_all[0].sha256, Sha256::of(b"p.json"));
        let again = read(&[b.clone(), file("other/b.json")], &[]);
        assert!(matches!(again, Err(DocumentError::Twice(DocumentKind::Sbom, _))));
        assert!(read(std::slice::from_ref(&b), std::slice::from_ref(&b)).is_ok(), "two kinds");
        let many = vec![b; DOCUMENTS_MAX + 1];
        assert!(matches!(read(&many, &[]), Err(DocumentError::TooMany(_))));
        let refused = |path: PathBuf| read(&[path], &[]).unwrap_err();
        assert!(matches!(refused(folder.path().to_owned()), DocumentError::NotAFile(_)));
        assert!(matches!(refused(folder.path().join("no")), DocumentError::Read(..)));
        assert!(matches!(refused(file("a\nb")), DocumentError::Name(_)));
    }
}
