//! `wasi:http/types.fields`: names and values of a message.
//!
//! Names are tokens and in lower case, values have no control characters (RFC 9110, sections 5.1
//! and 5.5), so that no line ends inside of one. Guarantees that values of one name stand together,
//! in the order in which they came.

use crate::guest::{Caller, Record};
use crate::objects::{self, Kind, Object};
use crate::{handles, trap};
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

/// What a program may not send: it belongs to the connection, or says whom it is for.
const FORBIDDEN: [&str; 9] = [
    "connection",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

/// Names and values.
pub(super) type List = Vec<(String, Vec<u8>)>;

/// Fields that a program holds.
pub(crate) struct Fields {
    list: Rc<List>,
    is_fixed: bool,
}

/// `header-error`
#[derive(Clone, Copy)]
#[repr(u8)]
enum Wrong {
    Syntax,
    Forbidden,
    Immutable,
}

impl Fields {
    /// Fields that stay as they are.
    pub(super) fn fixed(list: &Rc<List>) -> Self {
        Self { list: list.clone(), is_fixed: true }
    }

    /// The list, of which a copy is made where others have it too.
    fn list(&mut self) -> Result<&mut List, Wrong> {
        if self.is_fixed { Err(Wrong::Immutable) } else { Ok(Rc::make_mut(&mut self.list)) }
    }
}

/// A handle of the fields of a message, which stay as they are.
pub(super) fn give(caller: Caller, list: &Rc<List>) -> u32 {
    let fields = Object::Fields(Fields::fixed(list));
    handles::own(caller, Kind::Fields, objects::insert(fields))
}

/// What a program gives away.
pub(super) fn taken(caller: Caller, handle: u32) -> Rc<List> {
    match objects::take(handles::take(caller, Kind::Fields, handle)) {
        Object::Fields(fields) => fields.list,
        _ => trap(),
    }
}

/// Puts a value behind those of its name.
pub(super) fn append(list: &mut List, name: String, value: Vec<u8>) {
    let last = list.iter().rposition(|(one, _)| *one == name);
    list.insert(last.map_or(list.len(), |last| last + 1), (name, value));
}

/// The length of a body, where a field says it; `Err` where what it says is none.
pub(super) fn content_length(list: &List) -> Result<Option<u64>, ()> {
    let Some((_, value)) = list.iter().find(|(name, _)| name == "content-length") else {
        return Ok(None);
    };
    number(value).map(Some).ok_or(())
}

/// A number of decimal digits alone.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// A name in lower case; nothing where it is none.
pub(super) fn name(text: &[u8]) -> Option<String> {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if text.is_empty() || !text.iter().all(is_token) {
        return None;
    }
    String::from_utf8(text.to_ascii_lowercase()).ok()
}

fn is_value(value: &[u8]) -> bool {
    value.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f))
}

/// Whether a program gets to see a field of the request: those that it may not set itself, it
/// does not.
pub(super) fn is_received(name: &str) -> bool {
    !FORBIDDEN.contains(&name)
}

/// A name that a program may set.
fn settable(text: &str) -> Result<String, Wrong> {
    let name = name(text.as_bytes()).ok_or(Wrong::Syntax)?;
    if FORBIDDEN.contains(&&*name) { Err(Wrong::Forbidden) } else { Ok(name) }
}

fn checked(value: Vec<u8>) -> Result<Vec<u8>, Wrong> {
    if is_value(&value) { Ok(value) } else { Err(Wrong::Syntax) }
}

fn fields(caller: Caller, handle: u32) -> &'static mut Fields {
    match objects::get(handles::rep_of(caller, Kind::Fields, handle)) {
        Object::Fields(fields) => fields,
        _ => trap(),
    }
}

fn own(caller: Caller, list: List) -> u32 {
    let fields = Object::Fields(Fields { list: Rc::new(list), is_fixed: false });
    handles::own(caller, Kind::Fields, objects::insert(fields))
}

/// `result<_, header-error>`
fn answer(caller: Caller, to: u32, done: Result<(), Wrong>) {
    let record: Record<2> = match done {
        Ok(()) => Record::new(),
        Err(wrong) => Record::new().u8(0, 1).u8(1, wrong as u8),
    };
    caller.record(to, 1, &record);
}

#[unsafe(export_name = "wasi:http/types#[constructor]fields")]
extern "C" fn new(caller: Caller) -> u32 {
    own(caller, List::new())
}

#[unsafe(export_name = "wasi:http/types#[static]fields.from-list")]
extern "C" fn from_list(caller: Caller, from: u32, count: u32, to: u32) {
    let words = caller.words(from, count.checked_mul(4).unwrap_or_else(|| trap()));
    let (records, _) = words.as_chunks::<4>();
    // All of it is read before any of it is judged.
    let given = records.iter().map(|[name, name_length, value, length]| {
        (caller.text(*name, *name_length), caller.bytes(*value, *length as usize))
    });
    let given: List = given.collect();
    let mut list = List::new();
    let made: Result<(), Wrong> = given.into_iter().try_for_each(|(name, value)| {
        append(&mut list, settable(&name)?, checked(value)?);
        Ok(())
    });
    let record: Record<8> = match made {
        Ok(()) => Record::new().u32(4, own(caller, list)),
        Err(wrong) => Record::new().u8(0, 1).u8(4, wrong as u8),
    };
    caller.record(to, 4, &record);
}

/// A list of lists of bytes.
fn give_values<'v>(caller: Caller, to: u32, values: impl Iterator<Item = &'v [u8]>) {
    let values: Vec<Vec<u8>> = values.map(<[u8]>::to_vec).collect();
    let list = caller.room(4, values.len() * 8);
    let mut records = Vec::with_capacity(values.len() * 8);
    for value in &values {
        let given = (caller.give(value), value.len() as u32);
        records.extend_from_slice(Record::<8>::new().list(0, given).bytes());
    }
    caller.put(list, &records);
    caller.record(to, 4, &Record::<8>::new().list(0, (list, values.len() as u32)));
}

#[unsafe(export_name = "wasi:http/types#[method]fields.get")]
extern "C" fn get(caller: Caller, this: u32, from: u32, length: u32, to: u32) {
    let wanted = name(caller.text(from, length).as_bytes());
    let list = fields(caller, this).list.clone();
    let found = list.iter().filter(|(name, _)| Some(name) == wanted.as_ref());
    give_values(caller, to, found.map(|(_, value)| &**value));
}

#[unsafe(export_name = "wasi:http/types#[method]fields.has")]
extern "C" fn has(caller: Caller, this: u32, from: u32, length: u32) -> u32 {
    let wanted = name(caller.text(from, length).as_bytes());
    let list = &fields(caller, this).list;
    u32::from(list.iter().any(|(name, _)| Some(name) == wanted.as_ref()))
}

#[unsafe(export_name = "wasi:http/types#[method]fields.set")]
extern "C" fn set(
    caller: Caller,
    this: u32,
    from: u32,
    length: u32,
    values: u32,
    count: u32,
    to: u32,
) {
    let text = caller.text(from, length);
    let words = caller.words(values, count.checked_mul(2).unwrap_or_else(|| trap()));
    let (values, _) = words.as_chunks::<2>();
    let values = values.iter().map(|[from, length]| caller.bytes(*from, *length as usize));
    let values: Vec<Vec<u8>> = values.collect();
    let fields = fields(caller, this);
    let done = settable(&text).and_then(|name| {
        let list = fields.list()?;
        let values = values.into_iter().map(checked).collect::<Result<Vec<_>, _>>()?;
        let first = list.iter().position(|(one, _)| *one == name).unwrap_or(list.len());
        list.retain(|(one, _)| *one != name);
        let values = values.into_iter().map(|value| (name.clone(), value));
        list.splice(first..first, values);
        Ok(())
    });
    answer(caller, to, done);
}

#[unsafe(export_name = "wasi:http/types#[method]fields.delete")]
extern "C" fn delete(caller: Caller, this: u32, from: u32, length: u32, to: u32) {
    let text = caller.text(from, length);
    let fields = fields(caller, this);
    let done = settable(&text)
        .and_then(|name| fields.list().map(|list| list.retain(|(one, _)| *one != name)));
    answer(caller, to, done);
}

#[unsafe(export_name = "wasi:http/types#[method]fields.append")]
extern "C" fn append_value(
    caller: Caller,
    this: u32,
    from: u32,
    length: u32,
    value: u32,
    value_length: u32,
    to: u32,
) {
    let text = caller.text(from, length);
    let value = caller.bytes(value, value_length as usize);
    let fields = fields(caller, this);
    let done = settable(&text).and_then(|name| {
        let value = checked(value)?;
        append(fields.list()?, name, value);
        Ok(())
    });
    answer(caller, to, done);
}

#[unsafe(export_name = "wasi:http/types#[method]fields.entries")]
extern "C" fn entries(caller: Caller, this: u32, to: u32) {
    let all = fields(caller, this).list.clone();
    let list = caller.room(4, all.len() * 16);
    let mut records = Vec::with_capacity(all.len() * 16);
    for (name, value) in all.iter() {
        let name = caller.give_text(name);
        let value = (caller.give(value), value.len() as u32);
        records.extend_from_slice(Record::<16>::new().list(0, name).list(8, value).bytes());
    }
    caller.put(list, &records);
    caller.record(to, 4, &Record::<8>::new().list(0, (list, all.len() as u32)));
}

#[unsafe(export_name = "wasi:http/types#[method]fields.clone")]
extern "C" fn clone(caller: Caller, this: u32) -> u32 {
    let list = List::clone(&fields(caller, this).list);
    own(caller, list)
}
