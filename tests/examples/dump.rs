//! scratch
use wasmparser::*;
fn main() {
    let seed: u64 = std::env::args().nth(1).unwrap().parse().unwrap();
    let f: u32 = std::env::args().nth(2).unwrap().parse().unwrap();
    let wasm = bls_tests::modules::generate(seed).unwrap();
    let module = bls_tests::modules::valid(wasm).unwrap();
    let metered = bls_compiler::meter::meter(&module).unwrap();
    println!("{:?}", bls_compiler::audit::compare(&module, &metered.wasm, &metered.fuel));
    let mut imported = 0;
    let mut i = 0;
    for p in Parser::new(0).parse_all(&metered.wasm) {
        match p.unwrap() {
            Payload::ImportSection(s) => for im in s.into_imports() { if let TypeRef::Func(_) = im.unwrap().ty { imported += 1; } },
            Payload::CodeSectionEntry(b) => {
                if i + imported == f {
                    for l in b.get_locals_reader().unwrap() { println!("{:?}", l.unwrap()); }
                    let mut d = 0;
                    for o in b.get_operators_reader().unwrap().into_iter_with_offsets() {
                        let (o, at) = match o { Ok((o, at)) => (o, at), Err(e) => panic!("{e}") };
                        if matches!(o, Operator::End | Operator::Else) { d -= 1; }
                        println!("{at:#x} {}{o:?}", "  ".repeat(d.max(0) as usize));
                        if matches!(o, Operator::Block{..} | Operator::Loop{..} | Operator::If{..} | Operator::TryTable{..} | Operator::Else) { d += 1; }
                    }
                }
                i += 1;
            }
            _ => {}
        }
    }
}
