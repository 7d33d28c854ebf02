//! What a binary is: told from its bytes, never from a media type. Says in words what is wrong
//! with what cannot be run.

use super::RuntimeError;
use super::limits::WASM_BYTES_MAX;
use super::preview1::AcceptAbi;
use serde::{Deserialize, Serialize};
use wasmparser::{Encoding, ExternalKind, Parser, Payload, TypeRef, Validator, WasmFeatures};

/// What a module is run as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum World {
    /// A core module with `_start` and WASI preview 1.
    Preview1Command,
    /// A component that exports `wasi:cli/run`.
    CliRun,
    /// A component that exports a `wasi:http` handler.
    HttpHandler,
    /// Both: a handler, unless the container sets a command.
    CliRunAndHttpHandler,
}

/// What is known of a binary without compiling it. Kept beside the compiled code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Detected {
    pub(super) world: World,
    /// `wasi:cli/run` of 0.3 rather than 0.2.
    pub(super) run_is_async: bool,
    /// The handler is of 0.3 rather than 0.2.
    pub(super) handler_is_async: bool,
    /// Which `sock_accept` a core module imports.
    pub(super) accept: AcceptAbi,
    /// Whether it may run in a pool: it needs no garbage collected heap.
    pub(super) poolable: bool,
}

/// Reads what `wasm` is.
pub(super) fn detect(wasm: &[u8]) -> Result<Detected, RuntimeError> {
    if wasm.len() as u64 > WASM_BYTES_MAX {
        return Err(RuntimeError::TooLarge {
            bytes: wasm.len() as u64,
            limit: WASM_BYTES_MAX,
        });
    }
    if !wasm.starts_with(b"\0asm") {
        return Err(RuntimeError::NotWasm(what_else(wasm)));
    }
    let mut found = Found::default();
    found.read(wasm)?;
    found.conclude(plain(wasm))
}

/// Whether the binary is valid without the features that need a collected heap.
fn plain(wasm: &[u8]) -> bool {
    let features = WasmFeatures::all().difference(WasmFeatures::GC | WasmFeatures::EXCEPTIONS);
    Validator::new_with_features(features)
        .validate_all(wasm)
        .is_ok()
}

#[derive(Default)]
struct Found {
    component: bool,
    start: bool,
    run2: bool,
    run3: bool,
    handler2: bool,
    handler3: bool,
    exports: Vec<String>,
    types: Vec<usize>,
    accept: Option<AcceptAbi>,
}

impl Found {
    fn read(&mut self, wasm: &[u8]) -> Result<(), RuntimeError> {
        let invalid =
            |error: wasmparser::BinaryReaderError| RuntimeError::Compile(error.to_string());
        let mut depth = 0u32;
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.map_err(invalid)? {
                Payload::Version { encoding, .. } if depth == 0 => {
                    self.component = encoding == Encoding::Component;
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::TypeSection(types) if depth == 0 => {
                    for group in types {
                        for sub in group.map_err(invalid)?.into_types() {
                            let parameters = match &sub.composite_type.inner {
                                wasmparser::CompositeInnerType::Func(f) => f.params().len(),
                                _ => 0,
                            };
                            self.types.push(parameters);
                        }
                    }
                }
                Payload::ImportSection(imports) if depth == 0 => {
                    for import in imports.into_imports() {
                        self.import(&import.map_err(invalid)?);
                    }
                }
                Payload::ExportSection(exports) if depth == 0 => {
                    for export in exports {
                        let export = export.map_err(invalid)?;
                        self.start |= export.name == "_start" && export.kind == ExternalKind::Func;
                        self.name(export.name);
                    }
                }
                Payload::ComponentExportSection(exports) if depth == 0 => {
                    for export in exports {
                        self.component_export(export.map_err(invalid)?.name.name);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn import(&mut self, import: &wasmparser::Import<'_>) {
        if import.module == "wasi_snapshot_preview1"
            && import.name == "sock_accept"
            && let TypeRef::Func(index) = import.ty
        {
            self.accept = Some(match self.types.get(index as usize) {
                Some(2) => AcceptAbi::WasmEdge,
                _ => AcceptAbi::Standard,
            });
        }
    }

    fn component_export(&mut self, name: &str) {
        self.name(name);
        self.run2 |= name.starts_with("wasi:cli/run@0.2.");
        self.run3 |= name.starts_with("wasi:cli/run@0.3.");
        self.handler2 |= name.starts_with("wasi:http/incoming-handler@0.2.");
        self.handler3 |= name.starts_with("wasi:http/handler@0.3.");
    }

    fn name(&mut self, name: &str) {
        /// Names that a message lists.
        const NAMES_MAX: usize = 8;
        if self.exports.len() < NAMES_MAX {
            self.exports.push(name.to_owned());
        }
    }

    fn conclude(self, poolable: bool) -> Result<Detected, RuntimeError> {
        let run = self.run2 || self.run3;
        let handler = self.handler2 || self.handler3;
        let world = match (self.component, run, handler) {
            (false, ..) if self.start => World::Preview1Command,
            (true, true, false) => World::CliRun,
            (true, false, true) => World::HttpHandler,
            (true, true, true) => World::CliRunAndHttpHandler,
            _ => return Err(RuntimeError::NoEntry(self.why_not())),
        };
        Ok(Detected {
            world,
            run_is_async: !self.run2,
            handler_is_async: !self.handler2,
            accept: self.accept.unwrap_or(AcceptAbi::None),
            poolable,
        })
    }

    fn why_not(&self) -> String {
        let (what, wanted) = if self.component {
            (
                "the component",
                "wasi:cli/run or a wasi:http handler (of WASI 0.2 or 0.3)",
            )
        } else {
            ("the core module", "_start (a library has none)")
        };
        if self.exports.is_empty() {
            format!("{what} exports nothing; it would have to export {wanted}")
        } else {
            let names = self.exports.join(", ");
            format!("{what} exports {names}, and not {wanted}")
        }
    }
}

/// A guess at what the bytes are instead.
fn what_else(bytes: &[u8]) -> String {
    let starts = |prefix: &[u8]| bytes.starts_with(prefix);
    let what = if bytes.is_empty() {
        "the file is empty"
    } else if starts(b"\x7fELF") {
        "this is a Linux executable (ELF); wkube runs WebAssembly: build it for wasm32-wasip2"
    } else if starts(b"MZ") {
        "this is a Windows executable; wkube runs WebAssembly"
    } else if starts(b"\xcf\xfa\xed\xfe") || starts(b"\xca\xfe\xba\xbe") {
        "this is a macOS executable; wkube runs WebAssembly"
    } else if starts(b"#!") {
        "this is a script; wkube runs WebAssembly"
    } else if starts(b"\x1f\x8b") {
        "this is a gzip archive, not the module itself"
    } else if starts(b"(module") || starts(b"(component") {
        "this is the text format (.wat); `wkube image build` turns it into a binary"
    } else {
        "it does not begin with \\0asm"
    };
    what.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect_wat(text: &str) -> Result<Detected, RuntimeError> {
        detect(&wat::parse_str(text).unwrap())
    }

    #[test]
    fn worlds_are_told_from_exports() {
        let core = detect_wat(r#"(module (func (export "_start")))"#).unwrap();
        assert_eq!(core.world, World::Preview1Command);
        assert_eq!(core.accept, AcceptAbi::None);
        assert!(core.poolable);
        let edge = detect_wat(
            r#"(module (import "wasi_snapshot_preview1" "sock_accept"
                 (func (param i32 i32) (result i32))) (func (export "_start")))"#,
        );
        assert_eq!(edge.unwrap().accept, AcceptAbi::WasmEdge);
        let component =
            |name: &str| format!(r#"(component (instance $i) (export "{name}" (instance $i)))"#);
        for (name, world) in [
            ("wasi:cli/run@0.2.0", World::CliRun),
            ("wasi:cli/run@0.3.0", World::CliRun),
            ("wasi:http/incoming-handler@0.2.9", World::HttpHandler),
            ("wasi:http/handler@0.3.0", World::HttpHandler),
        ] {
            assert_eq!(detect_wat(&component(name)).unwrap().world, world, "{name}");
        }
    }

    #[test]
    fn what_cannot_run_says_why() {
        let no_start = detect_wat(r#"(module (func (export "add")))"#).unwrap_err();
        assert!(no_start.to_string().contains("exports add"), "{no_start}");
        let elf = detect(b"\x7fELF\x02").unwrap_err().to_string();
        assert!(elf.contains("Linux executable"), "{elf}");
        assert!(detect(b"").unwrap_err().to_string().contains("empty"));
    }
}
