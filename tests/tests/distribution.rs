//! Artifacts through one cache and one registry by clients at once, of whom some are killed, and
//! with full disks: nothing is lost, and nothing is half there. `cargo xtask bench distribution`
//! does the same with a thousand.

use bls_tests::distribution::{Plan, run};

#[test]
fn nothing_is_lost_and_nothing_half_installed() {
    let Some(figures) = run(Plan { artifacts: 60, clients: 8 }) else { return };
    for phase in &figures.phases {
        let (killed, full) = (phase.killed, phase.full);
        println!("{}: {:?}, {killed} killed, {full} without room", phase.name, phase.time);
    }
    let killed: usize = figures.phases.iter().map(|phase| phase.killed).sum();
    assert!(killed > 0, "nothing was killed in time");
    assert!(figures.registry > figures.artifacts / 2 && figures.cache >= figures.artifacts / 2);
}
