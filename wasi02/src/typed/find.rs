//! Which function a text calls.
//!
//! A function of the component itself is called by its name; one of an interface too, where no
//! other has that name, or by `INTERFACE.FUNCTION` with or without the interface's version at
//! the end, or by `INTERFACE#FUNCTION`, with or without the version behind the interface.

use super::NoCall;
use super::types::{Function, Types};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// As many are listed at most.
const LISTED: usize = 200;

/// All functions with their types, a line for each.
pub(super) fn list(types: &Types, to: &mut String) {
    for function in types.functions.iter().take(LISTED) {
        to.push_str("  ");
        types.show_function(function, to);
        to.push('\n');
    }
    let more = types.functions.len().saturating_sub(LISTED);
    if more > 0 {
        to.push_str(&format!("  and {more} more\n"));
    }
}

/// The number of the function, and where its values begin: at the parenthesis.
pub(super) fn find(types: &Types, text: &str) -> Result<(usize, usize), NoCall> {
    let begin = text.find('(').unwrap_or(text.len());
    let name = text[..begin].trim();
    let mut found: Vec<usize> = all(types, |function| {
        function.interface.is_empty() && function.name == name || is_path(function, name)
    });
    if found.is_empty() {
        found = all(types, |function| function.name == name);
    }
    match *found {
        [function] if begin < text.len() => Ok((function, begin)),
        [function] => {
            let values = if types.functions[function].parameters.is_empty() { "" } else { "…" };
            let said = format!("the values are missing: write {name}({values})");
            Err(NoCall(said, Some(function)))
        }
        [] => Err(unknown(types, name)),
        _ => {
            let paths: Vec<String> =
                found.iter().map(|function| types.functions[*function].path()).collect();
            let said = format!("{name} is the name of several functions: {}", paths.join(", "));
            Err(NoCall(said, None))
        }
    }
}

fn all(types: &Types, is_it: impl Fn(&Function) -> bool) -> Vec<usize> {
    let functions = types.functions.iter().enumerate();
    functions.filter(|(_, function)| is_it(function)).map(|(number, _)| number).collect()
}

/// Whether a name is a function's with its interface's.
fn is_path(function: &Function, name: &str) -> bool {
    let interface = &*function.interface;
    if interface.is_empty() {
        return false;
    }
    let plain = interface.split('@').next().unwrap_or_default();
    let is_behind = |before: &str, mark: &str| {
        let rest = name.strip_prefix(before).and_then(|rest| rest.strip_prefix(mark));
        rest == Some(&function.name)
    };
    is_behind(interface, "#")
        || is_behind(plain, "#")
        || is_behind(plain, ".")
        || function.path() == name
}

fn unknown(types: &Types, name: &str) -> NoCall {
    let mut said = format!("there is no function {name:?}");
    if name.is_empty() {
        said = String::from("there is no name before the values");
    }
    let names =
        types.functions.iter().flat_map(|function| [function.name.clone(), function.path()]);
    let nearest = names.map(|one| (distance(name, &one), one)).min_by_key(|(far, _)| *far);
    if let Some((far, one)) = nearest
        && far * 3 <= name.len().max(3)
    {
        said.push_str(&format!("; is it {one}?"));
    }
    said.push_str("\nthe library exports:\n");
    list(types, &mut said);
    // A line ends behind it.
    said.pop();
    NoCall(said, None)
}

/// How many letters have to be changed, taken out or put in.
fn distance(one: &str, other: &str) -> usize {
    /// Longer names are near to nothing.
    const LONGEST: usize = 200;
    if one.len().max(other.len()) > LONGEST {
        return usize::MAX / 4;
    }
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut corner = row[0];
        row[0] = at + 1;
        for (column, wanted) in other.iter().enumerate() {
            let kept = corner + usize::from(letter != *wanted);
            corner = row[column + 1];
            row[column + 1] = kept.min(corner + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}
