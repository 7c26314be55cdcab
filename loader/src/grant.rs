//! What this guest gets: options and policies, held against what it says it needs.
//!
//! May assume a verified artifact. Guarantees that a guest gets what was named by the
//! operator and nothing else; that nothing goes beyond a policy; and that a guest
//! which needs more does not start, and the operator is told what, and which option
//! would grant it. Folders are opened here, once, by the operator's own words; from
//! there on `cap-std` guards the way. Does not decide what an import may do.

mod beyond;
mod error;

use crate::built;
use crate::host::Identity;
use crate::host::{Grants, Preopen, Streams, Variable, kernel_filesystem};
use crate::policy::{Rules, RunLimits};
use crate::request::{Folder, Request};
use crate::verify::Facts;
pub(crate) use beyond::Asking;
use beyond::Decided;
use bls_artifact::capability::{Capability, Permission, path_covers, plain_path};
use bls_artifact::policy::Requirement;
pub(crate) use error::{GrantError, Missing};
use rustix::fs::{Mode, OFlags, readlinkat};
use std::ffi::OsStr;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

/// What is declared, and more, as the value of `--needs`: given again, it replaces the old.
fn needs_with<'a>(
    declared: &'a [Permission],
    more: impl IntoIterator<Item = &'a Permission>,
) -> String {
    let mut all: Vec<&Permission> = declared.iter().chain(more).collect();
    all.sort_unstable();
    all.dedup();
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// What a guest may use and does not get, with the policy that does not allow it; `None`
/// where it is not declared.
type KeptBack = (Permission, Option<PathBuf>);

/// What was decided, and what was kept back.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) grants: Grants,
    /// Everything granted but folders, which are in `grants`.
    permissions: Vec<Permission>,
    /// What the artifact may use and does not get, though nobody named it.
    pub(crate) kept_back: Vec<KeptBack>,
    /// What it declares that it needs.
    pub(crate) declared: Vec<Permission>,
    /// What whoever answers for it may do.
    pub(crate) asking: Asking,
}

impl Granted {
    /// Everything granted, for `--explain` and the report. A folder's name in the guest's
    /// eyes may be one that no permission can have, such as `..`.
    pub(crate) fn shown(&self) -> Vec<String> {
        let permissions = self.permissions.iter().map(ToString::to_string);
        permissions.chain(self.grants.preopens.iter().map(show_folder)).collect()
    }

    /// What an operator should know before such a guest runs: else it would only be
    /// silent. `None` where nothing is kept back.
    pub(crate) fn notice(&self, artifact: &str) -> Option<String> {
        let (_, policy) = self.kept_back.iter().max_by_key(|(_, policy)| policy.is_some())?;
        let names = |these: &dyn Fn(&KeptBack) -> bool| {
            let these = self.kept_back.iter().filter(|one| these(one));
            these.map(|(permission, _)| permission.to_string()).collect::<Vec<_>>().join(",")
        };
        let mut reasons = Vec::new();
        let mut hints = Vec::new();
        let undeclared = names(&|(_, policy)| policy.is_none());
        if !undeclared.is_empty() {
            reasons.push(format!("it does not declare that it needs {undeclared}"));
            let more = self.kept_back.iter().filter(|(_, policy)| policy.is_none());
            let all = needs_with(&self.declared, more.map(|(permission, _)| permission));
            hints.push(format!("bls-compile --needs {all} app.wasm declares it"));
        }
        if let Some(path) = policy {
            let forbidden = names(&|(_, policy)| policy.is_some());
            reasons.push(format!("{} does not allow {forbidden}", path.display()));
        }
        let deniable = names(&|(permission, _)| permission.capability().is_default());
        if !deniable.is_empty() {
            hints.push(format!("--deny {deniable} keeps it back without a word"));
        }
        let mut text = format!(
            "bls-load: grant: {artifact} may use more than it gets: {}",
            reasons.join("; ")
        );
        if !hints.is_empty() {
            text += &format!("\nhint: {}", hints.join("; "));
        }
        Some(text)
    }
}

/// Folders that were opened and judged once, for every guest that gets the same. Only
/// [`hold`] makes some, and they count only beside the rules they were judged by.
#[derive(Debug, Default)]
pub(crate) struct Held(Vec<(Folder, Preopen)>);

impl Held {
    /// The folders, open.
    #[cfg(feature = "pool")]
    pub(crate) fn preopens(&self) -> impl Iterator<Item = &Preopen> {
        self.0.iter().map(|(_, preopen)| preopen)
    }

    /// This one, open once more.
    fn again(&self, folder: &Folder) -> Option<std::io::Result<Preopen>> {
        let (_, held) = self.0.iter().find(|(known, _)| known == folder)?;
        Some(held.again())
    }
}

/// Opens and judges the folders that are asked for here, and those of the policies.
#[cfg(feature = "pool")]
pub(crate) fn hold(request: &Request, rules: &Rules, facts: &Facts) -> Result<Held, GrantError> {
    let none = Held::default();
    let decision = Decision::of(request, rules, facts, &none);
    decision.folders(&mut Vec::new()).map(Held)
}

/// Decides what the guest gets.
pub(crate) fn grant(
    request: &Request,
    rules: &Rules,
    limits: &RunLimits,
    facts: &Facts,
) -> Result<Granted, GrantError> {
    grant_of(request, rules, limits, facts, &Held::default())
}

/// The same where some folders are open already.
pub(crate) fn grant_of(
    request: &Request,
    rules: &Rules,
    limits: &RunLimits,
    facts: &Facts,
    held: &Held,
) -> Result<Granted, GrantError> {
    let requires = |one| rules.requires(one) || request.require.contains(&one);
    check_artifact(&requires, facts)?;
    let needs = &facts.manifest.needs;
    let decision = Decision::of(request, rules, facts, held);
    let may_use = &facts.manifest.may_use;

    let withheld: Vec<Capability> = Capability::DEFAULT
        .into_iter()
        .filter(|capability| decision.withholds(*capability))
        .collect();
    let mut permissions: Vec<Permission> = Capability::DEFAULT
        .into_iter()
        .filter(|capability| !withheld.contains(capability))
        .map(Permission::all)
        .collect();
    let mut kept_back: Vec<KeptBack> = withheld
        .iter()
        .filter(|capability| !request.denied.contains(capability))
        .map(|capability| Permission::all(*capability))
        .map(|permission| decision.kept_back(permission))
        .collect();
    let env = decision.environment(&mut permissions, &mut kept_back)?;
    let folders = decision.folders(&mut kept_back)?;
    let preopens: Vec<Preopen> = folders.into_iter().map(|(_, preopen)| preopen).collect();
    let beyond = match built::NETWORK {
        true => decision.beyond(may_use, needs, &mut permissions)?,
        // What was asked for has been refused, or is not looked at.
        false => Decided::nothing(),
    };
    kept_back.retain(|(one, _)| may_use.contains(&one.capability()));
    decision.check_needs(needs, &preopens, &permissions, &facts.name)?;

    if request.own_stdin && withheld.contains(&Capability::Stdin) {
        return Err(decision.stdin_refused());
    }
    let args = match withheld.contains(&Capability::Arguments) {
        true => Vec::new(),
        false => arguments(request),
    };
    let grants = Grants {
        args,
        env,
        preopens,
        listeners: beyond.listeners,
        reach: beyond.reach,
        listed: beyond.listed,
        streams: Streams::default(),
        withheld,
        output_max: limits.output,
        descriptors_max: limits.descriptors,
        determinism: request.determinism,
        accounting: None,
    };
    let (declared, asking) = (needs.clone(), beyond.asking);
    Ok(Granted { grants, permissions, kept_back, declared, asking })
}

/// Refuses what the operator demands and the artifact is not.
fn check_artifact(requires: &dyn Fn(Requirement) -> bool, facts: &Facts) -> Result<(), GrantError> {
    if requires(Requirement::Fuel) && facts.manifest.fuel.is_none() {
        return Err(GrantError::NotMetered(facts.name.clone()));
    }
    if requires(Requirement::Deterministic) && !facts.part().profile.canonical_nans() {
        return Err(GrantError::NotDeterministic(facts.name.clone()));
    }
    if requires(Requirement::ControlFlow) && !facts.manifest.keeps_control_flow(facts.part()) {
        return Err(GrantError::NoControlFlow(facts.name.clone()));
    }
    Ok(())
}

/// The argument list: argument 0, and what stands behind it.
fn arguments(request: &Request) -> Vec<Vec<u8>> {
    std::iter::once(&request.program)
        .chain(&request.arguments)
        .map(|word| word.as_bytes().to_vec())
        .collect()
}

/// Everything that has a say.
struct Decision<'a> {
    request: &'a Request,
    rules: &'a Rules,
    /// What the artifact declares, where it gets nothing else.
    declared: Option<&'a [Permission]>,
    /// Folders that are open already.
    held: &'a Held,
}

impl<'a> Decision<'a> {
    fn of(request: &'a Request, rules: &'a Rules, facts: &'a Facts, held: &'a Held) -> Self {
        let only = Requirement::OnlyDeclared;
        let only = rules.requires(only) || request.require.contains(&only);
        let declared = only.then_some(facts.manifest.needs.as_slice());
        Self { request, rules, declared, held }
    }

    /// Whether a default grant is kept back.
    fn withholds(&self, capability: Capability) -> bool {
        let all = Permission::all(capability);
        self.request.denied.contains(&capability)
            || self.rules.forbids(&all).is_some()
            || !self.declares(&all)
    }

    /// What is kept back, and why.
    fn kept_back(&self, permission: Permission) -> KeptBack {
        let policy = self.rules.forbids(&permission).map(Path::to_owned);
        (permission, policy)
    }

    /// Whether nothing but what is declared is granted, and this is not.
    fn declares(&self, wanted: &Permission) -> bool {
        self.declared.is_none_or(|needs| needs.iter().any(|need| need.covers(wanted)))
    }

    /// Whether an option or a policy demands this.
    fn requires(&self, one: Requirement) -> bool {
        self.rules.requires(one) || self.request.require.contains(&one)
    }

    /// Judges what an option asks for.
    fn check(&self, wanted: &Permission) -> Result<(), GrantError> {
        if let Some(path) = self.rules.forbids(wanted) {
            return Err(GrantError::Forbidden(wanted.to_string(), path.to_owned()));
        }
        if !self.declares(wanted) {
            return Err(self.not_declared(wanted));
        }
        Ok(())
    }

    /// Why an option for this is refused where only what is declared is granted.
    fn not_declared(&self, wanted: &Permission) -> GrantError {
        let all = needs_with(self.declared.unwrap_or_default(), [wanted]);
        GrantError::NotDeclared(wanted.to_string(), all)
    }

    /// Why standard input cannot come from where an option says.
    fn stdin_refused(&self) -> GrantError {
        let stdin = Permission::all(Capability::Stdin);
        match self.check(&stdin) {
            Err(error) => error,
            Ok(()) => GrantError::Needs("--stdin".into(), vec![(stdin, Missing::Denied)]),
        }
    }

    /// Variables: the policies', then the options', the last word about one counting.
    fn environment(
        &self,
        permissions: &mut Vec<Permission>,
        kept_back: &mut Vec<KeptBack>,
    ) -> Result<Vec<Variable>, GrantError> {
        let permission = |name: &str| Permission::scoped(Capability::Environment, name);
        let mut environment: Vec<Variable> = Vec::new();
        let mut add = |name: &[u8], value: Vec<u8>| {
            environment.retain(|(known, _)| known != name);
            environment.push((name.to_vec(), value));
        };
        for (name, value) in self.rules.variables() {
            // What nobody asked for is left out rather than refused.
            match permission(name) {
                Ok(wanted) if self.check(&wanted).is_ok() => {
                    add(name.as_bytes(), value.as_bytes().to_vec());
                }
                Ok(wanted) => kept_back.push(self.kept_back(wanted)),
                Err(_) => {}
            }
        }
        for (name, given) in &self.request.variables {
            self.check(&variable_permission(name))?;
            let value = match given {
                Some(value) => value.clone(),
                None => std::env::var_os(name).ok_or_else(|| GrantError::Variable(name.clone()))?,
            };
            add(name.as_bytes(), value.into_vec());
        }
        for (name, _) in &environment {
            permissions.extend(permission(&String::from_utf8_lossy(name)).ok());
        }
        Ok(environment)
    }

    /// Folders: the policies', then the options'; of two with one name, the last.
    fn folders(&self, kept_back: &mut Vec<KeptBack>) -> Result<Vec<(Folder, Preopen)>, GrantError> {
        let by_policy = self.rules.folders().map(|(path, folder)| {
            let (host, guest) = (folder.host.clone().into(), folder.guest.clone().into());
            (Folder { host, below: PathBuf::new(), guest, read_only: !folder.write }, Some(path))
        });
        let by_option = self.request.folders.iter().map(|folder| (folder.clone(), None));
        let mut all: Vec<(Folder, Preopen)> = Vec::new();
        for (folder, policy) in by_policy.chain(by_option) {
            let path = folder.path();
            let guest_path = folder.guest.clone().into_string().map_err(GrantError::GuestPath)?;
            let wanted = folder_permission(&guest_path, folder.read_only);
            if !wanted.as_ref().map_or(self.declared.is_none(), |wanted| self.declares(wanted)) {
                if policy.is_some() {
                    kept_back.extend(wanted.map(|wanted| (wanted, None)));
                    continue;
                }
                return Err(match wanted {
                    Some(wanted) => self.not_declared(&wanted),
                    // No need can name it.
                    None => GrantError::NotDeclared(guest_path.clone(), guest_path),
                });
            }
            let policy = policy.map(Path::to_owned);
            let unreadable = |error| GrantError::Folder(path.clone(), error, policy.clone());
            all.retain(|(_, known)| known.guest_path != guest_path);
            if let Some(held) = self.held.again(&folder) {
                all.push((folder, held.map_err(unreadable)?));
                continue;
            }
            let dir = open(&folder.host, &folder.below).map_err(unreadable)?;
            if let Some(kernel) =
                kernel_filesystem(&dir).map_err(|error| unreadable(error.into()))?
            {
                return Err(GrantError::Kernel(path, kernel, policy));
            }
            self.check_host_path(&path, &dir, folder.read_only)?;
            let opened = Preopen::new(dir, guest_path, folder.read_only).map_err(unreadable)?;
            all.push((folder, opened));
        }
        check_contradictions(&all)?;
        // It counts for all of them.
        if let Some((_, first)) = all.first_mut() {
            for path in &self.request.hidden {
                let unreadable = |error| GrantError::Folder(path.clone(), error, None);
                let flags = OFlags::PATH | OFlags::CLOEXEC;
                let identity = rustix::fs::open(path, flags, Mode::empty()).and_then(Identity::of);
                first.hidden.push(identity.map_err(|error| unreadable(error.into()))?);
            }
        }
        Ok(all)
    }

    /// Holds an open folder against the policies: by where it really is.
    fn check_host_path(
        &self,
        host: &Path,
        dir: &cap_std::fs::Dir,
        read_only: bool,
    ) -> Result<(), GrantError> {
        let kind = if read_only { Capability::FilesRead } else { Capability::FilesWrite };
        if self.rules.forbids(&Permission::all(kind)).is_none() {
            return Ok(());
        }
        let link = format!("/proc/self/fd/{}", dir.as_raw_fd());
        let real = readlinkat(rustix::fs::CWD, link, Vec::new())
            .map_err(|error| GrantError::Folder(host.to_owned(), error.into(), None))?;
        let real = real.to_string_lossy();
        // A path that no policy can name is one that none allows.
        let wanted = Permission::scoped(kind, &real).unwrap_or_else(|_| Permission::all(kind));
        match self.rules.forbids(&wanted) {
            Some(path) => Err(GrantError::Forbidden(wanted.to_string(), path.to_owned())),
            None => Ok(()),
        }
    }

    /// Refuses a guest that needs more than it gets.
    fn check_needs(
        &self,
        needs: &[Permission],
        preopens: &[Preopen],
        permissions: &[Permission],
        artifact: &str,
    ) -> Result<(), GrantError> {
        let met = |need: &Permission| match need.capability() {
            Capability::FilesRead | Capability::FilesWrite => folder_for(need, preopens),
            _ => beyond::is_met(need, permissions, self.request),
        };
        let missing: Vec<(Permission, Missing)> = needs
            .iter()
            .filter(|need| !met(need))
            .map(|need| (need.clone(), self.why_missing(need)))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(GrantError::Needs(artifact.to_owned(), missing))
    }

    fn why_missing(&self, need: &Permission) -> Missing {
        if self.request.denied.contains(&need.capability()) {
            return Missing::Denied;
        }
        // A policy names folders by their paths on this machine.
        let wanted = match need.capability() {
            Capability::FilesRead | Capability::FilesWrite => return Missing::NotGranted,
            _ => need,
        };
        match self.rules.forbids(wanted) {
            Some(path) => Missing::Forbidden(path.to_owned()),
            None => Missing::NotGranted,
        }
    }
}

/// What a variable takes. One whose name no policy can name is one that none allows.
fn variable_permission(name: &OsStr) -> Permission {
    Permission::scoped(Capability::Environment, &name.to_string_lossy())
        .unwrap_or_else(|_| Permission::all(Capability::Environment))
}

/// What a folder in a guest's eyes permits; `None` for a path without plain form.
fn folder_permission(guest_path: &str, read_only: bool) -> Option<Permission> {
    let kind = if read_only { Capability::FilesRead } else { Capability::FilesWrite };
    Permission::scoped(kind, &plain_path(guest_path)?).ok()
}

/// The same as it is shown: by the name itself where there is no plain form.
fn show_folder(preopen: &Preopen) -> String {
    match folder_permission(&preopen.guest_path, preopen.read_only) {
        Some(permission) => permission.to_string(),
        None if preopen.read_only => format!("{}:{}", Capability::FilesRead, preopen.guest_path),
        None => format!("{}:{}", Capability::FilesWrite, preopen.guest_path),
    }
}

/// Opens the folder `host`, or one below it, by a way that goes through no link.
fn open(host: &Path, below: &Path) -> std::io::Result<cap_std::fs::Dir> {
    let dir = cap_std::fs::Dir::open_ambient_dir(host, cap_std::ambient_authority())?;
    below.components().try_fold(dir, |dir, name| {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let inner = rustix::fs::openat(&dir, name.as_os_str(), flags, Mode::empty())?;
        Ok(cap_std::fs::Dir::from_std_file(inner.into()))
    })
}

/// Refuses one folder that is granted both to be changed and only to be read: neither
/// promise could hold. (Of two that lie in each other the inner one decides.)
fn check_contradictions(folders: &[(Folder, Preopen)]) -> Result<(), GrantError> {
    for (index, (_, one)) in folders.iter().enumerate() {
        let mut behind = folders[index + 1..].iter().map(|(_, other)| other);
        let same =
            |other: &&Preopen| other.identity == one.identity && other.read_only != one.read_only;
        if let Some(other) = behind.find(same) {
            let (one, other) = (show_folder(one), show_folder(other));
            return Err(GrantError::Contradiction(one, other));
        }
    }
    Ok(())
}

/// Whether the folder in which a guest finds the needed path, the innermost one that
/// holds it, permits what is needed.
fn folder_for(need: &Permission, preopens: &[Preopen]) -> bool {
    let wanted = need.scope().unwrap_or_default();
    let plain = |preopen: &Preopen| plain_path(&preopen.guest_path);
    let innermost = preopens
        .iter()
        .filter(|preopen| plain(preopen).is_some_and(|above| path_covers(&above, wanted)))
        .max_by_key(|preopen| plain(preopen).map_or(0, |path| path.len()));
    innermost
        .is_some_and(|preopen| need.capability() == Capability::FilesRead || !preopen.read_only)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::StageError as _;
    use crate::verify::tests::manifest;
    use crate::verify::{Integrity, Standing};
    use bls_artifact::control_flow;
    use bls_artifact::digest::Sha256;
    use bls_artifact::target::Target;

    #[test]
    fn code_that_is_not_said_to_keep_control_flow_is_refused_where_that_is_demanded() {
        let judge = |target: Target, says: bool, demands: bool| {
            let mut manifest = manifest();
            manifest.parts[0].target = target;
            if says {
                let (name, value) = (control_flow::EXTENSION, control_flow::VERSION);
                let _ = manifest.extensions.insert(name.into(), value.into());
            }
            let facts = Facts {
                name: "app".into(),
                manifest,
                identity: Sha256::of(b""),
                file_digest: None,
                key_ids: Vec::new(),
                author_ids: Vec::new(),
                chosen: 0,
                standings: vec![Standing::Chosen],
                integrity: Integrity::Copy(None),
            };
            let requires = |one| demands && one == Requirement::ControlFlow;
            check_artifact(&requires, &facts).map_err(|error| error.code())
        };
        for target in [Target::X86_64, Target::Riscv64, Target::S390x] {
            assert_eq!(judge(target, false, true), Ok(()));
        }
        assert_eq!(judge(Target::Aarch64, true, true), Ok(()));
        assert_eq!(judge(Target::Aarch64, false, false), Ok(()));
        assert_eq!(judge(Target::Aarch64, false, true), Err("grant.no-control-flow"));
    }
}
