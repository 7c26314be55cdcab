//! The table of everything that is malformed: `fixtures/malformed/README.md`.
//!
//! Made from the rows that the tests run, so it says what they hold and nothing else.

use super::{Defect, Kind, Situation, defects, situations};

const HEAD: &str = "\
# What bls-load must refuse

One row for each defect. A row is a file of its name (`.bls`, an artifact), a file beside
it that makes it one to be refused, or both; without an artifact of its own it is
`base/hello.bls`. What is in no file's bytes is built by a test from a good artifact.

| beside the artifact | is |
|---|---|
| `.trust.json` | the trust file, given by `--trust` |
| `.trust.state.json` | what was accepted in that place: both lie in a user's own folder |
| `.record` | what the store has seen of the name `hello`: it is `STORE/names/hello` |
| `.policy.json` | an operator's policy, given by `--policy` |
| `.blsd` | a delta, for `install --delta`, where the artifact is installed |

The code stands in the last line of what bls-load prints, and in its report; the sentence
holds these words. Tests are in `tests/tests/`: `malformed::…` is in `malformed.rs`. A code of
`-` means that it does not matter to a run: the words are what its test sees.

This file is made from `tests/src/malformed/`; `fixtures/README.md` says how.

| row | files, options, or what is built | code | words | test |
|---|---|---|---|---|
";

/// The text of the table.
#[must_use]
pub fn table() -> String {
    let mut text = HEAD.to_owned();
    defects().iter().for_each(|defect| text += &of_defect(defect));
    situations().iter().for_each(|situation| text += &of_situation(situation));
    text
}

fn of_defect(defect: &Defect) -> String {
    let mut parts: Vec<String> =
        defect.kinds().map(|kind: Kind| format!("`.{}`", kind.ending())).collect();
    if !defect.options.is_empty() {
        parts.push(format!("`{}`", defect.options.join(" ")));
    }
    if defect.is_for_install {
        parts.push("`install`".to_owned());
    }
    let test = match (defect.is_of_a_place(), defect.is_of_a_delta()) {
        (true, _) => "`malformed::what_is_wrong_in_a_place_is_refused_by_name`",
        (_, true) => "`malformed::every_delta_is_refused_and_changes_nothing`",
        _ => "`malformed::every_file_is_refused_by_its_name`",
    };
    row(defect.name, &parts.join(", "), defect.code, defect.says, test)
}

fn of_situation(situation: &Situation) -> String {
    let (file, test) = situation.test;
    let code = situation.code.unwrap_or("-");
    row(situation.name, situation.built, code, situation.says, &format!("`{file}::{test}`"))
}

fn row(name: &str, what: &str, code: &str, says: &str, test: &str) -> String {
    let code = if code == "-" { code.to_owned() } else { format!("`{code}`") };
    format!("| {name} | {what} | {code} | {} | {test} |\n", says.replace('|', "\\|"))
}
