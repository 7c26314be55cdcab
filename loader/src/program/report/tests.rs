//! Whether a run was refused or failed, of every kind of error that a run can meet.
//!
//! SECURITY.md says it behind its table of refusals: what failed, what is either, and that
//! all others are refused. Here each variant of the stages' errors is held to that.

use super::ReportError;
use super::form::{Kind, Outcome};
use crate::confine::{ConfineError, Piece};
use crate::error::Failure;
use crate::grant::GrantError;
use crate::guarded::GuardError;
use crate::image::ImageError;
use crate::link::LinkError;
use crate::map::MapError;
use crate::open::{Irregular, OpenError};
use crate::outside::BrokerError;
use crate::policy::PolicyError;
use crate::program::account::AccountError;
use crate::program::log::LogError;
use crate::program::module::ModuleError;
use crate::program::profile::ProfileError;
use crate::program::pull::PullError;
use crate::program::stdin::StdinError;
use crate::store::StoreError;
use crate::trust::TrustError;
use crate::verify::{Reason, VerifyError};
use bls_artifact::digest::Sha256;
use bls_artifact::policy;
use bls_artifact::registry::Defect;
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Error;
use std::path::PathBuf;

/// Errors of the system: two of what is named, and two of a system that is short of
/// something.
const ERRNOS: [Errno; 4] = [Errno::NOENT, Errno::ACCESS, Errno::IO, Errno::MFILE];

fn path() -> PathBuf {
    "path".into()
}

fn name() -> String {
    "name".into()
}

/// An error of each kind that a run can meet, but for those that hold the contents of a file
/// to its form: these are refused as a whole, by what stands around them.
fn all() -> Vec<Failure> {
    let digest = Sha256([0; 32]);
    let engine = || wasmtime::Error::msg("engine");
    let verify = |reason| VerifyError { name: name(), reason };
    let mut all: Vec<Failure> = vec![
        OpenError::NotRegular(name(), Irregular::Folder).into(),
        PolicyError::Contents(path(), policy::PolicyError::Version(2)).into(),
        PolicyError::Beyond("--fuel", 2, 1, path()).into(),
        PolicyError::NotAllowed("--fuel", path()).into(),
        PolicyError::Range("fuel", 3, 1, 2).into(),
        PolicyError::File(GuardError::NotAFile(path())).into(),
        PolicyError::File(GuardError::Foreign(path())).into(),
        PolicyError::File(GuardError::Writable(path(), "everybody")).into(),
        PolicyError::File(GuardError::Dangling(path())).into(),
        TrustError::Missing(path()).into(),
        TrustError::NoHome.into(),
        TrustError::Write(path(), Errno::ACCESS.into()).into(),
        TrustError::Unsigned(path(), 1).into(),
        TrustError::Gone(path(), 1).into(),
        TrustError::NotAccepted(path()).into(),
        TrustError::Rollback(path(), 1, 2).into(),
        TrustError::Plain(path()).into(),
        TrustError::Exists(path()).into(),
        TrustError::Forgets(path(), Vec::new()).into(),
        TrustError::NoKey(path(), name()).into(),
        TrustError::Ambiguous(path(), name(), Vec::new()).into(),
        StoreError::System("write", path(), Errno::NOSPC).into(),
        StoreError::Writable(path(), "everybody").into(),
        StoreError::Kind(path(), "a folder").into(),
        StoreError::TooLong(path()).into(),
        StoreError::NotInstalled(name(), Vec::new()).into(),
        StoreError::Damaged(path()).into(),
        StoreError::Missing(path()).into(),
        StoreError::Name(name()).into(),
        StoreError::Foreign(path(), 1).into(),
        StoreError::NoHome(1).into(),
        StoreError::Ambiguous(name(), Vec::new()).into(),
        ConfineError::Incomplete(vec![(Piece::Mdwe, Errno::INVAL.into())]).into(),
        ConfineError::System("landlock", Errno::MFILE.into()).into(),
        GrantError::Kernel(path(), "procfs", None).into(),
        GrantError::Contradiction(name(), name()).into(),
        GrantError::GuestPath(name().into()).into(),
        GrantError::Variable(name().into()).into(),
        GrantError::Forbidden(name(), path()).into(),
        GrantError::NotDeclared(name(), name()).into(),
        GrantError::Needs(name(), Vec::new()).into(),
        GrantError::NotMetered(name()).into(),
        GrantError::NotDeterministic(name()).into(),
        GrantError::NoControlFlow(name()).into(),
        GrantError::ByRule("listeners").into(),
        GrantError::Alias(name()).into(),
        GrantError::Listeners.into(),
        AccountError::Refused(name(), name()).into(),
        AccountError::Silent(path(), Errno::PIPE.into()).into(),
        AccountError::Unwritten(path(), Errno::PIPE.into()).into(),
        BrokerError::Setup(name()).into(),
        BrokerError::Refused(name()).into(),
        BrokerError::Silent(path(), Errno::PIPE.into()).into(),
        MapError::Engine(engine()).into(),
        MapError::System(Errno::NOMEM, engine()).into(),
        MapError::System(Errno::ACCESS, engine()).into(),
        MapError::NoFile.into(),
        LinkError::UnknownImports(Vec::new()).into(),
        LinkError::ImportKind(Vec::new()).into(),
        LinkError::UndeclaredImport(name()).into(),
        LinkError::ImportType(name(), name()).into(),
        LinkError::NotMetered(name()).into(),
        LinkError::Counter.into(),
        LinkError::NothingToCall("library", Vec::new()).into(),
        LinkError::NoSuchExport(name(), Vec::new()).into(),
        LinkError::Initialize(name()).into(),
        LinkError::ArgumentCount(name(), Vec::new(), 1).into(),
        LinkError::Argument(name(), name()).into(),
        LinkError::ParameterType(name(), name()).into(),
        verify(Reason::OtherName(name())).into(),
        verify(Reason::UnsignedPart(0)).into(),
        verify(Reason::PartOrder(0)).into(),
        verify(Reason::Digest { expected: digest, actual: digest }).into(),
        verify(Reason::Image(ImageError::System("read", Errno::IO.into()))).into(),
        verify(Reason::Image(ImageError::Shrunk)).into(),
        verify(Reason::Image(ImageError::StoredDigest)).into(),
        verify(Reason::Image(ImageError::ImageDigest)).into(),
        ReportError { place: name(), error: Errno::ACCESS.into() }.into(),
        ProfileError::NotCounted(name()).into(),
        ProfileError::File(path(), Errno::ACCESS.into()).into(),
        PullError::NoRoom(Errno::NOSPC.into()).into(),
        PullError::Silent(path()).into(),
    ];
    all.extend(Defect::ALL.map(|defect| PullError::Said(defect, name(), name()).into()));
    for errno in ERRNOS {
        let io = || Error::from(errno);
        let guard = || GuardError::System(path(), io());
        all.extend([
            Failure::from(OpenError::System(name(), errno)),
            PolicyError::File(guard()).into(),
            TrustError::File(guard()).into(),
            TrustError::Database(guard()).into(),
            StoreError::System("read", path(), errno).into(),
            StoreError::from(guard()).into(),
            verify(Reason::Store(StoreError::System("read", path(), errno))).into(),
            GrantError::Folder(path(), io(), None).into(),
            GrantError::Extensions(path(), io()).into(),
            GrantError::Listen(name(), io()).into(),
            AccountError::Start(path(), io()).into(),
            BrokerError::Start(path(), io()).into(),
            StdinError(path(), io()).into(),
            LogError(name(), io()).into(),
            ModuleError::Unreadable(name(), io()).into(),
            ModuleError::Compiler(path(), io()).into(),
            PullError::Start(path(), io()).into(),
        ]);
    }
    all
}

/// The codes between quotes in the sentence of SECURITY.md that begins so.
fn listed(begin: &str) -> BTreeSet<String> {
    let text = include_str!("../../../../SECURITY.md");
    let (_, rest) = text.split_once(begin).unwrap_or_else(|| panic!("no {begin:?}"));
    let sentence = rest.split_once(".\n").expect("an end").0;
    sentence.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn refused_or_failed_is_as_security_md_says() {
    let failed = listed("It is `failed` for");
    let either = listed("It is one or the other for");
    assert!(failed.len() > 8 && either.len() > 5, "{failed:?} {either:?}");
    let mut kinds: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for failure in all() {
        let code = failure.code;
        let outcome = Outcome::from(&crate::run::outcome::Outcome::Failed(failure));
        let kind = match outcome.kind {
            Kind::Refused => "refused",
            Kind::Failed => "failed",
            other => panic!("{code} is {other:?}"),
        };
        kinds.entry(code).or_default().insert(kind);
    }
    assert!(kinds.len() > 60, "only {} codes were met", kinds.len());
    for (code, kinds) in &kinds {
        let kinds: Vec<&str> = kinds.iter().copied().collect();
        let expected: &[&str] = match (failed.contains(*code), either.contains(*code)) {
            (true, false) => &["failed"],
            (false, true) => &["failed", "refused"],
            (false, false) => &["refused"],
            (true, true) => panic!("{code} is listed twice"),
        };
        assert_eq!(kinds, expected, "{code}");
    }
    let unmet: Vec<&String> =
        either.iter().filter(|code| !kinds.contains_key(code.as_str())).collect();
    assert!(unmet.is_empty(), "nothing said {unmet:?}");
}
