//! The one table: every kind's names, schema, defaults, validation, columns, strategy. A kind is
//! one file with one `pub static DEF: ResourceDef` and one line in `BUILTINS`. Built-in and custom
//! resources are rows of the same type. Must never do I/O or know HTTP.
