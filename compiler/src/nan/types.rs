//! How many values each operator takes and gives, in one function of a module.

use wasmparser::{
    BinaryReaderError, BlockType, CompositeInnerType, ContType, FrameKind, FuncType, FunctionBody,
    ModuleArity, Operator, Parser, Payload, RefType, SubType, TypeRef, ValType,
};

/// What a module says of types.
#[derive(Debug, Default)]
pub(super) struct Types {
    types: Vec<SubType>,
    /// Type indices of functions, imported ones first.
    functions: Vec<u32>,
    imported: u32,
    /// Type indices of tags, likewise.
    tags: Vec<u32>,
}

impl Types {
    /// Reads what stands before the code of a valid module.
    pub(super) fn of(wasm: &[u8]) -> Result<Self, BinaryReaderError> {
        let mut all = Self::default();
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::TypeSection(section) => {
                    for group in section {
                        all.types.extend(group?.into_types());
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        match import?.ty {
                            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => all.functions.push(ty),
                            TypeRef::Tag(tag) => all.tags.push(tag.func_type_idx),
                            _ => {}
                        }
                    }
                    all.imported = all.functions.len() as u32;
                }
                Payload::FunctionSection(section) => {
                    for ty in section {
                        all.functions.push(ty?);
                    }
                }
                Payload::TagSection(section) => {
                    for tag in section {
                        all.tags.push(tag?.func_type_idx);
                    }
                }
                Payload::CodeSectionStart { .. } => break,
                _ => {}
            }
        }
        Ok(all)
    }

    /// The number of a defined function among all.
    pub(super) fn number(&self, defined: usize) -> u32 {
        self.imported + defined as u32
    }

    /// The type of a defined function.
    fn signature(&self, defined: usize) -> Option<&FuncType> {
        self.function(*self.functions.get(self.imported as usize + defined)?)
    }

    fn function(&self, ty: u32) -> Option<&FuncType> {
        match &self.types.get(ty as usize)?.composite_type.inner {
            CompositeInnerType::Func(ty) => Some(ty),
            _ => None,
        }
    }

    /// How many parameters a defined function has.
    pub(super) fn parameters(&self, defined: usize) -> usize {
        self.signature(defined).map_or(0, |ty| ty.params().len())
    }

    /// The types of a defined function's locals, parameters first.
    pub(super) fn locals(
        &self,
        defined: usize,
        body: &FunctionBody<'_>,
    ) -> Result<Vec<ValType>, BinaryReaderError> {
        let mut locals = self.signature(defined).map_or(Vec::new(), |ty| ty.params().to_vec());
        for group in body.get_locals_reader()? {
            let (count, ty) = group?;
            locals.resize(locals.len() + count as usize, ty);
        }
        Ok(locals)
    }

    /// How many values a block takes and gives.
    pub(super) fn arity(&self, block: BlockType) -> (usize, usize) {
        match block {
            BlockType::Empty => (0, 0),
            BlockType::Type(_) => (0, 1),
            BlockType::FuncType(ty) => {
                self.function(ty).map_or((0, 0), |ty| (ty.params().len(), ty.results().len()))
            }
        }
    }

    /// The type of the last value that a block gives.
    pub(super) fn last_result(&self, block: BlockType) -> Option<ValType> {
        match block {
            BlockType::Empty => None,
            BlockType::Type(ty) => Some(ty),
            BlockType::FuncType(ty) => self.function(ty)?.results().last().copied(),
        }
    }

    /// The block that a defined function is.
    pub(super) fn whole(&self, defined: usize) -> BlockType {
        let ty = self.functions.get(self.imported as usize + defined);
        ty.map_or(BlockType::Empty, |ty| BlockType::FuncType(*ty))
    }

    /// How many values an operator takes and gives within the blocks that are open; `None` of
    /// one that no target runs.
    pub(super) fn operator(
        &self,
        operator: &Operator<'_>,
        open: &[(BlockType, FrameKind)],
    ) -> Option<(usize, usize)> {
        let (takes, gives) = operator.operator_arity(&Place { types: self, open })?;
        Some((takes as usize, gives as usize))
    }
}

/// Whether bits of such a value can be those of a NaN.
pub(super) fn is_float(ty: ValType) -> bool {
    matches!(ty, ValType::F32 | ValType::F64 | ValType::V128)
}

/// A place in a function.
struct Place<'a> {
    types: &'a Types,
    open: &'a [(BlockType, FrameKind)],
}

impl ModuleArity for Place<'_> {
    fn sub_type_at(&self, ty: u32) -> Option<&SubType> {
        self.types.types.get(ty as usize)
    }

    fn tag_type_arity(&self, tag: u32) -> Option<(u32, u32)> {
        let ty = self.types.function(*self.types.tags.get(tag as usize)?)?;
        Some((ty.params().len() as u32, ty.results().len() as u32))
    }

    fn type_index_of_function(&self, function: u32) -> Option<u32> {
        self.types.functions.get(function as usize).copied()
    }

    fn func_type_of_cont_type(&self, _: &ContType) -> Option<&FuncType> {
        None
    }

    fn sub_type_of_ref_type(&self, _: &RefType) -> Option<&SubType> {
        None
    }

    fn control_stack_height(&self) -> u32 {
        self.open.len() as u32
    }

    fn label_block(&self, depth: u32) -> Option<(BlockType, FrameKind)> {
        self.open.get((self.open.len() - 1).checked_sub(depth as usize)?).copied()
    }
}
