//! Which operator of one module stands where in another one: pairs of places.
//!
//! For a module that was made of another one by putting texts between its operators: each stage
//! that does so knows its own texts, and this walks over both modules side by side. May assume
//! what the stages prove: that without those texts the two have the same operators.

use wasmparser::{BinaryReaderError, FunctionBody, Operator, Parser, Payload};

/// Of a function: where an operator begins in the module that was made, and where in the one it
/// was made of. Ascending by the first.
pub(crate) type Pairs = Vec<(u32, u32)>;

/// Whether an operator begins a text that was put in.
pub(crate) enum Text {
    /// It does not.
    None,
    /// So many more operators belong to it.
    More(usize),
    /// All up to the next `end` belong to it, and the one behind that.
    BehindEnd,
}

/// The bodies of all defined functions.
pub(crate) fn bodies(wasm: &[u8]) -> Result<Vec<FunctionBody<'_>>, BinaryReaderError> {
    let mut bodies = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::CodeSectionEntry(body) = payload? {
            bodies.push(body);
        }
    }
    Ok(bodies)
}

/// Pairs the operators of a function with those it was made of.
pub(crate) fn pairs(
    before: &FunctionBody<'_>,
    after: &FunctionBody<'_>,
    text: impl Fn(&Operator<'_>) -> Text,
) -> Result<Pairs, BinaryReaderError> {
    let mut pairs = Vec::new();
    let mut own = before.get_operators_reader()?;
    let mut reader = after.get_operators_reader()?;
    while !reader.eof() && !own.eof() {
        let place = reader.original_position() as u32;
        match text(&reader.read()?) {
            Text::None => {
                pairs.push((place, own.original_position() as u32));
                own.read()?;
            }
            Text::More(count) => {
                for _ in 0..count {
                    reader.read()?;
                }
            }
            Text::BehindEnd => {
                while !matches!(reader.read()?, Operator::End) {}
                reader.read()?;
            }
        }
    }
    Ok(pairs)
}

/// Where the operators of the last module stand in the first one, by where they do in between.
pub(crate) fn through(first: &[(u32, u32)], second: &[(u32, u32)]) -> Pairs {
    let follow = |(place, between): &(u32, u32)| {
        let at = first.binary_search_by_key(between, |(place, _)| *place).ok()?;
        Some((*place, first[at].1))
    };
    second.iter().filter_map(follow).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(body: &str) -> Vec<u8> {
        wat::parse_str(format!("(module (global (mut i32) i32.const 0) (func (local i32) {body}))"))
            .unwrap()
    }

    /// The operators that are paired, each with the one it was made of.
    fn paired(before: &str, after: &str, text: impl Fn(&Operator<'_>) -> Text) -> Vec<(u8, u8)> {
        let (before, after) = (module(before), module(after));
        let (own, made) = (bodies(&before).unwrap(), bodies(&after).unwrap());
        let pairs = pairs(&own[0], &made[0], text).unwrap();
        pairs.iter().map(|(made, own)| (after[*made as usize], before[*own as usize])).collect()
    }

    #[test]
    fn texts_are_passed_over() {
        let own = "nop global.get 0 drop";
        let same = [(0x01, 0x01), (0x23, 0x23), (0x1a, 0x1a), (0x0b, 0x0b)];
        assert_eq!(paired(own, own, |_| Text::None), same);
        let made = "nop global.get 0 i32.const 7 global.set 0 nop global.get 0 drop";
        let text = |operator: &Operator<'_>| match operator {
            Operator::I32Const { .. } => Text::More(2),
            _ => Text::None,
        };
        let found = paired("nop global.get 0 global.get 0 drop drop", made, text);
        assert_eq!(found[..3], [(0x01, 0x01), (0x23, 0x23), (0x23, 0x23)]);
        let made = "nop global.get 0 local.set 0 block nop br 0 end local.get 0 drop";
        let text = |operator: &Operator<'_>| match operator {
            Operator::LocalSet { .. } => Text::BehindEnd,
            _ => Text::None,
        };
        assert_eq!(paired(own, made, text), same);
    }

    #[test]
    fn what_was_put_in_leads_nowhere() {
        assert_eq!(through(&[(10, 1), (20, 2)], &[(5, 10), (6, 15), (7, 20)]), [(5, 1), (7, 2)]);
    }
}
