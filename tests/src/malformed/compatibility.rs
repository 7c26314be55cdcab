//! Artifacts for another machine, engine or fuel model, and ones that ask for more than
//! they say or get. All are signed by a trusted key.

use super::Defect;
use bls_artifact::capability::Permission;
use bls_artifact::digest::Sha256;
use bls_artifact::fuel::S_MAX;
use bls_artifact::manifest::{Fuel, Manifest};
use bls_artifact::target::{EngineProfile, Nans, Target};

pub(super) fn defects() -> Vec<Defect> {
    let mut all = machine();
    all.extend(metering());
    all.extend(demands());
    all
}

fn machine() -> Vec<Defect> {
    vec![
        Defect::new(
            "compatibility-architecture",
            "compatibility.architecture",
            "compiled for s390x-unknown-linux-gnu",
            |bases| bases.hello.with_manifest(|manifest| retarget(manifest, Target::S390x)),
        ),
        Defect::new(
            "compatibility-portable",
            "compatibility.portable",
            "this bls-load has no interpreter",
            |bases| bases.hello.with_manifest(|manifest| retarget(manifest, Target::Pulley64)),
        ),
        Defect::new(
            "compatibility-cpu-feature",
            "compatibility.cpu-feature",
            "this CPU lacks what its part for x86_64:v2+telepathy needs: telepathy",
            |bases| {
                bases.hello.with_manifest(|manifest| {
                    manifest.parts[0].cpu_features.push("has_telepathy".into());
                })
            },
        ),
        Defect::new(
            "compatibility-page-size",
            "compatibility.page-size",
            "pages of up to 512 bytes",
            |bases| bases.hello.with_manifest(|manifest| manifest.parts[0].page_size = 512),
        ),
        Defect::new("compatibility-engine", "compatibility.engine", "engine 47", |bases| {
            bases.hello.with_manifest(|manifest| manifest.parts[0].engine = "47".into())
        }),
        Defect::new(
            "compatibility-profile",
            "compatibility.profile",
            "engine settings this bls-load does not use",
            |bases| {
                bases.hello.with_manifest(|manifest| manifest.parts[0].profile.memory_guard = 0)
            },
        ),
    ]
}

fn metering() -> Vec<Defect> {
    vec![
        Defect::new(
            "compatibility-fuel-model",
            "compatibility.fuel-model",
            "the model \"bls-fuel-9\"",
            |bases| {
                let change = |fuel: &mut Fuel| fuel.model = "bls-fuel-9".into();
                bases.hello.with_manifest(|manifest| metered(manifest, change))
            },
        ),
        Defect::new("compatibility-fuel-plan", "compatibility.fuel-plan", "plan 99", |bases| {
            bases.hello.with_manifest(|manifest| metered(manifest, |fuel| fuel.plan = 99))
        }),
        Defect::new(
            "compatibility-cost-table",
            "compatibility.cost-table",
            "by the cost table",
            |bases| {
                let change = |fuel: &mut Fuel| fuel.cost_table = Sha256::of(b"cheap");
                bases.hello.with_manifest(|manifest| metered(manifest, change))
            },
        ),
        Defect::new(
            "compatibility-fuel-range",
            "compatibility.fuel-range",
            "signed fuel numbers are out of range",
            |bases| {
                let change = |fuel: &mut Fuel| fuel.overrun_max = S_MAX * 4;
                bases.hello.with_manifest(|manifest| metered(manifest, change))
            },
        ),
    ]
}

fn demands() -> Vec<Defect> {
    vec![
        Defect::new(
            "compatibility-undeclared-import",
            "link.undeclared-import",
            "the code imports wasi_snapshot_preview1.fd_write",
            |bases| bases.hello.with_manifest(|manifest| manifest.module.imports.clear()),
        ),
        Defect::new(
            "compatibility-import-by-another-name",
            "link.undeclared-import",
            "the code imports wasi_snapshot_preview1.fd_write",
            |bases| {
                bases.hello.with_manifest(|manifest| {
                    manifest.module.imports[0].name = "fd_read".into();
                })
            },
        ),
        Defect::new(
            "compatibility-capability-not-granted",
            "grant.need",
            "needs env:TOKEN, which is not granted",
            |bases| {
                bases.hello.with_manifest(|manifest| {
                    manifest.needs = vec![Permission::parse("env:TOKEN").expect("a permission")];
                })
            },
        ),
    ]
}

fn metered(manifest: &mut Manifest, change: impl FnOnce(&mut Fuel)) {
    change(manifest.fuel.as_mut().expect("a metered module"));
}

fn retarget(manifest: &mut Manifest, target: Target) {
    let part = &mut manifest.parts[0];
    part.target = target;
    part.cpu_features.clear();
    part.profile = EngineProfile::of(target, Nans::Canonical);
}
