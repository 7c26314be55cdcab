//! The component model's own tests, by the two programs: what is valid is compiled, what is not is
//! refused, and functions are called by their types and must give what the tests want.
//!
//! The tests are not here. `BLS_COMPONENT_TESTS` names a folder of `.wast` files: `test/` of the
//! repository `WebAssembly/component-model`, or wasmtime's `tests/misc_testsuite/component-model`
//! (CONTRIBUTING.md). Each call is a run of its own, so what one call leaves for the next is not
//! there: where another call of the same instance came before, another result is no failure. All that
//! is left out is counted, with the reason.

use bls_tests::programs::{Home, run};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use wast::component::WastVal;
use wast::parser::{self, ParseBuffer};
use wast::token::Id;
use wast::{QuoteWat, Wast, WastArg, WastDirective, WastExecute, WastInvoke, WastRet};

/// Codes of what is valid and not supported, or no program.
const NOT_HERE: [&str; 6] = [
    ATTRIBUTE,
    "link.component-async",
    "link.component-threads",
    "link.component-feature",
    "link.component-import",
    "link.component-no-run",
];
/// Names with attributes, which the component model tries out; and what is said of them.
const ATTRIBUTE: &str = "attributes of names";
const ATTRIBUTES: [&str; 2] = ["implements", "external"];
/// What is said of a call that takes or gives a resource.
const RESOURCE: &str = "it cannot be called by a text";
/// What traps.
const TRAPPED: i32 = 134;

/// What came of all.
#[derive(Default)]
struct Outcome {
    passed: usize,
    /// What is not run, by its reason.
    left_out: BTreeMap<String, usize>,
    failed: Vec<String>,
}

/// A component that was compiled, or why it was not.
type Compiled = Result<PathBuf, String>;

/// A call that came to an end.
struct Called {
    code: Option<i32>,
    /// What was printed; what was said, where it did not succeed.
    said: String,
    /// Whether no call of the same instance came before.
    is_first: bool,
}

/// One file of tests.
struct File<'h> {
    home: &'h Home,
    name: String,
    count: usize,
    definitions: HashMap<String, Compiled>,
    instances: HashMap<String, Compiled>,
    last: Option<Compiled>,
    /// Instances that were called, by their names; the last one has none.
    touched: HashSet<String>,
    outcome: Outcome,
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "wast") {
            found.push(path);
        }
    }
    found.sort();
}

/// A value in WAVE, as bls-load prints it.
fn wave(value: &WastVal<'_>, to: &mut String) {
    let list = |open: &str, values: &[WastVal<'_>], close: &str, to: &mut String| {
        to.push_str(open);
        for (at, value) in values.iter().enumerate() {
            to.push_str(if at == 0 { "" } else { ", " });
            wave(value, to);
        }
        to.push_str(close);
    };
    let case = |name: &str, value: Option<&WastVal<'_>>, to: &mut String| {
        to.push_str(name);
        if let Some(value) = value {
            to.push('(');
            wave(value, to);
            to.push(')');
        }
    };
    let float = |value: f64, plain: String, to: &mut String| match value {
        _ if value.is_nan() => to.push_str("nan"),
        f64::INFINITY => to.push_str("inf"),
        f64::NEG_INFINITY => to.push_str("-inf"),
        _ => to.push_str(&plain),
    };
    // Writing to a String does not fail.
    let _ = match value {
        WastVal::Bool(value) => write!(to, "{value}"),
        WastVal::U8(value) => write!(to, "{value}"),
        WastVal::S8(value) => write!(to, "{value}"),
        WastVal::U16(value) => write!(to, "{value}"),
        WastVal::S16(value) => write!(to, "{value}"),
        WastVal::U32(value) => write!(to, "{value}"),
        WastVal::S32(value) => write!(to, "{value}"),
        WastVal::U64(value) => write!(to, "{value}"),
        WastVal::S64(value) => write!(to, "{value}"),
        WastVal::F32(bits) => {
            let value = f32::from_bits(bits.bits);
            float(value.into(), value.to_string(), to);
            Ok(())
        }
        WastVal::F64(bits) => {
            let value = f64::from_bits(bits.bits);
            float(value, value.to_string(), to);
            Ok(())
        }
        WastVal::Char(value) if *value == '"' => write!(to, "'\"'"),
        WastVal::Char(value) => write!(to, "'{}'", value.escape_debug()),
        WastVal::String(text) => {
            to.push('"');
            for letter in text.chars() {
                match letter {
                    '\'' => to.push('\''),
                    letter => to.extend(letter.escape_debug()),
                }
            }
            to.push('"');
            Ok(())
        }
        WastVal::List(values) => {
            list("[", values, "]", to);
            Ok(())
        }
        WastVal::Tuple(values) => {
            list("(", values, ")", to);
            Ok(())
        }
        WastVal::Record(fields) => {
            to.push('{');
            let there = fields.iter().filter(|(_, value)| !matches!(value, WastVal::Option(None)));
            for (at, (name, value)) in there.enumerate() {
                let _ = write!(to, "{}{name}: ", if at == 0 { "" } else { ", " });
                wave(value, to);
            }
            to.push('}');
            Ok(())
        }
        WastVal::Variant(name, value) => {
            case(name, value.as_deref(), to);
            Ok(())
        }
        WastVal::Enum(name) => write!(to, "{name}"),
        WastVal::Option(None) => write!(to, "none"),
        WastVal::Option(some) => {
            case("some", some.as_deref(), to);
            Ok(())
        }
        WastVal::Result(Ok(ok)) => {
            case("ok", ok.as_deref(), to);
            Ok(())
        }
        WastVal::Result(Err(err)) => {
            case("err", err.as_deref(), to);
            Ok(())
        }
        WastVal::Flags(names) => write!(to, "{{{}}}", names.join(", ")),
    };
}

fn key(id: Option<Id<'_>>) -> String {
    id.map_or(String::new(), |id| id.name().to_owned())
}

impl File<'_> {
    fn leave_out(&mut self, why: &str) {
        *self.outcome.left_out.entry(why.to_owned()).or_default() += 1;
    }

    fn failed(&mut self, line: usize, what: &str) {
        self.outcome.failed.push(format!("{}:{}: {what}", self.name, line + 1));
    }

    /// Another result than the one that is wanted.
    fn differs(&mut self, line: usize, is_first: bool, what: &str) {
        if is_first {
            self.failed(line, what);
        } else {
            self.leave_out("a result that depends on earlier calls");
        }
    }

    /// Compiles bytes of a component: to the artifact, or the code of the refusal.
    fn compiled(&mut self, wasm: &[u8]) -> Compiled {
        self.count += 1;
        let source = self.home.path(&format!("c{}.wasm", self.count));
        fs::write(&source, wasm).expect("a file");
        let artifact = self.home.path(&format!("c{}.bls", self.count));
        let mut command = self.home.compile_command(&source);
        let ended = run(command.arg("-o").arg(&artifact), b"");
        match ended.code {
            Some(0) => Ok(artifact),
            _ => {
                let code = ended.stderr.lines().find_map(|line| line.strip_prefix("code: "));
                let is_attribute = ATTRIBUTES.iter().any(|words| ended.stderr.contains(words));
                Err(match code {
                    Some("link.component-invalid") if is_attribute => ATTRIBUTE.to_owned(),
                    code => code.unwrap_or(&ended.stderr).to_owned(),
                })
            }
        }
    }

    fn component(&mut self, line: usize, wat: &mut QuoteWat<'_>) -> Option<Compiled> {
        match wat.encode() {
            Ok(wasm) => {
                let compiled = self.compiled(&wasm);
                match &compiled {
                    Ok(_) => self.outcome.passed += 1,
                    Err(code) if NOT_HERE.contains(&code.as_str()) => self.leave_out(code),
                    Err(code) => self.failed(line, &format!("refused by {code}")),
                }
                Some(compiled)
            }
            Err(_) => {
                self.leave_out("text that this release of wast does not read");
                None
            }
        }
    }

    /// What was compiled last is an instance of this name.
    fn begins(&mut self, name: String) {
        self.touched.remove("");
        self.touched.remove(&name);
        if let Some(compiled) = self.last.clone() {
            self.instances.insert(name, compiled);
        }
    }

    /// What must be refused.
    fn refused(&mut self, line: usize, wat: &mut QuoteWat<'_>, message: &str) {
        match wat.encode() {
            Err(_) => self.outcome.passed += 1,
            Ok(wasm) => match self.compiled(&wasm) {
                Ok(_) => self.failed(line, &format!("is compiled, and should not be: {message}")),
                // It was found valid, and refused only then.
                Err(code) if code == "link.component-no-run" || code == "link.component-import" => {
                    self.failed(line, &format!("is valid, and should not be: {message}"));
                }
                Err(code) if code.starts_with("link.defect") || code.contains("crashed") => {
                    self.failed(line, &code);
                }
                Err(_) => self.outcome.passed += 1,
            },
        }
    }

    /// Calls a function: the exit code, and what was printed.
    fn called(&mut self, line: usize, invoke: &WastInvoke<'_>) -> Option<Called> {
        let compiled = match invoke.module {
            Some(id) => self.instances.get(id.name()).cloned(),
            None => self.last.clone(),
        };
        let artifact = match compiled {
            Some(Ok(artifact)) => artifact,
            Some(Err(_)) | None => {
                self.leave_out("a call of what was not compiled");
                return None;
            }
        };
        let mut text = format!("{}(", invoke.name);
        for (at, argument) in invoke.args.iter().enumerate() {
            text.push_str(if at == 0 { "" } else { ", " });
            match argument {
                WastArg::Component(value) => wave(value, &mut text),
                _ => {
                    self.failed(line, "a value of core WebAssembly");
                    return None;
                }
            }
        }
        text.push(')');
        let mut command = self.home.load_command(&["--fuel", "100M", "--invoke", &text], &artifact);
        let ended = run(&mut command, b"");
        let said = match ended.code {
            Some(0) => ended.text().trim_end_matches('\n').to_owned(),
            _ => format!("{text}: {}", ended.stderr),
        };
        if said.contains(RESOURCE) {
            self.leave_out("a call that takes or gives a resource");
            return None;
        }
        let is_first = self.touched.insert(key(invoke.module));
        Some(Called { code: ended.code, said, is_first })
    }

    fn directive(&mut self, line: usize, directive: WastDirective<'_>) {
        match directive {
            WastDirective::Module(mut wat) => {
                let id = key(wat.name());
                self.last = self.component(line, &mut wat);
                self.begins(id);
            }
            WastDirective::ModuleDefinition(mut wat) => {
                let id = key(wat.name());
                if let Some(compiled) = self.component(line, &mut wat) {
                    self.definitions.insert(id, compiled);
                }
            }
            WastDirective::ModuleInstance { instance, module, .. } => {
                self.last = self.definitions.get(&key(module)).cloned();
                self.begins(key(instance));
            }
            WastDirective::AssertInvalid { mut module, message, .. }
            | WastDirective::AssertMalformed { mut module, message, .. } => {
                self.refused(line, &mut module, message);
            }
            WastDirective::AssertReturn { exec: WastExecute::Invoke(invoke), results, .. } => {
                let Some(Called { code, said, is_first }) = self.called(line, &invoke) else {
                    return;
                };
                let mut wanted = String::new();
                for result in &results {
                    if let WastRet::Component(value) = result {
                        wave(value, &mut wanted);
                    }
                }
                if results.is_empty() {
                    wanted.push_str("()");
                }
                match code {
                    Some(0) if said == wanted => self.outcome.passed += 1,
                    _ => {
                        let what = format!("wanted {wanted}, got {code:?} {said}");
                        self.differs(line, is_first, &what);
                    }
                }
            }
            WastDirective::AssertTrap { exec: WastExecute::Invoke(invoke), message, .. } => {
                let Some(Called { code, said, is_first }) = self.called(line, &invoke) else {
                    return;
                };
                match code {
                    Some(TRAPPED) => self.outcome.passed += 1,
                    _ => {
                        let what = format!("no trap ({message}): {code:?} {said}");
                        self.differs(line, is_first, &what);
                    }
                }
            }
            WastDirective::AssertTrap { exec: WastExecute::Wat(wat), message, .. } => {
                let mut wat = QuoteWat::Wat(wat);
                let Some(Ok(artifact)) = self.component(line, &mut wat) else { return };
                let ended = run(&mut self.home.load_command::<&str>(&[], &artifact), b"");
                if ended.code == Some(TRAPPED) {
                    self.outcome.passed += 1;
                } else {
                    self.failed(line, &format!("no trap ({message}): {:?}", ended.code));
                }
            }
            WastDirective::Invoke(invoke) => {
                let Some(Called { code, said, is_first }) = self.called(line, &invoke) else {
                    return;
                };
                match code {
                    Some(0) => self.outcome.passed += 1,
                    _ => {
                        self.differs(line, is_first, &format!("a call ended with {code:?}: {said}"))
                    }
                }
            }
            _ => self.leave_out("directives of other kinds"),
        }
    }
}

#[test]
fn the_component_models_own_tests_pass() {
    let Some(folder) = std::env::var_os("BLS_COMPONENT_TESTS").map(PathBuf::from) else {
        println!("skipped: BLS_COMPONENT_TESTS names no folder");
        return;
    };
    let mut all = Vec::new();
    files(&folder, &mut all);
    let mut sum = Outcome::default();
    for path in all {
        let name = path.strip_prefix(&folder).expect("a file in it").display().to_string();
        // Nothing of it is there.
        if name.starts_with("async/") {
            *sum.left_out.entry("files about what is asynchronous".to_owned()).or_default() += 1;
            continue;
        }
        let text = fs::read_to_string(&path).expect("a text");
        let home = Home::new();
        let mut file = File {
            home: &home,
            name: name.clone(),
            count: 0,
            definitions: HashMap::new(),
            instances: HashMap::new(),
            last: None,
            touched: HashSet::new(),
            outcome: Outcome::default(),
        };
        let Ok(buffer) = ParseBuffer::new(&text) else {
            file.leave_out("a file that this release of wast does not read");
            continue;
        };
        match parser::parse::<Wast<'_>>(&buffer) {
            Ok(wast) => {
                for directive in wast.directives {
                    let (line, _) = directive.span().linecol_in(&text);
                    file.directive(line, directive);
                }
            }
            Err(error) => {
                let why = format!("{name}, which this release of wast does not read");
                println!("{error}");
                file.leave_out(&why);
            }
        }
        println!("{name}: {} passed, {} failed", file.outcome.passed, file.outcome.failed.len());
        sum.passed += file.outcome.passed;
        sum.failed.extend(file.outcome.failed);
        for (why, count) in file.outcome.left_out {
            *sum.left_out.entry(why).or_default() += count;
        }
    }
    println!("{} passed; left out: {:#?}", sum.passed, sum.left_out);
    assert!(sum.failed.is_empty(), "{} failed: {:#?}", sum.failed.len(), sum.failed);
    assert!(sum.passed > 100, "only {}", sum.passed);
}
