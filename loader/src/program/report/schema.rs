//! The schema of reports, made of the form; and whether the one in the repository is that.
//!
//! `BLS_SCHEMA=write cargo test -p bls-loader schema` writes `loader/report.schema.json`.
//! The form says what each field is; here is said which of them go together.

use super::form::Report;
use schemars::Schema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// The schema that is given to whoever reads reports.
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/report.schema.json");

/// What a report as a whole is called.
pub(super) fn report(schema: &mut Schema) {
    schema.insert("title".into(), "Report of bls-load".into());
}

/// Of fuel there is a count or a lower bound.
pub(super) fn metered(schema: &mut Schema) {
    let ways = json!([
        { "required": ["consumed"], "properties": { "at_least": false } },
        {
            "required": ["at_least"],
            "properties": { "consumed": false, "left": false, "exact": { "const": false } },
        },
    ]);
    schema.insert("oneOf".into(), ways);
}

/// Each kind of end has its own fields.
pub(super) fn outcome(schema: &mut Schema) {
    let kinds: &[(&str, &[&str])] = &[
        ("exited", &["exit_code"]),
        ("trap", &["trap"]),
        ("out-of-fuel", &[]),
        ("limit", &["limit", "message"]),
        ("signal", &["signal"]),
        ("refused", &["error"]),
        ("failed", &["error"]),
        ("unfinished", &[]),
    ];
    fields_by_word(schema, "kind", kinds);
}

/// Each type of value has its own words.
pub(super) fn value(schema: &mut Schema) {
    let types: &[(&str, &[&str])] = &[
        ("i32", &["signed", "unsigned"]),
        ("i64", &["signed", "unsigned"]),
        ("f32", &["bits", "value"]),
        ("f64", &["bits", "value"]),
        ("v128", &["bits"]),
        ("reference", &["value"]),
    ];
    fields_by_word(schema, "type", types);
}

/// Says which of the fields that may be absent are there, by the word in field `word`.
fn fields_by_word(schema: &mut Schema, word: &str, table: &[(&str, &[&str])]) {
    let fields = schema.get("properties").and_then(Value::as_object).expect("fields");
    let always = schema.get("required").and_then(Value::as_array).expect("required fields");
    let optional: Vec<&String> =
        fields.keys().filter(|name| !always.iter().any(|other| other == *name)).collect();
    let ways = table.iter().map(|(this, has)| {
        let absent = optional.iter().filter(|name| !has.contains(&name.as_str()));
        let mut properties: serde_json::Map<String, Value> =
            absent.map(|name| ((*name).clone(), Value::Bool(false))).collect();
        properties.insert(word.to_owned(), json!({ "const": this }));
        json!({ "required": has, "properties": properties })
    });
    let ways = ways.collect();
    schema.insert("oneOf".into(), ways);
}

fn made() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<Report>().to_value();
    tidy(&mut schema);
    schema
}

/// Makes one line of each description, and says what the library does not see: a field that
/// may be absent is never null. `integrity.why` can be both.
fn tidy(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(tidy),
        Value::Object(schema) => {
            if let Some(Value::String(text)) = schema.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            let always = schema.get("required").and_then(Value::as_array).cloned();
            let always = always.unwrap_or_default();
            if let Some(Value::Object(fields)) = schema.get_mut("properties") {
                let may_be_absent =
                    |name: &str| !always.iter().any(|other| other == name) && name != "why";
                fields.iter_mut().filter(|(name, _)| may_be_absent(name)).for_each(|(_, field)| {
                    if let Value::Object(field) = field {
                        without_null(field);
                    }
                });
            }
            schema.values_mut().for_each(tidy);
        }
        _ => {}
    }
}

/// Takes null away from what a field may be.
fn without_null(field: &mut serde_json::Map<String, Value>) {
    if let Some(Value::Array(types)) = field.get_mut("type") {
        types.retain(|ty| ty != "null");
        if let [only] = &types[..] {
            let only = only.clone();
            field.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(ways)) = field.get_mut("anyOf") {
        ways.retain(|way| way["type"] != "null");
        if let [Value::Object(only)] = &ways[..] {
            let only = only.clone();
            field.remove("anyOf");
            field.extend(only);
        }
    }
}

#[test]
fn the_schema_is_the_one_that_the_form_makes() {
    let text = format!("{:#}\n", made());
    if std::env::var_os("BLS_SCHEMA").is_some_and(|what| what == "write") {
        std::fs::write(PATH, &text).unwrap();
    }
    let committed = std::fs::read_to_string(PATH).unwrap();
    assert!(
        committed == text,
        "{PATH} is not what the form makes; BLS_SCHEMA=write writes it:\n{text}"
    );
}

#[test]
fn every_field_is_described() {
    fn walk(path: &str, value: &Value, fields: &mut usize) {
        let Value::Object(all) = value else { return };
        for (name, inner) in all {
            let path = format!("{path}/{name}");
            if name == "properties" {
                for (field, schema) in inner.as_object().expect("an object") {
                    // What only says that a field is absent, or which word it is, beside
                    // where it is described.
                    if !path.contains("/oneOf/") || schema.get("type").is_some() {
                        let described = schema["description"].as_str();
                        assert!(described.is_some_and(|text| text.len() > 5), "{path}/{field}");
                        *fields += 1;
                    }
                    walk(&format!("{path}/{field}"), schema, fields);
                }
            } else if let Value::Array(list) = inner {
                list.iter().for_each(|inner| walk(&path, inner, fields));
            } else {
                walk(&path, inner, fields);
            }
        }
    }
    let mut fields = 0;
    walk("", &made(), &mut fields);
    assert!(fields > 60, "only {fields} fields were found");
}

#[test]
fn fields_stand_in_the_order_of_their_names() {
    // A map of serde_json is sorted: written again, nothing may move.
    let mut report = Report::default();
    report.microseconds.get_or_insert_default().run = Some(1);
    let text = serde_json::to_string(&report).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(text, value.to_string());
}
